//! The holder of a term says that it lives, and its standbys listen.
//!
//! Whoever connects to a broker's address gets a beat every [`BEAT`]: 24 bytes, the magic, the broker's incarnation and the
//! term that it holds (0: none). A refused connection, or another incarnation there, is a holder that is gone; silence is judged by
//! the [`Lease`], on the observer's own clock, so that a frozen holder is found out too. Beats carry no secret and decide
//! nothing: a forged one can delay a takeover, and a lost one can start an election that changes nothing but who holds the term.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Either, select};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use waybill_rt::{Listener, SharedClock, SharedNet, Stream, Supervisor};
use waybill_types::Incarnation;

use crate::terms::campaign::Pulse;
use crate::terms::holder::Holder;
use crate::terms::lease::{Lease, SESSION};

/// Time between beats.
pub const BEAT: Duration = Duration::from_millis(250);
/// Standbys that are served at once.
const LISTENERS: usize = 64;
const MAGIC: &[u8; 8] = b"WbPulse1";
const LENGTH: usize = 24;

/// One beat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Beat {
    incarnation: Incarnation,
    term: u64,
}

impl Beat {
    fn encode(self) -> [u8; LENGTH] {
        let mut out = [0; LENGTH];
        let numbers = [self.incarnation.get().to_be_bytes(), self.term.to_be_bytes()];
        let bytes = MAGIC.iter().chain(numbers.iter().flatten());
        out.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        out
    }

    fn decode(bytes: &[u8; LENGTH]) -> Option<Self> {
        let (magic, rest) = bytes.split_first_chunk::<8>()?;
        let (incarnation, rest) = rest.split_first_chunk::<8>()?;
        let (term, _) = rest.split_first_chunk::<8>()?;
        let incarnation = Incarnation(u64::from_be_bytes(*incarnation));
        (magic == MAGIC).then(|| Self { incarnation, term: u64::from_be_bytes(*term) })
    }
}

/// What a broker says about itself. Clones share it.
#[derive(Debug, Clone)]
pub struct Heart {
    says: Arc<Mutex<Beat>>,
}

impl Heart {
    /// A broker that holds no term.
    #[must_use]
    pub fn new(incarnation: Incarnation) -> Self {
        Self { says: Arc::new(Mutex::new(Beat { incarnation, term: 0 })) }
    }

    /// It holds this term from now on; 0: none.
    pub fn hold(&self, term: u64) {
        self.says.lock().term = term;
    }

    /// The process goes on as another incarnation, which holds no term.
    pub fn go_on_as(&self, incarnation: Incarnation) {
        *self.says.lock() = Beat { incarnation, term: 0 };
    }

    /// Beats for whoever connects, until everything stops.
    pub fn start(&self, listener: Box<dyn Listener>, clock: SharedClock, tasks: &Supervisor) {
        let (heart, stopping, served) = (self.clone(), tasks.stopping(), tasks.clone());
        tasks.spawn("pulse", async move {
            let places = Arc::new(Semaphore::new(LISTENERS));
            loop {
                let accepted = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopping.cancelled() => return Ok::<(), io::Error>(()),
                };
                let Ok(stream) = accepted else {
                    clock.sleep(BEAT).await;
                    continue;
                };
                // Above the bound it is closed again.
                let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
                let (heart, clock, stopping) = (heart.clone(), Arc::clone(&clock), served.stopping());
                served.spawn("pulse connection", async move {
                    tokio::select! {
                        () = heart.beat(stream, clock) => {}
                        () = stopping.cancelled() => {}
                    }
                    drop(place);
                    Ok::<(), io::Error>(())
                });
            }
        });
    }

    async fn beat(&self, mut stream: Stream, clock: SharedClock) {
        loop {
            let beat = self.says.lock().encode();
            let sent = async { stream.io.write_all(&beat).await.is_ok() && stream.io.flush().await.is_ok() };
            if !sent.await {
                return;
            }
            clock.sleep(BEAT).await;
        }
    }
}

/// Listens to a holder over the network.
#[derive(Clone)]
pub struct NetPulse {
    net: SharedNet,
    clock: SharedClock,
    session: Duration,
    /// The machine that listens, where silence from another one's loopback is to mean nothing.
    patient_on: Option<String>,
}

impl std::fmt::Debug for NetPulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NetPulse").field("session", &self.session).finish_non_exhaustive()
    }
}

/// What came over a connection.
enum Heard {
    /// The holder lives.
    Lives,
    /// It does not hold the term, or not any more.
    Without,
    /// A newer term, or another process.
    Over,
    /// The connection is closed.
    Closed,
}

