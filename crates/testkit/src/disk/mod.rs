//! A disk that takes POSIX at its word, from a seed.
//!
//! - [`SimDisk`]: what was written and not synced is lost, kept or torn at a power loss, sector by sector; names that
//!   were made, renamed or removed and whose folder was not synced likewise. Reads, writes and syncs fail by plan, and
//!   a failed sync loses what it should have made durable, while reads still show it, as Linux does.
//! - [`SlowDisk`]: another disk, with each sync (and write) taking longer. For real time.
//!
//! A disk is one machine's: [`SimDisk::crash`] (power) and [`SimDisk::kill`] (the process) give a new one and
//! leave every open file of the old one dead.

mod content;
mod fault;
mod file;
mod names;
mod sim;
mod slow;

pub use fault::{Fault, OpKind};
pub use sim::{SimDisk, SimDiskOptions};
pub use slow::SlowDisk;
