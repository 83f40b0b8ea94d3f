use super::*;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use waybill_visibility::mapping::events::Event;

/// 2026-03-02T09:00:00Z.
const START: TimestampMs = TimestampMs(1_772_442_000_000);

fn run(seed: u64, live: usize) -> (Vec<Record>, usize, Highlights) {
    let mut generator = Generator::new(&Settings::new(START, 20.0), &Prng::new(seed));
    let past = generator.past_left();
    let highlights = generator.highlights().clone();
    let records = generator.by_ref().take(past + live).collect();
    (records, past, highlights)
}

fn event(record: &Record) -> Option<Event> {
    serde_json::from_slice(&record.value).ok()
}

#[test]
fn the_same_seed_gives_the_same_stream_and_another_seed_another() {
    let (a, past, _) = run(7, 2000);
    assert_eq!(a, run(7, 2000).0);
    assert_ne!(a, run(8, 2000).0);
    assert!((3_000..9_000).contains(&past), "{past} records of past");
}

#[test]
fn shares_of_faults_are_what_is_claimed() {
    let (mut seen, mut total) = (HashSet::new(), 0_usize);
    let (mut twice, mut unreadable) = (0_usize, 0_usize);
    let (mut happened, mut late, mut behind) = (0_usize, 0_usize, 0_usize);
    for seed in 0..3 {
        let (records, past, _) = run(seed, 12_000);
        let mut newest = BTreeMap::new();
        for (i, record) in records.iter().enumerate() {
            total += 1;
            let newest = newest.entry(i < past).or_insert(i64::MIN);
            behind += usize::from(record.timestamp_ms < *newest);
            *newest = record.timestamp_ms.max(*newest);
            if !seen.insert((seed, record.key.clone(), record.value.clone())) && !record.value.is_empty() {
                twice += 1;
            }
            let Some(event) = event(record) else {
                unreadable += 1;
                continue;
            };
            if matches!(event.body, Body::Departed(_) | Body::Arrived(_) | Body::Delivered(_) | Body::Scan(_))
            {
                happened += 1;
                late += usize::from(record.timestamp_ms - event.event_time.get() > DAY);
            }
        }
    }
    let near = |name: &str, found: usize, of: usize, claimed: f64| {
        let share = found as f64 / of as f64;
        assert!((share - claimed).abs() < claimed * 0.25, "{name}: {share:.4}, claimed {claimed}");
    };
    near("duplicates", twice, total, DUPLICATES);
    near("malformed", unreadable, total, MALFORMED);
    near("late", late, happened, LATE);
    near("disorder", behind, total, DISORDER);
}

#[test]
fn the_past_ends_at_the_start_and_the_live_stream_keeps_the_rate() {
    let (records, past, _) = run(3, 4000);
    let (before, after) = records.split_at(past);
    assert!(before.iter().all(|r| r.timestamp_ms <= START.get()));
    // 4,000 records at 20 a second: 200 s, less what faults added
    let last = after.iter().map(|r| r.timestamp_ms).max().unwrap();
    let seconds = (last - START.get()) / 1000;
    assert!((185..=215).contains(&seconds), "{seconds} s");
    assert!(after.iter().all(|r| r.timestamp_ms >= START.get()));
}

#[test]
fn every_topic_has_its_key_and_no_event_is_told_before_it_happened() {
    let (records, _, _) = run(5, 5000);
    let mut topics = BTreeSet::new();
    for record in &records {
        topics.insert(record.topic);
        assert_eq!(record.headers, vec![("waybill-mapping", b"events@1".to_vec())]);
        let Some(event) = event(record) else { continue };
        let key = String::from_utf8(record.key.clone()).unwrap();
        let (topic, wanted) = match &event.body {
            Body::OrderPlaced(b) => ("orders", b.order.clone()),
            Body::PromiseChanged(b) => ("orders", b.order.clone()),
            Body::OrderCancelled(b) => ("orders", b.order.clone()),
            Body::ShipmentCreated(b) => ("shipments", b.shipment.clone()),
            Body::EstimateChanged(b) => ("shipments", b.shipment.clone()),
            Body::Departed(b) => ("shipments", b.shipment.clone()),
            Body::Arrived(b) => ("shipments", b.shipment.clone()),
            Body::Delivered(b) => ("shipments", b.shipment.clone()),
            Body::Scan(b) => ("scans", b.objects[0].id.clone()),
            Body::Reading(b) => ("telemetry", b.container.clone()),
            Body::Withdrawn(_) => ("shipments", key.clone()),
        };
        assert_eq!((record.topic, &key), (topic, &wanted));
        assert!(event.event_time.get() <= record.timestamp_ms, "{event:?}");
    }
    assert_eq!(topics, BTreeSet::from(TOPICS));
}

