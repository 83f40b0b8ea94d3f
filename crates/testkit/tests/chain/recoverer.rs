//! One try to end and recover a chain.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_rt::Entropy;
use waybill_types::TopicPartition;
use waybill_wal::Sabotage;
use waybill_wal::chain::filter::Filter;
use waybill_wal::chain::judge::{self, Seen};
use waybill_wal::chain::ledger::{Attempt, ChainState, PartitionMark};
use waybill_wal::chain::names::{ChainId, Slot};
use waybill_wal::chain::sealer::{Passed, SealJob, Sealed, seal};
use waybill_wal::chain::slot::SealRecord;
use waybill_wal::entry::Entry;

use crate::broker::{STORE, World};
use crate::meta::{PartitionState, Place, ToIndex};

type Footers = Vec<(Slot, Vec<Entry>)>;

/// Recovers `chain` unless someone else does. `term`: whose controller it is.
pub(crate) async fn recover(world: World, chain: ChainId, term: u64) {
    let (_, store) = world.client();
    let stale = world.meta.lock().chains.get(&chain).map(|ledger| ledger.trim());
    if world.sabotage == Sabotage::StaleTrim {
        world.sleep(1_000, 4_000).await;
    }
    world.sleep(20, 80).await;
    let begun = begin(&world, chain, term);
    let Some((attempt, trim, before)) = begun else { return };
    let trim = if world.sabotage == Sabotage::StaleTrim { stale.unwrap_or(trim) } else { trim };
    let job = SealJob {
        store,
        id: STORE,
        chain,
        trim,
        record: SealRecord { term, attempt: attempt.number, ..SealRecord::default() },
        options: world.options,
        clock: Arc::clone(&world.clock),
        entropy: Arc::clone(&world.entropy) as _,
    };
    let footers: Arc<Mutex<Footers>> = Arc::default();
    let (passed, history) = (Arc::clone(&footers), Arc::clone(&world.history));
    let visit = move |slot, what| match what {
        Passed::Data(_, entries) => passed.lock().push((slot, entries)),
        Passed::Damaged(fault) => history.lock().violate(format!("{}: {fault}", chain.slot(slot))),
    };
    let sealed = match seal(job.clone(), visit).await {
        Ok(sealed) => sealed,
        // Once another attempt has closed the chain, its open record may be swept.
        Err(_) if is_closed(&world, chain) => return,
        Err(error) => return world.history.lock().violate(error.to_string()),
    };
    let mut footers = std::mem::take(&mut *footers.lock());
    if world.sabotage == Sabotage::TakeOrphans {
        footers.extend(orphans(&job, &sealed).await);
    }
    // On its way for a while, now and then for very long.
    if world.entropy.below(5) == 0 {
        world.sleep(500, 9_000).await;
    } else {
        world.sleep(20, 80).await;
    }
    commit(&world, chain, attempt, &sealed, &footers, before);
}

type Before = BTreeMap<TopicPartition, PartitionState>;

fn begin(world: &World, chain: ChainId, term: u64) -> Option<(Attempt, Slot, Before)> {
    let mut meta = world.meta.lock();
    meta.attempts += 1;
    let attempt = Attempt { term, number: meta.attempts };
    let before = meta.partitions.clone();
    let trim = meta.chains.get_mut(&chain)?.begin(attempt).ok()?;
    Some((attempt, trim, before))
}

/// Mutants only: data beyond the seal.
async fn orphans(job: &SealJob, sealed: &Sealed) -> Footers {
    let mut found = Vec::new();
    for slot in sealed.end + 1..=sealed.listed.max(sealed.end) + 16 {
        let read = job.store.get(&job.chain.slot(slot), 0..1 << 20).await;
        if let Seen::Data(_, entries) = judge::any(STORE, job.chain, slot, read) {
            found.push((slot, entries));
        }
    }
    found
}

/// One commit: each partition's record is set to what this recovery concluded from what it was when it began.
fn commit(
    world: &World,
    chain: ChainId,
    attempt: Attempt,
    sealed: &Sealed,
    footers: &Footers,
    before: Before,
) {
    let mut meta = world.meta.lock();
    let Some(ledger) = meta.chains.get_mut(&chain) else { return };
    if ledger.close(attempt, sealed.end).is_err() {
        return;
    }
    let marks: BTreeMap<TopicPartition, PartitionMark> =
        before.iter().map(|(id, state)| (*id, state.mark)).collect();
    let led = marks.values().any(|mark| mark.chain == chain);
    let sabotage = world.sabotage;
    for (id, state) in before {
        // Nothing, while the rules hold: since the recovery began nobody else could commit.
        let now = meta.partitions.get_mut(&id).unwrap();
        let end = state.mark.end;
        now.index.retain(|entry| entry.base < end);
        now.mark.end = end;
    }
    let mut filter = Filter::new(chain, sealed.end, marks, sabotage);
    for (slot, entries) in footers {
        for taken in filter.slot(*slot, entries) {
            let entry = taken.entry;
            let place = Place::Slot {
                chain,
                slot: taken.slot,
                at: u64::from(entry.at),
                length: entry.length as usize,
                crc: entry.crc,
            };
            let state = meta.partitions.get_mut(&entry.header.partition).unwrap();
            state.push(&ToIndex { header: entry.header, place });
        }
    }
    let recovered = filter.finish();
    if sabotage == Sabotage::None && led && !recovered.offline.is_empty() {
        world.history.lock().violate(format!("a gap without a cause: {:?}", recovered.offline));
    }
}

/// Whether a chain is closed.
pub(crate) fn is_closed(world: &World, chain: ChainId) -> bool {
    let meta = world.meta.lock();
    matches!(meta.chains.get(&chain).map(|ledger| ledger.state()), Some(ChainState::Closed(_)))
}

/// A term and whether a second controller tries too.
pub(crate) fn draw_rivals(world: &World) -> bool {
    world.entropy.below(3) == 0
}
