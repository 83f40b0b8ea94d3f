//! The reading half of a connection: frames in arrival order, started so that nothing overtakes.
//!
//! Produce and Fetch start as they arrive, before earlier ones are answered. Any other request starts once all before
//! it is answered, and what follows it starts after its answer: a pipelined OffsetCommit then OffsetFetch must not
//! read the old offset.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader};
use tokio::sync::{mpsc, watch};
use waybill_rt::{Budget, BudgetPermit, SharedClock, Stream};

use super::outbox::{self, Answered, Ended, Patience, Pending};

/// Requests of one connection that may be under way at once. A client without linger sends each record in a request of its
/// own, and an ack takes as long as a bucket does: 5,000 records a second at 400 ms are 2,000 requests under way.
pub const MAX_IN_FLIGHT: usize = 4096;

/// So many may be, however large their frames are.
const ANY_SIZE: usize = 64;

/// More may be only while their frames have no more bytes than this together: a request under way may hold what it asked for,
/// which no other budget counts.
const SMALL_TOGETHER: usize = 4 << 20;

/// Whether another request may be under way beside `in_flight`, when their frames and its own have so many bytes.
fn may_start(in_flight: usize, bytes: usize) -> bool {
    in_flight < if bytes <= SMALL_TOGETHER { MAX_IN_FLIGHT } else { ANY_SIZE }
}

/// What turns frames into responses.
pub trait Service: Send + 'static {
    /// Whether the request in this frame (header first, without length prefix) must run alone.
    fn is_exclusive(&self, frame: &[u8]) -> bool;

    /// Starts a request. When this resolves, the request holds its place: a later one can not overtake it.
    fn start(&mut self, frame: BytesMut) -> impl Future<Output = Pending> + Send;
}

/// The limits of a connection.
#[derive(Debug, Clone)]
pub struct Limits {
    /// The largest frame in bytes (`socket.request.max.bytes`).
    pub max_frame: usize,
    /// Bytes of frames held by all connections together.
    pub frames: FrameBudget,
    /// How long a half-sent frame may take.
    pub frame_timeout: Duration,
    /// How long a connection may be idle (`connections.max.idle.ms`).
    pub idle: Duration,
    /// The memory that responses hold until they are sent, of all connections together.
    pub memory: [Budget; 2],
}

/// The largest frame that counts as small, in bytes: Kafka clients send requests of up to 1 MiB by default.
const SMALL_FRAME: usize = (1 << 20) + (64 << 10);

/// Bytes of frames held by all connections together. Small frames have a share of their own, so that a few clients
/// that announce huge frames and stall do not hold up everybody else.
#[derive(Debug, Clone)]
pub struct FrameBudget {
    small: Budget,
    large: Budget,
}

impl FrameBudget {
    /// A budget of `bytes`, a quarter of it for small frames.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let small = bytes / 4;
        Self { small: Budget::new("requests_small", small), large: Budget::new("requests", bytes - small) }
    }

    /// Its parts.
    #[must_use]
    pub fn parts(&self) -> [Budget; 2] {
        [self.small.clone(), self.large.clone()]
    }

    /// Bytes taken now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.small.used() + self.large.used()
    }

    async fn take(&self, bytes: usize) -> BudgetPermit {
        let share = if bytes <= SMALL_FRAME { &self.small } else { &self.large };
        share.take(bytes).await
    }
}

/// Serves a connection until either side ends it.
///
/// # Errors
/// Why it ended, when not by the peer closing between frames.
pub async fn serve(
    stream: Stream,
    service: impl Service,
    limits: Limits,
    clock: SharedClock,
) -> Result<(), Ended> {
    let (read, write) = tokio::io::split(stream.io);
    let (sender, receiver) = mpsc::channel(MAX_IN_FLIGHT);
    let (answered, seen) = watch::channel(Answered::default());
    let patience = Patience { look: limits.frame_timeout, idle: limits.idle, memory: limits.memory.clone() };
    let writer = outbox::run(write, receiver, answered, Arc::clone(&clock), patience);
    let input = BufReader::with_capacity(16 << 10, read);
    let reader = Reader { input, limits, clock, seen, sender, sent: 0, under_way: VecDeque::new(), bytes: 0 };
    tokio::pin!(writer);
    let reading = reader.run(service);
    tokio::pin!(reading);
    tokio::select! {
        biased;
        ended = &mut writer => ended,
        ended = &mut reading => {
            ended?;
            // The peer sends no more; what it asked is still answered.
            writer.await
        }
    }
}

