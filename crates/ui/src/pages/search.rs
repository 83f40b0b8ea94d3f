//! Search: where is it, and what changed? The first page, `/`.

use crate::model::{Evidence, Frame, Searched, State, Subject};
use crate::time::{Day, Stamp};

/// Everything the Search page shows.
#[derive(Clone, Debug)]
pub struct SearchView {
    /// Freshness and clock.
    pub frame: Frame,
    /// The words searched for; `None` shows the overview instead of results.
    pub query: Option<String>,
    /// Matches of `query`, best first, as `GET /v1/search` returns them.
    pub results: Vec<Hit>,
    /// More matches exist than `results` holds.
    pub more: bool,
    /// What was looked in; shown when nothing matched.
    pub searched: Searched,
    /// A few ids that exist, to try.
    pub examples: Vec<Subject>,
    /// Five figures over open orders.
    pub figures: Figures,
    /// Open orders with a promise, least slack first; the page shows the first 12.
    pub due: Vec<DueRow>,
    /// Open orders in all that `due` was taken from.
    pub due_total: u64,
    /// Newest changes first; the page shows the first 12.
    pub changes: Vec<Change>,
    /// `changes` holds what was told after this moment.
    pub changes_since: Option<Stamp>,
}

/// One match: the fields of an item of `GET /v1/search`.
#[derive(Clone, Debug)]
pub struct Hit {
    /// The subject found.
    pub subject: Subject,
    /// Its state.
    pub state: State,
    /// What the words matched, in words ("id", "reference PO-771", "place Lusaka").
    pub matched: String,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The day of delivery.
    pub delivered: Option<Day>,
    /// Negative when early.
    pub days_late: Option<i64>,
}

/// The figures of the overview. A figure that the service does not count is `None` and reads "not known".
#[derive(Clone, Debug, Default)]
pub struct Figures {
    /// Orders not delivered and not cancelled.
    pub open: Option<u64>,
    /// Of those, the promise has passed.
    pub past_promise: Option<u64>,
    /// Of those, the estimate lies after the promise and the promise has not passed.
    pub expected_late: Option<u64>,
    /// Orders delivered so far.
    pub delivered: Option<u64>,
    /// Records that could not be read and are kept in quarantine.
    pub quarantined: Option<u64>,
}

/// An open order and its slack.
#[derive(Clone, Debug)]
pub struct DueRow {
    /// The order.
    pub id: String,
    /// Second line under the id, for example its shipment.
    pub part: Option<String>,
    /// What is in it.
    pub what: Option<String>,
    /// Second line under that: quantity, supplier.
    pub what_more: Option<String>,
    /// Where it goes, or was last seen.
    pub place: Option<String>,
    /// Second line under that: mode of transport.
    pub place_more: Option<String>,
    /// The promise that counts.
    pub promised: Option<Day>,
    /// The newest estimate.
    pub estimated: Option<Day>,
}

/// One change: a line of `GET /v1/changes`.
#[derive(Clone, Debug)]
pub struct Change {
    /// When we were told.
    pub record_time: Stamp,
    /// What changed.
    pub subject: Subject,
    /// Which property, in words: "promise", "estimate", "state", "location".
    pub what: String,
    /// What was said before, if anything.
    pub old: Option<String>,
    /// What is said now, if anything.
    pub new: Option<String>,
    /// The record that told it.
    pub evidence: Evidence,
}
