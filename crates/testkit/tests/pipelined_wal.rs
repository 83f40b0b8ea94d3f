//! The WAL of the testkit overlaps its appends and keeps their order.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use waybill_rt::VirtualClock;
use waybill_testkit::wal::{PipelinedWal, PipelinedWalOptions};
use waybill_types::{Offset, PartitionId, TimestampMs, TopicId, TopicPartition};
use waybill_wal::{DurableFrame, Frame, FrameHeader, Wal, WalError, WalPosition, WalSink};

#[derive(Default)]
struct Sink {
    offsets: Mutex<Vec<i64>>,
    positions: Mutex<Vec<WalPosition>>,
    poisoned: Mutex<bool>,
}

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        self.offsets.lock().extend(frames.iter().map(|frame| frame.frame.header.base_offset.get()));
        self.positions.lock().extend(frames.iter().map(|frame| frame.position));
    }

    fn poisoned(&self, _: &WalError) {
        *self.poisoned.lock() = true;
    }
}

fn frame(offset: i64) -> Frame {
    let mut header = FrameHeader::plain(TopicPartition::new(TopicId([1; 16]), PartitionId(0)));
    header.base_offset = Offset(offset);
    Frame { header, records: vec![offset as u8; 100].into() }
}

async fn append(wal: &PipelinedWal, offset: i64) {
    let permit = wal.reserve(100).await.unwrap();
    wal.append(vec![frame(offset)], permit).unwrap();
}

#[tokio::test(start_paused = true)]
async fn appends_overlap_stall_and_keep_their_order() {
    let clock = VirtualClock::shared(TimestampMs(0));
    let sink = Arc::new(Sink::default());
    let wal = PipelinedWal::start(PipelinedWalOptions::default(), clock.clone(), Arc::clone(&sink) as _);
    for offset in 0..5 {
        append(&wal, offset).await;
        clock.sleep(Duration::from_millis(10)).await;
    }
    assert_eq!((wal.in_flight(), wal.durable_end()), (5, WalPosition(0)));
    // A shorter delay does not overtake.
    wal.set_delay(Duration::from_millis(1));
    append(&wal, 5).await;
    clock.sleep(Duration::from_millis(51)).await;
    assert_eq!(*sink.offsets.lock(), [0]);
    clock.sleep(Duration::from_millis(40)).await;
    assert_eq!(*sink.offsets.lock(), [0, 1, 2, 3, 4, 5]);

    wal.stall();
    append(&wal, 6).await;
    clock.sleep(Duration::from_secs(60)).await;
    assert_eq!(wal.in_flight(), 1);
    wal.resume();
    wal.close().await.unwrap();
    assert_eq!(sink.offsets.lock().len(), 7);

    let second = sink.positions.lock()[1];
    assert_eq!(wal.read(second, 100).await.unwrap(), vec![1u8; 100]);
    wal.roll();
    wal.trim(wal.flushable_end());
    assert!(matches!(wal.read(second, 100).await, Err(WalError::Trimmed(_))));
    assert!(matches!(wal.reserve(1).await, Err(WalError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_poisoned_wal_reports_nothing_more() {
    let clock = VirtualClock::shared(TimestampMs(0));
    let sink = Arc::new(Sink::default());
    let wal = PipelinedWal::start(PipelinedWalOptions::default(), clock.clone(), Arc::clone(&sink) as _);
    append(&wal, 0).await;
    wal.poison("on purpose");
    clock.sleep(Duration::from_secs(1)).await;
    assert!(*sink.poisoned.lock() && sink.offsets.lock().is_empty());
    assert!(matches!(wal.reserve(1).await, Err(WalError::Poisoned(_))));
    assert!(matches!(wal.close().await, Err(WalError::Poisoned(_))));
}
