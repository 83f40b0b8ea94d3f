//! What answers look like. Days are `YYYY-MM-DD`, instants RFC 3339 with `Z`.

use serde::Serialize;
use utoipa::ToSchema;

/// What every answer says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Frame {
    /// As of when it was asked.
    pub as_of: String,
    /// Of which moment it speaks, when that is another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Up to where in the log.
    pub frontier: FrontierBody,
    /// Milliseconds since everything known was read; null where the answer is pinned.
    pub lag_ms: Option<u64>,
    /// That is longer than a minute; null where the answer is pinned.
    pub stale: Option<bool>,
    /// What it rests on.
    pub sources: Vec<SourceBody>,
}

/// A frontier.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FrontierBody {
    /// Ask again with `as_of=frontier:TOKEN` and the answer is the same.
    pub token: String,
    /// Next offset by topic and partition.
    pub offsets: Vec<OffsetBody>,
}

/// How far one partition was read.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OffsetBody {
    /// The topic.
    pub topic: String,
    /// Its id.
    pub topic_id: String,
    /// The partition.
    pub partition: i32,
    /// The next offset.
    pub next: i64,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SourceBody {
    /// The topic.
    pub topic: String,
    /// Record time up to which it has told everything it had.
    pub last_record_time: Option<String>,
    /// Earlier history was gone, or could be, when it was first read: what it told can be proven from this record time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provable_since: Option<String>,
    /// Why it is not read any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// A subject.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SubjectBody {
    /// What it is.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct EvidenceBody {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// Where it was last seen.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LocationBody {
    /// The place's name, else its id.
    pub place: String,
    /// The place's id.
    pub place_id: String,
    /// Its country.
    pub country: Option<String>,
    /// When it was there.
    pub seen: Option<String>,
    /// Who said so.
    pub source: String,
    /// What was seen there.
    pub by: SubjectBody,
}

/// A line of an order, or in a shipment.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LineBody {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: String,
    /// The day promised.
    pub promised: Option<String>,
    /// The day expected.
    pub estimated: Option<String>,
    /// The day of delivery.
    pub delivered: Option<String>,
    /// Delivered minus promised.
    pub days_late: Option<i64>,
    /// Shipments it travels in.
    pub shipments: Vec<String>,
    /// Names, references and quantities.
    #[schema(value_type = Object)]
    pub attributes: serde_json::Map<String, serde_json::Value>,
}

/// One thing in another, for an interval.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LinkBody {
    /// The part.
    pub held: SubjectBody,
    /// What holds it.
    pub holder: SubjectBody,
    /// `part_of`, `in` or `named`.
    pub relation: String,
    /// From when.
    pub since: Option<String>,
    /// Until when; null while it holds.
    pub until: Option<String>,
}

/// One line of the history.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HistoryBody {
    /// When it happened, or for when it is planned or expected.
    pub event_time: Option<String>,
    /// When we were told.
    pub record_time: String,
    /// What was told.
    pub what: String,
    /// Place, reason, limits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// `PLN`, `EST` or `ACT`.
    pub classifier: String,
    /// Whom it is about.
    pub subject: SubjectBody,
    /// Who told it.
    pub source: String,
    /// The record that counts: its topic.
    pub topic: Option<String>,
    /// Its partition.
    pub partition: Option<i32>,
    /// Its offset.
    pub offset: Option<i64>,
    /// More records that told the same.
    pub repeats: usize,
    /// A correction known then took it back.
    pub withdrawn: bool,
}

/// One side of a conflict.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClaimBody {
    /// What it says.
    pub says: String,
    /// Who says so.
    pub source: String,
    /// When we were told.
    pub record_time: String,
    /// The answer uses it.
    pub used: bool,
    /// The record.
    pub evidence: Option<EvidenceBody>,
}

/// Sources that differ.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConflictBody {
    /// Whose.
    pub subject: SubjectBody,
    /// On what.
    pub about: String,
    /// What each says.
    pub claims: Vec<ClaimBody>,
}

/// What needs a decision.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ExceptionBody {
    /// Stable from question to question.
    pub id: String,
    /// The rule that found it.
    pub rule: String,
    /// Whom it is about.
    pub subject: SubjectBody,
    /// Since when.
    pub since: Option<String>,
    /// What was due.
    pub due: Option<String>,
    /// How often it happened.
    pub count: u32,
    /// In words.
    pub what: String,
    /// The record it rests on.
    pub evidence: Option<EvidenceBody>,
}

/// A sensor's reading.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ReadingBody {
    /// What carried the sensor.
    pub subject: SubjectBody,
    /// What was measured.
    pub measure: String,
    /// The value.
    pub value: f64,
    /// Its unit.
    pub unit: String,
    /// When it was measured.
    pub event_time: Option<String>,
    /// Outside the limits agreed.
    pub outside: bool,
}

