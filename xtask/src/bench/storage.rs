//! `cargo xtask bench storage`: the broker on an object store, with the latency of a bucket far away, with none to speak of, and
//! on a SeaweedFS server of this machine.
//!
//! Every figure stands beside the requests and bytes that it cost, as the broker counts them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use super::driver::{Account, Figures};
use super::{Options, driver, measure};
use crate::clients::Broker;
use crate::paths;
use crate::run;
use crate::test::cargo::{self, Built};

/// What the build may take.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// Bytes of a record's value.
const SIZE: u64 = 1024;
/// The client settings that AutoMQ recommends, and its figures were taken with.
const LARGE: [&str; 2] = ["client.linger.ms=100", "client.batch.size=1048576"];

/// A store that a broker is measured on.
struct Place {
    name: &'static str,
    /// What the driver's `store` is told.
    store: &'static [&'static str],
    /// Flags of `serve`.
    flags: &'static [&'static str],
    /// Whether it is only there where its program is installed.
    installed: bool,
}

const PLACES: [Place; 3] = [
    Place {
        name: "bucket: p50 60, p99 250 ms a request, 12 PUT/s",
        store: &["p50=60", "p99=250"],
        flags: &["--wal-puts-per-second", "12"],
        installed: false,
    },
    Place {
        name: "millisecond store: p50 1, p99 3 ms",
        store: &["p50=1", "p99=3"],
        flags: &["--wal-puts-per-second", "1000"],
        installed: false,
    },
    Place { name: "SeaweedFS on this machine", store: &["kind=seaweed"], flags: &[], installed: true },
];

/// One measured thing.
#[derive(Debug, Serialize)]
struct Sample {
    place: String,
    what: String,
    figures: BTreeMap<String, f64>,
    /// Requests and bytes of the broker meanwhile, by kind and purpose.
    store: BTreeMap<String, f64>,
}

/// Builds, runs every part on every store, writes `docs/benchmarks-storage.md` when the build is the one that ships.
///
/// # Errors
/// When something can not be built, started or measured.
pub(super) fn run(options: &Options) -> Result<bool> {
    let dir = paths::target()?.join("xtask").join("bench");
    fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
    let log = dir.join("storage.log");
    println!("building with profile {}", options.profile);
    let built = cargo::build_programs(&options.profile, &log, BUILD_LIMIT)?;
    let machine = measure::machine()?;
    let mut samples = Vec::new();
    for number in 0..options.runs {
        for place in &PLACES {
            if place.installed && std::env::var_os("WAYBILL_WEED").is_none() {
                println!("{}: skipped, WAYBILL_WEED names no program", place.name);
                continue;
            }
            println!("round {} of {}: {}", number + 1, options.runs, place.name);
            samples.extend(Round::start(options, place, &built, &log)?.run()?);
        }
    }
    let raw = dir.join("storage.jsonl");
    let mut text = String::new();
    for sample in &samples {
        text.push_str(&serde_json::to_string(sample).context("a sample")?);
        text.push('\n');
    }
    fs::write(&raw, text).with_context(|| raw.display().to_string())?;
    let mut page = render(options, &machine, &samples);
    let docs = paths::workspace()?.join("docs");
    let notes = docs.join("benchmarks").join("storage-notes.md");
    if notes.exists() {
        page.push('\n');
        page.push_str(&fs::read_to_string(&notes).with_context(|| notes.display().to_string())?);
    }
    println!("{page}\nraw lines: {}", raw.display());
    if options.profile == "dist" {
        fs::copy(&raw, docs.join("benchmarks").join("storage.jsonl")).context("the raw lines")?;
        fs::write(docs.join("benchmarks-storage.md"), page).context("docs/benchmarks-storage.md")?;
    }
    Ok(true)
}

/// An object store in a process of its own; it ends with its input.
struct Store {
    child: Child,
    variables: Vec<(String, String)>,
}

impl Store {
    fn start(built: &Built, settings: &[&str]) -> Result<Self> {
        let mut command = driver::command(built)?;
        command.arg("store").args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = run::start(&mut command)?;
        let mut line = String::new();
        let out = child.stdout.take().context("the store's output")?;
        BufReader::new(out).read_line(&mut line).context("the store's output")?;
        let told: BTreeMap<String, String> =
            serde_json::from_str(&line).with_context(|| format!("the store told {line:?}"))?;
        Ok(Self { child, variables: told.into_iter().collect() })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // It ends by itself; nobody is left to be told that it did not.
        let _ = self.child.wait();
    }
}

