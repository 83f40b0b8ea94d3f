//! The object WAL over a store that is slow, fails and applies late: many lives of many writers, by a seed.
//!
//! - [`meta`]: the metadata, in memory: what is durably known of chains, partitions and the index.
//! - [`history`]: what clients were told and shown, held against the log at the end.
//! - [`broker`]: one life of one writer: load, index commits.
//! - [`recoverer`]: one try to end and recover a chain.
//! - [`janitor`]: rewriting and deleting.
//! - [`simulate`]: many lives; the same with rules left out.
//! - [`liveness`]: a sealer ends a busy writer; a store that is down comes back.
//! - [`latency`]: how soon acks come on S3-like latencies.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod broker;
mod history;
mod janitor;
mod latency;
mod liveness;
mod meta;
mod recoverer;
mod simulate;
