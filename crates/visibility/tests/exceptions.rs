//! Exceptions page by page: all of them, once, in order, at the price of those that may have one.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::cell::Cell;
use std::collections::BTreeSet;

use common::{NOW, View, event, instant, log_of, test_data};
use proptest::prelude::*;
use serde_json::json;
use waybill_types::TimestampMs;
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::model::change::Change;
use waybill_visibility::model::exception::Exception;
use waybill_visibility::model::{Frontier, Subject, Telling};
use waybill_visibility::query::{AsOf, Question, lists};
use waybill_visibility::store::{
    Candidate, CheckpointRow, Counts, DecisionRow, Derived, Lineage, Listing, Milestone, QuarantineFilter,
    QuarantineRow, Read, Reading, RecordId, Sampled, SourceRow, Span, StateHashes, Store, StoreError,
    SubjectDigest, SuspectKey, Suspects,
};

/// Counts the subjects whose facts are read.
struct Counting<'r> {
    read: &'r dyn Read,
    loaded: Cell<usize>,
}

type Stored<T> = Result<T, StoreError>;

impl Lineage for Counting<'_> {
    fn spans(&self) -> Stored<Vec<Span>> {
        self.read.spans()
    }
    fn reading(&self, frontier: &Frontier) -> Stored<Reading> {
        self.read.reading(frontier)
    }
    fn brought_at(&self, digest: u64) -> Stored<Option<i64>> {
        self.read.brought_at(digest)
    }
    fn milestones(&self) -> Stored<Vec<Milestone>> {
        self.read.milestones()
    }
    fn checkpoints(&self) -> Stored<Vec<CheckpointRow>> {
        self.read.checkpoints()
    }
    fn hashes_below(&self, frontier: &Frontier) -> Stored<StateHashes> {
        self.read.hashes_below(frontier)
    }
    fn last_told(
        &self,
        since: TimestampMs,
        skip: usize,
        limit: usize,
    ) -> Stored<Vec<(TimestampMs, Subject)>> {
        self.read.last_told(since, skip, limit)
    }
    fn digests(
        &self,
        frontier: &Frontier,
        after: Option<&Subject>,
        limit: usize,
    ) -> Stored<Vec<SubjectDigest>> {
        self.read.digests(frontier, after, limit)
    }
}

impl Read for Counting<'_> {
    fn frontier(&self) -> Stored<Frontier> {
        self.read.frontier()
    }
    fn sources(&self) -> Stored<Vec<SourceRow>> {
        self.read.sources()
    }
    fn counts(&self) -> Stored<Vec<Counts>> {
        self.read.counts()
    }
    fn resolve(&self, id: &str) -> Stored<Vec<Subject>> {
        self.read.resolve(id)
    }
    fn tellings(&self, subject: &Subject) -> Stored<Vec<Telling>> {
        self.loaded.set(self.loaded.get() + 1);
        self.read.tellings(subject)
    }
    fn sampled(
        &self,
        subject: &Subject,
        what: Sampled,
        as_of: TimestampMs,
        below: Option<&Frontier>,
        limit: usize,
    ) -> Stored<Vec<Telling>> {
        self.read.sampled(subject, what, as_of, below, limit)
    }
    fn links(&self, part: &Subject) -> Stored<Vec<Telling>> {
        self.read.links(part)
    }
    fn parts(&self, holder: &Subject, limit: usize) -> Stored<Vec<Subject>> {
        self.read.parts(holder, limit)
    }
    fn has_corrections(&self) -> Stored<bool> {
        self.read.has_corrections()
    }
    fn search(&self, words: &str, limit: usize) -> Stored<Vec<Candidate>> {
        self.read.search(words, limit)
    }
    fn list(&self, listing: Listing) -> Stored<Vec<Derived>> {
        self.read.list(listing)
    }
    fn suspects(
        &self,
        of: Suspects,
        after: Option<&SuspectKey>,
        limit: usize,
    ) -> Stored<Vec<(SuspectKey, Subject)>> {
        self.read.suspects(of, after, limit)
    }
    fn derived(&self, subject: &Subject) -> Stored<Option<Derived>> {
        self.read.derived(subject)
    }
    fn changes(&self, since: TimestampMs, as_of: TimestampMs, limit: usize) -> Stored<Vec<Change>> {
        self.read.changes(since, as_of, limit)
    }
    fn census(&self, as_of: TimestampMs) -> Stored<Vec<(String, u64)>> {
        self.read.census(as_of)
    }
    fn delivered_orders(&self, as_of: TimestampMs) -> Stored<u64> {
        self.read.delivered_orders(as_of)
    }
    fn quarantined(&self, filter: &QuarantineFilter, limit: usize) -> Stored<Vec<QuarantineRow>> {
        self.read.quarantined(filter, limit)
    }
    fn decisions(&self, record: &RecordId) -> Stored<Vec<DecisionRow>> {
        self.read.decisions(record)
    }
    fn hashes(&self) -> Stored<StateHashes> {
        self.read.hashes()
    }
    fn checkpoint(&self, name: &str) -> Stored<Option<String>> {
        self.read.checkpoint(name)
    }
}

