//! The Kafka-compatible broker: network, handlers, produce and fetch.
//!
//! The way of a record: [`net`] reads a frame, [`connection`] starts the request, [`produce`] checks it and hands it
//! to the log engine, [`fetch`] gives it to readers. Everything else is a file in [`handlers`].
//!
//! - [`config`], [`serve`]: what a broker is started with, starting and stopping.
//! - [`broker`]: what every handler works with.
//! - [`groups`]: consumer groups, one owner task a partition of `__consumer_offsets`.
//! - [`handler`]: what a handler is; a request reaches it only through the gate of `waybill-security`.
//! - [`host`]: how the controller's commits reach the log engine.
//! - [`local`]: a whole node; [`ground`]: the folder or bucket that it stands on.
//! - [`member`]: a process among the brokers on a bucket; [`seat`]: the one that leads, and its standbys.
//! - `moved`: who leads, told beside errors (KIP-951).
//! - [`http`], [`metrics`]: health, readiness, metrics.
//!
//! Invariant: no record payload is parsed here beyond the validation of batches, and none is copied on its way.

pub mod broker;
pub mod config;
pub mod connection;
pub mod fetch;
pub mod ground;
pub mod groups;
pub mod handler;
pub mod handlers;
pub mod host;
pub mod http;
pub mod local;
pub mod member;
pub mod metrics;
mod moved;
pub mod net;
pub mod produce;
mod seat;
pub mod serve;

pub use broker::Broker;
pub use config::{BrokerConfig, ConfigProblem, Endpoint, ListenerSpec};
pub use ground::{ChainStorage, Storage};
pub use http::Front;
pub use local::{LocalNode, LocalOptions, Machine, NodeError};
pub use member::{Bucket, Joining, Member};
pub use serve::{BrokerDeps, StartError, start};
