//! One file a page; each takes a plain view struct and returns HTML.

pub mod order;
pub mod problem;
pub mod quarantine;
pub mod rebuild;
pub mod search;
