//! One direction of a connection.

use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::net::sim::SimNet;

/// Bytes on their way.
#[derive(Debug)]
pub(crate) struct Pipe {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    flying: VecDeque<(Duration, Bytes)>,
    held: usize,
    last_due: Duration,
    /// The writer has sent its last byte, which arrives then.
    ended: Option<Duration>,
    reader_gone: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

pub(crate) type SharedPipe = Arc<Mutex<Pipe>>;

impl Pipe {
    pub(crate) fn shared(from: IpAddr, to: IpAddr) -> SharedPipe {
        Arc::new(Mutex::new(Self {
            from,
            to,
            flying: VecDeque::new(),
            held: 0,
            last_due: Duration::ZERO,
            ended: None,
            reader_gone: false,
            broken: false,
            reader: None,
            writer: None,
        }))
    }

    pub(crate) fn wake(&mut self) {
        for waker in [self.reader.take(), self.writer.take()].into_iter().flatten() {
            waker.wake();
        }
    }

    pub(crate) fn break_off(&mut self) {
        self.broken = true;
        self.flying.clear();
        self.wake();
    }

    fn due(&mut self, at: Duration) -> Duration {
        self.last_due = self.last_due.max(at);
        self.last_due
    }
}

type Sleep = Pin<Box<dyn Future<Output = ()> + Send>>;

/// One end of a connection.
pub(crate) struct End {
    pub(crate) net: SimNet,
    pub(crate) incoming: SharedPipe,
    pub(crate) outgoing: SharedPipe,
    pub(crate) sleep: Option<Sleep>,
}

fn reset() -> io::Error {
    io::ErrorKind::ConnectionReset.into()
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let due = {
                let mut pipe = this.incoming.lock();
                if pipe.broken {
                    return Poll::Ready(Err(reset()));
                }
                pipe.reader = Some(cx.waker().clone());
                if this.net.is_cut(pipe.from, pipe.to) {
                    return Poll::Pending;
                }
                let now = this.net.clock().monotonic();
                let next = pipe.flying.front().map(|(due, _)| *due).or(pipe.ended);
                match next {
                    None => return Poll::Pending,
                    Some(due) if due > now => due - now,
                    Some(_) => {
                        arrive(&mut pipe, buf);
                        this.sleep = None;
                        return Poll::Ready(Ok(()));
                    }
                }
            };
            let clock = this.net.clock();
            let sleep = this.sleep.get_or_insert_with(|| clock.sleep(due));
            match sleep.as_mut().poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) => this.sleep = None,
            }
        }
    }
}

/// Takes what has arrived; nothing at the end of the stream.
fn arrive(pipe: &mut Pipe, buf: &mut ReadBuf<'_>) {
    if let Some((_, bytes)) = pipe.flying.front_mut() {
        let count = bytes.len().min(buf.remaining());
        buf.put_slice(bytes.get(..count).unwrap_or_default());
        bytes.advance(count);
        if bytes.is_empty() {
            pipe.flying.pop_front();
        }
        pipe.held = pipe.held.saturating_sub(count);
        if let Some(writer) = pipe.writer.take() {
            writer.wake();
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipe = self.outgoing.lock();
        if pipe.broken {
            return Poll::Ready(Err(reset()));
        }
        if pipe.reader_gone || pipe.ended.is_some() {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = self.net.options().buffer.saturating_sub(pipe.held);
        if room == 0 {
            pipe.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let part = Bytes::copy_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let count = part.len();
        if count > 0 {
            let due = pipe.due(self.net.arrival());
            pipe.held += count;
            pipe.flying.push_back((due, part));
        }
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.end();
        Poll::Ready(Ok(()))
    }
}

impl End {
    fn end(&self) {
        let mut pipe = self.outgoing.lock();
        if pipe.ended.is_none() {
            let due = pipe.due(self.net.arrival());
            pipe.ended = Some(due);
            if let Some(reader) = pipe.reader.take() {
                reader.wake();
            }
        }
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.end();
        let mut pipe = self.incoming.lock();
        pipe.reader_gone = true;
        pipe.wake();
    }
}
