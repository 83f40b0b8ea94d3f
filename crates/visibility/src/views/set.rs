//! Starting, promoting, rejecting and going back.
//!
//! What is decided is written into the registry first; threads and the pointer at the view that serves follow. A start
//! reads the registry and does again what was under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio_util::sync::CancellationToken;
use waybill_rt::{SharedClock, Supervisor};

use super::from::cut;
use super::live::{LiveView, Reader, Stage};
use super::registry::{EventRow, Registry, Step, ViewRow, ViewState};
use super::{From, ViewError};
use crate::ingest::{Opens, Progress, Sources};
use crate::mapping::{Mapping, MappingFile, Mappings};
use crate::model::Frontier;
use crate::query::Token;
use crate::store::sqlite::SqliteStore;

/// How long the view that served before is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

/// How views are read and where they are kept.
#[derive(Clone)]
pub struct ViewsConfig {
    /// The file of the first view; others and the registry stand beside it.
    pub store: PathBuf,
    /// Opens the log.
    pub opens: Arc<dyn Opens>,
    /// Which topics are read.
    pub sources: Sources,
    /// The mappings that topics may name.
    pub mappings: Mappings,
    /// The consumer group of the view that serves.
    pub group: String,
    /// The view that serves publishes refused records and repaired copies.
    pub feeds: bool,
    /// Time.
    pub clock: SharedClock,
    /// Asked to stop.
    pub shutdown: CancellationToken,
    /// Runs what the views need.
    pub tasks: Supervisor,
}

/// What is asked for when a view is to be built.
#[derive(Debug, Clone, Default)]
pub struct RebuildRequest {
    /// From where, as [`From`] reads it.
    pub from: String,
    /// Topics and the mappings that read them in this view.
    pub mappings: BTreeMap<String, String>,
    /// Texts of mapping files that come with it.
    pub files: Vec<String>,
    /// It runs beside the one that serves without an end.
    pub is_shadow: bool,
    /// Records a second at most; `None`: half of the time.
    pub rate: Option<u32>,
    /// Goes on though history is gone.
    pub without_gone: bool,
}

/// A condition of promotion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gate {
    /// It holds.
    pub holds: bool,
    /// In words.
    pub what: String,
}

/// A view as it stands.
#[derive(Debug, Clone)]
pub struct ViewStatus {
    /// As it is kept.
    pub row: ViewRow,
    /// Where its thread is; `None` where it has none.
    pub stage: Option<Stage>,
    /// Where it stands.
    pub frontier: Frontier,
    /// Up to where it keeps what another had read.
    pub cut: Frontier,
    /// Records not read yet.
    pub behind: u64,
    /// Records taken in this process, and for how long it has been reading.
    pub pace: (u64, Duration),
    /// For how long it has held all there is.
    pub held_for: Option<Duration>,
    /// Sources that are not read any more, and why.
    pub stopped: Vec<String>,
}

/// The views of one log.
pub struct Views {
    pub(super) config: ViewsConfig,
    pub(super) registry: Mutex<Registry>,
    pub(super) live: RwLock<BTreeMap<u32, Arc<LiveView>>>,
    pub(super) serving: AtomicU64,
    /// Held while it is decided which view serves.
    pub(super) switch: Mutex<()>,
    pub(super) compared: Mutex<BTreeMap<u32, (Duration, Frontier)>>,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("serving", &self.serving).finish_non_exhaustive()
    }
}

pub(crate) fn beside(store: &Path, end: &str) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_os_string();
    name.push(end);
    store.with_file_name(name)
}

/// The file of a view.
pub(super) fn file(store: &Path, number: u32) -> PathBuf {
    if number == 1 { store.to_owned() } else { beside(store, &format!("-v{number}")) }
}