impl NetPulse {
    /// Suspects a holder that was silent for the usual session.
    #[must_use]
    pub fn new(net: SharedNet, clock: SharedClock) -> Self {
        Self { net, clock, session: SESSION, patient_on: None }
    }

    /// Waits for ever for a holder that can not be heard from machine `host`, because it listens on another one's loopback only.
    /// For a process that was deposed: two that can not hear each other would depose each other for ever.
    #[must_use]
    pub fn patient_on(self, host: String) -> Self {
        Self { patient_on: Some(host), ..self }
    }

    async fn wait(&self, term: u64, holder: Holder) {
        if self.patient_on.as_ref().is_some_and(|host| !can_be_heard(&holder, host)) {
            tracing::warn!(
                %holder, address = holder.address,
                "the holder listens on its own machine only and can not be heard here: it is waited for until this process is \
                 started anew. Give --rpc an address that other machines reach, on both"
            );
            std::future::pending::<()>().await;
        }
        let mut lease = Lease::new(self.session);
        lease.seen(term, self.clock.monotonic());
        loop {
            let left = lease.left(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            let connected = match select(self.connect(&holder.address), self.clock.sleep(left)).await {
                Either::Left((connected, _)) => connected,
                Either::Right(_) => return,
            };
            match connected {
                Ok(stream) => self.listen(stream, term, &holder, &mut lease).await,
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => lease.gone(term),
                Err(_) => self.clock.sleep(BEAT.min(left)).await,
            }
        }
    }

    fn connect<'a>(&'a self, address: &'a str) -> BoxFuture<'a, io::Result<Stream>> {
        let parsed = address.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
        match parsed {
            Some((host, port)) => {
                let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
                self.net.connect(host, port)
            }
            None => std::future::ready(Err(io::ErrorKind::InvalidInput.into())).boxed(),
        }
    }

    /// Until the connection is closed or the lease is over.
    async fn listen(&self, mut stream: Stream, term: u64, holder: &Holder, lease: &mut Lease) {
        loop {
            let left = lease.left(self.clock.monotonic());
            if left.is_zero() {
                return;
            }
            let read = read(&mut stream, term, holder).boxed();
            let heard = match select(read, self.clock.sleep(left)).await {
                Either::Left((heard, _)) => heard,
                Either::Right(_) => return,
            };
            match heard {
                Heard::Lives => lease.heard(term, self.clock.monotonic()),
                Heard::Without => {}
                Heard::Over => lease.gone(term),
                // Whether it is gone shows when connecting again.
                Heard::Closed => return self.clock.sleep(Duration::from_millis(20)).await,
            }
        }
    }
}

/// Whether a holder's beats can be heard from a machine at all.
fn can_be_heard(holder: &Holder, host: &str) -> bool {
    let ip = holder.address.rsplit_once(':').map(|(ip, _)| ip.trim_matches(['[', ']']).parse::<IpAddr>());
    holder.host == host || !matches!(ip, Some(Ok(ip)) if ip.is_loopback())
}

async fn read(stream: &mut Stream, term: u64, holder: &Holder) -> Heard {
    let mut bytes = [0; LENGTH];
    if stream.io.read_exact(&mut bytes).await.is_err() {
        return Heard::Closed;
    }
    match Beat::decode(&bytes) {
        Some(beat) if beat.incarnation == holder.incarnation && beat.term == term => Heard::Lives,
        Some(beat) if beat.incarnation == holder.incarnation && beat.term < term => Heard::Without,
        _ => Heard::Over,
    }
}

impl Pulse for NetPulse {
    fn lost(&self, term: u64, holder: Holder) -> BoxFuture<'_, ()> {
        self.wait(term, holder).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_heard_on_its_own_machine_only() {
        let holder = |address: &str| Holder {
            node: 1.into(),
            incarnation: Incarnation(1),
            host: "lyra".to_owned(),
            pid: 1,
            address: address.to_owned(),
            nonce: 1,
            written: waybill_types::TimestampMs(0),
        };
        for loopback in ["127.0.0.1:7", "[::1]:7"] {
            assert!(can_be_heard(&holder(loopback), "lyra") && !can_be_heard(&holder(loopback), "vega"));
        }
        assert!(
            can_be_heard(&holder("10.0.0.1:7"), "vega") && can_be_heard(&holder("lyra.example:7"), "vega")
        );
    }

    #[test]
    fn beats_read_back_and_other_bytes_are_none() {
        let beat = Beat { incarnation: Incarnation(7), term: 9 };
        assert_eq!(Beat::decode(&beat.encode()), Some(beat));
        assert_eq!(Beat::decode(&[0; LENGTH]), None);
    }
}
