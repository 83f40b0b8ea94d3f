//! One life of a process.

use std::io::{self, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use waybill_rt::{Disk, Entropy, OpenMode, SeededEntropy, SharedClock};
use waybill_testkit::disk::SimDisk;
use waybill_types::Incarnation;
use waybill_wal::{
    FileWal, FileWalOptions, Pace, RecoverError, Ring, RingOptions, Sabotage, Wal, WalError, WalPosition,
    WriterMode,
};

use crate::model::{Record, STORE, SharedModel, Sink};

pub(crate) const DIR: &str = "/root/wal";

/// How the WAL of a run is set up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setup {
    pub(crate) files: u32,
    pub(crate) file_size: u64,
    pub(crate) zero_step: u64,
    pub(crate) group_bytes: usize,
    pub(crate) longest_pace_ms: u64,
    pub(crate) sabotage: Sabotage,
}

impl Setup {
    pub(crate) fn small() -> Self {
        Self {
            files: 4,
            file_size: 32 << 10,
            zero_step: 16 << 10,
            group_bytes: 16 << 10,
            longest_pace_ms: 0,
            sabotage: Sabotage::None,
        }
    }

    pub(crate) fn draw(entropy: &SeededEntropy, sabotage: Sabotage) -> Self {
        Self {
            files: 4 + entropy.below(3) as u32,
            file_size: 32 << (10 + entropy.below(2)),
            zero_step: 8 << (10 + entropy.below(2)),
            group_bytes: 4 << (10 + entropy.below(4)),
            longest_pace_ms: entropy.below(6),
            sabotage,
        }
    }

    fn ring(&self) -> RingOptions {
        RingOptions { files: self.files, file_size: self.file_size, sabotage: self.sabotage }
    }

    fn options(&self, seed: u64) -> FileWalOptions {
        let (longest, entropy) = (self.longest_pace_ms, SeededEntropy::new(seed));
        let pace: Pace = Arc::new(move |_| Duration::from_millis(entropy.below(longest + 1)));
        FileWalOptions {
            queue_bytes: 64 << 10,
            group_bytes: self.group_bytes,
            zero_step: self.zero_step,
            frame_headroom: 8 << 10,
            free_min: 0,
            mode: WriterMode::Task { pace: Some(pace) },
            sabotage: self.sabotage,
            ..FileWalOptions::default()
        }
    }
}

/// Why a process did not come up.
#[derive(Debug)]
pub(crate) enum Down {
    /// The disk failed, or the power is gone: another process will try again.
    Disk(String),
    /// It refuses to start, because going on would lose data.
    Refused(RecoverError),
    /// It came up with another log than it should have.
    Lost(String),
}

fn disk_failed(error: impl std::fmt::Display) -> Down {
    Down::Disk(error.to_string())
}

/// Writes a segment: a file, synced, and its name.
fn write_segment(disk: &SimDisk, name: &str, bytes: &[u8]) -> io::Result<()> {
    let dir = Path::new("/root/seg");
    disk.create_dir_all(dir)?;
    let file = disk.open(&dir.join(name), OpenMode::CreateOrOpen)?;
    file.set_len(0)?;
    file.write_all_at(&[IoSlice::new(bytes)], 0)?;
    file.sync_data()?;
    disk.sync_dir(dir)
}

/// A step that the power can go at, standing for the metadata commit: durable when it returns, else it never happened.
fn commit(disk: &SimDisk) -> io::Result<()> {
    disk.exists(Path::new("/meta")).map(drop)
}

/// Opens the ring and reads its log, checking every record. Returns how many records there are.
pub(crate) fn recover(
    disk: &SimDisk,
    model: &SharedModel,
    setup: &Setup,
) -> Result<(Arc<Ring>, u64, WalPosition), Down> {
    let ring = Ring::open(disk.shared(), Path::new(DIR), STORE, setup.ring(), 1).map_err(disk_failed)?;
    let (registered, mut end) = {
        let model = model.lock();
        (model.committed.registered, model.committed.records)
    };
    let refused = |error| match error {
        RecoverError::Io { .. } => disk_failed(error),
        error => Down::Refused(error),
    };
    let mut recovery = ring.recover(registered).map_err(refused)?;
    while let Some(frames) = recovery.next_group().map_err(refused)? {
        let name = format!("recovered-{end}");
        let bytes = frames.iter().map(|frame| &frame.frame.records[..]).collect::<Vec<_>>().concat();
        write_segment(disk, &name, &bytes).map_err(disk_failed)?;
        for frame in &frames {
            model.lock().check(end, &frame.frame);
            end += 1;
        }
    }
    Ok((ring, end, recovery.next_trim))
}

