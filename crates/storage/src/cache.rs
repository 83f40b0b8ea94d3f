//! Values that are loaded once, in bounded memory, the least recently used dropped first; some loaded before anybody asks.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OnceCell;
use waybill_meta::ObjectId;

/// Object, position of the slice in it, number of the chunk in the slice.
pub(crate) type Key = (ObjectId, u64, u64);

/// A bounded map of values that are loaded once.
pub(crate) struct Cache<V> {
    limit: usize,
    state: Mutex<State<V>>,
}

struct State<V> {
    slots: HashMap<Key, Slot<V>>,
    /// Ages are unique, so that what is dropped first does not depend on the map's order.
    ages: BTreeMap<u64, Key>,
    clock: u64,
    used: usize,
    /// Values read ahead, or about to be, that no reader came for yet, with their costs.
    ahead: HashMap<Key, Ahead>,
    ahead_used: usize,
    /// What of it is for which reader.
    ahead_of: HashMap<u64, usize>,
    /// How well reading ahead went lately: up with each value that found its reader, down with each that did not.
    ahead_score: i32,
    ahead_asked: u64,
}

/// The score stays within this of zero.
const SCORE_BOUND: i32 = 8;
/// While the score is negative, one in so many is read ahead all the same, to see whether it would go better now.
const PROBE: u64 = 64;

#[derive(Clone, Copy)]
struct Ahead {
    cost: usize,
    reader: u64,
}

struct Slot<V> {
    cell: Arc<OnceCell<V>>,
    age: u64,
    cost: usize,
}

impl<V: Clone> Cache<V> {
    pub(crate) fn new(limit: usize) -> Self {
        let state = State {
            slots: HashMap::new(),
            ages: BTreeMap::new(),
            clock: 0,
            used: 0,
            ahead: HashMap::new(),
            ahead_used: 0,
            ahead_of: HashMap::new(),
            ahead_score: 0,
            ahead_asked: 0,
        };
        Self { limit, state: Mutex::new(state) }
    }

    pub(crate) fn used(&self) -> usize {
        self.state.lock().used
    }

    /// The value, if it is there.
    pub(crate) fn loaded(&self, key: Key) -> Option<V> {
        let mut state = self.state.lock();
        let value = state.slots.get(&key)?.cell.get()?.clone();
        state.touch(key);
        state.no_longer_ahead(key);
        Some(value)
    }

    /// The value, if it is there, for somebody who is not its reader.
    pub(crate) fn peek(&self, key: Key) -> Option<V> {
        self.state.lock().slots.get(&key)?.cell.get().cloned()
    }

    /// Whether to load a value before `reader` asks for it: it is not here, and not too many such wait for their readers. A reader has
    /// its equal share of that at most, or one value.
    pub(crate) fn claim_ahead(&self, key: Key, cost: usize, reader: u64) -> bool {
        let mut state = self.state.lock();
        state.ahead_asked += 1;
        let room = self.limit / 2;
        let own = state.ahead_of.get(&reader).copied().unwrap_or_default();
        let share = room / (state.ahead_of.len() + usize::from(own == 0));
        if state.slots.contains_key(&key)
            || state.ahead.contains_key(&key)
            || state.ahead_used.saturating_add(cost) > room
            || own > 0 && own.saturating_add(cost) > share
            || state.ahead_score < 0 && !state.ahead_asked.is_multiple_of(PROBE)
        {
            return false;
        }
        state.ahead.insert(key, Ahead { cost, reader });
        state.ahead_used += cost;
        *state.ahead_of.entry(reader).or_default() += cost;
        true
    }

    /// A value that was claimed will not come.
    pub(crate) fn not_ahead(&self, key: Key) {
        self.state.lock().take_ahead(key);
    }

    /// A value has found its reader.
    pub(crate) fn used_by_reader(&self, key: Key) {
        self.state.lock().no_longer_ahead(key);
    }

    /// Drops the values used least recently until `cost` is gone or nothing is left.
    pub(crate) fn give_up(&self, cost: usize) {
        let mut state = self.state.lock();
        let limit = state.used.saturating_sub(cost);
        state.shrink(limit);
    }

    /// Adds a value that was loaded on the way.
    pub(crate) fn put(&self, key: Key, value: V, cost: usize) {
        let mut state = self.state.lock();
        if state.touch(key).set(value).is_ok() {
            state.charge(key, cost, self.limit);
        }
    }

    /// The value, and whether it was there already. `load` gives it and what it costs.
    pub(crate) async fn get<E, F>(&self, key: Key, load: impl FnOnce() -> F) -> Result<(V, bool), E>
    where
        F: Future<Output = Result<(V, usize), E>>,
    {
        let cell = self.state.lock().touch(key);
        if let Some(value) = cell.get() {
            return Ok((value.clone(), true));
        }
        let loading = || async {
            let (value, cost) = load().await?;
            self.state.lock().charge(key, cost, self.limit);
            Ok(value)
        };
        let value = cell.get_or_try_init(loading).await;
        if value.is_err() {
            self.state.lock().forget_unloaded(key, &cell);
        }
        value.map(|value| (value.clone(), false))
    }
}

