//! The cluster image and the controller's decisions, for one broker today.
//!
//! - [`configs`]: every topic, broker and group configuration that Kafka 4.4 knows, in one table.
//! - [`settings`]: a topic's configuration, parsed once.
//! - [`image`]: what every handler reads: topics, partitions, configuration, brokers.
//! - [`create`], [`alter`]: decisions about requests, pure.
//! - [`terms`]: who owns the metadata store, who is which incarnation, what happens to chains of WAL objects.
//! - [`controller`]: the owner of the metadata store: decides, commits, then applies.
//!
//! Invariant: whatever this crate tells anyone restates a commit that it has awaited durable.

pub mod alter;
pub mod configs;
pub mod controller;
pub mod create;
pub mod image;
pub mod settings;
pub mod terms;

pub use controller::{BrokerChange, Controller, ControllerDeps, ControllerError, PartitionHost};
pub use image::{Image, Topic};
pub use settings::TopicSettings;