/// The whole start-up, in the order that the rules ask.
pub(crate) fn start(
    disk: &SimDisk,
    model: &SharedModel,
    setup: &Setup,
    clock: &SharedClock,
    seed: u64,
) -> Result<Arc<FileWal>, Down> {
    model.lock().begin_life();
    let (ring, end, trim) = recover(disk, model, setup)?;
    model.lock().recovered(end);
    if let Some(lost) = model.lock().violations.first() {
        return Err(Down::Lost(lost.clone()));
    }
    let incarnation = Incarnation(model.lock().committed.registered.incarnation.get() + 1);
    commit(disk).map_err(disk_failed)?;
    model.lock().start_commit(end, incarnation, trim);
    let sink = Arc::new(Sink(Arc::clone(model)));
    FileWal::start(ring, incarnation, trim, setup.options(seed), clock.clone(), sink).map_err(disk_failed)
}

/// Appends one record.
pub(crate) async fn append(wal: &FileWal, model: &SharedModel, length: usize) -> Result<(), WalError> {
    let permit = wal.reserve(length).await?;
    let mut guard = model.lock();
    let n = guard.appended.last_key_value().map_or(guard.committed.records, |(n, _)| n + 1);
    let record = Record { life: guard.life, length };
    // Known before it is handed over: it may be durable and reported at once.
    guard.appended.insert(n, record);
    drop(guard);
    wal.append(vec![record.frame(n)], permit).inspect_err(|_| {
        model.lock().appended.remove(&n);
    })
}

/// Moves what may be flushed into a segment, commits, trims.
pub(crate) fn flush(disk: &SimDisk, wal: &FileWal, model: &SharedModel) -> io::Result<()> {
    let trim = wal.flushable_end();
    let (records, was) = {
        let model = model.lock();
        let below = model.groups.iter().flatten().filter(|(_, position, _)| *position < trim);
        let end = below.map(|(n, _, _)| n + 1).max().unwrap_or(0);
        (end.max(model.committed.records), model.committed.registered.trim)
    };
    if trim <= was {
        return Ok(());
    }
    write_segment(disk, &format!("flushed-{records}"), b"records")?;
    commit(disk)?;
    model.lock().flush_commit(records, trim);
    wal.trim(trim);
    Ok(())
}

/// Reads back a record that was acked in this life and is not trimmed.
pub(crate) async fn read_back(wal: &FileWal, model: &SharedModel, pick: u64) {
    let found = {
        let model = model.lock();
        let trim = model.committed.registered.trim;
        let held: Vec<_> =
            model.groups.iter().flatten().filter(|(_, position, _)| *position >= trim).copied().collect();
        if held.is_empty() { None } else { Some(held[pick as usize % held.len()]) }
    };
    let Some((n, position, length)) = found else { return };
    let read = wal.read(position, length).await;
    let mut model = model.lock();
    match read {
        Ok(records) => {
            let mut frame = model.appended[&n].frame(n);
            frame.records = records;
            model.check(n, &frame);
        }
        Err(WalError::Io(_) | WalError::Trimmed(_)) => {}
        Err(error) => model.violate(format!("acked record {n} can not be read: {error}")),
    }
}

/// Load for one life: appends, idles, flushes, rolls and reads, until it has had enough or the WAL fails.
pub(crate) async fn load(
    disk: &SimDisk,
    wal: &FileWal,
    model: &SharedModel,
    clock: &SharedClock,
    entropy: &SeededEntropy,
) {
    let lazy_flusher = entropy.below(3) == 0;
    for _ in 0..entropy.below(60) {
        let length = match entropy.below(12) {
            0 => entropy.below(wal.max_frame() as u64 + 1),
            1..4 => entropy.below(9000),
            _ => entropy.below(1200),
        };
        let one = append(wal, model, length as usize);
        let waited = tokio::select! {
            biased;
            done = one => Some(done),
            () = clock.sleep(Duration::from_secs(2)) => None,
        };
        match waited {
            // The ring is full: make room, as storage does.
            None => {
                wal.roll();
                if flush(disk, wal, model).is_err() {
                    return;
                }
            }
            Some(Ok(()) | Err(WalError::NoSpace(_))) => {}
            Some(Err(_)) => return,
        }
        match entropy.below(10) {
            0 => clock.sleep(Duration::from_millis(150)).await,
            1..5 => clock.sleep(Duration::from_millis(entropy.below(8))).await,
            5 => wal.roll(),
            6 => read_back(wal, model, entropy.next_u64()).await,
            _ => {}
        }
        if entropy.below(if lazy_flusher { 40 } else { 6 }) == 0 && flush(disk, wal, model).is_err() {
            return;
        }
    }
}
