//! Questions to a big store.

use std::time::Instant;

use serde_json::json;
use waybill_visibility::query::{AsOf, Question, lists, track};
use waybill_visibility::store::{Read, Store};

use crate::feed::{END, Feed, Kind};
use crate::latency::quantile;
use crate::{View, timed};

/// Questions of each sort.
const ASKED: usize = 2_000;

/// Makes a store of so many orders, ten facts each, and asks.
pub(crate) fn run(orders: usize) {
    let view = View::new();
    let mut ingest = view.ingest(Feed::new(Kind::Orders, orders * 3));
    let (drained, wall, cpu) = timed(|| ingest.drain());
    drained.unwrap();
    println!(
        "{}",
        json!({"part": "big store", "orders": orders, "records": orders * 3, "facts": orders * 10,
            "records_per_s": (orders * 3) as f64 / wall, "facts_per_s": (orders * 10) as f64 / wall,
            "wall_s": wall, "cpu_s": cpu, "store_mib": view.mib()})
    );
    // A prime stride visits orders in no order.
    let order = |at: usize| format!("PO-{:07}", (at * 7_919) % orders);
    let asked = |what: &str, count: usize, ask: &dyn Fn(&dyn Read, usize)| {
        let mut millis: Vec<f64> = (0..count)
            .map(|at| {
                let began = Instant::now();
                ask(view.store.read().unwrap().as_ref(), at);
                began.elapsed().as_secs_f64() * 1_000.0
            })
            .collect();
        millis.sort_by(f64::total_cmp);
        println!(
            "{}",
            json!({"part": "query", "what": what, "asked": count, "p50_ms": quantile(&millis, 0.5),
                "p99_ms": quantile(&millis, 0.99), "max_ms": millis.last()})
        );
    };
    let now = Question::now();
    asked("track", ASKED, &|read, at| {
        track::track(read, &now, &order(at), None, END).unwrap();
    });
    asked("track as of", ASKED, &|read, at| {
        let then = waybill_types::TimestampMs(END.get() - 19 * 365 * 86_400_000);
        let question = Question { as_of: AsOf::Time(then), ..Question::now() };
        let _ = track::track(read, &question, &order(at), None, END);
    });
    asked("track with story", ASKED, &|read, at| {
        track::track_with_story(read, &now, &order(at), None, END).unwrap();
    });
    asked("search by id", ASKED, &|read, at| {
        lists::search(read, &now, &order(at), 50, END).unwrap();
    });
    asked("search by beginning", ASKED / 10, &|read, at| {
        lists::search(read, &now, &format!("PO-{:04}", at % (orders / 1_000).max(1)), 50, END).unwrap();
    });
    asked("search by words", ASKED / 10, &|read, at| {
        lists::search(read, &now, &format!("supplier {}", at % 300), 50, END).unwrap();
    });
    asked("changes", ASKED / 10, &|read, _| {
        lists::changes(read, &now, waybill_types::TimestampMs(0), 200, END).unwrap();
    });
    asked("exceptions", 5, &|read, _| {
        lists::exceptions(read, &now, END).unwrap();
    });
}
