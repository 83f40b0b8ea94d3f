//! Fetch sessions (KIP-227): a consumer names its partitions once, then only what changes. Pure.
//!
//! Sessions live in memory; a client whose session is gone starts a new one. Their number is bounded
//! (`max.incremental.fetch.session.cache.slots`); a session that was not used for two minutes may be evicted.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use waybill_protocol::ErrorCode;
use waybill_protocol::wire::{KString, Uuid};
use waybill_protocol_gen::messages::FetchRequest;

/// `min.incremental.fetch.session.eviction.ms`.
const EVICTION_AGE: Duration = Duration::from_secs(120);

/// The most partitions that all sessions together remember; beyond it new sessions are refused.
const MAX_CACHED_PARTITIONS: usize = 1_000_000;

/// Whether a request creates a session, or ends one.
const INITIAL_EPOCH: i32 = 0;
const FINAL_EPOCH: i32 = -1;

/// A partition as a client names it: by name up to v12, by id from v13 on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    /// The topic's name, or empty.
    pub name: KString,
    /// The topic's id, or zero.
    pub id: Uuid,
    /// The partition.
    pub partition: i32,
}

/// What a client wants of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub key: PartitionKey,
    /// From where.
    pub offset: i64,
    /// How much, in bytes.
    pub max_bytes: i32,
    /// The epoch it believes in, or -1.
    pub current_leader_epoch: i32,
    /// The epoch of the last record it has, or -1.
    pub last_fetched_epoch: i32,
}

/// What a session last told about a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The high watermark.
    pub high_watermark: i64,
    /// The log start.
    pub log_start: i64,
}

/// How the answer is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything is told; the session id to tell, or 0.
    Full(i32),
    /// Only what changed is told.
    Incremental(i32),
}

/// A request with its session applied: what to read, in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context {
    /// How the answer is built.
    pub mode: Mode,
    /// What to read, in order.
    pub wanted: Vec<Wanted>,
}

/// The sessions of a broker.
#[derive(Debug)]
pub struct Sessions {
    slots: usize,
    sessions: HashMap<i32, Session>,
    partitions: usize,
    evictions: u64,
}

#[derive(Debug)]
struct Session {
    epoch: i32,
    by_id: bool,
    last_used: Duration,
    order: BTreeMap<u64, (Wanted, Option<Told>)>,
    places: HashMap<PartitionKey, u64>,
    next_place: u64,
}

impl Sessions {
    /// Room for `slots` sessions.
    #[must_use]
    pub fn new(slots: usize) -> Self {
        Self { slots, sessions: HashMap::new(), partitions: 0, evictions: 0 }
    }

    /// How many sessions there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// Sessions evicted so far.
    #[must_use]
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Applies a request to its session. `fresh_id` is a random id for a new one; `now` is monotonic.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR.
    pub fn open(
        &mut self,
        request: &FetchRequest,
        version: i16,
        fresh_id: i32,
        now: Duration,
    ) -> Result<Context, ErrorCode> {
        let (id, epoch) = (request.session_id, request.session_epoch);
        if version < 7 || epoch == FINAL_EPOCH || epoch == INITIAL_EPOCH {
            self.remove(id);
            let wanted = wanted(request);
            let session = if version >= 7 && epoch == INITIAL_EPOCH {
                self.create(&wanted, version >= 13, fresh_id, now)
            } else {
                0
            };
            return Ok(Context { mode: Mode::Full(session), wanted });
        }
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != (version >= 13) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        let before = session.order.len();
        for changed in wanted(request) {
            session.put(changed);
        }
        for gone in forgotten(request) {
            session.forget(&gone);
        }
        session.last_used = now;
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        self.partitions = (self.partitions + session.order.len()).saturating_sub(before);
        let wanted = session.order.values().map(|(wanted, _)| wanted.clone()).collect();
        Ok(Context { mode: Mode::Incremental(id), wanted })
    }

