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

use super::compare::{Report, compare, meet};
use super::from::{cut, gone};
use super::live::{LiveView, Reader, Stage};
use super::registry::{EventRow, Registry, Step, ViewRow, ViewState};
use super::{From, ViewError};
use crate::ingest::{LogRange, Opens, Part, Progress, Sources};
use crate::mapping::{Mapping, MappingFile, Mappings, Record};
use crate::model::Frontier;
use crate::query::Token;
use crate::store::sqlite::SqliteStore;
use crate::store::{Cut, Decision, Outcome, QuarantineFilter, RowState, Ruling, StoreError};

/// How long the view that served before is kept.
pub const KEPT_FOR: Duration = Duration::from_secs(7 * 86_400);

/// Views built at once, shadows among them, at most.
const MAX_BUILDING: usize = 2;

/// A comparison is made again when this has passed and the views have moved.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// Records whose decisions are carried from view to view, at most.
const MAX_CARRIED: usize = 1_000_000;

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
    config: ViewsConfig,
    registry: Mutex<Registry>,
    live: RwLock<BTreeMap<u32, Arc<LiveView>>>,
    serving: AtomicU64,
    /// Held while it is decided which view serves.
    switch: Mutex<()>,
    compared: Mutex<BTreeMap<u32, (Duration, Frontier)>>,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("serving", &self.serving).finish_non_exhaustive()
    }
}

fn beside(store: &Path, end: &str) -> PathBuf {
    let mut name = store.file_name().unwrap_or_default().to_os_string();
    name.push(end);
    store.with_file_name(name)
}

/// The file of a view.
fn file(store: &Path, number: u32) -> PathBuf {
    if number == 1 { store.to_owned() } else { beside(store, &format!("-v{number}")) }
}

