//! What answers about views and checkpoints look like.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A checkpoint.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CheckpointBody {
    /// Its name.
    pub name: String,
    /// The frontier's token.
    pub token: String,
    /// When it was made.
    pub at: String,
    /// By whom.
    pub who: String,
    /// `TOPIC NAME@VERSION` of what read each topic then.
    pub mappings: Vec<String>,
    /// The content hash then.
    pub content_hash: String,
    /// The log hash then.
    pub log_hash: String,
}

/// A condition of promotion.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GateBody {
    /// It holds.
    pub holds: bool,
    /// In words.
    pub what: String,
}

/// A view.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ViewBody {
    /// Its number.
    pub number: u32,
    /// `building`, `serving`, `kept`, `rejected`, `rolled_back`, `retired` or `failed`.
    pub state: String,
    /// It runs beside the one that serves without an end.
    pub shadow: bool,
    /// While it has a file: `keeping`, `reading` or `caught_up`.
    pub stage: Option<String>,
    /// From where it was built.
    pub from: String,
    /// The view of which it keeps what lies below.
    pub base: Option<u32>,
    /// `TOPIC NAME@VERSION` of mappings that were chosen for it.
    pub mappings: Vec<String>,
    /// Offsets, of all partitions, that it kept.
    pub kept: i64,
    /// Offsets, of all partitions, that it has read.
    pub next: i64,
    /// Records not read yet.
    pub behind: u64,
    /// Records read since the service started.
    pub taken: u64,
    /// Of these, each second.
    pub rate: u64,
    /// Until the end of the log, at that rate.
    pub seconds_left: Option<u64>,
    /// For how long it has been at the end of the log.
    pub held_ms: Option<u64>,
    /// Records a second at most; null: half of the time.
    pub throttle: Option<u32>,
    /// Sources that are not read any more, and why.
    pub stopped: Vec<String>,
    /// When it was asked for.
    pub started: String,
    /// By whom.
    pub started_by: String,
    /// Why.
    pub note: String,
    /// When its state last changed.
    pub changed: String,
    /// By whom.
    pub changed_by: String,
    /// Why.
    pub changed_note: String,
    /// What must hold before it may serve.
    pub gates: Vec<GateBody>,
}

/// A decision about a view.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ViewEventBody {
    /// Which view.
    pub view: u32,
    /// What: `rebuild`, `shadow`, `promote`, `reject`, `rollback`, `throttle`, `retire`, `fail`.
    pub what: String,
    /// When.
    pub at: String,
    /// By whom.
    pub who: String,
    /// Why.
    pub note: String,
}

/// `GET /v1/views`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ViewsBody {
    /// The number of the view that serves.
    pub serving: u32,
    /// All of them, newest first.
    pub views: Vec<ViewBody>,
    /// What was decided, newest first.
    pub decisions: Vec<ViewEventBody>,
}

/// `POST /v1/rebuild`.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RebuildBody {
    /// `start`, an offset, `TOPIC/PARTITION:OFFSET`, a time, `checkpoint:NAME` or `mapping:NAME@VERSION`.
    #[serde(default)]
    pub from: String,
    /// Topics and the mappings that read them in this view.
    #[serde(default)]
    pub mappings: BTreeMap<String, String>,
    /// Texts of mapping files that come with it.
    #[serde(default)]
    pub files: Vec<String>,
    /// It runs beside the one that serves without an end.
    #[serde(default)]
    pub shadow: bool,
    /// Records a second at most; left out: half of the time.
    pub rate: Option<u32>,
    /// Goes on though history is gone.
    #[serde(default)]
    pub without_gone: bool,
    /// Why.
    #[serde(default)]
    pub note: String,
}
