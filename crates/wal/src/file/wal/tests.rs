//! The file WAL on a real disk. What crashes and faults do to it is tested on the simulated one.

use std::path::Path;
use std::time::Duration;

use waybill_rt::{RealClock, RealDisk};
use waybill_types::{Offset, PartitionId, StoreId, TopicId, TopicPartition};

use super::*;
use crate::api::DurableFrame;
use crate::file::decide::Registered;
use crate::file::recovery::RecoverError;
use crate::file::ring::RingOptions;
use crate::frame::FrameHeader;

const STORE: StoreId = StoreId([3; 16]);
const RING: RingOptions =
    RingOptions { files: 4, file_size: 64 << 10, sabotage: crate::sabotage::Sabotage::None };

#[derive(Default)]
struct Sink {
    durable: Mutex<Vec<DurableFrame>>,
    arrived: Notify,
}

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        self.durable.lock().extend(frames);
        self.arrived.notify_one();
    }

    fn poisoned(&self, why: &WalError) {
        panic!("{why}");
    }
}

impl Sink {
    async fn wait_for(&self, count: usize) {
        while self.durable.lock().len() < count {
            self.arrived.notified().await;
        }
    }
}

fn options() -> FileWalOptions {
    FileWalOptions { zero_step: 16 << 10, frame_headroom: 16 << 10, free_min: 0, ..FileWalOptions::default() }
}

fn frame(offset: i64, length: usize) -> Frame {
    let mut header = FrameHeader::plain(TopicPartition::new(TopicId([1; 16]), PartitionId(0)));
    header.base_offset = Offset(offset);
    header.last_offset = Offset(offset);
    Frame { header, records: vec![offset as u8; length].into() }
}

/// Groups larger than the buffers that are kept, and small ones behind them, in one file.
#[tokio::test]
async fn large_groups_are_recovered_with_what_follows_them() {
    let folder = tempfile::tempdir().unwrap();
    let shape = RingOptions { file_size: 32 << 20, ..RING };
    let lengths = [100, 12 << 20, 200, 9 << 20, 300];
    let open = || Ring::open(RealDisk::shared(), folder.path(), STORE, shape, 1).unwrap();
    let sink = Arc::new(Sink::default());
    let options = FileWalOptions { zero_step: 4 << 20, ..options() };
    let clock = RealClock::shared();
    let wal = FileWal::start(open(), Incarnation(1), WalPosition(0), options, clock, Arc::clone(&sink) as _)
        .unwrap();
    for (offset, length) in lengths.iter().enumerate() {
        append(&wal, offset as i64, *length).await;
    }
    sink.wait_for(lengths.len()).await;
    wal.close().await.unwrap();
    drop(wal);
    let mut recovery =
        open().recover(Registered { incarnation: Incarnation(1), trim: WalPosition(0) }).unwrap();
    let mut found = Vec::new();
    while let Some(frames) = recovery.next_group().unwrap() {
        found.extend(frames.iter().map(|frame| frame.frame.records.len()));
    }
    assert_eq!(found, lengths);
}

async fn append(wal: &FileWal, offset: i64, length: usize) {
    let permit = wal.reserve(length).await.unwrap();
    wal.append(vec![frame(offset, length)], permit).unwrap();
}

fn start(dir: &Path, incarnation: u64, trim: WalPosition) -> (Arc<FileWal>, Arc<Sink>) {
    let ring = Ring::open(RealDisk::shared(), dir, STORE, RING, 1).unwrap();
    let sink = Arc::new(Sink::default());
    let incarnation = Incarnation(incarnation);
    let wal = FileWal::start(ring, incarnation, trim, options(), RealClock::shared(), Arc::clone(&sink) as _)
        .unwrap();
    (wal, sink)
}

fn recover(dir: &Path, incarnation: u64, trim: WalPosition) -> (Vec<DurableFrame>, WalPosition, WalPosition) {
    let ring = Ring::open(RealDisk::shared(), dir, STORE, RING, 1).unwrap();
    let registered = Registered { incarnation: Incarnation(incarnation), trim };
    let mut recovery = ring.recover(registered).unwrap();
    let mut frames = Vec::new();
    while let Some(group) = recovery.next_group().unwrap() {
        frames.extend(group);
    }
    (frames, recovery.end, recovery.next_trim)
}

#[tokio::test]
async fn what_was_appended_is_durable_readable_and_recovered() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("wal");
    let (wal, sink) = start(&dir, 1, WalPosition(0));
    for offset in 0..20 {
        append(&wal, offset, 5000).await;
    }
    sink.wait_for(20).await;
    let durable = sink.durable.lock().clone();
    for (at, written) in durable.iter().enumerate() {
        assert_eq!(written.frame.header.base_offset, Offset(at as i64));
        assert_eq!(wal.read(written.position, 5000).await.unwrap(), written.frame.records);
        assert!(matches!(wal.read(written.position, 4999).await, Err(WalError::Corrupt { .. })));
    }
    wal.close().await.unwrap();
    assert!(matches!(wal.reserve(1).await, Err(WalError::Closed)));
    let end = wal.durable_end();
    drop(wal);

    let (frames, recovered_end, next_trim) = recover(&dir, 1, WalPosition(0));
    assert_eq!(recovered_end, end);
    assert!(next_trim > end);
    let brief = |frames: &[DurableFrame]| {
        frames.iter().map(|frame| (frame.position, frame.frame.records.clone())).collect::<Vec<_>>()
    };
    assert_eq!(brief(&frames), brief(&durable));

    // The next incarnation does not see what the last one left.
    let (wal, sink) = start(&dir, 2, next_trim);
    append(&wal, 20, 100).await;
    sink.wait_for(1).await;
    wal.close().await.unwrap();
    drop(wal);
    let (frames, ..) = recover(&dir, 2, next_trim);
    assert_eq!(frames.len(), 1);
    let ring = Ring::open(RealDisk::shared(), &dir, STORE, RING, 1).unwrap();
    let older = ring.recover(Registered { incarnation: Incarnation(1), trim: WalPosition(0) });
    assert!(matches!(older, Err(RecoverError::Newer { .. })), "{older:?}");
}

