//! How fast the service takes records in and answers, on one core: `cargo run --release --example rates -- [PART…]`.
//!
//! Each part prints one JSON line of figures. Records are made as they are read, so that nothing but the service is
//! measured; stores are SQLite files in a temporary folder. `--orders N` sets the size of the big store.

#![allow(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a program that measures with the machine's own clock and prints"
)]

mod feed;
mod latency;
mod queries;

use std::sync::Arc;
use std::time::{Duration, Instant};

use feed::{Feed, Kind};
use serde_json::json;
use waybill_rt::RealClock;
use waybill_visibility::ingest::{Ingest, Progress, RecordSource, Sources};
use waybill_visibility::mapping::Record;
use waybill_visibility::project;
use waybill_visibility::store::sqlite::SqliteStore;
use waybill_visibility::store::{Collected, Kept, Outcome, PartitionBatch, Store};

/// The program's own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Records of a batch in the parts that measure one stage alone.
const BATCH: usize = 16_384;

/// User and system time of this process, in seconds.
pub(crate) fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    fields.split_whitespace().skip(11).take(2).flat_map(str::parse::<f64>).sum::<f64>() / 100.0
}

/// The most memory that this process had, in MiB.
fn peak_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok()).map_or(0.0, |kib| kib / 1_024.0)
}

/// Runs something and gives its result, wall seconds and CPU seconds.
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> (T, f64, f64) {
    let (began, before) = (Instant::now(), cpu());
    let result = run();
    (result, began.elapsed().as_secs_f64(), cpu() - before)
}

pub(crate) struct View {
    pub(crate) store: Arc<SqliteStore>,
    folder: tempfile::TempDir,
}

impl View {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(SqliteStore::open(&folder.path().join("view.db")).unwrap());
        Self { store, folder }
    }

    pub(crate) fn ingest<S: RecordSource>(&self, source: S) -> Ingest<S> {
        let progress = Arc::new(Progress::new(Duration::ZERO));
        Ingest::new(self.store.clone(), source, Sources::Discovered, RealClock::shared(), progress, false)
    }

    pub(crate) fn mib(&self) -> f64 {
        let files = std::fs::read_dir(self.folder.path()).unwrap();
        files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>() as f64 / 1_048_576.0
    }
}

/// One stage after the other: map, collect, derive.
fn stages(kind: Kind, records: usize) {
    let mut feed = Feed::new(kind, records);
    let view = View::new();
    let (mut facts, mut next) = (0, waybill_types::Offset(0));
    let (mut mapping, mut collecting) = ((0.0, 0.0), (0.0, 0.0));
    while let Some(batch) = feed.take(BATCH) {
        let (mapped, wall, cpu) = timed(|| map(kind, batch));
        mapping = (mapping.0 + wall, mapping.1 + cpu);
        facts += mapped.iter().map(|each| projected(&each.outcome)).sum::<usize>();
        let last = mapped.last().unwrap().record.offset.next();
        let batch = PartitionBatch {
            topic: feed::TOPIC,
            topic_name: "feed".to_owned(),
            mapping: kind.mapping(),
            partition: waybill_types::PartitionId(0),
            expected: next,
            next: last,
            ordered: false,
            kept: Kept::default(),
            records: mapped,
        };
        next = last;
        let (taken, wall, cpu) = timed(|| view.store.collect(&[batch]));
        taken.unwrap();
        collecting = (collecting.0 + wall, collecting.1 + cpu);
    }
    let (derived, deriving, derive_cpu) = timed(|| project::derive_all(view.store.as_ref()));
    derived.unwrap();
    let rows: u64 =
        view.store.read().unwrap().census(feed::END).unwrap().iter().map(|(_, count)| count).sum();
    let (of, total) = (records as f64, mapping.0 + collecting.0 + deriving);
    println!(
        "{}",
        json!({"part": "stages", "of": kind.name(), "records": records, "facts": facts, "derived_rows": rows,
            "map_records_per_s": of / mapping.0, "collect_records_per_s": of / collecting.0,
            "collect_facts_per_s": facts as f64 / collecting.0, "derive_rows_per_s": rows as f64 / deriving,
            "all_records_per_s": of / total, "all_facts_per_s": facts as f64 / total,
            "map_cpu_s": mapping.1, "collect_cpu_s": collecting.1, "derive_cpu_s": derive_cpu,
            "records_per_cpu_s": of / (mapping.1 + collecting.1 + derive_cpu), "wall_s": total, "store_mib": view.mib()})
    );
}

fn projected(outcome: &Outcome) -> usize {
    match outcome {
        Outcome::Projected(facts) => facts.len(),
        Outcome::Quarantined(refusal) => panic!("{refusal}"),
    }
}

fn map(kind: Kind, records: Vec<Record>) -> Vec<Collected> {
    let mapped = |record: Record| match kind.mapping().map(&record) {
        Ok(facts) => Collected { record, outcome: Outcome::Projected(facts) },
        Err(refusal) => panic!("{refusal}"),
    };
    records.into_iter().map(mapped).collect()
}

/// As the service runs: ingest from the first record until all is answered.
fn rebuild(kind: Kind, records: usize) {
    let view = View::new();
    let mut ingest = view.ingest(Feed::new(kind, records));
    let (drained, wall, cpu) = timed(|| ingest.drain());
    drained.unwrap();
    let facts = view.store.read().unwrap().hashes().unwrap().tellings;
    println!(
        "{}",
        json!({"part": "rebuild", "of": kind.name(), "records": records, "facts": facts,
            "records_per_s": records as f64 / wall, "records_per_cpu_s": records as f64 / cpu, "wall_s": wall,
            "cpu_s": cpu, "store_mib": view.mib()})
    );
}

fn main() {
    let mut parts: Vec<String> = Vec::new();
    let (mut orders, mut records) = (1_000_000, 200_000);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--orders" => orders = arguments.next().unwrap().parse().unwrap(),
            "--records" => records = arguments.next().unwrap().parse().unwrap(),
            part => parts.push(part.to_owned()),
        }
    }
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|known| known == part);
    for kind in Kind::ALL {
        if wanted("stages") || wanted(kind.name()) {
            stages(kind, records);
        }
        if wanted("rebuild") {
            rebuild(kind, records);
        }
    }
    if wanted("latency") {
        latency::run(5_000, Duration::from_secs(20));
    }
    if wanted("queries") {
        queries::run(orders);
    }
    println!("{}", json!({"part": "process", "process_cpu_s": cpu(), "peak_memory_mib": peak_memory()}));
}