struct Round<'a> {
    options: &'a Options,
    place: &'a Place,
    built: &'a Built,
    log: &'a Path,
    broker: Broker,
    _store: Store,
    samples: Vec<Sample>,
}

impl<'a> Round<'a> {
    fn start(options: &'a Options, place: &'a Place, built: &'a Built, log: &'a Path) -> Result<Self> {
        let store = Store::start(built, place.store)?;
        let broker = Broker::start_on_bucket(built, &store.variables, place.flags, log)?;
        Ok(Self { options, place, built, log, broker, _store: store, samples: Vec::new() })
    }

    fn run(mut self) -> Result<Vec<Sample>> {
        self.push(
            "start on an empty bucket",
            [("seconds".to_owned(), self.broker.ready.as_secs_f64())].into(),
        );
        let seconds = self.options.latency_seconds.to_string();
        for (name, rate, linger) in [
            ("1 record", 1, 0),
            ("100 records", 100, 0),
            ("5,000 records", 5_000, 0),
            ("5,000 records, linger 5 ms", 5_000, 5),
        ] {
            let topic = format!("topic=at-{rate}-{linger}");
            self.driver("create", &[&topic, "partitions=10"])?;
            let what = format!("ack, {name} of 1 KiB a second");
            let (rate, linger) = (format!("rate={rate}"), format!("client.linger.ms={linger}"));
            let probe =
                [topic.as_str(), &rate, &format!("seconds={seconds}"), "warmup=3", "size=1024", &linger];
            self.measured(&what, |round| round.driver("latency", &probe))?;
        }
        let count = format!("count={}", self.options.mib * (1 << 20) / SIZE);
        for (name, partitions, settings) in [
            ("default client", "10", &[][..]),
            ("large batches", "10", &LARGE[..]),
            ("large batches", "1000", &LARGE[..]),
        ] {
            let topic = format!("topic=rate-{partitions}-{}", settings.len());
            let parts = format!("partitions={partitions}");
            let mut all = vec![topic.as_str(), &count, &parts, "size=1024"];
            self.driver("create", &all)?;
            all.extend(settings);
            self.measured(&format!("produce, {name}, {partitions} partitions"), |round| {
                round.driver("produce", &all)
            })?;
            let reading = [topic.as_str(), &count, &parts, "size=1024"];
            self.measured(&format!("consume, {partitions} partitions ({name})"), |round| {
                round.driver("consume", &reading)
            })?;
        }
        let peak = measure::memory_mib(self.broker.pid()?, "VmHWM")?;
        self.push("peak memory", [("mib".to_owned(), peak)].into());
        // Everything on this machine is gone; all is in the bucket.
        self.broker.kill()?;
        self.broker.up()?;
        self.push("start after kill -9", [("seconds".to_owned(), self.broker.ready.as_secs_f64())].into());
        let cold = ["topic=rate-10-2", &count, "partitions=10", "size=1024"];
        self.measured("consume cold, 10 partitions", |round| round.driver("consume", &cold))?;
        let idle = self.options.idle_seconds;
        self.measured("idle, no clients", |_| {
            std::thread::sleep(Duration::from_secs(idle));
            Ok([("seconds".to_owned(), idle as f64)].into())
        })?;
        Ok(self.samples)
    }

    fn push(&mut self, what: &str, figures: BTreeMap<String, f64>) {
        let place = self.place.name.to_owned();
        self.samples.push(Sample { place, what: what.to_owned(), figures, store: BTreeMap::new() });
    }

    /// A client's figures with what the broker used meanwhile, of the machine and of the store.
    fn measured(
        &mut self,
        what: &str,
        body: impl FnOnce(&Self) -> Result<BTreeMap<String, f64>>,
    ) -> Result<()> {
        println!("  {what}");
        let before = self.counted()?;
        let account = Account::begin(self.broker.pid()?)?;
        let mut figures = body(self)?;
        account.end(&mut figures)?;
        let mut store = BTreeMap::new();
        for (name, after) in self.counted()? {
            let more = after - before.get(&name).copied().unwrap_or_default();
            if more > 0.0 {
                store.insert(name, more);
            }
        }
        let place = self.place.name.to_owned();
        self.samples.push(Sample { place, what: what.to_owned(), figures, store });
        Ok(())
    }

