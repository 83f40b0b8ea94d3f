//! `waybill load`: files into a topic, each record acked before the command succeeds.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use rdkafka::ClientContext;
use rdkafka::admin::AdminClient;
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{Producer, ProducerContext, ThreadedProducer};
use serde::Serialize;
use waybill_rt::RealClock;
use waybill_visibility::load::{Format, files, frame};
use waybill_visibility::mapping::Mapping;

use crate::kafka::{WantedTopic, config, ensure_topic, retention_ms};
use crate::outgoing::{Outgoing, send};
use crate::output;

/// Partitions of a topic that the command makes.
const PARTITIONS: i32 = 4;

/// What `waybill load` takes.
#[derive(Debug, Args)]
pub(crate) struct LoadArgs {
    /// How the files are cut into records: scms, epcis, jsonl, csv or raw.
    #[arg(long, value_name = "F")]
    format: Format,

    /// The brokers.
    #[arg(long, env = "WAYBILL_BOOTSTRAP", value_name = "HOST:PORT", default_value = "127.0.0.1:9092")]
    bootstrap: String,

    /// The topic. Made with 4 partitions, keeping everything, when it is not there.
    #[arg(long, value_name = "T")]
    topic: String,

    /// The mapping that reads the records, in place of the format's own: a built-in one, or a mapping file.
    #[arg(long, value_name = "NAME@VERSION|FILE", value_parser = crate::mapping::named)]
    mapping: Option<Mapping>,

    /// Loads even where the topic's retention would delete records soon after.
    #[arg(long)]
    force: bool,

    /// A property of librdkafka, as in security.protocol=SASL_SSL. Repeatable.
    #[arg(long = "property", value_name = "KEY=VALUE")]
    properties: Vec<String>,

    /// Files and folders; folders are read in byte order.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// What was loaded.
#[derive(Debug, Serialize)]
struct Loaded {
    files: usize,
    records: u64,
    bytes: u64,
    seconds: f64,
}

/// Counts acks, and keeps the first refusal.
#[derive(Default)]
struct Acks {
    acked: AtomicU64,
    refused: AtomicU64,
    first: Mutex<Option<String>>,
}

#[derive(Clone, Default)]
struct AckContext(Arc<Acks>);

impl ClientContext for AckContext {}

impl ProducerContext for AckContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        match result {
            Ok(_) => {
                self.0.acked.fetch_add(1, Ordering::Relaxed);
            }
            Err((error, message)) => {
                self.0.refused.fetch_add(1, Ordering::Relaxed);
                if let Ok(mut first) = self.0.first.lock()
                    && first.is_none()
                {
                    let key = message.key().map(String::from_utf8_lossy).unwrap_or_default();
                    *first = Some(format!("record with key '{key}': {error}"));
                }
            }
        }
    }
}

/// Loads files.
///
/// # Errors
/// When a file can not be read, the topic is not fit, or not every record was acked.
pub(crate) async fn run(args: LoadArgs, format: output::Format) -> anyhow::Result<()> {
    let clock = RealClock::shared();
    let paths = files(&args.paths).context("reading what is to be loaded")?;
    let admin: AdminClient<_> = config(&args.bootstrap, &args.properties)?.create()?;
    let reason = "loaded from files: the records' own times lie in the past";
    let wanted = WantedTopic { name: &args.topic, partitions: PARTITIONS, reason };
    let made = ensure_topic(&admin, &wanted).await?;
    if !made {
        check_retention(&admin, &args).await?;
    }
    let context = AckContext::default();
    let mut settings = config(&args.bootstrap, &args.properties)?;
    settings.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", "5");
    let producer: ThreadedProducer<AckContext> = settings.create_with_context(context.clone())?;
    let bar = progress(paths.len());
    let started = clock.monotonic();
    let mut loaded = Loaded { files: paths.len(), records: 0, bytes: 0, seconds: 0.0 };
    for path in &paths {
        let bytes = std::fs::read(path).with_context(|| format!("reading {}", path.display()))?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        for record in frame(args.format, &name, &bytes, clock.now(), args.mapping.clone()) {
            loaded.records += 1;
            loaded.bytes += record.value.len() as u64;
            let outgoing = Outgoing {
                topic: &args.topic,
                key: record.key.as_deref(),
                value: &record.value,
                timestamp_ms: record.timestamp.get(),
                headers: record.headers.iter().map(|(key, value)| (&**key, &**value)).collect(),
            };
            send(&producer, &*clock, outgoing).await?;
        }
        bar.inc(1);
    }
    let flushing = producer.clone();
    tokio::task::spawn_blocking(move || flushing.flush(Duration::from_secs(300))).await?.ok();
    bar.finish_and_clear();
    loaded.seconds = (clock.monotonic().saturating_sub(started)).as_secs_f64();
    finish(&context.0, &loaded, format)
}

fn finish(acks: &Acks, loaded: &Loaded, format: output::Format) -> anyhow::Result<()> {
    let acked = acks.acked.load(Ordering::Relaxed);
    if acked != loaded.records {
        let first = acks.first.lock().ok().and_then(|first| first.clone());
        let why = first.unwrap_or_else(|| "the broker did not answer in time".to_owned());
        bail!("{acked} of {} records were acked; first failure: {why}", loaded.records);
    }
    match format {
        output::Format::Json => output::json(loaded),
        output::Format::Text => output::line(format_args!(
            "{} files, {} records, {} bytes in {:.1} s; all acked",
            loaded.files, loaded.records, loaded.bytes, loaded.seconds
        )),
    }
}

async fn check_retention(
    admin: &AdminClient<rdkafka::client::DefaultClientContext>,
    args: &LoadArgs,
) -> anyhow::Result<()> {
    let Some(ms) = retention_ms(admin, &args.topic).await? else { return Ok(()) };
    let topic = &args.topic;
    if args.force {
        tracing::warn!(
            topic,
            retention_ms = ms,
            "the topic deletes records by time: what is older goes soon"
        );
        return Ok(());
    }
    bail!(
        "topic {topic} deletes records older than {ms} ms, and loaded records bear the times of what they tell: set \
         retention.ms=-1 on it, or load all the same with --force"
    )
}

fn progress(files: usize) -> ProgressBar {
    let bar = ProgressBar::new(files as u64);
    if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos} of {len} files") {
        bar.set_style(style);
    }
    bar
}
