//! The file WAL: a ring of fixed-size files, zeroed once and then overwritten in place, one writer, group commit.
//!
//! Pure: [`layout`] (where a position stands), [`tail`] (where the next group goes), [`state`] (what to do next),
//! [`decide`] (what recovery concludes). Thin: [`ring`] (folder and files), [`scan`] and [`recovery`] (reading),
//! [`writer`] (writing), [`wal`] (the trait).

pub mod decide;
mod describe;
pub mod layout;
pub mod metrics;
pub mod options;
pub mod recovery;
pub mod ring;
mod scan;
mod space;
mod state;
mod tail;
pub mod wal;
mod writer;
