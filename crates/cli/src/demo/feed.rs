//! Events into topics: generated ones, the past at once and then live, or real files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use rdkafka::admin::AdminClient;
use rdkafka::producer::{DefaultProducerContext, Producer, ThreadedProducer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waybill_rt::{Clock, RealClock};
use waybill_types::TimestampMs;
use waybill_visibility::ingest::NamedSource;
use waybill_visibility::load::{Format, files, frame};
use waybill_visibility::mapping::Mapping;

use super::DemoArgs;
use super::generator::{Generator, Highlights, Prng, Record, Settings, TOPICS};
use crate::kafka::{WantedTopic, config, ensure_topic};
use crate::outgoing::{Outgoing, send};

/// Partitions of each topic of the demo.
const PARTITIONS: i32 = 3;

/// What is fed.
pub(super) enum Plan {
    /// A generated past, then a live stream.
    Generated(Box<Generator>),
    /// Files, by topic and format.
    Files(BTreeMap<(&'static str, &'static str), (Format, Vec<PathBuf>)>),
}

impl Plan {
    /// The topics that it feeds.
    pub(super) fn topics(&self) -> Vec<&'static str> {
        match self {
            Self::Generated(_) => TOPICS.to_vec(),
            Self::Files(files) => files.keys().map(|(topic, _)| *topic).collect(),
        }
    }

    /// Topics whose mapping is known before their first record; empty: they are found by their records' header.
    pub(super) fn sources(&self) -> Vec<NamedSource> {
        let named = |topic: &&str| NamedSource {
            topic: (*topic).to_owned(),
            mapping: Mapping::Events,
            ordered: false,
        };
        match self {
            Self::Generated(_) => TOPICS.iter().map(named).collect(),
            Self::Files(_) => Vec::new(),
        }
    }

    /// What is worth a look, where it is known.
    pub(super) fn highlights(&self) -> Option<&Highlights> {
        match self {
            Self::Generated(generator) => Some(generator.highlights()),
            Self::Files(_) => None,
        }
    }
}

/// Decides what is fed, before anything is.
pub(super) fn plan(args: &DemoArgs, now: TimestampMs) -> anyhow::Result<Plan> {
    if args.input.is_empty() {
        let settings = Settings::new(now, args.rate);
        return Ok(Plan::Generated(Box::new(Generator::new(&settings, &Prng::new(args.seed)))));
    }
    let mut by_topic = BTreeMap::new();
    for path in files(&args.input).context("reading --input")? {
        let format = match args.format {
            Some(format) => format,
            None => match guess(&path)? {
                Some(format) => format,
                None => continue,
            },
        };
        let topic = topic_of(format);
        let entry = by_topic.entry((topic, format.name())).or_insert_with(|| (format, Vec::new()));
        entry.1.push(path);
    }
    if by_topic.is_empty() {
        bail!("--input holds no file whose form is known (.csv, .json, .jsonl); say it with --format");
    }
    Ok(Plan::Files(by_topic))
}

fn topic_of(format: Format) -> &'static str {
    match format {
        Format::Scms => "orders",
        Format::Epcis => "scans",
        Format::JsonLines | Format::Csv | Format::Raw => "events",
    }
}

/// The form of a file, by its name and, for CSV, its first line.
fn guess(path: &std::path::Path) -> anyhow::Result<Option<Format>> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    Ok(match ending.to_ascii_lowercase().as_str() {
        "json" | "jsonld" => Some(Format::Epcis),
        "jsonl" | "ndjson" => Some(Format::JsonLines),
        "csv" => {
            let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
            let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let scms = String::from_utf8_lossy(first).contains("PO / SO #");
            Some(if scms { Format::Scms } else { Format::Csv })
        }
        _ => None,
    })
}

/// Makes the topics that will be fed.
pub(super) async fn prepare(plan: &Plan, bootstrap: &str) -> anyhow::Result<()> {
    let admin: AdminClient<_> = config(bootstrap, &[])?.create()?;
    for name in plan.topics() {
        let reason = "demonstration: the past is part of the story";
        ensure_topic(&admin, &WantedTopic { name, partitions: PARTITIONS, reason }).await?;
    }
    Ok(())
}

/// Feeds until told to stop, or, with files, until they are sent.
pub(super) async fn run(
    plan: Plan,
    bootstrap: String,
    rate: f64,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let clock = RealClock::shared();
    let mut settings = config(&bootstrap, &[])?;
    settings.set("enable.idempotence", "true").set("linger.ms", "5");
    let producer: ThreadedProducer<DefaultProducerContext> = settings.create()?;
    match plan {
        Plan::Files(files) => {
            for ((topic, _), (format, paths)) in files {
                for path in paths {
                    let bytes =
                        std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
                    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                    for record in frame(format, &name, &bytes, clock.now(), None) {
                        let outgoing = Outgoing {
                            topic,
                            key: record.key.as_deref(),
                            value: &record.value,
                            timestamp_ms: record.timestamp.get(),
                            headers: record.headers.iter().map(|(key, value)| (&**key, &**value)).collect(),
                        };
                        send(&producer, &*clock, outgoing).await?;
                    }
                }
            }
        }
        Plan::Generated(generator) => generated(&producer, &*clock, *generator, rate, &stop).await?,
    }
    let flushing = producer.clone();
    tokio::task::spawn_blocking(move || flushing.flush(Duration::from_secs(30))).await?.ok();
    Ok(())
}

async fn generated(
    producer: &ThreadedProducer<DefaultProducerContext>,
    clock: &dyn Clock,
    mut generator: Generator,
    rate: f64,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while generator.past_left() > 0 && !stop.is_cancelled() {
        if let Some(record) = generator.next() {
            one(producer, clock, &record).await?;
        }
    }
    if rate <= 0.0 {
        return Ok(());
    }
    for record in generator {
        let ahead = record.timestamp_ms.saturating_sub(clock.now().get());
        let wait = Duration::from_millis(u64::try_from(ahead).unwrap_or_default());
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = clock.sleep(wait) => {}
        }
        one(producer, clock, &record).await?;
    }
    Ok(())
}

async fn one(
    producer: &ThreadedProducer<DefaultProducerContext>,
    clock: &dyn Clock,
    record: &Record,
) -> anyhow::Result<()> {
    let outgoing = Outgoing {
        topic: record.topic,
        key: Some(&record.key),
        value: &record.value,
        timestamp_ms: record.timestamp_ms,
        headers: record.headers.iter().map(|(key, value)| (*key, &**value)).collect(),
    };
    send(producer, clock, outgoing).await
}

/// Resolves only when feeding has failed: that it has ended is no reason to end the demo.
pub(super) async fn failed(feeding: JoinHandle<anyhow::Result<()>>) -> anyhow::Error {
    match feeding.await {
        Ok(Ok(())) => std::future::pending().await,
        Ok(Err(error)) => error.context("feeding events"),
        Err(join) => anyhow::Error::new(join).context("feeding events"),
    }
}
