//! What a file WAL gives on this machine's disk: latency and CPU by group size, an open loop, and start-up.
//!
//! `cargo run --profile ci -p waybill-wal --example wal-probe -- [FOLDER]` (default: a folder under the current one,
//! removed at the end). Run it on a quiet machine: it takes about 20 s and writes some GiB.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(clippy::unwrap_used, reason = "a probe ends where it fails")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use waybill_rt::{RealClock, RealDisk, SharedClock};
use waybill_types::{Incarnation, PartitionId, StoreId, TopicId, TopicPartition};
use waybill_wal::{
    DurableFrame, FileWal, FileWalOptions, Frame, FrameHeader, Registered, Ring, RingOptions, Wal, WalError,
    WalPosition, WalSink,
};

const STORE: StoreId = StoreId([1; 16]);

struct Sink {
    clock: SharedClock,
    /// When each frame was durable.
    durable: Mutex<Vec<Duration>>,
    arrived: Notify,
}

impl WalSink for Sink {
    fn durable(&self, frames: Vec<DurableFrame>) {
        let now = self.clock.monotonic();
        self.durable.lock().extend(frames.iter().map(|_| now));
        self.arrived.notify_one();
    }

    fn poisoned(&self, why: &WalError) {
        panic!("{why}");
    }
}

struct Probe {
    clock: SharedClock,
    wal: Arc<FileWal>,
    sink: Arc<Sink>,
}

impl Probe {
    /// Starts where `trim` says, as `incarnation`.
    fn start(dir: &Path, incarnation: u64, trim: WalPosition, clock: &SharedClock) -> Self {
        let ring = Ring::open(RealDisk::shared(), dir, STORE, RingOptions::default(), 1).unwrap();
        let sink = Arc::new(Sink { clock: clock.clone(), durable: Mutex::default(), arrived: Notify::new() });
        let (options, incarnation) = (FileWalOptions::default(), Incarnation(incarnation));
        let wal =
            FileWal::start(ring, incarnation, trim, options, clock.clone(), Arc::clone(&sink) as _).unwrap();
        Self { clock: clock.clone(), wal, sink }
    }

    async fn append(&self, records: &bytes::Bytes) {
        let permit = self.wal.reserve(records.len()).await.unwrap();
        let header = FrameHeader::plain(TopicPartition::new(TopicId([1; 16]), PartitionId(0)));
        self.wal.append(vec![Frame { header, records: records.clone() }], permit).unwrap();
        self.wal.trim(self.wal.flushable_end());
    }

    async fn wait_for(&self, count: usize) {
        while self.sink.durable.lock().len() < count {
            self.sink.arrived.notified().await;
        }
    }

    /// One frame at a time: the latency of a group.
    async fn closed_loop(&self, what: &str, length: usize, count: usize) {
        let records = bytes::Bytes::from(vec![7; length]);
        let (cpu, began) = (cpu_seconds(), self.clock.monotonic());
        let mut times = Vec::with_capacity(count);
        for _ in 0..count {
            let before = self.sink.durable.lock().len();
            let start = self.clock.monotonic();
            self.append(&records).await;
            self.wait_for(before + 1).await;
            times.push(self.sink.durable.lock().last().copied().unwrap_or_default().saturating_sub(start));
        }
        self.report(what, length * count, began, cpu, &mut times);
    }

    /// As fast as the queue takes it.
    async fn stream(&self, what: &str, length: usize, count: usize) {
        let records = bytes::Bytes::from(vec![7; length]);
        let before = self.sink.durable.lock().len();
        let (cpu, began) = (cpu_seconds(), self.clock.monotonic());
        for _ in 0..count {
            self.append(&records).await;
        }
        self.wait_for(before + count).await;
        self.report(what, length * count, began, cpu, &mut Vec::new());
    }

