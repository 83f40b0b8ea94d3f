//! What sources are like: sensors that tell all the time, keys whose order matters, history that is gone, and events
//! that are taken back.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{NOW, View, event, instant, log_of};
use proptest::prelude::*;
use serde_json::json;
use waybill_rt::RealClock;
use waybill_types::{PartitionId, TimestampMs, TopicId};
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::ingest::{Ingest, NamedSource, Progress, Sources};
use waybill_visibility::load::LoadRecord;
use waybill_visibility::mapping::{Mapping, Record};
use waybill_visibility::model::time::instant_text;
use waybill_visibility::query::{AsOf, Question, track};
use waybill_visibility::store::sqlite::SqliteStore;
use waybill_visibility::store::{
    CheckpointRow, Derivation, Dirty, Milestone, Outcome, PartitionBatch, QuarantineRow, Read, RepairRow,
    RowState, Ruled, Ruling, Store, StoreError, Taken,
};

/// 2026-01-01.
const START: i64 = 1_767_225_600_000;

fn reading(number: usize, happened: i64, told: i64, celsius: f64) -> LoadRecord {
    let at = instant_text(TimestampMs(happened));
    let value = json!({"event_id": format!("r{number}"), "event": "reading", "event_time": at, "source": "logger",
        "container": "MSKU1", "temperature_c": celsius, "low_c": 2.0, "high_c": 8.0,
        "place": {"id": format!("P{}", number % 3), "name": format!("Place {}", number % 3)}});
    event("MSKU1", &instant_text(TimestampMs(told)), &value)
}

fn readings(view: &View, question: &Question) -> Vec<(String, f64)> {
    let read = view.store.read().unwrap();
    let track = track::track(read.as_ref(), question, "MSKU1", None, NOW).unwrap();
    let values = track.readings.iter().map(|telling| {
        let waybill_visibility::model::Body::Condition(reading) = &telling.fact.draft.body else { panic!() };
        (telling.fact.draft.happened.unwrap().to_string(), reading.value)
    });
    values.collect()
}

#[test]
fn of_each_minute_the_last_reading_counts_and_the_last_outside_limits() {
    let second = |number: i64| START + number * 1_000;
    let records = [
        reading(0, second(1), second(2), 4.0),
        reading(1, second(10), second(11), 9.5),
        reading(2, second(20), second(21), 9.0),
        reading(3, second(50), second(51), 5.0),
        reading(4, second(70), second(71), 6.0),
        // Of the first minute, but told an hour later: beside what was told at once, not instead of it.
        reading(5, second(55), second(3_600), 7.0),
    ];
    let view = View::whole(&log_of("telemetry", 1, &records));
    let at = |number: i64| instant_text(TimestampMs(second(number)));
    let all = vec![(at(20), 9.0), (at(50), 5.0), (at(55), 7.0), (at(70), 6.0)];
    assert_eq!(readings(&view, &Question::now()), all);
    let hashes = view.hashes();
    // Four readings and, of three minutes of telling, a place each.
    assert_eq!((hashes.facts, hashes.tellings), (7, 7));
    // As of a time within the second minute, only the first counts: it is over.
    let question = Question { as_of: AsOf::Time(TimestampMs(second(100))), ..Question::now() };
    assert_eq!(readings(&view, &question), all[..2]);
    let question = Question { as_of: AsOf::Time(TimestampMs(second(30))), ..Question::now() };
    let read = view.store.read().unwrap();
    assert!(
        track::track(read.as_ref(), &question, "MSKU1", None, NOW).is_err(),
        "nothing is known of it yet"
    );
    let found = view.track("MSKU1", None).unwrap();
    assert_eq!(found.answer.location.unwrap().located.place, "P1");
    assert_eq!(
        found.exceptions.iter().map(|each| (each.rule.name(), each.count)).collect::<Vec<_>>(),
        [("out_of_limits", 1)]
    );
}