#[test]
fn event_ids_are_unique_within_their_source() {
    let (records, _, _) = run(11, 8_000);
    let mut values: BTreeMap<(String, String), Vec<u8>> = BTreeMap::new();
    for record in records {
        let Some(event) = event(&record) else { continue };
        let one = values.entry((event.source, event.event_id)).or_insert_with(|| record.value.clone());
        assert_eq!(*one, record.value, "one id, two events");
    }
}

#[test]
fn the_order_of_the_story_is_late_and_told_later() {
    for seed in 0..8 {
        let (records, past, h) = run(seed, 0);
        let of = |f: &dyn Fn(&Event) -> bool| -> Vec<(i64, Event)> {
            let all = records.iter().take(past).filter_map(|r| Some((r.timestamp_ms, event(r)?)));
            all.filter(|(_, e)| f(e)).collect()
        };
        let placed = of(&|e| matches!(&e.body, Body::OrderPlaced(b) if b.order == h.late_order));
        let moved = of(&|e| matches!(&e.body, Body::PromiseChanged(b) if b.order == h.late_order));
        let delivered = of(&|e| matches!(&e.body, Body::Delivered(b) if b.shipment == h.shipment));
        let slips = of(&|e| matches!(&e.body, Body::EstimateChanged(b) if b.shipment == h.shipment));
        assert!(
            !placed.is_empty() && !moved.is_empty() && !delivered.is_empty() && slips.len() >= 4,
            "seed {seed}"
        );
        let Body::PromiseChanged(promise) = &moved[0].1.body else { unreachable!() };
        let (told, event) = &delivered[0];
        assert!(promise.promised.start().get() + DAY <= event.event_time.get(), "seed {seed}: not late");
        assert!(told - event.event_time.get() > DAY && *told == h.delivery_told.get());
        assert!(
            h.day_before.get() > event.event_time.get(),
            "a day before, it had happened but was not told"
        );
        assert!(h.delivery_told < START && !h.container.is_empty());
    }
}

#[test]
fn live_orders_are_delivered_while_one_watches() {
    let (records, past, _) = run(1, 30_000);
    let mut placed = BTreeSet::new();
    let mut shipped = BTreeMap::new();
    let mut done = 0;
    for record in &records[past..] {
        match event(record).map(|e| e.body) {
            Some(Body::OrderPlaced(b)) => drop(placed.insert(b.order)),
            Some(Body::ShipmentCreated(b)) => drop(shipped.insert(b.shipment, b.orders[0].order.clone())),
            Some(Body::Delivered(b)) => {
                done += usize::from(shipped.get(&b.shipment).is_some_and(|o| placed.contains(o)))
            }
            _ => {}
        }
    }
    assert!(
        placed.len() > 60 && done > 20,
        "{} placed, {done} delivered within {} s",
        placed.len(),
        30_000 / 20
    );
}

#[test]
fn odd_settings_do_not_stop_it() {
    for (rate, orders, days) in [(0.0, 0, 0), (f64::NAN, 1, 1), (1e9, 2, 10_000), (f64::INFINITY, 1, 1)] {
        let settings = Settings { start: START, rate, orders, days };
        let generator = Generator::new(&settings, &Prng::new(1));
        let n = generator.past_left();
        assert_eq!(generator.take(n + 500).count(), n + 500);
    }
}
