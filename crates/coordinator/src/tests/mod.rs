//! A rule a test; then random members over many generations.

mod commits;
mod joins;
mod keeping;
mod sessions;
mod simulation;
mod statics;
mod syncs;
mod world;
