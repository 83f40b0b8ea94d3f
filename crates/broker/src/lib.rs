//! The Kafka-compatible broker: network, handlers, produce and fetch.

pub mod groups;
pub mod net;