    /// Notes what is told about a partition of a session, and whether there was data; tells whether it is worth
    /// telling. What had data goes to the end of the order, so that the others come first next time.
    pub fn tell(
        &mut self,
        session: i32,
        key: &PartitionKey,
        told: Told,
        has_data: bool,
        failed: bool,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&session) else { return true };
        let Some(place) = session.places.get(key).copied() else { return true };
        let Some((_, last)) = session.order.get_mut(&place) else { return true };
        let worth = has_data || failed || *last != Some(told);
        // An error is told again until it is gone.
        *last = (!failed).then_some(told);
        if has_data && let Some(entry) = session.order.remove(&place) {
            let end = session.next_place;
            session.next_place += 1;
            session.order.insert(end, entry);
            session.places.insert(key.clone(), end);
        }
        worth
    }

    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions = self.partitions.saturating_sub(session.order.len());
        }
    }

    /// Makes a session if there is room; gives its id, or 0.
    fn create(&mut self, wanted: &[Wanted], by_id: bool, fresh_id: i32, now: Duration) -> i32 {
        if wanted.is_empty() || fresh_id <= 0 || self.sessions.contains_key(&fresh_id) {
            return 0;
        }
        if self.sessions.len() >= self.slots {
            let oldest = self.sessions.iter().min_by_key(|(id, session)| (session.last_used, **id));
            match oldest {
                Some((id, session)) if now.saturating_sub(session.last_used) >= EVICTION_AGE => {
                    let id = *id;
                    self.remove(id);
                    self.evictions += 1;
                }
                _ => return 0,
            }
        }
        if self.partitions + wanted.len() > MAX_CACHED_PARTITIONS {
            return 0;
        }
        let mut session = Session {
            epoch: INITIAL_EPOCH + 1,
            by_id,
            last_used: now,
            order: BTreeMap::new(),
            places: HashMap::new(),
            next_place: 0,
        };
        wanted.iter().cloned().for_each(|one| session.put(one));
        self.partitions += session.order.len();
        self.sessions.insert(fresh_id, session);
        fresh_id
    }
}

impl Session {
    fn put(&mut self, wanted: Wanted) {
        match self.places.get(&wanted.key).and_then(|place| self.order.get_mut(place)) {
            Some((known, _)) => *known = wanted,
            None => {
                self.places.insert(wanted.key.clone(), self.next_place);
                self.order.insert(self.next_place, (wanted, None));
                self.next_place += 1;
            }
        }
    }

    fn forget(&mut self, key: &PartitionKey) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }
}

fn wanted(request: &FetchRequest) -> Vec<Wanted> {
    let partitions = request.topics.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| Wanted {
            key: PartitionKey {
                name: topic.topic.clone(),
                id: topic.topic_id,
                partition: partition.partition,
            },
            offset: partition.fetch_offset,
            max_bytes: partition.partition_max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        })
    });
    partitions.collect()
}

