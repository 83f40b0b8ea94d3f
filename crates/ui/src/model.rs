//! Plain data that several pages share. The caller fills it from its query layer; nothing here reads,
//! asks the clock, or decides what is true.

use crate::time::{Day, Stamp, When};

/// What every page carries around its content: how fresh the answer is, and when it was given.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The moment of the question, from the service's clock.
    pub now: Stamp,
    /// How far behind the log the view is.
    pub freshness: Freshness,
    /// Name of the signed-in principal and what it sees, when the service knows one.
    pub viewer: Option<Viewer>,
}

/// What a form just did, or why it did not.
#[derive(Clone, Debug)]
pub struct Notice {
    /// It was done.
    pub done: bool,
    /// In words.
    pub what: String,
}

/// Who looks at the page.
#[derive(Clone, Debug)]
pub struct Viewer {
    /// Principal name.
    pub name: String,
    /// What its scope lets it see, in words ("sees all parties").
    pub sees: String,
}

/// Age of the view, as the API gives it (`lag_ms`, `stale`, `sources[]`).
#[derive(Clone, Debug)]
pub struct Freshness {
    /// Milliseconds since the view held all known end offsets; 0 when it holds them now. `None` where the
    /// answer is pinned to a frontier or checkpoint.
    pub lag_ms: Option<u64>,
    /// The API's `stale`: the lag is over its limit.
    pub stale: bool,
    /// One row a source.
    pub sources: Vec<SourceRow>,
}

/// One source topic and when it was last heard.
#[derive(Clone, Debug)]
pub struct SourceRow {
    /// Topic name.
    pub topic: String,
    /// Highest record time seen, or `None` when it never spoke.
    pub last_record_time: Option<Stamp>,
    /// Records between the view and the end of the topic, when known.
    pub behind: Option<u64>,
    /// It has been quiet for longer than it usually is, as the service judges it.
    pub silent: bool,
}

/// A position in the log: where a fact was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// Topic name.
    pub topic: String,
    /// Partition number.
    pub partition: i32,
    /// Record offset.
    pub offset: i64,
    /// Where the record can be read, when the service offers that; else the position is plain text.
    pub href: Option<String>,
}

/// A subject: something with an identity of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Its id, as the source writes it.
    pub id: String,
    /// What it is, in the API's word: `order`, `shipment`, `container`, `pallet`, `place`, …
    pub kind: String,
}

/// The API's `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Known, nothing shipped.
    Ordered,
    /// On its way.
    InTransit,
    /// Some parts delivered.
    PartiallyDelivered,
    /// All parts delivered.
    Delivered,
    /// Called off.
    Cancelled,
    /// No fact says.
    Unknown,
}

/// Where a subject was last seen.
#[derive(Clone, Debug)]
pub struct Location {
    /// Place name, else its id.
    pub place: String,
    /// When it was seen there.
    pub seen: Option<When>,
    /// Who said so (source topic or system), when known.
    pub source: Option<String>,
}

/// How many parts of a subject are delivered.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Parts delivered.
    pub done: u32,
    /// Parts in all.
    pub total: u32,
    /// What a part is, singular: `line`, `shipment`.
    pub noun: String,
}

/// What is said of a subject at one moment: the fields of `GET /v1/track/{id}`.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The API's `state`.
    pub state: State,
    /// Last place.
    pub location: Option<Location>,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The first promise that was made, when it differs from `promised` or is known to be the same.
    pub first_promised: Option<Day>,
    /// The newest estimate of delivery.
    pub estimated: Option<Day>,
    /// The day of delivery once everything is delivered.
    pub delivered: Option<Day>,
    /// When we were told of the delivery (the last telling, when several parts were delivered).
    pub delivered_told: Option<Stamp>,
    /// The API's `days_late`: negative when early, `None` until something is delivered.
    pub days_late: Option<i64>,
    /// Parts delivered, for subjects with parts.
    pub progress: Option<Progress>,
    /// Facts that the answer rests on.
    pub facts: u32,
    /// Distinct sources of those facts.
    pub sources: u32,
    /// Open conflicts between sources.
    pub conflicts: u32,
}

/// What kind of statement a fact is; one mark each, the same in timeline, plots and legends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactKind {
    /// Planned or promised: hollow square.
    Planned,
    /// Estimated: hollow circle.
    Estimated,
    /// Happened: filled circle.
    Actual,
    /// Withdraws or corrects an earlier statement: cross.
    Correction,
    /// Follows from a rule and the time, no source said it: clock.
    Derived,
}

/// What was looked in, for a page that found nothing.
#[derive(Clone, Debug)]
pub struct Searched {
    /// Subjects in the view, by kind, for example `("orders", 6161)`.
    pub counts: Vec<(String, u64)>,
    /// Up to which record time the view is complete, when known.
    pub up_to: Option<Stamp>,
    /// Quarantined records that mention the words.
    pub quarantined: u64,
    /// Ids that look alike.
    pub near: Vec<Subject>,
}
