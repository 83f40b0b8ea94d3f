//! Newtypes, time and error kinds that every other crate speaks.