fn forgotten(request: &FetchRequest) -> impl Iterator<Item = PartitionKey> {
    request.forgotten_topics_data.iter().flat_map(|topic| {
        topic.partitions.iter().map(|partition| PartitionKey {
            name: topic.topic.clone(),
            id: topic.topic_id,
            partition: *partition,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use waybill_protocol_gen::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

    fn request(session_id: i32, session_epoch: i32, partitions: &[(i32, i64)]) -> FetchRequest {
        let partitions = partitions.iter().map(|(partition, offset)| FetchPartition {
            partition: *partition,
            fetch_offset: *offset,
            partition_max_bytes: 100,
            ..FetchPartition::default()
        });
        let topic =
            FetchTopic { topic_id: Uuid([1; 16]), partitions: partitions.collect(), ..FetchTopic::default() };
        let topics = if topic.partitions.is_empty() { Vec::new() } else { vec![topic] };
        FetchRequest { session_id, session_epoch, topics, ..FetchRequest::default() }
    }

    fn read(context: &Context) -> Vec<(i32, i64)> {
        context.wanted.iter().map(|wanted| (wanted.key.partition, wanted.offset)).collect()
    }

    const NOW: Duration = Duration::from_secs(1);

    #[test]
    fn a_session_remembers_and_forgets() {
        let mut sessions = Sessions::new(10);
        let first = sessions.open(&request(0, 0, &[(0, 5), (1, 6)]), 16, 42, NOW).unwrap();
        assert_eq!((first.mode, read(&first)), (Mode::Full(42), vec![(0, 5), (1, 6)]));
        let next = sessions.open(&request(42, 1, &[(1, 9)]), 16, 43, NOW).unwrap();
        assert_eq!((next.mode, read(&next)), (Mode::Incremental(42), vec![(0, 5), (1, 9)]));
        let mut dropping = request(42, 2, &[(2, 0)]);
        dropping.forgotten_topics_data = vec![ForgottenTopic {
            topic_id: Uuid([1; 16]),
            partitions: vec![0],
            ..ForgottenTopic::default()
        }];
        let next = sessions.open(&dropping, 16, 43, NOW).unwrap();
        assert_eq!(read(&next), [(1, 9), (2, 0)]);
        // The final epoch reads once more, in full, and ends it.
        let last = sessions.open(&request(42, -1, &[(1, 9)]), 16, 43, NOW).unwrap();
        assert_eq!(last.mode, Mode::Full(0));
        let gone = sessions.open(&request(42, 3, &[]), 16, 43, NOW);
        assert_eq!(gone, Err(ErrorCode::FetchSessionIdNotFound));
        assert_eq!(sessions.partitions, 0);
    }

    #[test]
    fn wrong_epochs_and_mixed_keys_are_refused() {
        let mut sessions = Sessions::new(10);
        sessions.open(&request(0, 0, &[(0, 5)]), 16, 42, NOW).unwrap();
        let wrong = sessions.open(&request(42, 7, &[]), 16, 1, NOW);
        assert_eq!(wrong, Err(ErrorCode::InvalidFetchSessionEpoch));
        let mixed = sessions.open(&request(42, 1, &[]), 12, 1, NOW);
        assert_eq!(mixed, Err(ErrorCode::FetchSessionTopicIdError));
    }

    #[test]
    fn only_what_changed_is_told_and_who_was_served_goes_last() {
        let mut sessions = Sessions::new(10);
        let context = sessions.open(&request(0, 0, &[(0, 0), (1, 0)]), 16, 42, NOW).unwrap();
        let key = context.wanted[0].key.clone();
        let told = Told { high_watermark: 3, log_start: 0 };
        assert!(sessions.tell(42, &key, told, true, false));
        assert!(!sessions.tell(42, &key, told, false, false));
        assert!(sessions.tell(42, &key, Told { high_watermark: 4, ..told }, false, false));
        assert!(sessions.tell(42, &key, told, false, true));
        assert!(sessions.tell(42, &key, told, false, false), "an error that went away is told");
        let next = sessions.open(&request(42, 1, &[]), 16, 1, NOW).unwrap();
        assert_eq!(read(&next), [(1, 0), (0, 0)]);
    }

    #[test]
    fn slots_are_bounded_and_only_stale_sessions_make_room() {
        let mut sessions = Sessions::new(1);
        sessions.open(&request(0, 0, &[(0, 0)]), 16, 1, NOW).unwrap();
        let full = sessions.open(&request(0, 0, &[(0, 0)]), 16, 2, NOW).unwrap();
        assert_eq!(full.mode, Mode::Full(0));
        let later = NOW + EVICTION_AGE;
        let made = sessions.open(&request(0, 0, &[(0, 0)]), 16, 2, later).unwrap();
        assert_eq!((made.mode, sessions.len(), sessions.evictions()), (Mode::Full(2), 1, 1));
    }
}
