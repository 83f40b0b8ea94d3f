//! A view while it reads the log.
//!
//! One thread makes its file if that is not done, then reads until it is asked to stop. When the view starts or stops
//! serving it reads on as another consumer group. When the thread dies, its file tells the next where to go on.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use waybill_rt::SharedClock;

use crate::ingest::{Ingest, IngestError, Opens, Progress, Sources};
use crate::mapping::{Mapping, Mappings};
use crate::store::ViewStore;

/// How long one round waits for the first record.
const POLL_WAIT: Duration = Duration::from_millis(50);

/// How long reading rests after a failure before it is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Rests are slept in pieces of this, so that a stop is heard.
const NAP: Duration = Duration::from_millis(20);

/// The longest rest after a round.
const MAX_REST: Duration = Duration::from_secs(10);

/// Where a view's thread is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// It copies what is kept of another view.
    Keeping,
    /// It reads the log.
    Reading,
}

/// A view that reads the log.
pub struct LiveView {
    /// Its number.
    pub number: u32,
    /// Its facts.
    pub store: Arc<dyn ViewStore>,
    /// Its file.
    pub path: PathBuf,
    /// How far it is.
    pub progress: Arc<Progress>,
    pub(super) overrides: Vec<(String, Mapping)>,
    /// It publishes: refused records, repaired copies, alerts.
    pub(super) serves: AtomicBool,
    /// Records a second at most while it catches up; 0: half of the time.
    pub(super) rate: AtomicU64,
    pub(super) stage: Mutex<Stage>,
    pub(super) stop: CancellationToken,
    pub(super) ended: CancellationToken,
    /// Records taken since it began to read in this process, and when that was.
    pub(super) taken: AtomicU64,
    pub(super) began: Mutex<Option<Duration>>,
    /// When it last caught up.
    pub(super) caught_up: Mutex<Option<Duration>>,
}

impl std::fmt::Debug for LiveView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LiveView")
            .field("number", &self.number)
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

/// What all views read with.
#[derive(Clone)]
pub(super) struct Reader {
    pub(super) opens: Arc<dyn Opens>,
    pub(super) sources: Sources,
    pub(super) mappings: Mappings,
    pub(super) clock: SharedClock,
    pub(super) group: String,
    pub(super) feeds: bool,
    pub(super) stops: Vec<CancellationToken>,
}

impl LiveView {
    /// Where its thread is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        *self.stage.lock()
    }

    /// Whether it serves.
    #[must_use]
    pub fn serves(&self) -> bool {
        self.serves.load(Ordering::Acquire)
    }

    /// Records taken in this process, and for how long it has been reading.
    #[must_use]
    pub fn pace(&self, now: Duration) -> (u64, Duration) {
        let began = self.began.lock().unwrap_or(now);
        (self.taken.load(Ordering::Relaxed), now.saturating_sub(began))
    }

    /// For how long it has held all there is; `None` while it does not.
    #[must_use]
    pub fn held_for(&self, now: Duration) -> Option<Duration> {
        self.caught_up.lock().map(|since| now.saturating_sub(since))
    }

    fn is_stopped(&self, reader: &Reader) -> bool {
        self.stop.is_cancelled() || reader.stops.iter().any(CancellationToken::is_cancelled)
    }

    /// Reads until asked to stop. A failure is told once and tried again: brokers come back, disks are emptied.
    pub(super) fn run(&self, reader: &Reader) {
        *self.stage.lock() = Stage::Reading;
        while !self.is_stopped(reader) {
            let serves = self.serves();
            let group =
                if serves { reader.group.clone() } else { format!("{}-v{}", reader.group, self.number) };
            let source = match reader.opens.open(&group) {
                Ok(source) => source,
                Err(error) => {
                    tracing::error!(%error, view = self.number, "the log can not be opened");
                    self.rest(reader, RETRY_AFTER);
                    continue;
                }
            };
            let ingest = Ingest::new(
                self.store.clone(),
                source,
                reader.sources.clone(),
                Arc::clone(&reader.clock),
                Arc::clone(&self.progress),
                serves && reader.feeds,
            )
            .with_mappings(reader.mappings.clone())
            .with_overrides(self.overrides.clone());
            self.rounds(ingest, reader, serves);
        }
    }

    /// Rounds until asked to stop, or until the view serves or does not any more.
    fn rounds(
        &self,
        mut ingest: Ingest<Box<dyn crate::ingest::RecordSource>>,
        reader: &Reader,
        serves: bool,
    ) {
        let mut told: Option<String> = None;
        while !self.is_stopped(reader) && self.serves() == serves {
            let before = reader.clock.monotonic();
            match ingest.step(POLL_WAIT) {
                Ok(count) => {
                    if told.take().is_some() {
                        tracing::info!(view = self.number, "ingest goes on");
                    }
                    self.counted(count, before, reader, serves);
                }
                Err(error) => {
                    let text = error.to_string();
                    if told.as_deref() != Some(text.as_str()) {
                        match &error {
                            IngestError::Source(_) => {
                                tracing::warn!(error = text, view = self.number, "ingest waits");
                            }
                            IngestError::Store(_) => {
                                tracing::error!(error = text, view = self.number, "ingest waits");
                            }
                        }
                        told = Some(text);
                    }
                    self.rest(reader, RETRY_AFTER);
                }
            }
        }
    }

    fn counted(&self, count: usize, before: Duration, reader: &Reader, serves: bool) {
        let now = reader.clock.monotonic();
        self.began.lock().get_or_insert(before);
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        self.taken.fetch_add(count, Ordering::Relaxed);
        {
            let mut caught_up = self.caught_up.lock();
            match self.progress.is_caught_up() {
                true => _ = caught_up.get_or_insert(now),
                false => *caught_up = None,
            }
        }
        if serves || count == 0 {
            return;
        }
        // Beside a view that serves, readers come first.
        let took = now.saturating_sub(before);
        let rest = match self.rate.load(Ordering::Relaxed) {
            0 => took,
            rate => Duration::from_millis(count.saturating_mul(1_000) / rate).saturating_sub(took),
        };
        self.rest(reader, rest.min(MAX_REST));
    }

    fn rest(&self, reader: &Reader, rest: Duration) {
        let until = reader.clock.monotonic() + rest;
        loop {
            let left = until.saturating_sub(reader.clock.monotonic());
            if left.is_zero() || self.is_stopped(reader) {
                return;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}