/// All pages, and how many facts' subjects the first one read.
fn pages(read: &dyn Read, question: &Question, limit: usize, now: TimestampMs) -> (Vec<Exception>, usize) {
    let counting = Counting { read, loaded: Cell::new(0) };
    let (mut all, mut after, mut first) = (Vec::new(), None, 0);
    for _ in 0..100_000 {
        let (_, page) = lists::exceptions_page(&counting, question, after, limit, now).unwrap();
        assert!(page.found.len() <= limit);
        if all.is_empty() {
            first = counting.loaded.get();
        }
        all.extend(page.found);
        let Some(next) = page.next else { return (all, first) };
        // As it goes over HTTP.
        after = Some(next.to_string().parse().unwrap());
    }
    panic!("pages without an end");
}

fn order(number: usize, promised: &str, told: &str) -> LoadRecord {
    let id = format!("PO-{number:05}");
    let value = json!({"event_id": format!("e{number}"), "event": "promise_changed", "event_time": told, "source": "erp",
        "order": id, "promised": promised});
    event(&id, told, &value)
}

#[test]
fn a_page_costs_what_it_shows_not_what_is_open() {
    // 2,000 open orders: 1,900 due in a year, 100 overdue by one day to a hundred.
    let told = "2026-01-01T00:00:00Z";
    let day = |number: usize| {
        (instant("2026-06-01T00:00:00Z").get() + i64::try_from(number).unwrap() * 86_400_000, number)
    };
    let records: Vec<LoadRecord> = (0..2_000)
        .map(|number| {
            let (at, _) = if number % 20 == 0 { day(number / 20) } else { day(500 + number % 7) };
            let promised = waybill_visibility::model::time::instant_text(TimestampMs(at));
            order(number, &promised[..10], told)
        })
        .collect();
    let view = View::whole(&log_of("orders", 2, &records));
    let read = view.store.read().unwrap();
    let now = instant("2026-09-09T12:00:00Z");
    let (all, first) = pages(read.as_ref(), &Question::now(), 10, now);
    // Counted by hand: the orders that are a multiple of twenty are due from 1 June on, one a day; 100 have passed.
    let expected: Vec<String> = (0..100).map(|number| format!("PO-{:05}", number * 20)).collect();
    let ids: Vec<String> = all.iter().map(|each| each.subject.id.clone()).collect();
    assert_eq!(ids, expected, "oldest due first, each once");
    assert!(all.iter().all(|each| each.rule.name() == "overdue"));
    assert!(first <= 40, "a page of ten read the facts of {first} subjects");
    let past = Question { as_of: AsOf::Time(instant("2026-06-11T12:00:00Z")), ..Question::now() };
    let (then, first) = pages(read.as_ref(), &past, 5, now);
    assert_eq!(then.len(), 10);
    assert!(first <= 20, "{first}");
}

