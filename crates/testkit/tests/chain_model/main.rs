//! Every interleaving, within bounds, of a chain's writer, recoverers, index commits, deletions and a reader.
//!
//! - [`world`]: the state, made of the very cores that run in production, a store and a network.
//! - [`steps`]: what can happen next.
//! - [`invariants`]: what must hold after each step.
//! - [`search`]: breadth first, so that the first violation has a shortest trace.
//! - [`runs`]: the bounds that are searched, and each rule left out.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod invariants;
mod runs;
mod search;
mod steps;
mod world;
