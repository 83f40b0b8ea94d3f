//! Rewriting what the index names in chains, deleting what nothing names, and reading a chain while it is written.

use crc32c::crc32c;
use waybill_rt::Entropy;
use waybill_store::StoreError;
use waybill_wal::Sabotage;
use waybill_wal::chain::follow::Follower;
use waybill_wal::chain::judge::{self, Seen};
use waybill_wal::chain::ledger::ChainState;
use waybill_wal::chain::names::ChainId;

use crate::broker::{Broker, STORE, World};
use crate::history::number;
use crate::meta::Place;
use std::sync::Arc;

/// Rewrites batches from chains into segments.
pub(crate) async fn rewrite(world: World) {
    let (_, store) = world.client();
    loop {
        world.sleep(300, 2_000).await;
        let picked = {
            let meta = world.meta.lock();
            let at = world.entropy.below(meta.partitions.len() as u64) as usize;
            let (id, state) = meta.partitions.iter().nth(at).unwrap();
            let inputs: Vec<_> = state
                .index
                .iter()
                .filter(|entry| matches!(entry.place, Place::Slot { .. }))
                .take(40)
                .cloned()
                .collect();
            (*id, inputs)
        };
        let (id, inputs) = picked;
        let mut outputs = Vec::new();
        for entry in &inputs {
            let Place::Slot { chain, slot, at, length, crc } = &entry.place else { continue };
            let read = store.get(&chain.slot(*slot), *at..at + *length as u64).await;
            match read {
                Ok(bytes) if crc32c(&bytes) == *crc => outputs.push(number(&bytes)),
                Ok(_) => world.history.lock().violate(format!("{} holds other bytes", chain.slot(*slot))),
                // Rewritten and deleted meanwhile, or lost: the end tells.
                Err(StoreError::NotFound(_)) => break,
                Err(_) => break,
            }
        }
        world.sleep(20, 200).await;
        let mut meta = world.meta.lock();
        let state = meta.partitions.get_mut(&id).unwrap();
        for (input, record) in inputs.iter().zip(outputs) {
            // A commit compares the inputs that it replaces.
            if let Some(entry) = state.index.iter_mut().find(|entry| *entry == input) {
                entry.place = Place::Segment(record);
            }
        }
    }
}

/// Deletes what nothing names: LIST first, then a commit, then decide from the state after it.
pub(crate) async fn sweep(world: World) {
    let (_, store) = world.client();
    loop {
        world.sleep(300, 2_500).await;
        let chains: Vec<ChainId> = world.meta.lock().chains.keys().copied().collect();
        let Some(chain) = chains.get(world.entropy.below(chains.len().max(1) as u64) as usize) else {
            continue;
        };
        let Ok(names) = store.list(&chain.prefix()).await else { continue };
        world.sleep(20, 80).await;
        let doomed: Vec<String> = {
            let meta = world.meta.lock();
            let ledger = &meta.chains[chain];
            let may = |name: &&String| {
                chain.parse(name).is_some_and(|slot| {
                    let closed = matches!(ledger.state(), ChainState::Closed(_));
                    (slot > 0 || closed) && ledger.may_delete(slot, meta.names(*chain, slot))
                })
            };
            names.iter().filter(may).cloned().collect()
        };
        drop(store.delete_many(doomed).await);
    }
}

/// Reads a chain while it is written, as another broker does.
pub(crate) async fn follow(world: World, broker: Arc<Broker>) {
    let (_, store) = world.client();
    let chain = broker.chain;
    let mut follower = Follower::new(1, world.sabotage);
    while let Some(next) = follower.next() {
        world.sleep(10, 120).await;
        let ahead = if world.sabotage == Sabotage::ReadPastHole { world.entropy.below(3) } else { 0 };
        let slot = next + ahead;
        let read = store.get(&chain.slot(slot), 0..1 << 20).await;
        let bytes = read.as_ref().ok().cloned();
        let seen = judge::any(STORE, chain, slot, read);
        let found = seen.found();
        if let (true, Some(bytes), Seen::Data(_, entries)) = (follower.on(slot, found), bytes, seen) {
            let mut history = world.history.lock();
            for entry in entries {
                let start = entry.at as usize;
                let record = number(&bytes[start..start + entry.length as usize]);
                history.see(entry.header.partition, entry.header.base_offset, record);
            }
        }
    }
}
