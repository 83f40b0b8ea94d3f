//! The writing half of a connection: responses leave in the order of their requests.

use std::io::{self, IoSlice};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::future::BoxFuture;
use futures::stream::FuturesOrdered;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot, watch};
use waybill_rt::{Budget, BudgetPermit, SharedClock};

/// Slices handed to one write.
const MAX_SLICES: usize = 64;

/// What a request came to.
#[derive(Debug)]
pub enum Reply {
    /// Bytes to send, length prefix included, and how long to mute the connection afterwards (KIP-219).
    Send {
        /// The frame.
        segments: Vec<Bytes>,
        /// Zero, or the response's `throttle_time_ms`.
        throttle: Duration,
        /// What is given back once it is sent.
        hold: Hold,
    },
    /// Nothing is sent: a Produce with acks=0.
    Silent {
        /// Zero, or how long to mute.
        throttle: Duration,
    },
    /// The connection ends, for this reason.
    Close(String),
}

/// What a response holds until it is sent, or the connection ends.
#[derive(Debug, Default)]
pub struct Hold {
    /// Memory for its records.
    pub room: Option<BudgetPermit>,
    /// Dropped when it is sent: what waits for that on the same connection goes on.
    pub turn: Option<oneshot::Sender<()>>,
}

/// How long a client may take to read.
#[derive(Debug, Clone)]
pub struct Patience {
    /// After so long without progress it is looked at whether others wait for memory. Not only that of the response at
    /// hand: those behind it on the connection may hold some, and do not go on while it is being written.
    pub look: Duration,
    /// After so long without progress the connection ends (`connections.max.idle.ms`).
    pub idle: Duration,
    /// The memory that responses hold: that of all with records, and that of pieces of segments.
    pub memory: [Budget; 2],
}

impl Patience {
    fn others_wait(&self) -> bool {
        self.memory.iter().any(|budget| budget.waiting() > 0)
    }
}

/// A response on its way.
pub type Pending = BoxFuture<'static, Reply>;

/// What the reader sees of the writer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Answered {
    /// Requests answered so far.
    pub count: u64,
    /// Until when (on the monotonic clock) the connection is muted.
    pub muted_until: Duration,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The other side went away, or never came.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A request can not be answered.
    #[error("{0}")]
    Refused(String),
}

/// Writes responses until the reader is gone and everything is answered.
///
/// # Errors
/// When writing fails or a request asks for the connection to end.
pub async fn run(
    mut out: impl AsyncWrite + Unpin,
    mut pending: mpsc::Receiver<Pending>,
    answered: watch::Sender<Answered>,
    clock: SharedClock,
    patience: Patience,
) -> Result<(), Ended> {
    let mut queue = FuturesOrdered::new();
    let mut open = true;
    while open || !queue.is_empty() {
        tokio::select! {
            biased;
            Some(reply) = queue.next() => {
                let throttle = match reply {
                    Reply::Send { segments, throttle, hold } => {
                        write_segments(&mut out, segments, &patience, &clock).await?;
                        drop(hold);
                        throttle
                    }
                    Reply::Silent { throttle } => throttle,
                    Reply::Close(why) => return Err(Ended::Refused(why)),
                };
                answered.send_modify(|seen| {
                    seen.count += 1;
                    if !throttle.is_zero() {
                        seen.muted_until = seen.muted_until.max(clock.monotonic() + throttle);
                    }
                });
            }
            next = pending.recv(), if open => match next {
                Some(reply) => queue.push_back(reply),
                None => open = false,
            },
        }
    }
    out.shutdown().await?;
    Ok(())
}

