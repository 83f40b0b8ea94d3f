//! The SCMS delivery history, end to end: file to records to facts to answers, against a computation from the CSV that
//! shares no code with the crate.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, OnceLock};

use common::{NOW, View, log_of, test_data};
use waybill_types::TimestampMs;
use waybill_visibility::ingest::memory::MemoryLog;
use waybill_visibility::load::{self, Format, LoadRecord};
use waybill_visibility::store::Store;

const DAY: i64 = 86_400_000;

/// A row as this test reads it.
struct Row {
    id: String,
    order: String,
    shipment: String,
    insurance: String,
    /// Days since 1970.
    promised: i64,
    promise_told: i64,
    delivered: i64,
    recorded: i64,
}

/// Days since 1970 of `2-Jun-06` or `11/13/06`, by counting.
fn days(text: &str) -> Option<i64> {
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let split: Vec<&str> = text.split(['-', '/']).collect();
    let [first, second, year] = split[..] else { return None };
    let (day, month) = match months.iter().position(|month| *month == second) {
        Some(month) => (first.parse::<i64>().ok()?, month as i64 + 1),
        None => (second.parse().ok()?, first.parse().ok()?),
    };
    let year = 2000 + year.parse::<i64>().ok()?;
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = |month: i64| match month {
        2 => 28 + i64::from(leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    let years: i64 = (1970..year).map(|year| 365 + i64::from(leap(year))).sum();
    Some(years + (1..month).map(length).sum::<i64>() + day - 1)
}

fn rows(file: &[u8]) -> Vec<Row> {
    let text = std::str::from_utf8(file).unwrap().trim_start_matches('\u{feff}');
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().unwrap().clone();
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let columns = [
        "ID",
        "PO / SO #",
        "ASN/DN #",
        "PQ First Sent to Client Date",
        "PO Sent to Vendor Date",
        "Scheduled Delivery Date",
        "Delivered to Client Date",
        "Delivery Recorded Date",
        "Line Item Insurance (USD)",
    ]
    .map(at);
    reader
        .records()
        .map(|row| {
            let row = row.unwrap();
            let [id, order, shipment, pq, po, scheduled, delivered, recorded, insurance] =
                columns.map(|at| row[at].to_owned());
            let (promised, delivered, recorded) =
                (days(&scheduled).unwrap(), days(&delivered).unwrap(), days(&recorded).unwrap());
            let earliest = promised.min(delivered).min(recorded).min(days(&pq).unwrap_or(i64::MAX));
            let promise_told = days(&po).unwrap_or(earliest);
            Row { id, order, shipment, insurance, promised, promise_told, delivered, recorded }
        })
        .collect()
}

fn load(file: &[u8]) -> Vec<LoadRecord> {
    load::frame(Format::Scms, "scms.csv", file, NOW, None)
}

/// The file, and a view that has read all of it: made once for all tests.
struct Data {
    rows: Vec<Row>,
    records: Vec<LoadRecord>,
    view: Mutex<View>,
}

fn data() -> Option<&'static Data> {
    static DATA: OnceLock<Option<Data>> = OnceLock::new();
    DATA.get_or_init(|| {
        let path = test_data("scms/SCMS_Delivery_History_Dataset.csv")?;
        let file = std::fs::read(path).unwrap();
        let (rows, records) = (rows(&file), load(&file));
        let view = Mutex::new(View::whole(&scms(4, &records)));
        Some(Data { rows, records, view })
    })
    .as_ref()
}

fn by_order(rows: &[Row]) -> BTreeMap<&str, Vec<&Row>> {
    let mut orders: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in rows {
        orders.entry(&row.order).or_default().push(row);
    }
    orders
}

fn scms(partitions: i32, records: &[LoadRecord]) -> MemoryLog {
    log_of("scms", partitions, records)
}

#[test]
fn the_loader_makes_two_records_a_row_stamped_when_they_were_told() {
    let Some(Data { rows, records, .. }) = data() else { return };
    assert_eq!(rows.len(), 10_324);
    assert_eq!(records.len(), 2 * 10_324);
    assert!(records.windows(2).all(|pair| pair[0].timestamp <= pair[1].timestamp));
    let mut expected: Vec<i64> =
        rows.iter().flat_map(|row| [row.promise_told * DAY, row.recorded * DAY]).collect();
    expected.sort_unstable();
    let stamps: Vec<i64> = records.iter().map(|record| record.timestamp.get()).collect();
    assert_eq!(stamps, expected);
}

#[test]
fn promise_delivery_and_lateness_are_right_for_every_order() {
    let Some(Data { rows, view, .. }) = data() else { return };
    let view = view.lock().unwrap();
    view.assert_conserved();
    let orders = by_order(rows);
    assert_eq!(orders.len(), 6_233);
    let mut late = 0;
    for (order, rows) in &orders {
        let track = view.track(order, None).unwrap_or_else(|| panic!("{order} is unknown"));
        let answer = &track.answer;
        let promised = rows.iter().map(|row| row.promised).max().unwrap();
        let delivered = rows.iter().map(|row| row.delivered).max().unwrap();
        let days_late = rows.iter().map(|row| row.delivered - row.promised).max().unwrap();
        assert_eq!(answer.state.name(), "delivered", "{order}");
        assert_eq!(answer.promised.map(|day| i64::from(day.0)), Some(promised), "{order}");
        assert_eq!(answer.delivered.map(|day| i64::from(day.0)), Some(delivered), "{order}");
        assert_eq!(answer.days_late, Some(days_late), "{order}");
        assert_eq!(answer.lines.len(), rows.len(), "{order}");
        let shipments: BTreeSet<&str> =
            answer.lines.iter().flat_map(|line| line.shipments.iter().map(String::as_str)).collect();
        assert_eq!(shipments, rows.iter().map(|row| row.shipment.as_str()).collect(), "{order}");
        late += rows.iter().filter(|row| row.delivered > row.promised).count();
        for row in rows {
            let line = answer.lines.iter().find(|line| line.id == format!("{order}/{}", row.id)).unwrap();
            assert_eq!(line.days_late, Some(row.delivered - row.promised), "{}", line.id);
        }
    }
    assert_eq!(late, 1_186);
}

#[test]
fn as_of_before_a_late_recorded_delivery_does_not_know_it() {
    let Some(Data { rows, view, .. }) = data() else { return };
    let view = view.lock().unwrap();
    let orders = by_order(rows);
    let mut looked = 0;
    for (order, rows) in &orders {
        // The day before the last delivery was recorded, if it had happened by then.
        let last = rows.iter().map(|row| row.recorded).max().unwrap();
        let then = last - 1;
        let known: Vec<&&Row> =
            rows.iter().filter(|row| row.promise_told <= then || row.recorded <= then).collect();
        if rows.iter().all(|row| row.delivered >= last) || looked >= 400 {
            continue;
        }
        looked += 1;
        let track = view.track(order, Some(TimestampMs(then * DAY + DAY - 1)));
        let Some(track) = track else {
            assert!(known.is_empty(), "{order}");
            continue;
        };
        let told: Vec<&&&Row> = known.iter().filter(|row| row.recorded <= then).collect();
        let promised = known.iter().filter(|row| row.promise_told <= then).map(|row| row.promised).max();
        assert_eq!(track.answer.promised.map(|day| i64::from(day.0)), promised, "{order}");
        let expected =
            (told.len() == known.len()).then(|| told.iter().map(|row| row.delivered).max().unwrap());
        assert_eq!(track.answer.delivered.map(|day| i64::from(day.0)), expected, "{order} as of {then}");
        assert!(track.history.iter().all(|line| line.told.get() < (then + 1) * DAY));
        assert!(track.is_final, "the file goes on for years after {order}");
    }
    assert!(looked >= 300, "{looked}");
}

#[test]
fn three_rows_are_recorded_before_delivery_and_say_so() {
    let Some(Data { rows, view, .. }) = data() else { return };
    let view = view.lock().unwrap();
    let read = view.store.read().unwrap();
    let question = waybill_visibility::query::Question::now();
    let (_, found) = waybill_visibility::query::lists::exceptions(read.as_ref(), &question, NOW).unwrap();
    let ids: BTreeSet<String> = found.iter().map(|exception| exception.subject.id.clone()).collect();
    let expected: BTreeSet<String> = rows
        .iter()
        .filter(|row| row.recorded < row.delivered)
        .map(|row| format!("{}/{}", row.order, row.id))
        .collect();
    assert_eq!(expected.len(), 3);
    assert_eq!(ids, expected);
    assert!(found.iter().all(|exception| exception.rule.name() == "impossible_time"));
}

#[test]
fn repetition_order_and_partitions_change_no_content_hash_and_no_answer() {
    let Some(Data { rows, records, view }) = data() else { return };
    let orders: Vec<&str> = by_order(rows).into_keys().collect();
    let (first, answers) = {
        let view = view.lock().unwrap();
        let answers: Vec<_> = orders.iter().map(|order| view.track(order, None).unwrap().answer).collect();
        (view.hashes(), answers)
    };
    assert_eq!((first.facts, first.tellings), (facts_of(rows), facts_of(rows)));

    // A rebuild from offset 0 is equal to the bit.
    let log = scms(4, records);
    let mut view = View::whole(&log);
    assert_eq!(view.hashes(), first);

    // Loading the file again changes no answer and no content hash.
    for record in records {
        log.append("scms", record).unwrap();
    }
    view.ingest.drain().unwrap();
    let twice = view.hashes();
    assert_eq!(twice.content_hash, first.content_hash);
    assert_eq!((twice.facts, twice.tellings), (first.facts, 2 * first.tellings));
    assert_ne!(twice.log_hash, first.log_hash);
    for (order, answer) in orders.iter().zip(&answers) {
        let again = view.track(order, None).unwrap();
        assert_eq!(&again.answer, answer);
        assert!(again.history.iter().all(|line| line.evidence.len() == 2));
        assert!(again.revised.is_empty());
    }

    // Backwards, in another number of partitions.
    let backwards: Vec<LoadRecord> = records.iter().rev().cloned().collect();
    let other = View::whole(&scms(3, &backwards));
    assert_eq!(other.hashes().content_hash, first.content_hash);
    for (order, answer) in orders.iter().zip(&answers) {
        assert_eq!(&other.track(order, None).unwrap().answer, answer);
    }
}

/// A promise tells the line's order, its day and what was ordered, and the order's names; a delivery tells the line's
/// order, its day, place, insurance where there is any, and its shipment with what is known of that.
fn facts_of(rows: &[Row]) -> u64 {
    let of = |row: &Row| {
        let delivery = 3 + u64::from(!row.insurance.is_empty());
        let shipment = if row.shipment.is_empty() { 0 } else { 2 };
        4 + delivery + shipment
    };
    rows.iter().map(of).sum()
}
