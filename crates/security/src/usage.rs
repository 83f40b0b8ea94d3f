//! Bytes and requests per principal, client id and topic.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::RwLock;

/// Which way bytes went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the client.
    In,
    /// To the client.
    Out,
}

/// What the rows beyond the bound are counted under.
const OTHER: &str = "(other)";

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    principal: String,
    client_id: String,
    topic: Option<String>,
}

#[derive(Debug, Default)]
struct Counters {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests_in: AtomicU64,
    requests_out: AtomicU64,
}

/// Counts for one principal, client id and topic. Kept by whoever counts often, so that counting allocates nothing.
#[derive(Debug, Clone)]
pub struct Meter {
    counters: Arc<Counters>,
}

impl Meter {
    /// Counts one request (or, outwards, one response) of `bytes` bytes.
    pub fn count(&self, direction: Direction, bytes: u64) {
        let (byte_counter, request_counter) = match direction {
            Direction::In => (&self.counters.bytes_in, &self.counters.requests_in),
            Direction::Out => (&self.counters.bytes_out, &self.counters.requests_out),
        };
        byte_counter.fetch_add(bytes, Ordering::Relaxed);
        request_counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// One row of the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageRow {
    /// Who, as `User:name`; `(other)` for all beyond the bound.
    pub principal: String,
    /// The client id.
    pub client_id: String,
    /// The topic; none counts whole requests, whatever they touched.
    pub topic: Option<String>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Requests received.
    pub requests_in: u64,
    /// Responses sent.
    pub requests_out: u64,
}

/// The account. Holds at most a fixed number of rows: what comes later is counted together under `(other)`.
#[derive(Debug)]
pub struct Usage {
    limit: usize,
    rows: RwLock<BTreeMap<Key, Arc<Counters>>>,
    limit_hits: AtomicU64,
}

impl Usage {
    /// Rows that the broker keeps unless told otherwise.
    pub const DEFAULT_LIMIT: usize = 10_000;

    /// An account of at most `limit` rows, besides the one for all others.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { limit, rows: RwLock::new(BTreeMap::new()), limit_hits: AtomicU64::new(0) }
    }

    /// The meter of a principal, client id and topic.
    #[must_use]
    pub fn meter(&self, principal: &str, client_id: &str, topic: Option<&str>) -> Meter {
        let key = Key {
            principal: principal.to_owned(),
            client_id: client_id.to_owned(),
            topic: topic.map(str::to_owned),
        };
        if let Some(counters) = self.rows.read().get(&key) {
            return Meter { counters: Arc::clone(counters) };
        }
        let mut rows = self.rows.write();
        let key = if rows.len() < self.limit || rows.contains_key(&key) {
            key
        } else {
            self.limit_hits.fetch_add(1, Ordering::Relaxed);
            Key { principal: OTHER.to_owned(), client_id: OTHER.to_owned(), topic: None }
        };
        Meter { counters: Arc::clone(rows.entry(key).or_default()) }
    }

    /// How often someone had to be counted under `(other)`.
    #[must_use]
    pub fn limit_hits(&self) -> u64 {
        self.limit_hits.load(Ordering::Relaxed)
    }

    /// All rows, sorted by principal, client id and topic.
    #[must_use]
    pub fn rows(&self) -> Vec<UsageRow> {
        let rows = self.rows.read();
        rows.iter()
            .map(|(key, counters)| UsageRow {
                principal: key.principal.clone(),
                client_id: key.client_id.clone(),
                topic: key.topic.clone(),
                bytes_in: counters.bytes_in.load(Ordering::Relaxed),
                bytes_out: counters.bytes_out.load(Ordering::Relaxed),
                requests_in: counters.requests_in.load(Ordering::Relaxed),
                requests_out: counters.requests_out.load(Ordering::Relaxed),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_beyond_the_bound_are_counted_together() {
        let usage = Usage::new(2);
        let first = usage.meter("User:a", "c", Some("t"));
        first.count(Direction::In, 10);
        usage.meter("User:a", "c", Some("t")).count(Direction::In, 5);
        usage.meter("User:b", "c", None).count(Direction::Out, 1);
        for name in ["x", "y", "z"] {
            usage.meter(name, "c", None).count(Direction::In, 100);
        }
        let rows = usage.rows();
        assert_eq!(rows.len(), 3);
        assert_eq!((rows[0].principal.as_str(), rows[0].bytes_in, rows[0].requests_in), (OTHER, 300, 3));
        assert_eq!((rows[1].bytes_in, rows[1].requests_in, rows[1].bytes_out), (15, 2, 0));
        assert_eq!((rows[2].bytes_out, rows[2].requests_out), (1, 1));
        assert_eq!(usage.limit_hits(), 3);
    }
}
