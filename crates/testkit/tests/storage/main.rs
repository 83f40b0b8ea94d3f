//! The log engine on a disk that loses, tears and fails: redb, segments and the file WAL together;
//! or with the log in a chain of objects, on a store where everything goes wrong now and then.
//!
//! - [`life`]: one life of a process: start, load by clients that retry, death.
//! - [`model`]: what clients were told, held against what the log shows.
//! - [`table`]: compacted topics, held against the newest record of each key.
//! - [`simulate`]: many lives on one disk, by a seed; the same with rules left out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod life;
mod model;
mod simulate;
mod table;
