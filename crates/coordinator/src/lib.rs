//! Group coordination as pure state machines over internal topics: state and event in, records and answers out.
//!
//! A [`Coordinator`] is the state of one partition of `__consumer_offsets`. It has no clock, no entropy, no I/O: its
//! driver passes in the time and fresh ids, appends the records of each [`Step`] to the partition in order, and sends
//! the answers once these records *and all before them* are durable. The state in memory may run ahead of the log;
//! nothing that rests on it is told to anyone before it is durable. When an append fails the driver unloads the
//! partition (every parked request is answered NOT_COORDINATOR) and loads it again from the log.
//!
//! - [`config`]: timeouts and limits.
//! - [`request`] and [`answer`]: what is asked and what is answered, free of wire versions.
//! - [`record`] and [`encoding`]: what is kept, and its bytes in Kafka's schemas.
//! - `group`, `member`: one classic group; `join`, `rebalance`, `sync`, `session`: its protocol, a file a phase.
//! - `offsets`, `retention`, `admin`, `load`: the rest of the coordinator.
//! - [`placement`]: which partition coordinates which group.
//!
//! The rules are those of Kafka's `GroupMetadataManager`, `ClassicGroup` and `OffsetMetadataManager` (4.x); KIPs are
//! named where a rule comes from one.

pub mod admin;
pub mod answer;
pub mod config;
mod coordinator;
pub mod encoding;
mod group;
mod join;
mod load;
mod member;
mod offsets;
pub mod placement;
mod rebalance;
pub mod record;
pub mod request;
mod retention;
mod session;
mod step;
mod subscription;
mod sync;
mod timers;

#[cfg(test)]
mod tests;

pub use answer::Refusal;
pub use config::GroupConfig;
pub use coordinator::Coordinator;
pub use group::GroupState;
pub use record::Record;
pub use step::{Now, Parked, RequestId, Step};