#[tokio::test]
async fn a_full_ring_waits_for_a_trim_and_then_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (wal, sink) = start(folder.path(), 1, WalPosition(0));
    // Each frame fills most of a file; the ring has four.
    for offset in 0..6 {
        append(&wal, offset, 48 << 10).await;
    }
    sink.wait_for(4).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(sink.durable.lock().len(), 4);
    assert!(wal.metrics().ring_full.get() > 0);
    let first = sink.durable.lock()[0].position;
    wal.trim(wal.flushable_end());
    sink.wait_for(6).await;
    assert!(matches!(wal.read(first, 48 << 10).await, Err(WalError::Trimmed(_))));
    wal.close().await.unwrap();
}

#[tokio::test]
async fn rolling_makes_what_is_durable_flushable() {
    let folder = tempfile::tempdir().unwrap();
    let (wal, sink) = start(folder.path(), 1, WalPosition(0));
    append(&wal, 0, 10).await;
    sink.wait_for(1).await;
    assert_eq!(wal.flushable_end(), WalPosition(0));
    wal.roll();
    while wal.flushable_end() == WalPosition(0) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(wal.flushable_end() > sink.durable.lock()[0].position);
    assert!(matches!(
        wal.append(vec![frame(1, 60 << 10)], WalPermit::new(0, None)),
        Err(WalError::TooLarge { .. })
    ));
    wal.close().await.unwrap();
}

#[tokio::test]
async fn an_idle_wal_covers_its_last_group() {
    let folder = tempfile::tempdir().unwrap();
    let (wal, sink) = start(folder.path(), 1, WalPosition(0));
    append(&wal, 0, 10).await;
    sink.wait_for(1).await;
    let end = wal.durable_end();
    while wal.durable_end() == end {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(wal.metrics().groups.get(), 2);
    assert_eq!(wal.metrics().frames.get(), 1);
}

#[tokio::test]
async fn a_folder_in_use_or_of_another_store_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 77).unwrap();
    let second = Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 78).unwrap_err();
    assert!(second.to_string().contains("process 77"), "{second}");
    drop(ring);
    let other = Ring::open(RealDisk::shared(), folder.path(), StoreId([4; 16]), RING, 78).unwrap_err();
    assert!(other.to_string().contains("belongs to store"), "{other}");
    std::fs::remove_file(folder.path().join("ring-002")).unwrap();
    let missing = Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 78).unwrap_err();
    assert!(missing.to_string().contains("ring-002 is missing"), "{missing}");
    // A description that is gone while files hold bytes is damage, not a new ring.
    std::fs::write(folder.path().join("ring-002"), [1; 4096]).unwrap();
    std::fs::remove_file(folder.path().join("ring")).unwrap();
    let bare = Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 78).unwrap_err();
    assert!(bare.to_string().contains("holds bytes"), "{bare}");
}

#[test]
fn a_new_ring_under_metadata_that_knows_an_old_one_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let ring = Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 1).unwrap();
    let gone = ring.recover(Registered { incarnation: Incarnation(5), trim: WalPosition(0) });
    assert!(matches!(gone, Err(RecoverError::Gone { .. })));
}

/// A ring that was closed in order is not read through; one that was written since is.
#[tokio::test]
async fn a_closed_ring_is_known_by_its_first_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Ring::open(RealDisk::shared(), folder.path(), STORE, RING, 1).unwrap();
    let sink = Arc::new(Sink::default());
    let start = |incarnation, trim| {
        let sink = Arc::clone(&sink) as _;
        FileWal::start(open(), Incarnation(incarnation), trim, options(), RealClock::shared(), sink).unwrap()
    };
    let wal = start(1, WalPosition(0));
    for offset in 0..3 {
        append(&wal, offset, 100).await;
    }
    sink.wait_for(3).await;
    wal.close().await.unwrap();
    let end = wal.durable_end();
    drop(wal);
    let registered = Registered { incarnation: Incarnation(1), trim: WalPosition(0) };
    let mut closed = open().recover_closed(registered, end).unwrap().unwrap();
    assert!(closed.next_group().unwrap().is_none());
    assert_eq!((closed.end, closed.next_trim), (end, WalPosition(RING.file_size)));
    let next_trim = closed.next_trim;
    drop(closed);

    // A start that wrote and whose metadata was then put back to what it was before.
    let wal = start(2, next_trim);
    append(&wal, 3, 100).await;
    sink.wait_for(4).await;
    wal.close().await.unwrap();
    drop(wal);
    assert!(open().recover_closed(registered, end).unwrap().is_none());
    assert!(matches!(open().recover(registered), Err(RecoverError::Newer { .. })));
    // An end that lies below what was written.
    let registered = Registered { incarnation: Incarnation(2), trim: next_trim };
    assert!(open().recover_closed(registered, next_trim).unwrap().is_none());
}