/// Minute of happening, minute of telling, outside the limits.
type Bucket = (i64, i64, bool);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// However the same readings are cut into batches, shuffled, repeated and spread over partitions, the content hash
    /// and the answers are the same, and they are those of a reduction by hand.
    #[test]
    fn sampled_facts_reduce_to_the_same_however_they_come(
        told in proptest::collection::vec((0_i64..300, 0_i64..200, 0_u8..12), 1..60),
        seed in any::<u64>(),
        cut in 1_usize..20,
    ) {
        let record = |number: usize| {
            let (happened, later, celsius) = told[number];
            let happened = START + happened * 1_000;
            reading(number, happened, happened + later * 1_000, f64::from(celsius))
        };
        let records: Vec<LoadRecord> = (0..told.len()).map(record).collect();
        let whole = View::whole(&log_of("telemetry", 1, &records));

        let log = MemoryLog::new();
        log.create(TopicId([7; 16]), "telemetry", 3);
        let mut other = View::over(&log, Sources::Discovered);
        let mut order: Vec<usize> = (0..told.len()).chain(0..told.len()).collect();
        let mut state = seed | 1;
        order.sort_by_cached_key(|_| { state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1); state });
        for (at, number) in order.iter().enumerate() {
            let partition = PartitionId(i32::try_from(at % 3).unwrap());
            log.append_at("telemetry", partition, &records[*number]).unwrap();
            if at % cut == 0 {
                other.ingest.drain().unwrap();
            }
        }
        other.ingest.drain().unwrap();
        prop_assert_eq!(whole.hashes().content_hash, other.hashes().content_hash);
        prop_assert_eq!(View::whole(&log).hashes(), other.hashes());

        // By hand: the last by event time of each minute of happening, minute of telling, and side of the limits.
        let as_of = START + 200_000;
        for (question, until) in [
            (Question::now(), i64::MAX),
            (Question { as_of: AsOf::Time(TimestampMs(as_of)), ..Question::now() }, as_of),
        ] {
            let mut last: BTreeMap<Bucket, BTreeSet<(i64, i64, u8)>> = BTreeMap::new();
            for (happened, later, celsius) in &told {
                let known = START + happened * 1_000 + later * 1_000;
                if (known / 60_000 + 1).saturating_mul(60_000) <= until.saturating_add(1) {
                    let bucket = (happened / 60, (happened + later) / 60, !(2..=8).contains(celsius));
                    last.entry(bucket).or_default().insert((*happened, happened + later, *celsius));
                }
            }
            let expected: BTreeSet<i64> = last.values().map(|all| all.last().unwrap().0).collect();
            for view in [&whole, &other] {
                let read = view.store.read().unwrap();
                let found = track::track(read.as_ref(), &question, "MSKU1", None, NOW);
                let got: BTreeSet<i64> = found.map_or_else(|_| BTreeSet::new(), |track| {
                    track.readings.iter().map(|telling| {
                        (telling.fact.draft.happened.unwrap().start().get() - START) / 1_000
                    }).collect()
                });
                prop_assert_eq!(&got, &expected);
            }
        }
    }
}

fn promise(number: usize, order: &str) -> LoadRecord {
    let at = instant_text(TimestampMs(START + i64::try_from(number).unwrap() * 1_000));
    let value = json!({"event_id": format!("p{number}"), "event": "promise_changed", "event_time": at,
        "source": "erp", "order": order, "promised": format!("2026-02-{:02}", number + 1)});
    event(order, &at, &value)
}

fn broken(key: &str) -> LoadRecord {
    let mut record = promise(0, key);
    record.value = b"{".to_vec();
    record
}

#[test]
fn an_ordered_source_holds_what_comes_behind_a_refused_record_of_the_same_key() {
    let log =
        log_of("orders", 1, &[promise(1, "PO-1"), broken("PO-1"), promise(2, "PO-1"), promise(3, "PO-2")]);
    let sources = |ordered| {
        Sources::Named(vec![NamedSource { topic: "orders".to_owned(), mapping: Mapping::Events, ordered }])
    };
    let mut view = View::over(&log, sources(true));
    view.ingest.drain().unwrap();
    // The next batch knows of it too.
    log.append("orders", &promise(4, "PO-1")).unwrap();
    log.append("orders", &promise(5, "PO-2")).unwrap();
    view.ingest.drain().unwrap();
    let day =
        |view: &View, order: &str| view.track(order, None).unwrap().answer.promised.unwrap().to_string();
    assert_eq!((day(&view, "PO-1"), day(&view, "PO-2")), ("2026-02-02".to_owned(), "2026-02-06".to_owned()));
    view.assert_conserved();
    let read = view.store.read().unwrap();
    let counts = read.counts().unwrap().remove(0);
    assert_eq!((counts.taken, counts.projected, counts.held, counts.quarantined), (6, 3, 2, 1));
    assert_eq!(read.sources().unwrap()[0].held, 2);
    let held: Vec<(i64, String)> = read
        .quarantine(10)
        .unwrap()
        .into_iter()
        .filter(|row| row.state == RowState::Held)
        .map(|row| (row.evidence.offset.get(), row.reason))
        .collect();
    assert_eq!(held.len(), 2);
    assert!(
        held.iter().all(|(_, reason)| reason == "held: behind the refused record at offset 1"),
        "{held:?}"
    );
    // Only what was refused goes to the quarantine topic.
    assert_eq!(log.records("orders.quarantine").len(), 1);
    // A rebuild holds the same.
    let mut again = View::over(&log, sources(true));
    again.ingest.drain().unwrap();
    assert_eq!(again.hashes(), view.hashes());

    // By default nothing is held: the fold does not need order.
    let mut free = View::over(&log, sources(false));
    free.ingest.drain().unwrap();
    assert_eq!(day(&free, "PO-1"), "2026-02-05");
    free.assert_conserved();
}

