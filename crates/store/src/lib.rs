//! Objects by name: create once, read ranges, delete, list.