struct Reader<R> {
    input: BufReader<R>,
    limits: Limits,
    clock: SharedClock,
    seen: watch::Receiver<Answered>,
    sender: mpsc::Sender<Pending>,
    sent: u64,
    /// The lengths of the frames of the last requests, those that were not answered when it was last looked; and their sum.
    under_way: VecDeque<usize>,
    bytes: usize,
}

impl<R: AsyncRead + Unpin + Send> Reader<R> {
    async fn run(mut self, mut service: impl Service) -> Result<(), Ended> {
        loop {
            self.wait_while_muted().await;
            let Some(length) = self.next_length().await? else { return Ok(()) };
            let length = self.check_length(length)?;
            let permit = self.limits.frames.take(length).await;
            let frame = self.body(length).await?;
            let exclusive = service.is_exclusive(&frame);
            if exclusive {
                self.wait_for(self.sent).await?;
            }
            self.wait_for_room(length).await?;
            let pending = service.start(frame).await;
            drop(permit);
            if self.sender.send(pending).await.is_err() {
                return Ok(());
            }
            self.sent += 1;
            if exclusive {
                self.wait_for(self.sent).await?;
            }
        }
    }

    fn in_flight(&self) -> u64 {
        self.sent - self.seen.borrow().count
    }

    /// Waits until a request with a frame of so many bytes may be under way too.
    async fn wait_for_room(&mut self, length: usize) -> Result<(), Ended> {
        loop {
            let in_flight = usize::try_from(self.in_flight()).unwrap_or(usize::MAX);
            while self.under_way.len() > in_flight {
                self.bytes -= self.under_way.pop_front().unwrap_or_default();
            }
            if may_start(in_flight, self.bytes.saturating_add(length)) {
                self.under_way.push_back(length);
                self.bytes = self.bytes.saturating_add(length);
                return Ok(());
            }
            self.wait_for(self.sent - self.in_flight() + 1).await?;
        }
    }

    /// Waits until `count` requests are answered.
    async fn wait_for(&mut self, count: u64) -> Result<(), Ended> {
        let gone = |_| Ended::Refused("the writer ended".to_owned());
        self.seen.wait_for(|seen| seen.count >= count).await.map_err(gone)?;
        Ok(())
    }

    async fn wait_while_muted(&mut self) {
        loop {
            let until = self.seen.borrow().muted_until;
            let now = self.clock.monotonic();
            if until <= now {
                return;
            }
            self.clock.sleep(until - now).await;
        }
    }

    /// The next frame's length; `None` when the peer closed between frames or the connection was idle too long.
    async fn next_length(&mut self) -> Result<Option<i32>, Ended> {
        let mut head = [0; 4];
        let mut got = 0;
        while got < head.len() {
            let idle = self.clock.sleep(if got == 0 { self.limits.idle } else { self.limits.frame_timeout });
            let rest = head.get_mut(got..).unwrap_or_default();
            tokio::select! {
                biased;
                read = self.input.read(rest) => match read? {
                    0 if got == 0 => return Ok(None),
                    0 => return Err(Ended::Refused("the peer closed within a frame".to_owned())),
                    count => got += count,
                },
                () = idle => {
                    if got > 0 {
                        return Err(Ended::Refused("a frame was not sent whole in time".to_owned()));
                    }
                    if self.in_flight() == 0 {
                        return Ok(None);
                    }
                }
            }
        }
        Ok(Some(i32::from_be_bytes(head)))
    }

    fn check_length(&self, length: i32) -> Result<usize, Ended> {
        let max = self.limits.max_frame;
        usize::try_from(length).ok().filter(|length| (8..=max).contains(length)).ok_or_else(|| {
            Ended::Refused(format!(
                "a frame of {length} bytes: frames have 8 to {max} (socket.request.max.bytes)"
            ))
        })
    }

    async fn body(&mut self, length: usize) -> Result<BytesMut, Ended> {
        let mut frame = BytesMut::with_capacity(length);
        let timeout = self.clock.sleep(self.limits.frame_timeout);
        tokio::pin!(timeout);
        while frame.len() < length {
            let wanted = (length - frame.len()) as u64;
            let mut limited = (&mut self.input).take(wanted);
            tokio::select! {
                biased;
                read = limited.read_buf(&mut frame) => {
                    if read? == 0 {
                        return Err(Ended::Refused("the peer closed within a frame".to_owned()));
                    }
                }
                () = &mut timeout => {
                    return Err(Ended::Refused("a frame was not sent whole in time".to_owned()));
                }
            }
        }
        Ok(frame)
    }
}

#[cfg(test)]
mod tests;