fn remove(path: &Path) -> std::io::Result<()> {
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

    fn live_view(&self, row: &ViewRow, path: &Path) -> Result<Arc<LiveView>, ViewError> {
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

    fn mappings_of(&self, files: &[String]) -> Result<Mappings, ViewError> {
        let mut mappings = self.config.mappings.clone();
        for text in files {
            let file = MappingFile::parse("the mapping file", text)
                .map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
            mappings.add(file).map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
        }
        Ok(mappings)
    }

    fn spawn(self: &Arc<Self>, live: Arc<LiveView>) {
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

    /// Starts to build a view. Returns its number.
    ///
    /// # Errors
    /// The place is not known, history that it needs is gone, a mapping is not known, or as many are built as may be.
    pub fn rebuild(self: &Arc<Self>, request: &RebuildRequest, step: &Step) -> Result<u32, ViewError> {
        let from: From = request
            .from
            .parse()
            .map_err(|fault: super::from::NotAPlace| ViewError::BadFrom(fault.to_string()))?;
        let mappings = self.mappings_of(&request.files)?;
        for name in request.mappings.values() {
            mappings.find(name).map_err(|fault| ViewError::BadMapping(fault.to_string()))?;
        }
        let _switch = self.switch.lock();
        let building: Vec<ViewRow> = {
            let rows = self.registry.lock().views()?;
            rows.into_iter().filter(|row| row.state == ViewState::Building).collect()
        };
        if let Some(other) = building.iter().find(|row| row.is_shadow == request.is_shadow) {
            return Err(ViewError::Busy(other.number));
        }
        if building.len() >= MAX_BUILDING {
            return Err(ViewError::Busy(building.first().map_or(0, |row| row.number)));
        }
        let (base, cut) = self.base(&from)?;
        let ranges = self.ranges()?;
        let lacks = gone(base.store.read()?.as_ref(), &cut, &ranges)?;
        if !lacks.is_empty() && !request.without_gone {
            return Err(ViewError::Gone(lacks));
        }
        let row = ViewRow {
            number: 0,
            state: ViewState::Building,
            is_shadow: request.is_shadow,
            from: from.to_string(),
            base: (!cut.is_empty()).then_some(base.number),
            is_made: false,
            cut: None,
            mappings: request.mappings.clone(),
            files: request.files.clone(),
            rate: request.rate,
            at: step.at,
            who: step.who.clone(),
            note: step.note.clone(),
            changed: step.at,
            changed_by: step.who.clone(),
            changed_note: step.note.clone(),
        };
        let number = self.registry.lock().add(&row)?;
        let row = ViewRow { number, ..row };
        let path = file(&self.config.store, number);
        remove(&path)?;
        let live = self.live_view(&row, &path)?;
        self.live.write().insert(number, Arc::clone(&live));
        self.spawn(live);
        Ok(number)
    }

    /// The view of which what lies below `from` can be kept: the one that serves, else one that is kept.
    fn base(&self, from: &From) -> Result<(Arc<LiveView>, Cut), ViewError> {
        let mut all = self.all_live();
        all.sort_by_key(|live| (!live.serves(), std::cmp::Reverse(live.number)));
        let mut first = None;
        for live in all {
            let found = cut(live.store.read()?.as_ref(), from);
            match found {
                Ok(cut) => return Ok((live, cut)),
                Err(error) => first = first.or(Some(error)),
            }
        }
        Err(first.unwrap_or(ViewError::Unknown(0)))
    }

    /// What the log holds now.
    fn ranges(&self) -> Result<BTreeMap<Part, LogRange>, ViewError> {
        let mut source = self.config.opens.open(&format!("{}-look", self.config.group))?;
        let mut ranges = BTreeMap::new();
        for topic in source.topics()? {
            for (partition, range) in source.ranges(&topic)? {
                ranges.insert((topic.id, partition), range);
            }
        }
        Ok(ranges)
    }

    /// Compares a view with the one that serves, and keeps the report.
    ///
    /// # Errors
    /// It does not read the log, or a store failed.
    pub fn compare(&self, number: u32) -> Result<Report, ViewError> {
        let (green, blue) = (self.live(number)?, self.serving().ok_or(ViewError::Unknown(0))?);
        let now = self.config.clock.now();
        let (here, there) = (blue.store.read()?, green.store.read()?);
        let frontier = meet(&here.frontier()?, &there.frontier()?);
        let report = compare(here.as_ref(), there.as_ref(), (blue.number, green.number), now)?;
        let body = serde_json::to_string(&report).map_err(|fault| StoreError::Corrupt(fault.to_string()))?;
        self.registry.lock().save_report(number, now, &body)?;
        self.compared.lock().insert(number, (self.config.clock.monotonic(), frontier));
        Ok(report)
    }

    /// The last report about a view.
    ///
    /// # Errors
    /// The registry failed.
    pub fn report(&self, number: u32) -> Result<Option<Report>, ViewError> {
        let body = self.registry.lock().report(number)?;
        // A report of another version is made again.
        Ok(body.and_then(|body| serde_json::from_str(&body).ok()))
    }

    /// What must hold before a view may serve.
    ///
    /// # Errors
    /// It is not known, or a store failed.
    pub fn gates(&self, number: u32) -> Result<Vec<Gate>, ViewError> {
        let status = self.status(number)?;
        let Ok(live) = self.live(number) else { return Ok(Vec::new()) };
        let report = self.report(number)?;
        let counts = live.store.read()?.counts()?;
        let caught_up =
            status.held_for.is_some() && live.progress.is_caught_up() && status.stopped.is_empty();
        let caught = match (&status.held_for, status.stopped.first()) {
            (_, Some(stopped)) => format!("a source is not read: {stopped}"),
            (Some(held), None) if caught_up => format!("at the end of the log for {} s", held.as_secs()),
            _ => format!("{} records behind the log", status.behind),
        };
        let explained = report.as_ref().is_some_and(|report| report.unexplained == 0);
        Ok(vec![
            Gate { holds: caught_up, what: caught },
            Gate {
                holds: report.is_some(),
                what: report.as_ref().map_or_else(
                    || "not compared yet".to_owned(),
                    |report| format!("compared at {}", report.at),
                ),
            },
            Gate {
                holds: explained,
                what: match &report {
                    Some(report) if report.unexplained > 0 => {
                        format!("{} records make a difference that nothing explains", report.unexplained)
                    }
                    _ => "every difference has a reason".to_owned(),
                },
            },
            Gate {
                holds: counts.iter().all(crate::store::Counts::is_conserved),
                what: "in = projected + held + quarantined + repaired + discarded".to_owned(),
            },
        ])
    }

    /// Lets a view serve in place of the one that does, which is kept. `force` also where not every gate holds.
    ///
    /// # Errors
    /// It is not being built, a gate does not hold, or a store failed: then nothing changed.
    pub fn promote(&self, number: u32, step: &Step, force: bool) -> Result<(), ViewError> {
        let _switch = self.switch.lock();
        self.must_be(number, ViewState::Building, "only a view that is being built can be promoted")?;
        let green = self.live(number)?;
        if !force {
            let blue = self.serving().ok_or(ViewError::Unknown(0))?;
            let now = meet(&blue.store.read()?.frontier()?, &green.store.read()?.frontier()?);
            if self.compared.lock().get(&number).is_none_or(|(_, then)| *then != now) {
                self.compare(number)?;
            }
        }
        let gates = self.gates(number)?;
        let reasons: Vec<String> =
            gates.into_iter().filter(|gate| !gate.holds).map(|gate| gate.what).collect();
        if !force && !reasons.is_empty() || green.stage() == Stage::Keeping {
            return Err(ViewError::NotReady { number, reasons });
        }
        self.switch_to(&green, ViewState::Kept, "promote", step)
    }

    /// Lets the view serve again that did before the last promotion. The one that serves now is given up.
    ///
    /// # Errors
    /// It is not kept, or a store failed: then nothing changed.
    pub fn rollback(&self, number: u32, step: &Step) -> Result<(), ViewError> {
        let _switch = self.switch.lock();
        self.must_be(
            number,
            ViewState::Kept,
            "only a view that served before and is kept can be gone back to",
        )?;
        let (back, now) = (self.live(number)?, self.serving().ok_or(ViewError::Unknown(0))?);
        self.switch_to(&back, ViewState::RolledBack, "rollback", step)?;
        self.forget(&now)
    }

    fn switch_to(
        &self,
        to: &Arc<LiveView>,
        then: ViewState,
        what: &str,
        step: &Step,
    ) -> Result<(), ViewError> {
        let from = self.serving().ok_or(ViewError::Unknown(0))?;
        carry(&from, to)?;
        to.store.take_over(&from.path)?;
        self.registry.lock().switch(from.number, then, to.number, what, step)?;
        // From here on it is decided: whoever starts next finds it so.
        from.serves.store(false, Ordering::Release);
        to.serves.store(true, Ordering::Release);
        self.serving.store(to.number.into(), Ordering::Release);
        Ok(())
    }

    /// Decides that a view will not serve, and gives it up.
    ///
    /// # Errors
    /// It serves or is gone already, or the registry failed.
    pub fn reject(&self, number: u32, step: &Step) -> Result<(), ViewError> {
        let _switch = self.switch.lock();
        self.must_be(number, ViewState::Building, "only a view that is being built can be rejected")?;
        self.drop_view(number, ViewState::Rejected, "reject", step)
    }

    /// Sets how fast a view is built: records a second at most, `None` for half of the time.
    ///
    /// # Errors
    /// It is not being built, or the registry failed.
    pub fn throttle(&self, number: u32, rate: Option<u32>, step: &Step) -> Result<(), ViewError> {
        self.must_be(number, ViewState::Building, "only a view that is being built can be slowed down")?;
        self.registry.lock().throttle(number, rate, step)?;
        self.live(number)?.rate.store(rate.map_or(0, u64::from), Ordering::Relaxed);
        Ok(())
    }

    fn must_be(&self, number: u32, state: ViewState, hint: &'static str) -> Result<(), ViewError> {
        let row = self.registry.lock().view(number)?.ok_or(ViewError::Unknown(number))?;
        if row.state == state {
            return Ok(());
        }
        Err(ViewError::NotFor { number, state: row.state.name(), hint })
    }

    fn drop_view(&self, number: u32, state: ViewState, what: &str, step: &Step) -> Result<(), ViewError> {
        self.registry.lock().end(number, state, what, step)?;
        match self.live(number) {
            Ok(live) => self.forget(&live),
            Err(_) => Ok(()),
        }
    }

    /// Stops a view's thread and removes its file. Requests that still read it keep what they have open.
    fn forget(&self, live: &LiveView) -> Result<(), ViewError> {
        live.stop.cancel();
        self.live.write().remove(&live.number);
        self.compared.lock().remove(&live.number);
        remove(&live.path)?;
        Ok(())
    }

    /// What has become due: comparisons of views that have caught up, and the end of views kept long enough.
    ///
    /// # Errors
    /// A store failed; it is tried again.
    pub fn tend(&self) -> Result<(), ViewError> {
        let rows = self.registry.lock().views()?;
        let (now, wall) = (self.config.clock.monotonic(), self.config.clock.now());
        for row in rows {
            match row.state {
                ViewState::Building if self.must_compare(row.number, now)? => {
                    self.compare(row.number)?;
                }
                ViewState::Kept => {
                    let age = u128::try_from(wall.get().saturating_sub(row.changed.get())).unwrap_or(0);
                    if age > KEPT_FOR.as_millis() {
                        let _switch = self.switch.lock();
                        let step =
                            Step { at: wall, who: String::new(), note: "kept for its time".to_owned() };
                        self.drop_view(row.number, ViewState::Retired, "retire", &step)?;
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn must_compare(&self, number: u32, now: Duration) -> Result<bool, ViewError> {
        let Ok(green) = self.live(number) else { return Ok(false) };
        if !green.progress.is_caught_up() || green.held_for(now).is_none() {
            return Ok(false);
        }
        let last = self.compared.lock().get(&number).cloned();
        let Some((at, then)) = last else { return Ok(true) };
        if now.saturating_sub(at) < COMPARE_EVERY {
            return Ok(false);
        }
        let Some(blue) = self.serving() else { return Ok(false) };
        Ok(meet(&blue.store.read()?.frontier()?, &green.store.read()?.frontier()?) != then)
    }
}

/// Decisions about refused records are not in the log: they go from the view where they were made to the one that is to
/// serve. Doing it again changes nothing.
fn carry(from: &LiveView, to: &LiveView) -> Result<(), ViewError> {
    let read = from.store.read()?;
    let filter = QuarantineFilter { states: vec![RowState::Discarded], ..QuarantineFilter::default() };
    let mappings: BTreeMap<_, _> = to
        .progress
        .sources()
        .into_iter()
        .filter_map(|source| Some((source.topic, source.mapping?)))
        .collect();
    let remap = |record: &Record| match mappings.get(&record.topic).map(|mapping| mapping.map(record)) {
        Some(Ok(facts)) => Outcome::Projected(facts),
        Some(Err(refusal)) => Outcome::Quarantined(refusal),
        None => Outcome::Quarantined(crate::mapping::Refusal::new("no_mapping", "its topic is not read")),
    };
    let mut rulings = Vec::new();
    for row in read.quarantined(&filter, MAX_CARRIED)? {
        let last = read.decisions(&row.id())?.pop();
        let (who, at, note) = last.map(|each| (each.who, each.at, each.note)).unwrap_or_default();
        rulings.push(Ruling { record: row.id(), decision: Decision::Discard, who, at, note });
    }
    for repair in from.store.repairs(MAX_CARRIED)? {
        let decision = Decision::Repair(repair.value.clone());
        let note = "taken over with the view".to_owned();
        rulings.push(Ruling { record: repair.row.id(), decision, who: repair.who, at: repair.at, note });
    }
    if !rulings.is_empty() {
        to.store.rule(&rulings, &remap)?;
        crate::project::derive_all(to.store.as_ref())?;
    }
    Ok(())
}
