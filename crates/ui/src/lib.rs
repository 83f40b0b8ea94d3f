//! Pages and parts: view structs in, HTML out. No I/O, no clock, no state.
//!
//! - [`pages`]: one file a page, each with its view struct.
//! - [`model`], [`time`]: plain data that the views share.

pub mod model;
pub mod pages;
pub mod time;
