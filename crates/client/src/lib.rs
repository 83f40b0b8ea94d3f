//! A Kafka client for administration, forwarding and tests.
//!
//! It speaks to any Kafka of version 2.1 or newer, one request at a time or many on one connection, and leaves
//! consuming in groups and high-rate producing to librdkafka.
//!
//! | module | owns |
//! | --- | --- |
//! | [`config`] | settings, bootstrap addresses, what the client needs from its machine |
//! | [`connection`] | one connection: pipelining, correlation, time-outs, version negotiation |
//! | [`client`] | bootstrap, metadata, connections by broker, routing to leader, coordinator, controller |
//! | [`metadata`] | what a cluster says of itself |
//! | [`retry`] | how often and how fast a failed request is tried again |
//! | [`admin`] | topics, configurations, groups, offsets, records, cluster |
//! | [`data`] | producing and fetching single batches |
//! | [`error`] | what can go wrong |
//!
//! *Invariant*: time, chance and the network come in through `waybill-rt`.

pub mod admin;
pub mod client;
pub mod config;
pub mod connection;
pub mod data;
pub mod error;
pub mod metadata;
pub mod retry;
mod versions;

pub use client::{Client, Route};
pub use config::{BootstrapError, ClientConfig, Endpoint, Env, parse_bootstrap};
pub use connection::Connection;
pub use error::{ApiError, ClientError};
pub use metadata::{Broker, Metadata, PartitionInfo, TopicInfo};
pub use versions::ApiVersions;