impl<V> State<V> {
    fn touch(&mut self, key: Key) -> Arc<OnceCell<V>> {
        self.clock += 1;
        let age = self.clock;
        let slot =
            self.slots.entry(key).or_insert_with(|| Slot { cell: Arc::new(OnceCell::new()), age, cost: 0 });
        self.ages.remove(&slot.age);
        slot.age = age;
        self.ages.insert(age, key);
        Arc::clone(&slot.cell)
    }

    fn charge(&mut self, key: Key, cost: usize, limit: usize) {
        let Some(slot) = self.slots.get_mut(&key) else { return };
        self.used = self.used - slot.cost + cost;
        slot.cost = cost;
        self.shrink(limit);
    }

    fn no_longer_ahead(&mut self, key: Key) {
        if self.take_ahead(key) {
            self.ahead_score = (self.ahead_score + 1).min(SCORE_BOUND);
        }
    }

    fn take_ahead(&mut self, key: Key) -> bool {
        let Some(ahead) = self.ahead.remove(&key) else { return false };
        self.ahead_used = self.ahead_used.saturating_sub(ahead.cost);
        if let Entry::Occupied(mut own) = self.ahead_of.entry(ahead.reader) {
            *own.get_mut() = own.get().saturating_sub(ahead.cost);
            if *own.get() == 0 {
                own.remove();
            }
        }
        true
    }

    fn shrink(&mut self, limit: usize) {
        while self.used > limit {
            let Some((_, oldest)) = self.ages.pop_first() else { break };
            if self.take_ahead(oldest) {
                self.ahead_score = (self.ahead_score - 1).max(-SCORE_BOUND);
            }
            if let Some(slot) = self.slots.remove(&oldest) {
                self.used -= slot.cost;
            }
        }
    }

    fn forget_unloaded(&mut self, key: Key, cell: &Arc<OnceCell<V>>) {
        let same = self.slots.get(&key).is_some_and(|slot| Arc::ptr_eq(&slot.cell, cell) && slot.cost == 0);
        if same && let Some(slot) = self.slots.remove(&key) {
            self.ages.remove(&slot.age);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn key(number: u64) -> Key {
        (ObjectId(1), 0, number)
    }

    #[tokio::test]
    async fn values_are_loaded_once_and_the_oldest_go_first() {
        let cache: Cache<u64> = Cache::new(30);
        let loads = Cell::new(0);
        let (cache, loads) = (&cache, &loads);
        let get = |number: u64| {
            cache.get(key(number), move || async move {
                loads.set(loads.get() + 1);
                tokio::task::yield_now().await;
                Ok::<_, ()>((number, 10))
            })
        };
        let (one, two) = tokio::join!(get(1), get(1));
        assert_eq!((one.unwrap().0, two.unwrap().0, loads.get()), (1, 1, 1));
        for number in [2, 3, 1, 4] {
            get(number).await.unwrap();
        }
        assert_eq!((loads.get(), cache.used()), (4, 30));
        // 2 was used least recently.
        assert!(get(1).await.unwrap().1);
        assert!(!get(2).await.unwrap().1);
    }

    #[tokio::test]
    async fn what_is_read_ahead_waits_for_readers_within_half_the_cache() {
        let cache: Cache<u64> = Cache::new(40);
        assert!(cache.claim_ahead(key(1), 10, 1));
        assert!(!cache.claim_ahead(key(1), 10, 1), "it is on its way");
        assert!(cache.claim_ahead(key(2), 10, 1));
        assert!(!cache.claim_ahead(key(3), 10, 1), "half of the cache waits for readers");
        cache.put(key(1), 1, 10);
        assert_eq!(cache.loaded(key(1)), Some(1));
        assert!(!cache.claim_ahead(key(1), 10, 1), "it is here");
        assert!(cache.claim_ahead(key(3), 10, 1), "a reader came for the first");
        for number in 10..20 {
            cache.put(key(number), number, 10);
        }
        cache.put(key(2), 2, 10);
        cache.put(key(3), 3, 10);
        cache.give_up(40);
        assert_eq!(cache.state.lock().ahead_used, 0, "what was dropped waits for nobody");
        // Two were dropped unread, one was read: it goes badly, so only now and then one is tried.
        let claimed = (100..100 + 2 * PROBE).filter(|number| {
            let claimed = cache.claim_ahead(key(*number), 1, 1);
            cache.not_ahead(key(*number));
            claimed
        });
        assert_eq!(claimed.count(), 2);
    }

    #[test]
    fn readers_share_what_is_read_ahead() {
        let cache: Cache<u64> = Cache::new(80);
        let claim = |number: u64, reader: u64| cache.claim_ahead(key(number), 10, reader);
        assert!(claim(1, 1) && claim(2, 1) && claim(3, 1), "one reader may have all");
        assert!(claim(4, 2), "another may have one value");
        assert!(!claim(5, 2), "there is no more room");
        cache.not_ahead(key(1));
        assert!(!claim(6, 1), "who has its share gets no more");
        assert!(claim(5, 2));
    }

    #[tokio::test]
    async fn a_failed_load_is_tried_again() {
        let cache: Cache<u64> = Cache::new(30);
        assert_eq!(cache.get(key(1), || async { Err::<(u64, usize), _>("no") }).await, Err("no"));
        assert_eq!(cache.get(key(1), || async { Ok::<_, &str>((5, 1)) }).await, Ok((5, false)));
    }
}
