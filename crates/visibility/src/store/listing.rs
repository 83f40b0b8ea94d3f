//! Which subjects lists look at.

use waybill_types::TimestampMs;

use crate::model::time::Day;

/// Which subjects a list looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listing {
    /// Orders that had been told of and were open at a moment.
    OpenOrders {
        /// The moment.
        as_of: TimestampMs,
    },
}

/// Which subjects may have an exception at a moment, in an order in which they can be gone through page by page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suspects {
    /// Open orders and shipments whose promise had passed, or was expected to be missed.
    Promised {
        /// The moment.
        as_of: TimestampMs,
        /// The day on which promises pass.
        today: Day,
        /// The moment is now, so that the derived promise is the one that counts: else the earliest ever told stands
        /// for it.
        is_now: bool,
    },
    /// What a rule other than those about promises flagged, by kind and id.
    Flagged {
        /// The moment.
        as_of: TimestampMs,
    },
}

/// A suspect's place in the order: the day that stands for its promise (0 for flagged ones), kind, id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct SuspectKey {
    /// Days since 1970.
    pub day: i64,
    /// Code of its kind.
    pub kind: i64,
    /// Its id.
    pub id: String,
}
