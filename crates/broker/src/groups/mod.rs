//! Group coordination: the shell around the pure coordinators of `waybill-coordinator`.
//!
//! - [`log`]: where a coordinator partition's records are kept, and their batches.
//! - [`owner`]: the task that owns one coordinator partition: it loads, decides, appends, answers.
//! - [`desk`]: the handle with which handlers ask an owner.
//! - [`service`]: all owners of this broker; which one coordinates which group.
//! - [`engine_log`]: the log engine as an owner's log.
//! - [`metrics`]: how far groups are behind.
//!
//! Life cycle: an owner runs for each partition of `__consumer_offsets` from when the topic is there until the broker
//! stops or the topic is deleted. If it dies, the groups of its partition are answered NOT_COORDINATOR.
//!
//! Invariant: no answer leaves before every record that the coordinator had issued when it decided is durable.

pub mod desk;
pub mod engine_log;
pub mod log;
pub mod metrics;
pub mod owner;
pub mod service;

#[cfg(test)]
mod tests;
