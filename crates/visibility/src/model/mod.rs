//! What facts are, and what follows from a set of them. No I/O, no clock, no chance.
//!
//! - [`fact`]: facts, links, subjects, content ids, positions.
//! - [`known`]: the set of facts known at a moment: duplicates reduced, withdrawn ones marked.
//! - [`answer`]: what follows for one subject: state, promise, estimate, delivery, lateness, place.
//! - [`links`], [`conflict`], [`exception`], [`change`]: the other things that follow from the same set.
//! - [`digest`]: the two state hashes.
//! - [`moment`]: which facts a question may rest on: as of, at, frontier.
//! - [`sample`]: the last of each minute of what sensors tell.
//! - [`scope`]: whose facts a question may see.
//! - [`time`]: days and instants.
//!
//! Invariant: every function here is a function of the *set* of facts given; order and repetition do not matter.

pub mod answer;
pub mod change;
pub mod conflict;
pub mod digest;
pub mod exception;
pub mod fact;
pub mod known;
pub mod links;
pub mod moment;
pub mod sample;
pub mod scope;
pub mod time;

pub use answer::{Answer, State};
pub use fact::{
    Body, Classifier, Condition, ContentId, Evidence, Fact, FactDraft, Kind, LinkAction, Located, Milestone,
    Relation, RowBound, Subject, Telling,
};
pub use known::{Known, KnownFact};
pub use moment::{Frontier, Moment, Position};
pub use scope::Scope;
