//! What sensors tell all the time, reduced to the last of each minute.
//!
//! A minute is one of happening and one of telling, so that what is sent later neither hides nor is hidden by what was
//! told at once. Readings within and outside their limits are reduced apart: a short excursion stays seen. The result
//! is a function of the set of facts, so a store may leave out beforehand whatever the reduction would.

use std::collections::HashMap;

use waybill_types::TimestampMs;

use super::fact::{Body, ContentId, Fact, Subject};
use super::time::{When, minute};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Bucket<'a> {
    subject: &'a Subject,
    source: &'a str,
    measure: &'a str,
    outside: bool,
    happened: i64,
    told: i64,
}

type Rank = (TimestampMs, TimestampMs, ContentId);

fn bucket(fact: &Fact) -> Option<(Bucket<'_>, Rank)> {
    if !fact.draft.sampled {
        return None;
    }
    let (measure, outside) = match &fact.draft.body {
        Body::Condition(reading) => (reading.measure.as_str(), reading.is_excursion()),
        other => (other.name(), false),
    };
    let happened = fact.draft.happened.map(When::start)?;
    let bucket = Bucket {
        subject: &fact.subject,
        source: &fact.source,
        measure,
        outside,
        happened: minute(happened),
        told: minute(fact.told),
    };
    Some((bucket, (happened, fact.told, fact.id)))
}

/// The last sampled fact of each minute.
#[derive(Debug, Default)]
pub struct Latest<'a>(HashMap<Bucket<'a>, Rank>);

impl<'a> Latest<'a> {
    /// Looks at facts, in any order.
    #[must_use]
    pub fn of(facts: impl Iterator<Item = &'a Fact>) -> Self {
        let mut latest: HashMap<Bucket<'a>, Rank> = HashMap::new();
        for (bucket, rank) in facts.filter_map(bucket) {
            let kept = latest.entry(bucket).or_insert(rank);
            *kept = rank.max(*kept);
        }
        Self(latest)
    }

    /// Whether a fact among those looked at stays; what is not sampled does.
    #[must_use]
    pub fn keeps(&self, fact: &Fact) -> bool {
        self.0.is_empty()
            || bucket(fact).is_none_or(|(bucket, rank)| self.0.get(&bucket).is_none_or(|kept| *kept <= rank))
    }
}
