//! Newtypes, time and error kinds that every other crate speaks. No I/O, no clock.
//!
//! - [`ids`]: topics, partitions, brokers, producers, clusters.
//! - [`offsets`]: offsets, leader epochs, sequences.
//! - [`time`]: instants in milliseconds.

mod ids;
mod offsets;
mod time;

pub use ids::{
    BrokerId, ClusterId, Incarnation, ParseIdError, PartitionId, ProducerEpoch, ProducerId, StoreId, TopicId,
    TopicPartition,
};
pub use offsets::{CoordinatorEpoch, LeaderEpoch, Offset, Sequence};
pub use time::TimestampMs;
