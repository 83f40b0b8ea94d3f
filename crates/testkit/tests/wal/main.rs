//! The file WAL under crashes, faults and damage.
//!
//! - [`model`]: what must be in the log, and the sink that hears what became durable.
//! - [`life`]: one life of a process: start-up, load, flushing, death.
//! - [`simulate`]: many lives on one disk, by a seed; the same with rules left out.
//! - [`images`]: every cut and flipped bit of a given ring.
//! - [`startup`]: a crash at every step of start-up.
//! - [`faults`]: single faults, and what exactly they do.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod faults;
mod images;
mod life;
mod model;
mod simulate;
mod startup;
