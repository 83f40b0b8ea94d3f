//! Connections: frames in, responses out.
//!
//! - [`listener`] accepts, within the limits on connections.
//! - [`connection`] reads frames and starts requests: Produce and Fetch overlap, everything else runs alone.
//! - [`outbox`] answers in request order, whatever finishes first.
//!
//! Life cycle: a connection is two tasks, a reader and a writer; when either ends, so does the other. If a handler
//! panics, its connection dies and no other.

pub mod connection;
pub mod listener;
pub mod outbox;
