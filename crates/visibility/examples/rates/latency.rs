//! From a record in the log to an answer that knows it, at a fixed rate.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::json;
use waybill_types::{Offset, PartitionId};
use waybill_visibility::ingest::{LogRange, Part, RecordSource, SourceError, TopicInfo};
use waybill_visibility::mapping::Record;
use waybill_visibility::store::{QuarantineRow, RepairRow, Store};

use crate::feed::{self, Kind};
use crate::{View, cpu};

/// Records that come to be as time passes.
struct Live {
    began: Instant,
    rate: f64,
    last: usize,
    next: usize,
}

impl Live {
    fn there(&self) -> usize {
        ((self.began.elapsed().as_secs_f64() * self.rate) as usize).min(self.last)
    }
}

impl RecordSource for Live {
    fn topics(&mut self) -> Result<Vec<TopicInfo>, SourceError> {
        Ok(vec![TopicInfo { id: feed::TOPIC, name: "feed".to_owned(), partitions: 1 }])
    }

    fn first_record(&mut self, _topic: &TopicInfo) -> Result<Option<Record>, SourceError> {
        Ok(Some(feed::record(Kind::Orders, 0)))
    }

    fn ranges(&mut self, _topic: &TopicInfo) -> Result<BTreeMap<PartitionId, LogRange>, SourceError> {
        let end = Offset(i64::try_from(self.there()).unwrap());
        Ok(BTreeMap::from([(PartitionId(0), LogRange { start: Offset(0), end })]))
    }

    fn is_compacted(&mut self, _topic: &TopicInfo) -> Result<bool, SourceError> {
        Ok(false)
    }

    fn assign(&mut self, _topics: &[TopicInfo], _from: &BTreeMap<Part, Offset>) -> Result<(), SourceError> {
        Ok(())
    }

    fn poll(&mut self, max: usize, wait: Duration) -> Result<Vec<Record>, SourceError> {
        let began = Instant::now();
        while self.there() <= self.next && began.elapsed() < wait {
            std::thread::sleep(Duration::from_millis(1));
        }
        let end = self.there().min(self.next + max);
        let batch = (self.next..end).map(|at| feed::record(Kind::Orders, at)).collect();
        self.next = end;
        Ok(batch)
    }

    fn show_progress(&mut self, _topics: &[TopicInfo], _next: &BTreeMap<Part, Offset>) {}

    fn send_quarantined(&mut self, _rows: &[QuarantineRow]) -> Result<(), SourceError> {
        Ok(())
    }

    fn send_repaired(&mut self, _rows: &[RepairRow]) -> Result<(), SourceError> {
        Ok(())
    }
}

/// The `share`-th of sorted values.
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

/// Takes `rate` records a second for `length` and tells how long each took to be answered.
pub(crate) fn run(rate: u32, length: Duration) {
    let view = View::new();
    let began = Instant::now();
    let last = (f64::from(rate) * length.as_secs_f64()) as usize;
    let mut ingest = view.ingest(Live { began, rate: f64::from(rate), last, next: 0 });
    let before = cpu();
    let (mut known, mut millis) = (0, Vec::with_capacity(last));
    while known < last {
        ingest.step(Duration::from_millis(50)).unwrap();
        // An answer asked for now rests on the facts of all records below the frontier.
        let frontier = view.store.read().unwrap().frontier().unwrap();
        let next = frontier.positions.values().next().map_or(0, |position| position.next.get());
        let now = began.elapsed().as_secs_f64();
        while known < usize::try_from(next).unwrap() {
            millis.push((now - known as f64 / f64::from(rate)) * 1_000.0);
            known += 1;
        }
    }
    let spent = (cpu() - before) / began.elapsed().as_secs_f64();
    millis.sort_by(f64::total_cmp);
    println!(
        "{}",
        json!({"part": "latency", "records_per_s": rate, "records": last, "p50_ms": quantile(&millis, 0.5),
            "p99_ms": quantile(&millis, 0.99), "p999_ms": quantile(&millis, 0.999), "max_ms": millis.last(),
            "cores": spent})
    );
}