/// Writes all of `segments` without joining them.
async fn write_segments(
    out: &mut (impl AsyncWrite + Unpin),
    mut segments: Vec<Bytes>,
    patience: &Patience,
    clock: &SharedClock,
) -> Result<(), Ended> {
    let mut first = 0;
    let mut stalled = Duration::ZERO;
    while let Some(rest) = segments.get_mut(first..).filter(|rest| !rest.is_empty()) {
        let slices: Vec<IoSlice<'_>> = rest.iter().take(MAX_SLICES).map(|part| IoSlice::new(part)).collect();
        let mut wrote = tokio::select! {
            biased;
            wrote = out.write_vectored(&slices) => wrote?,
            () = clock.sleep(patience.look) => {
                stalled += patience.look;
                let wanted = patience.others_wait();
                if wanted || stalled >= patience.idle {
                    let why = if wanted { ", and others wait for memory" } else { "" };
                    return Err(Ended::Refused(format!("the client has read nothing for {stalled:?}{why}")));
                }
                continue;
            }
        };
        stalled = Duration::ZERO;
        if wrote == 0 && rest.iter().any(|part| !part.is_empty()) {
            return Err(Ended::Io(io::ErrorKind::WriteZero.into()));
        }
        for part in rest {
            let step = wrote.min(part.len());
            part.advance(step);
            wrote -= step;
            if !part.is_empty() {
                break;
            }
            first += 1;
        }
    }
    out.flush().await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    fn send(text: &'static str, after: Duration) -> Pending {
        Box::pin(async move {
            tokio::time::sleep(after).await;
            let segments = text.as_bytes().chunks(2).map(Bytes::from_static).collect();
            Reply::Send { segments, throttle: Duration::ZERO, hold: Hold::default() }
        })
    }

    fn patience() -> Patience {
        Patience {
            look: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            memory: [Budget::new("responses", 100), Budget::new("segment_reads", 100)],
        }
    }

    /// A client that does not read: it may take its time, until someone else wants the memory.
    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_is_cut_off_when_others_wait_for_the_memory() {
        let patience = patience();
        for others_wait in [false, true] {
            let (ours, _theirs) = tokio::io::duplex(8);
            let (sender, receiver) = mpsc::channel(8);
            let (answered, _seen) = watch::channel(Answered::default());
            let clock = waybill_rt::VirtualClock::shared(0.into());
            let writer = tokio::spawn(run(ours, receiver, answered, clock.clone(), patience.clone()));
            let hold = Hold { room: Some(patience.memory[0].take(100).await), turn: None };
            let segments = vec![Bytes::from_static(&[7; 100])];
            let reply = Reply::Send { segments, throttle: Duration::ZERO, hold };
            sender.send(Box::pin(std::future::ready(reply))).await.unwrap();
            let started = clock.monotonic();
            if others_wait {
                drop(patience.memory[0].take(1).await);
                assert_eq!(clock.monotonic() - started, Duration::from_secs(30));
            }
            let ended = writer.await.unwrap().unwrap_err().to_string();
            assert_eq!(ended.contains("others wait"), others_wait, "{ended}");
            let took = if others_wait { 30 } else { 600 };
            assert_eq!(clock.monotonic() - started, Duration::from_secs(took));
            assert_eq!(patience.memory[0].used(), 0);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn responses_leave_in_request_order_though_the_later_is_ready_first() {
        let (ours, mut theirs) = tokio::io::duplex(8);
        let (sender, receiver) = mpsc::channel(8);
        let (answered, seen) = watch::channel(Answered::default());
        let clock = waybill_rt::VirtualClock::shared(0.into());
        let writer = tokio::spawn(run(ours, receiver, answered, clock, patience()));
        sender.send(send("slow but first;", Duration::from_secs(5))).await.unwrap();
        sender.send(send("fast;", Duration::ZERO)).await.unwrap();
        sender.send(Box::pin(async { Reply::Silent { throttle: Duration::from_secs(1) } })).await.unwrap();
        drop(sender);
        let mut text = String::new();
        theirs.read_to_string(&mut text).await.unwrap();
        assert_eq!(text, "slow but first;fast;");
        writer.await.unwrap().unwrap();
        assert_eq!(seen.borrow().count, 3);
        assert_eq!(seen.borrow().muted_until, Duration::from_secs(6));
    }
}