    /// What the broker has counted of its store so far.
    fn counted(&self) -> Result<BTreeMap<String, f64>> {
        let text = self.broker.metrics()?;
        let lines = text.lines().filter_map(|line| {
            let (name, value) = line.strip_prefix("waybill_store_")?.rsplit_once(' ')?;
            let (kind, labels) = name.split_once('{')?;
            let label = |wanted: &str| {
                let rest = labels.split_once(&format!("{wanted}=\""))?.1;
                rest.split_once('"').map(|(value, _)| value.to_owned())
            };
            let purpose = label("purpose")?;
            let name = match kind {
                "requests_total" => format!("{} {purpose}", label("operation")?.to_uppercase()),
                "sent_bytes_total" => format!("bytes sent {purpose}"),
                "received_bytes_total" => format!("bytes received {purpose}"),
                _ => return None,
            };
            Some((name, value.parse().ok()?))
        });
        Ok(lines.collect())
    }

    fn driver(&self, verb: &str, settings: &[&str]) -> Result<Figures> {
        driver::run(self.built, self.log, self.broker.address, verb, settings)
    }
}

/// The figures of a line that are told, with their units, in order.
const TOLD: [(&str, &str); 9] = [
    ("seconds", "s"),
    ("p50_ms", "ms p50"),
    ("p99_ms", "ms p99"),
    ("p999_ms", "ms p99.9"),
    ("mib_per_second", "MiB/s"),
    ("broker_cpu_per_gib", "CPU s/GiB"),
    ("broker_cpu_seconds", "CPU s"),
    ("mib", "MiB"),
    ("other_cores", "cores of everything else, the store too"),
];

fn render(options: &Options, machine: &str, samples: &[Sample]) -> String {
    let mut text = format!(
        "# Benchmarks of the storage engine on object stores\n\n\
         Written by `cargo xtask bench storage` ({} rounds; {} MiB of 1 KiB records a rate, acks=all; latency runs of {} s; store,\n\
         broker and clients on one machine; build profile {}). Medians, with lowest and highest where they differ. The first two\n\
         stores are servers in a process of their own, whose every request takes a time drawn from a log-normal distribution. Raw lines:\n\
         `benchmarks/storage.jsonl`.\n\nMachine: {machine}.\n",
        options.runs, options.mib, options.latency_seconds, options.profile
    );
    let mut places: Vec<&str> = Vec::new();
    for sample in samples {
        if !places.contains(&sample.place.as_str()) {
            places.push(&sample.place);
        }
    }
    for place in places {
        text.push_str(&format!(
            "\n## {place}\n\n| what | figures | the store's part |\n| --- | --- | --- |\n"
        ));
        let mut told: Vec<&str> = Vec::new();
        for sample in samples.iter().filter(|sample| sample.place == place) {
            if told.contains(&sample.what.as_str()) {
                continue;
            }
            told.push(&sample.what);
            let same: Vec<&Sample> =
                samples.iter().filter(|other| other.place == place && other.what == sample.what).collect();
            text.push_str(&row(&same));
        }
    }
    text
}

fn row(same: &[&Sample]) -> String {
    let Some(first) = same.first() else { return String::new() };
    let figure = |(name, unit): &(&str, &str)| {
        let values = same.iter().filter_map(|sample| sample.figures.get(*name).copied()).collect();
        let spread = super::report::spread(values)?;
        Some(format!("{} {unit}", super::report::told(Some(spread))))
    };
    let figures: Vec<String> = TOLD.iter().filter_map(figure).collect();
    let gib = first.figures.get("mib").map(|mib| mib / 1024.0);
    let mut names: Vec<&String> = same.iter().flat_map(|sample| sample.store.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let part = |name: &&String| {
        let values = same.iter().map(|sample| sample.store.get(*name).copied().unwrap_or_default()).collect();
        let (_, median, _) = super::report::spread(values)?;
        let seconds = first.figures.get("wall_seconds").copied().unwrap_or(1.0);
        Some(match gib {
            Some(gib) if name.starts_with("bytes") => {
                format!("{name} {:.2} per GiB", median / f64::from(1 << 30) / gib)
            }
            Some(gib) => format!("{name} {:.0} per GiB", median / gib),
            None if name.starts_with("bytes") => format!("{name} {median:.0}"),
            None => format!("{name} {median:.0} ({:.2}/s)", median / seconds),
        })
    };
    let parts: Vec<String> = names.iter().filter_map(part).collect();
    format!("| {} | {} | {} |\n", first.what, figures.join("; "), parts.join("; "))
}
