//! Harness shared by the end-to-end tests: the real program as a child process.

mod server;

pub use server::{Server, free_port, program};