#[test]
fn pages_of_real_deliveries_at_past_moments_are_what_a_fold_of_every_order_says() {
    let Some(path) = test_data("scms/SCMS_Delivery_History_Dataset.csv") else { return };
    let file = std::fs::read(path).unwrap();
    let view = View::whole(&log_of("scms", 4, &load::frame(Format::Scms, "f", &file, NOW, None)));
    let read = view.store.read().unwrap();
    let ids: Vec<String> = {
        let text = String::from_utf8(file).unwrap();
        let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let at = reader.headers().unwrap().iter().position(|name| name == "PO / SO #").unwrap();
        let ids: BTreeSet<String> = reader.records().map(|row| row.unwrap()[at].to_owned()).collect();
        ids.into_iter().collect()
    };
    for as_of in ["2009-06-15T12:00:00Z", "2013-01-20T00:00:00Z"] {
        let question = Question { as_of: AsOf::Time(instant(as_of)), ..Question::now() };
        let (all, _) = pages(read.as_ref(), &question, 37, NOW);
        let overdue: BTreeSet<String> = all
            .iter()
            .filter(|each| each.rule.name() == "overdue" && each.subject.kind.name() == "order")
            .map(|each| each.subject.id.clone())
            .collect();
        let today = waybill_visibility::model::time::Day::of(instant(as_of));
        let mut expected = BTreeSet::new();
        for id in &ids {
            let Some(track) = view.track(id, Some(instant(as_of))) else { continue };
            let answer = track.answer;
            if answer.delivered.is_none() && answer.promised.is_some_and(|promised| promised < today) {
                expected.insert(id.clone());
            }
        }
        assert!(!expected.is_empty(), "{as_of}");
        assert_eq!(overdue, expected, "{as_of}");
        let mut seen = BTreeSet::new();
        assert!(all.iter().all(|each| seen.insert(each.id())), "none twice");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever was promised, changed, expected and delivered: pages of any size, now and then, give what one page does,
    /// and that is what is worked out by hand.
    #[test]
    fn pages_of_any_size_are_the_whole(
        orders in proptest::collection::vec((1_u8..28, proptest::option::of(1_u8..28), proptest::option::of(1_u8..28)), 1..25),
        limit in 1_usize..9,
        today in 2_u8..28,
    ) {
        let mut records = Vec::new();
        let day = |day: u8| format!("2026-03-{day:02}");
        for (number, (promised, changed, delivered)) in orders.iter().enumerate() {
            records.push(order(number, &day(*promised), "2026-02-01T00:00:00Z"));
            let id = format!("PO-{number:05}");
            if let Some(changed) = changed {
                let told = format!("2026-02-{:02}T00:00:00Z", 2 + number % 20);
                let value = json!({"event_id": format!("c{number}"), "event": "promise_changed", "event_time": told,
                    "source": "erp", "order": id, "promised": day(*changed)});
                records.push(event(&id, &told, &value));
            }
            if let Some(delivered) = delivered {
                let told = format!("{}T12:00:00Z", day(*delivered));
                let value = json!({"event_id": format!("d{number}"), "event": "delivered", "event_time": told, "source": "tms",
                    "shipment": format!("S-{number}"), "place": {"id": "p", "name": "p"},
                    "lines": [{"order": id, "line": "1"}]});
                records.push(event(&id, &told, &value));
            }
        }
        let view = View::whole(&log_of("orders", 2, &records));
        let read = view.store.read().unwrap();
        let now = instant(&format!("{}T18:00:00Z", day(today)));
        for question in [Question::now(), Question { as_of: AsOf::Time(now), ..Question::now() }] {
            let asked = if question == Question::now() { now } else { NOW };
            let (all, _) = pages(read.as_ref(), &question, limit, asked);
            let (_, whole) = lists::exceptions(read.as_ref(), &question, asked).unwrap();
            let key = |each: &Exception| (each.id(), each.what.clone());
            prop_assert_eq!(all.iter().map(key).collect::<BTreeSet<_>>(), whole.iter().map(key).collect::<BTreeSet<_>>());
            prop_assert_eq!(all.len(), whole.len());
            let overdue: BTreeSet<String> = all.iter().filter(|each| each.rule.name() == "overdue").map(|each| each.subject.id.clone()).collect();
            let expected: BTreeSet<String> = orders.iter().enumerate().filter(|(_, (promised, changed, delivered))| {
                changed.unwrap_or(*promised) < today && delivered.is_none_or(|delivered| delivered > today)
            }).map(|(number, _)| format!("PO-{number:05}")).collect();
            prop_assert_eq!(overdue, expected);
        }
    }

    #[test]
    fn any_text_is_a_cursor_or_an_error(text in ".{0,40}") {
        let _ = text.parse::<lists::Cursor>();
    }
}