    /// `rate` frames a second, whatever the disk does.
    async fn open_loop(&self, what: &str, length: usize, rate: u32, span: Duration) {
        let records = bytes::Bytes::from(vec![7; length]);
        let before = self.sink.durable.lock().len();
        let (cpu, began) = (cpu_seconds(), self.clock.monotonic());
        let mut due = Vec::new();
        while self.clock.monotonic() - began < span {
            let so_far = (self.clock.monotonic() - began).as_secs_f64() * f64::from(rate);
            while due.len() < so_far as usize {
                due.push(self.clock.monotonic());
                self.append(&records).await;
            }
            self.clock.sleep(Duration::from_millis(1)).await;
        }
        self.wait_for(before + due.len()).await;
        let durable = self.sink.durable.lock();
        let mut times: Vec<_> = due
            .iter()
            .zip(durable.iter().skip(before))
            .map(|(due, done)| done.saturating_sub(*due))
            .collect();
        self.report(what, length * times.len(), began, cpu, &mut times);
    }

    fn report(&self, what: &str, bytes: usize, began: Duration, cpu: f64, times: &mut [Duration]) {
        let seconds = (self.clock.monotonic() - began).as_secs_f64();
        let cpu = cpu_seconds() - cpu;
        times.sort_unstable();
        let at = |share: f64| {
            let place = (times.len() as f64 * share) as usize;
            times.get(place).or(times.last()).map_or(0.0, |time| time.as_secs_f64() * 1e3)
        };
        println!(
            "{what:<34} p50 {:.3} p99 {:.3} p99.9 {:.3} max {:.3} ms  {:.0} MB/s  {:.2} CPU s/GiB",
            at(0.5),
            at(0.99),
            at(0.999),
            at(1.0),
            bytes as f64 / seconds / 1e6,
            cpu / (bytes as f64 / f64::from(1 << 30)),
        );
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    // SAFETY: rusage is plain data, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: `usage` outlives the call.
    unsafe { libc::getrusage(libc::RUSAGE_SELF, &raw mut usage) };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    seconds(usage.ru_utime) + seconds(usage.ru_stime)
}

fn recover(dir: &Path, registered: Registered, clock: &SharedClock, what: &str) -> WalPosition {
    let began = clock.monotonic();
    let ring = Ring::open(RealDisk::shared(), dir, STORE, RingOptions::default(), 1).unwrap();
    let opened = clock.monotonic();
    let mut recovery = ring.recover(registered).unwrap();
    let decided = clock.monotonic();
    let mut bytes = 0;
    while let Some(frames) = recovery.next_group().unwrap() {
        bytes += frames.iter().map(|frame| frame.frame.records.len()).sum::<usize>();
    }
    let ms = |span: Duration| span.as_secs_f64() * 1e3;
    println!(
        "{what:<34} open {:.1} ms, scan {:.1} ms, {:.0} MB read in {:.1} ms",
        ms(opened - began),
        ms(decided - opened),
        bytes as f64 / 1e6,
        ms(clock.monotonic() - decided),
    );
    recovery.next_trim
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let parent = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let folder = tempfile::tempdir_in(parent).unwrap();
    let (dir, clock) = (folder.path().join("wal"), RealClock::shared());
    let never = Registered { incarnation: Incarnation(0), trim: WalPosition(0) };
    recover(&dir, never, &clock, "start on an empty folder");
    let probe = Probe::start(&dir, 1, WalPosition(0), &clock);
    probe.closed_loop("4 KiB groups, first lap", 3900, 3000).await;
    probe.open_loop("5,000/s of 1 KiB, first lap", 1024, 5000, Duration::from_secs(4)).await;
    probe.stream("rest of the first lap", 1 << 20, 520).await;
    probe.closed_loop("4 KiB groups, recycled", 3900, 5000).await;
    probe.closed_loop("64 KiB groups, recycled", 65_000, 2000).await;
    probe.closed_loop("1 MiB groups, recycled", (1 << 20) - 4096, 1000).await;
    probe.open_loop("5,000/s of 1 KiB, recycled", 1024, 5000, Duration::from_secs(4)).await;
    probe.stream("stream of 16 KiB", 16 << 10, 100_000).await;
    probe.stream("stream of 1 MiB", 1 << 20, 2000).await;
    println!(
        "groups {}, ring full {}, waited for zeroing {}",
        probe.wal.metrics().groups.get(),
        probe.wal.metrics().ring_full.get(),
        probe.wal.metrics().zero_waits.get(),
    );
    let trim = probe.wal.flushable_end();
    probe.wal.close().await.unwrap();
    drop(probe);
    let registered = Registered { incarnation: Incarnation(1), trim };
    recover(&dir, registered, &clock, "start on a full ring");
}
