//! The simulated world: disk, network, clock, faults, and a history checker.
//!
//! - [`disk`]: a disk that loses, tears and fails by a seed.
//! - [`net`]: machines joined in memory, with latency and cuts by a seed.
//! - [`wal`]: a WAL whose appends overlap, and which can stall.
//! - [`store`]: an object store that is slow, fails, and applies late, by a seed.
//! - [`seeds`]: which seeds a simulation runs.

pub mod disk;
pub mod net;
pub mod seeds;
pub mod store;
pub mod wal;
