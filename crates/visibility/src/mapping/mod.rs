//! From a record's bytes to facts, or to a reason why not.

pub mod events;