/// `GET /v1/track/{id}`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TrackBody {
    /// The id asked for.
    pub id: String,
    /// What it is.
    pub kind: String,
    /// `ordered`, `in_transit`, `partially_delivered`, `delivered`, `cancelled` or `unknown`.
    pub state: String,
    /// Where it was last seen.
    pub location: Option<LocationBody>,
    /// The day promised: the latest of the lines'.
    pub promised: Option<String>,
    /// The day expected: the latest of the shipments'.
    pub estimated: Option<String>,
    /// The day of the last delivery, once all is delivered.
    pub delivered: Option<String>,
    /// The most that a delivered line was late; negative when early; null until one is delivered.
    pub days_late: Option<i64>,
    /// What the answer says of itself.
    #[serde(flatten)]
    pub frame: Frame,
    /// Every contributing source has told of later than `as_of`.
    #[serde(rename = "final")]
    pub is_final: bool,
    /// Names and references.
    #[schema(value_type = Object)]
    pub attributes: serde_json::Map<String, serde_json::Value>,
    /// Its lines.
    pub lines: Vec<LineBody>,
    /// Links.
    pub links: Vec<LinkBody>,
    /// What was told, by record time.
    pub history: Vec<HistoryBody>,
    /// Sources that differ.
    pub conflicts: Vec<ConflictBody>,
    /// What needs a decision.
    pub exceptions: Vec<ExceptionBody>,
    /// Told after the answer had become final.
    pub revised: Vec<HistoryBody>,
    /// Newest readings.
    pub readings: Vec<ReadingBody>,
    /// Links were followed up to a bound only.
    pub bounded: bool,
}

/// An item of `GET /v1/search`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SearchItem {
    /// Its id.
    pub id: String,
    /// What it is.
    pub kind: String,
    /// Its state.
    pub state: String,
    /// What the words matched.
    pub matched: String,
    /// The day promised.
    pub promised: Option<String>,
    /// The day of delivery.
    pub delivered: Option<String>,
    /// Days late.
    pub days_late: Option<i64>,
}

/// A line of `GET /v1/changes`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChangeBody {
    /// Whose.
    pub subject: SubjectBody,
    /// Which property.
    pub what: String,
    /// What was said before.
    pub old: Option<String>,
    /// What is said since.
    pub new: Option<String>,
    /// When it happened, or for when it is planned.
    pub event_time: Option<String>,
    /// When we were told.
    pub record_time: String,
    /// The record.
    pub evidence: Option<EvidenceBody>,
}

/// Counts of one partition: `taken = projected + held + quarantined + repaired + discarded`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CountsBody {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// Records read.
    pub taken: u64,
    /// Records whose facts were stored.
    pub projected: u64,
    /// Records held behind a quarantined one.
    pub held: u64,
    /// Records refused, of which nothing has become yet.
    pub quarantined: u64,
    /// Records in whose place a repaired copy was read; that one is counted where it stands.
    pub repaired: u64,
    /// Records of which nothing is to come.
    pub discarded: u64,
    /// Nothing was lost or counted twice.
    pub conserved: bool,
}

/// `GET /v1/state`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct StateBody {
    /// The view.
    pub view: String,
    /// Of the set of facts: order, repetition and delay do not change it.
    pub content_hash: String,
    /// Of facts and positions: equal for an equal frontier.
    pub log_hash: String,
    /// Facts.
    pub facts: u64,
    /// Tellings of them.
    pub tellings: u64,
    /// Up to where.
    pub frontier: FrontierBody,
    /// Counts by partition.
    pub counts: Vec<CountsBody>,
}

/// A source in `GET /v1/sources`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SourceDetail {
    /// The topic.
    pub topic: String,
    /// Its id.
    pub topic_id: String,
    /// What maps it.
    pub mapping: Option<String>,
    /// Record time up to which it has told everything it had.
    pub last_record_time: Option<String>,
    /// Records not read yet.
    pub behind: u64,
    /// Why it is not read any more.
    pub stopped: Option<String>,
}

/// A refused record in `GET /v1/quarantine`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuarantineBody {
    /// `TOPIC/PARTITION/OFFSET`.
    pub id: String,
    /// `refused`, `held`, `repairing`, `repaired` or `discarded`.
    pub state: String,
    /// Where it stood.
    pub evidence: EvidenceBody,
    /// Its record time.
    pub record_time: String,
    /// Why it was refused: a stable word, a colon, and what is wrong.
    pub reason: String,
    /// What refused it.
    pub mapping: String,
    /// How long its value is.
    pub bytes: usize,
}

/// `GET /v1/quarantine/{topic}/{partition}/{offset}`.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct QuarantineDetail {
    /// As in the list.
    #[serde(flatten)]
    pub record: QuarantineBody,
    /// Its key; what is not UTF-8 is shown as U+FFFD.
    pub key: Option<String>,
    /// Its value, as the key.
    pub value: Option<String>,
    /// Its headers, in order.
    pub headers: Vec<HeaderBody>,
    /// What was decided about it, in order.
    pub decisions: Vec<DecisionBody>,
}

/// A record's header.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct HeaderBody {
    /// Its name.
    pub name: String,
    /// Its value; what is not UTF-8 is shown as U+FFFD.
    pub value: Option<String>,
}

/// What someone decided about a refused record.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DecisionBody {
    /// When.
    pub at: String,
    /// Who.
    pub who: String,
    /// `repair`, `redrive` or `discard`.
    pub what: String,
    /// Why.
    pub note: String,
    /// What it did.
    pub outcome: String,
}

/// What a decision about a refused record did.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RuledBody {
    /// `TOPIC/PARTITION/OFFSET`.
    pub id: String,
    /// It was carried out; false where the record is as it was.
    pub done: bool,
    /// What it did, or why it did nothing.
    pub outcome: String,
}
