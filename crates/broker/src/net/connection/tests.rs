//! What may overlap and what may not, in virtual time.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;

use super::*;
use crate::net::outbox::{Hold, Reply};

/// Frames are 8 bytes: kind, delay in seconds, name, padding. Notes what starts and what finishes.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<Vec<String>>>);

impl Service for Notes {
    fn is_exclusive(&self, frame: &[u8]) -> bool {
        frame[0] == b'x'
    }

    async fn start(&mut self, frame: BytesMut) -> Pending {
        let name = char::from(frame[2]);
        self.0.lock().push(format!("start {name}"));
        let notes = self.clone();
        Box::pin(async move {
            tokio::time::sleep(Duration::from_secs(u64::from(frame[1]))).await;
            notes.0.lock().push(format!("done {name}"));
            let mut reply = BytesMut::new();
            reply.extend_from_slice(&[frame[2]]);
            Reply::Send { segments: vec![reply.freeze()], throttle: Duration::ZERO, hold: Hold::default() }
        })
    }
}

fn frame(kind: u8, seconds: u8, name: u8) -> Vec<u8> {
    let mut bytes = 8i32.to_be_bytes().to_vec();
    bytes.extend_from_slice(&[kind, seconds, name, 0, 0, 0, 0, 0]);
    bytes
}

fn limits() -> Limits {
    Limits {
        max_frame: 100,
        frames: FrameBudget::new(4000),
        frame_timeout: Duration::from_secs(30),
        idle: Duration::from_secs(600),
        memory: [Budget::new("responses", 4000), Budget::new("segment_reads", 4000)],
    }
}

async fn run(bytes: Vec<u8>) -> (Vec<String>, String, Result<(), Ended>) {
    let (ours, mut theirs) = tokio::io::duplex(1 << 16);
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let stream = Stream { io: Box::pin(ours), peer: local, local };
    let notes = Notes::default();
    let served =
        tokio::spawn(serve(stream, notes.clone(), limits(), waybill_rt::VirtualClock::shared(0.into())));
    theirs.write_all(&bytes).await.unwrap();
    theirs.shutdown().await.unwrap();
    let mut answers = String::new();
    let _ = theirs.read_to_string(&mut answers).await;
    let ended = served.await.unwrap();
    let notes = notes.0.lock().clone();
    (notes, answers, ended)
}

#[tokio::test(start_paused = true)]
async fn produce_and_fetch_overlap_and_answers_keep_their_order() {
    let bytes = [frame(b'p', 9, b'a'), frame(b'p', 1, b'b'), frame(b'p', 5, b'c')].concat();
    let (notes, answers, ended) = run(bytes).await;
    assert_eq!(notes, ["start a", "start b", "start c", "done b", "done c", "done a"]);
    assert_eq!(answers, "abc");
    ended.unwrap();
}

#[tokio::test(start_paused = true)]
async fn anything_else_waits_for_what_came_before_and_holds_back_what_comes_after() {
    let bytes = [frame(b'p', 2, b'a'), frame(b'x', 3, b'b'), frame(b'p', 0, b'c')].concat();
    let (notes, answers, _) = run(bytes).await;
    assert_eq!(notes, ["start a", "done a", "start b", "done b", "start c", "done c"]);
    assert_eq!(answers, "abc");
}

#[tokio::test(start_paused = true)]
async fn no_more_than_the_limit_are_under_way() {
    let all = MAX_IN_FLIGHT + 100;
    let bytes = (0..all).flat_map(|_| frame(b'p', 1, b'n')).collect();
    let (notes, answers, _) = run(bytes).await;
    let mut most = 0i32;
    let mut now = 0i32;
    for note in &notes {
        now += if note.starts_with("start") { 1 } else { -1 };
        most = most.max(now);
    }
    assert_eq!((answers.len(), most), (all, MAX_IN_FLIGHT as i32));
}

#[test]
fn many_requests_are_under_way_only_while_they_are_small() {
    assert!(may_start(MAX_IN_FLIGHT - 1, SMALL_TOGETHER));
    assert!(!may_start(MAX_IN_FLIGHT, 8));
    assert!(may_start(ANY_SIZE - 1, usize::MAX));
    assert!(!may_start(ANY_SIZE, SMALL_TOGETHER + 1));
}

#[tokio::test(start_paused = true)]
async fn forged_lengths_and_stalled_frames_end_the_connection() {
    for forged in [-1i32, 0, 7, 101, i32::MAX, i32::MIN] {
        let (notes, _, ended) = run(forged.to_be_bytes().to_vec()).await;
        assert!(notes.is_empty());
        assert!(ended.is_err(), "{forged}");
    }
    let (ours, mut theirs) = tokio::io::duplex(64);
    let local = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
    let stream = Stream { io: Box::pin(ours), peer: local, local };
    let limits = limits();
    let frames = limits.frames.clone();
    let clock = waybill_rt::VirtualClock::shared(0.into());
    let served = tokio::spawn(serve(stream, Notes::default(), limits, clock));
    theirs.write_all(&[0, 0, 0, 50, 1, 2, 3]).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(frames.used(), 50);
    assert!(served.await.unwrap().is_err());
    assert_eq!(frames.used(), 0);
}
