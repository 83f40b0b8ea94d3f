//! What the tests of this crate share: test data, a view over a log in memory.
#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test may panic; each file uses some of it"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use waybill_rt::{RealClock, SharedClock};
use waybill_types::{TimestampMs, TopicId};
use waybill_visibility::ingest::memory::{MemoryLog, MemorySource};
use waybill_visibility::ingest::{Ingest, Progress, Sources};
use waybill_visibility::load::LoadRecord;
use waybill_visibility::mapping::Mapping;
use waybill_visibility::model::time::Day;
use waybill_visibility::query::{AsOf, Question, track};
use waybill_visibility::store::sqlite::SqliteStore;
use waybill_visibility::store::{StateHashes, Store};

/// The folder or file of test data called `name`; `None`, with a line that says so, when it is not there.
pub(crate) fn test_data(name: &str) -> Option<PathBuf> {
    let default = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let path = std::env::var_os("WAYBILL_TEST_DATA").map_or_else(default, PathBuf::from).join(name);
    if !path.exists() {
        println!("skipped: no test data at {}", path.display());
        return None;
    }
    Some(path)
}

pub(crate) const NOW: TimestampMs = TimestampMs(1_790_000_000_000);

pub(crate) struct View {
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) ingest: Ingest<MemorySource>,
    pub(crate) progress: Arc<Progress>,
    _folder: tempfile::TempDir,
}

impl View {
    pub(crate) fn over(log: &MemoryLog, sources: Sources) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("view.db")).unwrap());
        let clock: SharedClock = RealClock::shared();
        let progress = Arc::new(Progress::new(Duration::ZERO));
        let ingest = Ingest::new(store.clone(), log.source(), sources, clock, Arc::clone(&progress), true);
        Self { store, ingest, progress, _folder: folder }
    }

    /// A view that has read all of `log`.
    pub(crate) fn whole(log: &MemoryLog) -> Self {
        let mut view = Self::over(log, Sources::Discovered);
        view.ingest.drain().unwrap();
        view
    }

    pub(crate) fn hashes(&self) -> StateHashes {
        self.store.read().unwrap().hashes().unwrap()
    }

    pub(crate) fn track(&self, id: &str, as_of: Option<TimestampMs>) -> Option<track::Track> {
        let question = Question { as_of: as_of.map_or(AsOf::Now, AsOf::Time), ..Question::now() };
        let read = self.store.read().unwrap();
        match track::track(read.as_ref(), &question, id, None, NOW) {
            Ok(found) => Some(found),
            Err(waybill_visibility::query::QueryError::Unknown { .. }) => None,
            Err(error) => panic!("{error}"),
        }
    }

    /// Every counted record is projected, held or quarantined.
    pub(crate) fn assert_conserved(&self) {
        for counts in self.store.read().unwrap().counts().unwrap() {
            assert!(counts.is_conserved(), "{counts:?}");
        }
    }
}

/// A log with one topic that holds `records`.
pub(crate) fn log_of(topic: &str, partitions: i32, records: &[LoadRecord]) -> MemoryLog {
    let log = MemoryLog::new();
    log.create(TopicId([7; 16]), topic, partitions);
    for record in records {
        log.append(topic, record).unwrap();
    }
    log
}

/// An event of mapping `events@1` told at `told`.
pub(crate) fn event(key: &str, told: &str, value: &serde_json::Value) -> LoadRecord {
    LoadRecord {
        key: Some(key.as_bytes().to_vec()),
        value: value.to_string().into_bytes(),
        headers: vec![("waybill-mapping".to_owned(), Mapping::Events.name().as_bytes().to_vec())],
        timestamp: instant(told),
    }
}

pub(crate) fn instant(text: &str) -> TimestampMs {
    waybill_visibility::model::time::When::parse(text).unwrap().start()
}

pub(crate) fn day(text: &str) -> Day {
    Day::parse(text).unwrap()
}

/// Drives every refused record again, by a mapping that takes what does not parse for a promise.
pub(crate) fn drive_all(view: &View) {
    use waybill_visibility::mapping::Record;
    use waybill_visibility::store::{Decision, Outcome, Ruling};
    let rows = view.store.read().unwrap().quarantine(1_000).unwrap();
    for row in rows {
        let value = serde_json::json!({"event_id": format!("driven-{}", row.evidence.offset), "event": "promise_changed",
            "event_time": "2026-01-01T00:00:00Z", "source": "erp", "order": "PO-0", "promised": "2026-01-09"});
        let mended = Record { value: Some(value.to_string().into()), ..row.record() };
        let outcome = Outcome::Projected(Mapping::Events.map(&mended).unwrap());
        let ruling = Ruling {
            record: row.id(),
            decision: Decision::Redrive(outcome),
            who: "User:test".to_owned(),
            at: NOW,
            note: String::new(),
        };
        view.store.rule(&[ruling], &|_| panic!("nothing waits")).unwrap();
    }
    waybill_visibility::project::derive_all(view.store.as_ref()).unwrap();
}
