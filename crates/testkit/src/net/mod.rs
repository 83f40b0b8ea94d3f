//! A network in memory, with latency and faults from a seed.
//!
//! A [`SimNet`] joins machines. Bytes take `latency` plus a seeded share of `jitter`, and keep their order within a
//! direction of a connection, as TCP does. A direction between two machines can be cut: what is on its way then waits,
//! and new connections hang. A machine can be reset: its connections break and its listeners are gone.

mod pipe;
mod sim;

pub use sim::{SimNet, SimNetOptions};
