//! What facts are, and what follows from a set of them. No I/O, no clock, no chance.

pub mod time;
