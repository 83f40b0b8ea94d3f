//! What goes wrong, and when.

use std::io;

/// The kinds of calls that are counted and can fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpKind {
    /// Opening a file, making a folder, listing, asking for a name.
    Name,
    /// Reading.
    Read,
    /// Writing, or setting a length.
    Write,
    /// Syncing a file.
    Sync,
    /// Renaming or removing.
    Change,
    /// Syncing a folder.
    SyncDir,
}

/// Something that goes wrong once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The power goes with the call that has this number, counted over all calls from 0: it may have had its effect or
    /// a part of it, and every later call fails.
    PowerOff {
        /// The call.
        at: u64,
    },
    /// The call of this kind with this number (from 0, within its kind) fails with EIO.
    Eio {
        /// The kind.
        kind: OpKind,
        /// Which one.
        nth: u64,
    },
    /// The write with this number (from 0) fails with ENOSPC and has no effect.
    NoSpace {
        /// Which one.
        nth: u64,
    },
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

pub(crate) fn eio() -> io::Error {
    io::Error::from_raw_os_error(EIO)
}

pub(crate) fn no_space() -> io::Error {
    io::Error::from_raw_os_error(ENOSPC)
}

pub(crate) fn power_off() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the simulated machine is off")
}

/// Whether a call goes on, fails, or is the last one before the dark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Works,
    Eio,
    NoSpace,
    PowerGoes,
}

/// The plan and the counts it goes by.
#[derive(Debug, Clone, Default)]
pub(crate) struct Faults {
    planned: Vec<Fault>,
    calls: u64,
    by_kind: [u64; 6],
    off: bool,
}

impl Faults {
    pub(crate) fn plan(&mut self, fault: Fault) {
        self.planned.push(fault);
    }

    pub(crate) fn calls(&self) -> u64 {
        self.calls
    }

    pub(crate) fn calls_of(&self, kind: OpKind) -> u64 {
        self.by_kind.get(kind as usize).copied().unwrap_or(0)
    }

    pub(crate) fn is_off(&self) -> bool {
        self.off
    }

    pub(crate) fn switch_off(&mut self) {
        self.off = true;
    }

    /// Counts a call and tells its fate.
    pub(crate) fn next(&mut self, kind: OpKind) -> io::Result<Fate> {
        if self.off {
            return Err(power_off());
        }
        let (call, of_kind) = (self.calls, self.calls_of(kind));
        self.calls += 1;
        if let Some(count) = self.by_kind.get_mut(kind as usize) {
            *count += 1;
        }
        let due = self.planned.iter().position(|fault| match *fault {
            Fault::PowerOff { at } => at == call,
            Fault::Eio { kind: failing, nth } => failing == kind && nth == of_kind,
            Fault::NoSpace { nth } => kind == OpKind::Write && nth == of_kind,
        });
        Ok(match due.map(|at| self.planned.swap_remove(at)) {
            None => Fate::Works,
            Some(Fault::PowerOff { .. }) => {
                self.off = true;
                Fate::PowerGoes
            }
            Some(Fault::Eio { .. }) => Fate::Eio,
            Some(Fault::NoSpace { .. }) => Fate::NoSpace,
        })
    }
}
