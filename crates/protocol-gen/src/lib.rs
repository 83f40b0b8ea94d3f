//! Kafka's messages, generated from the facts of the pinned schema.
//!
//! | module | owns |
//! | --- | --- |
//! | [`messages`] | every request, response, header and record schema, a module each (generated) |
//! | `api` | [`ApiKey`]: versions and header versions of each API; [`Request`]: which response answers it |
//! | [`header`] | the two headers in front of every request and response |
//! | [`coordinator`] | keys and values of the coordinators' topics, with their leading type or version |
//! | [`erased`], [`registry`] | every message behind one type, for fuzzing and checks |
//!
//! The facts stand in `schema/`; `cargo xtask import-schema` takes them from Kafka's jars and `cargo xtask gen`
//! writes `src/generated` from them. Neither is edited by hand.
//!
//! *Invariant*: nothing here knows sockets, handlers or storage.

pub mod api;
pub mod coordinator;
pub mod erased;
mod generated;
pub mod header;

pub use api::{ApiFacts, Request};
pub use generated::api_key::{ApiKey, KAFKA_VERSION};
pub use generated::{messages, registry};
pub use waybill_protocol::wire::Message;
