//! What is decided about views: building, comparing, promoting, rejecting, going back; and what falls due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::compare::{Report, compare, meet};
use super::from::{cut, gone};
use super::live::{LiveView, Stage};
use super::registry::{Step, ViewRow, ViewState};
use super::set::{Gate, KEPT_FOR, RebuildRequest, Views, file, remove};
use super::{From, ViewError};
use crate::ingest::{LogRange, Part};
use crate::mapping::Record;
use crate::store::{Cut, Decision, Outcome, QuarantineFilter, RowState, Ruling, StoreError};

/// Views built at once, shadows among them, at most.
const MAX_BUILDING: usize = 2;

/// A comparison is made again when this has passed and the views have moved.
const COMPARE_EVERY: Duration = Duration::from_secs(60);

/// Records whose decisions are carried from view to view, at most.
const MAX_CARRIED: usize = 1_000_000;

impl Views {
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

    pub(super) fn drop_view(
        &self,
        number: u32,
        state: ViewState,
        what: &str,
        step: &Step,
    ) -> Result<(), ViewError> {
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
