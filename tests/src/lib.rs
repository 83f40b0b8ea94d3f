//! Harness shared by the end-to-end tests: the real program as a child process, or a node within this one.

mod node;
mod s3;
mod seaweed;
mod server;

pub use node::{node_options, start_node};
pub use s3::LocalS3;
pub use seaweed::Seaweed;
pub use server::{Server, free_port, program};