#[test]
fn history_that_is_gone_is_told_with_every_answer() {
    let log = log_of("orders", 1, &[promise(1, "PO-1"), promise(2, "PO-1"), promise(3, "PO-1")]);
    let whole = View::whole(&log);
    assert_eq!(whole.store.read().unwrap().sources().unwrap()[0].provable_since, None);
    log.forget("orders", PartitionId(0), waybill_types::Offset(1));
    let view = View::whole(&log);
    let since = view.store.read().unwrap().sources().unwrap()[0].provable_since;
    assert_eq!(since, Some(instant("2026-01-01T00:00:02Z")));

    // What only the last of each key is kept of can be proven from when it was first read.
    log.compact("orders");
    let view = View::whole(&log);
    let since = view.store.read().unwrap().sources().unwrap()[0].provable_since;
    assert!(since > Some(instant("2026-01-01T00:00:02Z")), "{since:?}");
}

/// A store whose collect fails when told to, as on a full disk.
struct Failing {
    store: Arc<SqliteStore>,
    fails: AtomicBool,
}

impl Store for Failing {
    fn read(&self) -> Result<Box<dyn Read + '_>, StoreError> {
        self.store.read()
    }

    fn collect(&self, batches: &[PartitionBatch]) -> Result<Vec<Taken>, StoreError> {
        if self.fails.load(Ordering::Relaxed) {
            return Err(StoreError::Corrupt("the disk is full".to_owned()));
        }
        self.store.collect(batches)
    }

    fn dirty(&self, limit: usize) -> Result<Vec<Dirty>, StoreError> {
        self.store.dirty(limit)
    }

    fn derive(&self, rows: &[Derivation], clean: &[Dirty]) -> Result<(), StoreError> {
        self.store.derive(rows, clean)
    }

    fn outbox(&self, limit: usize) -> Result<Vec<QuarantineRow>, StoreError> {
        self.store.outbox(limit)
    }

    fn sent(&self, rows: &[QuarantineRow]) -> Result<(), StoreError> {
        self.store.sent(rows)
    }

    fn rule(&self, rulings: &[Ruling], remap: &dyn Fn(&Record) -> Outcome) -> Result<Vec<Ruled>, StoreError> {
        self.store.rule(rulings, remap)
    }

    fn repairs(&self, limit: usize) -> Result<Vec<RepairRow>, StoreError> {
        self.store.repairs(limit)
    }

    fn repairs_sent(&self, rows: &[RepairRow]) -> Result<(), StoreError> {
        self.store.repairs_sent(rows)
    }

    fn save_checkpoint(&self, row: &CheckpointRow, told: &[Milestone]) -> Result<bool, StoreError> {
        self.store.save_checkpoint(row, told)
    }
}

#[test]
fn what_a_failing_store_did_not_take_is_read_again() {
    let log = log_of("orders", 1, &[promise(1, "PO-1")]);
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&folder.path().join("view.db")).unwrap());
    let failing = Arc::new(Failing { store: Arc::clone(&store), fails: AtomicBool::new(false) });
    let progress = Arc::new(Progress::new(Duration::ZERO));
    let mut ingest = Ingest::new(
        Arc::clone(&failing) as Arc<dyn Store>,
        log.source(),
        Sources::Discovered,
        RealClock::shared(),
        progress,
        true,
    );
    ingest.drain().unwrap();
    failing.fails.store(true, Ordering::Relaxed);
    log.append("orders", &promise(2, "PO-2")).unwrap();
    assert!(ingest.step(Duration::ZERO).is_err());
    failing.fails.store(false, Ordering::Relaxed);
    log.append("orders", &promise(3, "PO-3")).unwrap();
    ingest.drain().unwrap();
    let counts = store.read().unwrap().counts().unwrap().remove(0);
    assert_eq!(counts.taken, 3, "the record that came while the store failed is there");
}

#[test]
fn a_correction_taken_back_makes_its_event_count_again() {
    let withdrawn = |id: &str, of: &str, second: i64| {
        let at = instant_text(TimestampMs(START + second * 1_000));
        let value =
            json!({"event_id": id, "event": "withdrawn", "event_time": at, "source": "erp", "withdraws": of});
        event("PO-1", &at, &value)
    };
    let log = log_of("orders", 1, &[promise(1, "PO-1"), promise(2, "PO-1")]);
    let mut view = View::whole(&log);
    let promised = |view: &View| {
        let row = view.store.read().unwrap();
        let order = view.track("PO-1", None).unwrap().answer;
        let derived = row.derived(&order.subject).unwrap().unwrap();
        assert_eq!(derived.promised, order.promised, "the derived row follows");
        order.promised.unwrap().to_string()
    };
    assert_eq!(promised(&view), "2026-02-03");
    log.append("orders", &withdrawn("w1", "p2", 10)).unwrap();
    view.ingest.drain().unwrap();
    assert_eq!(promised(&view), "2026-02-02");
    log.append("orders", &withdrawn("w2", "w1", 20)).unwrap();
    view.ingest.drain().unwrap();
    assert_eq!(promised(&view), "2026-02-03");
}
