//! What to write anew, and whether it pays: pure.
//!
//! Two things cost: reading history in many small requests, and keeping bytes that nothing names. Two things are paid
//! for it: requests, and moving bytes. A merge takes objects of about the same age and grain, so that each byte is moved a few times
//! only until a partition's stretches are as long as a request is useful.

use std::collections::BTreeSet;

use waybill_meta::ObjectId;
use waybill_types::TimestampMs;

use crate::options::{CompactionOptions, Prices};

/// A live object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ObjectFacts {
    pub(crate) id: ObjectId,
    pub(crate) size: u64,
    /// Bytes of it that nothing names.
    pub(crate) dead: u64,
    pub(crate) slices: u32,
    /// When the oldest batch in it was appended.
    pub(crate) since: TimestampMs,
}

impl ObjectFacts {
    fn live(&self) -> u64 {
        self.size.saturating_sub(self.dead)
    }

    /// Mean bytes of a slice.
    fn grain(&self) -> u64 {
        self.live() / u64::from(self.slices.max(1))
    }
}

/// Objects to be written anew together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) objects: BTreeSet<ObjectId>,
    /// What it saves, less what it costs, by what is known of the objects.
    pub(crate) gain: f64,
}

/// What the decision goes by.
pub(crate) struct Terms<'a> {
    pub(crate) options: &'a CompactionOptions,
    /// A reader takes about this many bytes at once.
    pub(crate) read_bytes: u64,
    pub(crate) now: TimestampMs,
    /// What was found not to pay when it was looked at closely.
    pub(crate) refused: &'a BTreeSet<BTreeSet<ObjectId>>,
}

/// Objects whose mean slices differ by more are not merged: the larger would be moved for little.
const GRAINS: u64 = 8;
/// Objects with fewer dead bytes than one in so many are not freed.
const DEAD_SHARE: u64 = 2;

/// Requests that reading all of some slices takes.
pub(crate) fn reads(slices: u64, bytes: u64, read_bytes: u64) -> f64 {
    slices.max(bytes / read_bytes.max(1)) as f64
}

/// What it saves to have `after` instead of `before` requests for reading all, and to free `dead` bytes, less what it
/// costs to write `bytes` anew from `inputs` objects.
pub(crate) fn gain(terms: &Terms<'_>, since: TimestampMs, saved: f64, dead: u64, moved: Moved) -> f64 {
    const GIB: f64 = (1u64 << 30) as f64;
    let Prices { put, get, gib_month, gib_moved, reads, reads_old, old } = terms.options.prices;
    let age = terms.now.since_ms(since).max(0).unsigned_abs();
    let reads = if u128::from(age) > old.as_millis() { reads_old } else { reads };
    let outputs = (moved.bytes / (terms.options.budget_bytes as u64).max(1) + 1) as f64;
    let cost =
        outputs * put + (outputs + 1.0) * moved.inputs as f64 * get + moved.bytes as f64 / GIB * gib_moved;
    saved * reads * get + dead as f64 / GIB * gib_month - cost
}

/// What is moved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) inputs: usize,
    pub(crate) bytes: u64,
}

/// The best thing to do now, if any pays.
pub(crate) fn plan(facts: &[ObjectFacts], terms: &Terms<'_>) -> Option<Plan> {
    let mut facts: Vec<ObjectFacts> = facts.to_vec();
    facts.sort_unstable_by_key(|object| (object.since, object.id));
    let plans = reclaims(&facts, terms).into_iter().chain(merges(&facts, terms));
    let open = plans.filter(|plan| plan.gain > 0.0 && !terms.refused.contains(&plan.objects));
    open.reduce(|best, plan| if plan.gain > best.gain { plan } else { best })
}

/// Objects that are dead for the most part, some at once, so that what is left of them makes a whole object.
fn reclaims(facts: &[ObjectFacts], terms: &Terms<'_>) -> Vec<Plan> {
    let worth = |object: &&ObjectFacts| {
        let moved = Moved { inputs: 1, bytes: object.live() };
        object.dead >= object.size / DEAD_SHARE && gain(terms, object.since, 0.0, object.dead, moved) > 0.0
    };
    let mut plans = Vec::new();
    let mut group: Vec<ObjectFacts> = Vec::new();
    let plan_of = |group: &[ObjectFacts]| Plan {
        objects: group.iter().map(|object| object.id).collect(),
        gain: gain(
            terms,
            terms.now,
            0.0,
            group.iter().map(|object| object.dead).sum(),
            Moved { inputs: group.len(), bytes: group.iter().map(ObjectFacts::live).sum() },
        ),
    };
    for object in facts.iter().filter(worth) {
        let live: u64 = group.iter().map(ObjectFacts::live).sum();
        if group.len() >= terms.options.fan_in || live >= terms.options.budget_bytes as u64 {
            plans.push(plan_of(&group));
            group.clear();
        }
        group.push(*object);
    }
    if !group.is_empty() {
        plans.push(plan_of(&group));
    }
    plans
}

/// Runs of objects that are next to each other in age and of about the same grain.
fn merges<'a>(facts: &'a [ObjectFacts], terms: &'a Terms<'a>) -> impl Iterator<Item = Plan> + 'a {
    let fine: Vec<ObjectFacts> =
        facts.iter().filter(|object| object.grain() < terms.read_bytes).copied().collect();
    (0..fine.len()).filter_map(move |from| {
        let mut best: Option<Plan> = None;
        let (mut finest, mut coarsest) = (u64::MAX, 0);
        let (mut slices, mut most, mut bytes, mut dead) = (0u64, 0u64, 0u64, 0u64);
        let mut objects = BTreeSet::new();
        let since = fine.get(from)?.since;
        for object in fine.iter().skip(from).take(terms.options.fan_in) {
            finest = finest.min(object.grain().max(1));
            coarsest = coarsest.max(object.grain());
            if coarsest / finest > GRAINS {
                break;
            }
            slices += u64::from(object.slices);
            most = most.max(u64::from(object.slices));
            bytes += object.live();
            dead += object.dead;
            objects.insert(object.id);
            let saved = reads(slices, bytes, terms.read_bytes) - reads(most, bytes, terms.read_bytes);
            let moved = Moved { inputs: objects.len(), bytes };
            let gain = gain(terms, since, saved, dead, moved);
            if objects.len() > 1 && best.as_ref().is_none_or(|best| gain > best.gain) {
                best = Some(Plan { objects: objects.clone(), gain });
            }
        }
        best
    })
}

#[cfg(test)]
mod tests;