pub(super) fn remove(path: &Path) -> std::io::Result<()> {
    for end in ["", "-wal", "-shm", "-journal"] {
        match std::fs::remove_file(beside(path, end)) {
            Ok(()) => {}
            Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(())
}

impl Views {
    /// Opens the registry and every view that it says is live, and goes on with each.
    ///
    /// # Errors
    /// A file can not be opened.
    pub fn open(config: ViewsConfig) -> Result<Arc<Self>, ViewError> {
        let registry = Registry::open(&beside(&config.store, "-views"), config.clock.now())?;
        let rows = registry.views()?;
        let views = Arc::new(Self {
            config,
            registry: Mutex::new(registry),
            live: RwLock::default(),
            serving: AtomicU64::new(1),
            switch: Mutex::new(()),
            compared: Mutex::default(),
        });
        for row in rows {
            if row.state.is_live() {
                views.go_on(&row)?;
            } else {
                remove(&file(&views.config.store, row.number))?;
            }
        }
        Ok(views)
    }

    fn go_on(self: &Arc<Self>, row: &ViewRow) -> Result<(), ViewError> {
        let path = file(&self.config.store, row.number);
        if !row.is_made {
            // It was being made from another when the process ended.
            remove(&path)?;
        }
        let live = match self.live_view(row, &path) {
            Ok(live) => live,
            Err(error) if row.state != ViewState::Serving => {
                tracing::error!(%error, view = row.number, "a view can not be gone on with");
                let step = Step { at: self.config.clock.now(), who: String::new(), note: error.to_string() };
                self.registry.lock().end(row.number, ViewState::Failed, "fail", &step)?;
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if row.state == ViewState::Serving {
            live.serves.store(true, Ordering::Release);
            self.serving.store(row.number.into(), Ordering::Release);
        }
        self.live.write().insert(row.number, live);
        Ok(())
    }

    /// Starts the threads of all views. Call once.
    pub fn start(self: &Arc<Self>) {
        let all: Vec<Arc<LiveView>> = self.live.read().values().cloned().collect();
        for live in all {
            self.spawn(live);
        }
    }

    pub(super) fn live_view(&self, row: &ViewRow, path: &Path) -> Result<Arc<LiveView>, ViewError> {
        let mappings = self.mappings_of(&row.files)?;
        let overrides = row
            .mappings
            .iter()
            .map(|(topic, name)| {
                let mapping =
                    mappings.find(name).map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
                Ok((topic.clone(), mapping))
            })
            .collect::<Result<Vec<(String, Mapping)>, ViewError>>()?;
        Ok(Arc::new(LiveView {
            number: row.number,
            store: Arc::new(SqliteStore::open(path)?),
            path: path.to_owned(),
            progress: Arc::new(Progress::new(self.config.clock.monotonic())),
            overrides,
            serves: AtomicBool::new(false),
            rate: AtomicU64::new(row.rate.map_or(0, u64::from)),
            stage: Mutex::new(if row.is_made { Stage::Reading } else { Stage::Keeping }),
            stop: CancellationToken::new(),
            ended: CancellationToken::new(),
            taken: AtomicU64::new(0),
            began: Mutex::new(None),
            caught_up: Mutex::new(None),
        }))
    }

    pub(super) fn mappings_of(&self, files: &[String]) -> Result<Mappings, ViewError> {
        let mut mappings = self.config.mappings.clone();
        for text in files {
            let file = MappingFile::parse("the mapping file", text)
                .map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
            mappings.add(file).map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
        }
        Ok(mappings)
    }

    pub(super) fn spawn(self: &Arc<Self>, live: Arc<LiveView>) {
        let views = Arc::clone(self);
        self.config.tasks.spawn("visibility view", async move {
            let work = move || {
                if let Err(error) = views.make(&live) {
                    tracing::error!(%error, view = live.number, "the view could not be built");
                    let step =
                        Step { at: views.config.clock.now(), who: String::new(), note: error.to_string() };
                    let failed = views.drop_view(live.number, ViewState::Failed, "fail", &step);
                    if let Err(error) = failed {
                        tracing::error!(%error, view = live.number, "nor could that be kept");
                    }
                } else {
                    live.run(&views.reader(&live));
                }
                live.ended.cancel();
            };
            tokio::task::spawn_blocking(work).await.map_err(|join| join.to_string())
        });
    }

    fn reader(&self, live: &LiveView) -> Reader {
        let row = self.registry.lock().view(live.number).ok().flatten();
        let files = row.map(|row| row.files).unwrap_or_default();
        Reader {
            opens: Arc::clone(&self.config.opens),
            sources: self.config.sources.clone(),
            mappings: self.mappings_of(&files).unwrap_or_else(|_| self.config.mappings.clone()),
            clock: Arc::clone(&self.config.clock),
            group: self.config.group.clone(),
            feeds: self.config.feeds,
            stops: vec![self.config.shutdown.clone(), self.config.tasks.stopping()],
        }
    }

    /// Copies what the view keeps of another, unless that was done.
    fn make(&self, live: &LiveView) -> Result<(), ViewError> {
        let row = self.registry.lock().view(live.number)?.ok_or(ViewError::Unknown(live.number))?;
        if row.is_made {
            return Ok(());
        }
        let from: From = row
            .from
            .parse()
            .map_err(|fault: super::from::NotAPlace| ViewError::BadFrom(fault.to_string()))?;
        let mut kept = Frontier::default();
        if let Some(base) = row.base {
            let base = self.live(base)?;
            let cut = cut(base.store.read()?.as_ref(), &from)?;
            live.store.keep_below(&base.path, &cut)?;
            kept = live.store.read()?.frontier()?;
        }
        let token = Token { time: row.at, frontier: kept, reading: None };
        self.registry.lock().made(live.number, &token.to_string())?;
        Ok(())
    }

    /// The view that serves.
    #[must_use]
    pub fn serving(&self) -> Option<Arc<LiveView>> {
        let number = u32::try_from(self.serving.load(Ordering::Acquire)).unwrap_or(1);
        self.live.read().get(&number).cloned()
    }

    /// A view that reads the log.
    ///
    /// # Errors
    /// There is none of that number.
    pub fn live(&self, number: u32) -> Result<Arc<LiveView>, ViewError> {
        self.live.read().get(&number).cloned().ok_or(ViewError::Unknown(number))
    }

    /// All views that read the log.
    #[must_use]
    pub fn all_live(&self) -> Vec<Arc<LiveView>> {
        self.live.read().values().cloned().collect()
    }

    /// What was decided, newest first.
    ///
    /// # Errors
    /// The registry failed.
    pub fn events(&self, limit: u32) -> Result<Vec<EventRow>, ViewError> {
        Ok(self.registry.lock().events(limit)?)
    }

    /// Every view as it stands, newest first.
    ///
    /// # Errors
    /// A store failed.
    pub fn statuses(&self) -> Result<Vec<ViewStatus>, ViewError> {
        let rows = self.registry.lock().views()?;
        rows.into_iter().map(|row| self.status_of(row)).collect()
    }

    /// One view as it stands.
    ///
    /// # Errors
    /// There is none of that number, or a store failed.
    pub fn status(&self, number: u32) -> Result<ViewStatus, ViewError> {
        let row = self.registry.lock().view(number)?.ok_or(ViewError::Unknown(number))?;
        self.status_of(row)
    }

    fn status_of(&self, row: ViewRow) -> Result<ViewStatus, ViewError> {
        let live = self.live.read().get(&row.number).cloned();
        let now = self.config.clock.monotonic();
        let cut = row.cut.as_deref().and_then(|token| token.parse::<Token>().ok());
        let cut = cut.map(|token| token.frontier).unwrap_or_default();
        let Some(live) = live else {
            let (pace, stopped) = ((0, Duration::ZERO), Vec::new());
            let frontier = Frontier::default();
            return Ok(ViewStatus {
                row,
                stage: None,
                frontier,
                cut,
                behind: 0,
                pace,
                held_for: None,
                stopped,
            });
        };
        let sources = live.progress.sources();
        let stopped = sources
            .iter()
            .filter_map(|source| source.stopped.as_ref().map(|why| format!("{}: {why}", source.name)));
        Ok(ViewStatus {
            stage: Some(live.stage()),
            frontier: live.store.read()?.frontier()?,
            cut,
            behind: sources.iter().map(|source| source.behind).sum(),
            pace: live.pace(now),
            held_for: live.held_for(now),
            stopped: stopped.collect(),
            row,
        })
    }
}
