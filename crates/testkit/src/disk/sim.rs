//! The simulated disk itself.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use waybill_rt::{Disk, DiskFile, Entropy, OpenMode, SeededEntropy, SharedDisk};

use crate::disk::content::Content;
use crate::disk::fault::{Fate, Fault, Faults, OpKind, eio, power_off};
use crate::disk::file::SimFile;
use crate::disk::names::{Names, Node};

/// What kind of disk it is.
#[derive(Debug, Clone, Copy)]
pub struct SimDiskOptions {
    /// A write that is not synced is torn at multiples of this many bytes: 512 or 4,096.
    pub sector: usize,
    /// Bytes that all files together can hold.
    pub capacity: u64,
    /// How many lines of the log are kept for [`SimDisk::log`].
    pub log_lines: usize,
}

impl Default for SimDiskOptions {
    fn default() -> Self {
        Self { sector: 512, capacity: 1 << 40, log_lines: 0 }
    }
}

/// A simulated disk. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimDisk {
    pub(crate) world: Arc<Mutex<World>>,
}

pub(crate) struct World {
    pub(crate) options: SimDiskOptions,
    pub(crate) entropy: SeededEntropy,
    pub(crate) names: Names,
    pub(crate) files: BTreeMap<u64, Inode>,
    pub(crate) faults: Faults,
    next_id: u64,
    next_handle: u64,
    trace: u64,
    log: Vec<String>,
}

#[derive(Clone, Default)]
pub(crate) struct Inode {
    pub(crate) content: Content,
    /// The open file that holds the lock.
    pub(crate) locked_by: Option<u64>,
    /// How often a sync failed; each open file is told once of each.
    pub(crate) failed_syncs: u64,
}

impl std::fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimDisk({} calls)", self.calls())
    }
}

impl SimDisk {
    /// An empty disk. The same seed and the same calls give the same answers, losses and log.
    #[must_use]
    pub fn new(seed: u64, options: SimDiskOptions) -> Self {
        Self::over(World {
            options,
            entropy: SeededEntropy::new(seed),
            names: Names::default(),
            files: BTreeMap::new(),
            faults: Faults::default(),
            next_id: 0,
            next_handle: 0,
            trace: 0xcbf2_9ce4_8422_2325,
            log: Vec::new(),
        })
    }

    fn over(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The disk as it is handed around.
    #[must_use]
    pub fn shared(&self) -> SharedDisk {
        Arc::new(self.clone())
    }

    /// Adds something that will go wrong.
    pub fn plan(&self, fault: Fault) {
        self.world.lock().faults.plan(fault);
    }

    /// Sets how many bytes all files together can hold.
    pub fn set_capacity(&self, bytes: u64) {
        self.world.lock().options.capacity = bytes;
    }

    /// The disk is full now: what is written where nothing was is refused, what is written over bytes that are there is
    /// taken.
    pub fn fill(&self) {
        let mut world = self.world.lock();
        world.options.capacity = world.used();
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.world.lock().faults.calls()
    }

    /// How many calls of one kind there were.
    #[must_use]
    pub fn calls_of(&self, kind: OpKind) -> u64 {
        self.world.lock().faults.calls_of(kind)
    }

    /// Whether the power has gone.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.world.lock().faults.is_off()
    }

    /// A hash over all calls, their arguments, bytes and answers so far.
    #[must_use]
    pub fn trace(&self) -> u64 {
        self.world.lock().trace
    }

