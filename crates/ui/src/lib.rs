//! Pages and parts: view structs in, HTML out. No I/O, no clock, no state.
//!
//! - [`pages`]: one file a page, each with its view struct, `document` (the whole page) and `fragment` (what a
//!   script swaps in, for requests with [`FRAGMENT_QUERY`]).
//! - [`model`], [`time`]: plain data that the views share.
//! - [`assets`]: stylesheet and scripts by content hash, and the headers that pages are served with.
//!
//! Every page reads and works without script: links carry `as_of`, forms are plain. Script adds keys, the
//! slider and updates in place.

pub mod assets;
pub mod model;
pub mod pages;
mod parts;
pub mod time;

pub use assets::static_file;

/// Query parameter with which scripts ask for a fragment instead of a document: `?fragment=1`.
pub const FRAGMENT_QUERY: &str = "fragment";
