//! Views of one log: the one that serves, those built beside it, and the one kept to go back to.
//!
//! - [`from`]: from where a view is rebuilt, and what it keeps below.
//! - [`registry`]: which views there are and what was decided, on the disk before anyone hears of it.
//! - `live`: a view while it reads the log, on a thread of its own.
//! - [`set`]: all of them; `decide`: building, promoting, rejecting, going back.
//! - [`compare`]: what differs between two views, and why.
//!
//! Every view has a file and offsets of its own; none changes another's. Only the view that serves publishes anything.
//! Which one that is stands in one row of the registry: whatever dies at whatever moment, the next start finds one.

pub mod compare;
mod decide;
pub mod from;
mod live;
mod reason;
pub mod registry;
pub mod set;

use crate::ingest::SourceError;
use crate::store::StoreError;
pub use from::{From, Gone};
pub use live::{LiveView, Stage};
pub use registry::{EventRow, Step, ViewRow, ViewState};
pub(crate) use set::beside;
pub use set::{Gate, RebuildRequest, ViewStatus, Views, ViewsConfig};

/// Why something about views can not be done.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is no such view.
    #[error("there is no view {0}")]
    Unknown(u32),
    /// From there no view can be made.
    #[error("{0}")]
    BadFrom(String),
    /// A mapping is not known, or its file has faults.
    #[error("{0}")]
    BadMapping(String),
    /// Other mappings read what lies below a checkpoint.
    #[error("other mappings read what lies below checkpoint '{0}' in every view that is kept")]
    OtherReading(String),
    /// The log does not hold any more what the view would need.
    #[error("history is gone: {}", list(.0))]
    Gone(Vec<Gone>),
    /// As many are built as may be.
    #[error("view {0} is being built already; promote or reject it first")]
    Busy(u32),
    /// The view is not what it must be for that.
    #[error("view {number} is {state}, {hint}")]
    NotFor {
        /// Which.
        number: u32,
        /// What it is.
        state: &'static str,
        /// What may be done.
        hint: &'static str,
    },
    /// It may not be promoted yet.
    #[error("view {number} may not be promoted: {}", .reasons.join("; "))]
    NotReady {
        /// Which.
        number: u32,
        /// Why not.
        reasons: Vec<String>,
    },
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The log can not be asked.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A file can not be made or removed.
    #[error("{0}")]
    File(#[from] std::io::Error),
}

fn list(gone: &[Gone]) -> String {
    gone.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}