    /// The last calls.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.world.lock().log.clone()
    }

    /// The power goes and comes back: the disk as it is found then. Open files of this one are dead, locks are free.
    #[must_use]
    pub fn crash(&self) -> Self {
        let mut world = self.world.lock().copied();
        self.world.lock().faults.switch_off();
        let entropy = SeededEntropy::new(world.entropy.next_u64());
        world.names.power_loss(&entropy);
        let sector = world.options.sector;
        for inode in world.files.values_mut() {
            inode.content.power_loss(&entropy, sector);
        }
        world.forget_nameless();
        world.note("crash", Path::new(""), 0, &[], true);
        world.entropy = entropy;
        Self::over(world)
    }

    /// The process is killed: what it wrote is still seen by the next one, synced or not. Open files of this one are
    /// dead, locks are free.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut world = self.world.lock().copied();
        self.world.lock().faults.switch_off();
        world.forget_nameless();
        world.note("kill", Path::new(""), 0, &[], true);
        Self::over(world)
    }

    /// A copy of the disk as it is, without its plan: locks free, what was not synced still not synced.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self::over(self.world.lock().copied())
    }

    /// What a file holds on the platter; `None` when there is no such file.
    #[must_use]
    pub fn durable_bytes(&self, path: &Path) -> Option<Vec<u8>> {
        self.with_content(path, |content| content.durable().to_vec())
    }

    /// Changes one bit of a file. `false` when there is no such file.
    pub fn flip_bit(&self, path: &Path, byte: usize, bit: u32) -> bool {
        self.with_content(path, |content| content.flip(byte, bit)).is_some()
    }

    /// Replaces what a file holds. `false` when there is no such file.
    pub fn replace(&self, path: &Path, bytes: Vec<u8>) -> bool {
        self.with_content(path, |content| content.replace(bytes)).is_some()
    }

    fn with_content<T>(&self, path: &Path, act: impl FnOnce(&mut Content) -> T) -> Option<T> {
        let mut world = self.world.lock();
        let id = world.names.file(path).ok()?;
        world.files.get_mut(&id).map(|inode| act(&mut inode.content))
    }

    fn name_call<T>(
        &self,
        kind: OpKind,
        what: &str,
        path: &Path,
        act: impl FnOnce(&mut World) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut world = self.world.lock();
        let mut unseen = None;
        let result = match world.faults.next(kind)? {
            Fate::Works => act(&mut world),
            Fate::Eio | Fate::NoSpace => Err(eio()),
            Fate::PowerGoes => {
                // The caller never learns, but it may have happened.
                if world.entropy.below(2) == 0 {
                    unseen = Some(act(&mut world));
                }
                Err(power_off())
            }
        };
        world.note(what, path, 0, &[], result.is_ok());
        // A file that goes takes the lock on its disk.
        drop(world);
        drop(unseen);
        result
    }
}

impl World {
    /// Everything but the plan, the power and the locks. Draws the copy's entropy, so that copies differ.
    fn copied(&self) -> Self {
        let mut files = self.files.clone();
        for inode in files.values_mut() {
            inode.locked_by = None;
        }
        Self {
            options: self.options,
            entropy: SeededEntropy::new(self.entropy.next_u64()),
            names: self.names.clone(),
            files,
            faults: Faults::default(),
            next_id: self.next_id,
            next_handle: self.next_handle,
            trace: self.trace,
            log: self.log.clone(),
        }
    }

    fn forget_nameless(&mut self) {
        let named: std::collections::BTreeSet<u64> = self.names.files().collect();
        self.files.retain(|id, _| named.contains(id));
    }

    /// Bytes of space that all files that have a name take.
    pub(crate) fn used(&self) -> u64 {
        let named = self.names.live_files().filter_map(|id| self.files.get(&id));
        named.map(|inode| inode.content.space()).sum()
    }

    /// Adds a call to the trace (FNV-1a) and the log.
    pub(crate) fn note(&mut self, what: &str, path: &Path, at: u64, bytes: &[u8], worked: bool) {
        let mut hash = self.trace;
        let numbers = [at.to_le_bytes(), (bytes.len() as u64).to_le_bytes(), [u8::from(worked); 8]];
        let name = path.as_os_str().as_encoded_bytes();
        for byte in what.bytes().chain(name.iter().copied()).chain(numbers.into_iter().flatten()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        self.trace = (hash ^ u64::from(crc32c::crc32c(bytes))).wrapping_mul(0x0100_0000_01b3);
        if self.options.log_lines > 0 {
            if self.log.len() >= self.options.log_lines {
                self.log.remove(0);
            }
            let end = if worked { "" } else { " fails" };
            self.log.push(format!("{what} {} at {at} of {}{end}", path.display(), bytes.len()));
        }
    }

    fn open(&mut self, disk: &SimDisk, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let found = self.names.get(path);
        let id = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(Node::File(id)), _) => id,
            (None, OpenMode::CreateNew | OpenMode::CreateOrOpen) => {
                let id = self.next_id;
                self.names.make_file(path, id)?;
                self.next_id += 1;
                self.files.insert(id, Inode::default());
                id
            }
            _ => self.names.file(path)?,
        };
        let handle = self.next_handle;
        self.next_handle += 1;
        let failed_syncs = self.files.get(&id).map_or(0, |inode| inode.failed_syncs);
        Ok(Arc::new(SimFile::new(disk.clone(), path, id, handle, mode, failed_syncs)))
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.name_call(OpKind::Name, "open", path, |world| world.open(self, path, mode))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.name_call(OpKind::Name, "mkdir", path, |world| world.names.make_dirs(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.name_call(OpKind::Change, "rename", to, |world| world.names.rename(from, to))
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.name_call(OpKind::Change, "remove", path, |world| world.names.remove(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.name_call(OpKind::SyncDir, "syncdir", path, |world| world.names.sync(path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.name_call(OpKind::Name, "list", path, |world| world.names.list(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.name_call(OpKind::Name, "exists", path, |world| Ok(world.names.get(path).is_some()))
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.name_call(OpKind::Name, "free", path, |world| {
            Ok(world.options.capacity.saturating_sub(world.used()))
        })
    }
}
