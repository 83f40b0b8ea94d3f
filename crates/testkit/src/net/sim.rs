//! The machines, their names and listeners, and what is cut.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};
use waybill_rt::{Entropy, Listener, Net, SeededEntropy, SharedClock, SharedNet, Stream};

use crate::net::pipe::{End, Pipe, SharedPipe};

/// What kind of network it is.
#[derive(Debug, Clone, Copy)]
pub struct SimNetOptions {
    /// Every byte takes at least this long. Simulated time goes in whole milliseconds.
    pub latency: Duration,
    /// And up to this much longer.
    pub jitter: Duration,
    /// Bytes that a direction of a connection holds before its writer waits.
    pub buffer: usize,
}

impl Default for SimNetOptions {
    fn default() -> Self {
        Self { latency: Duration::from_millis(1), jitter: Duration::from_millis(4), buffer: 256 << 10 }
    }
}

/// A simulated network. Clones are handles to the same one.
#[derive(Clone)]
pub struct SimNet {
    shared: Arc<Shared>,
}

struct Shared {
    options: SimNetOptions,
    clock: SharedClock,
    entropy: SeededEntropy,
    state: Mutex<State>,
    /// Something was healed.
    healed: Notify,
}

#[derive(Default)]
struct State {
    names: BTreeMap<String, IpAddr>,
    /// Each with a number of its own, so that a listener does not remove its successor.
    listeners: BTreeMap<(IpAddr, u16), (u64, mpsc::UnboundedSender<Stream>)>,
    next_listener: u64,
    next_port: BTreeMap<IpAddr, u16>,
    cut: BTreeSet<(IpAddr, IpAddr)>,
    pipes: Vec<Weak<Mutex<Pipe>>>,
}

impl State {
    fn free_port(&mut self, host: IpAddr) -> u16 {
        let next = self.next_port.entry(host).or_insert(20_000);
        *next = next.saturating_add(1);
        *next
    }

    fn pipes(&mut self) -> impl Iterator<Item = SharedPipe> {
        self.pipes.retain(|pipe| pipe.strong_count() > 0);
        self.pipes.iter().filter_map(Weak::upgrade)
    }
}

impl std::fmt::Debug for SimNet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimNet({:?})", self.shared.options)
    }
}

impl SimNet {
    /// A network without machines. One seed and the same calls on the same clock give the same arrival times.
    #[must_use]
    pub fn new(seed: u64, clock: SharedClock, options: SimNetOptions) -> Self {
        let entropy = SeededEntropy::new(seed);
        let state = Mutex::new(State::default());
        Self { shared: Arc::new(Shared { options, clock, entropy, state, healed: Notify::new() }) }
    }

    /// The network as the machine at `ip` sees it. Loopback and unspecified addresses mean that machine.
    #[must_use]
    pub fn host(&self, ip: IpAddr) -> SharedNet {
        Arc::new(Host { net: self.clone(), ip })
    }

    /// Gives a machine a name.
    pub fn name(&self, name: &str, ip: IpAddr) {
        self.shared.state.lock().names.insert(name.to_owned(), ip);
    }

    /// Bytes from one machine to another no longer arrive, until [`Self::heal`].
    pub fn cut(&self, from: IpAddr, to: IpAddr) {
        self.shared.state.lock().cut.insert((from, to));
    }

    /// Bytes from one machine to another arrive again.
    pub fn heal(&self, from: IpAddr, to: IpAddr) {
        let pipes: Vec<_> = {
            let mut state = self.shared.state.lock();
            state.cut.remove(&(from, to));
            state.pipes().collect()
        };
        for pipe in pipes {
            pipe.lock().wake();
        }
        self.shared.healed.notify_waiters();
    }

    /// The machine is switched off and on: its connections break, on both ends, and its listeners are gone.
    pub fn reset(&self, ip: IpAddr) {
        let pipes: Vec<_> = {
            let mut state = self.shared.state.lock();
            state.listeners.retain(|(host, _), _| *host != ip);
            state.pipes().collect()
        };
        for pipe in pipes {
            let mut pipe = pipe.lock();
            if pipe.from == ip || pipe.to == ip {
                pipe.break_off();
            }
        }
    }

    pub(crate) fn is_cut(&self, from: IpAddr, to: IpAddr) -> bool {
        self.shared.state.lock().cut.contains(&(from, to))
    }

    pub(crate) fn clock(&self) -> &SharedClock {
        &self.shared.clock
    }

    pub(crate) fn options(&self) -> &SimNetOptions {
        &self.shared.options
    }

    /// When a byte sent now arrives.
    pub(crate) fn arrival(&self) -> Duration {
        self.shared.clock.monotonic() + self.delay()
    }

    fn delay(&self) -> Duration {
        let options = &self.shared.options;
        let jitter = u64::try_from(options.jitter.as_nanos()).unwrap_or(u64::MAX);
        options.latency + Duration::from_nanos(self.shared.entropy.below(jitter.saturating_add(1)))
    }

    fn join(&self, client: SocketAddr, server: SocketAddr) -> (Stream, Stream) {
        let there = Pipe::shared(client.ip(), server.ip());
        let back = Pipe::shared(server.ip(), client.ip());
        {
            let mut state = self.shared.state.lock();
            state.pipes.retain(|pipe| pipe.strong_count() > 0);
            state.pipes.extend([&there, &back].map(Arc::downgrade));
        }
        let end = |incoming: &SharedPipe, outgoing: &SharedPipe| {
            Box::pin(End {
                net: self.clone(),
                incoming: Arc::clone(incoming),
                outgoing: Arc::clone(outgoing),
                sleep: None,
            })
        };
        let (near, far) = (end(&back, &there), end(&there, &back));
        (Stream { io: near, peer: server, local: client }, Stream { io: far, peer: client, local: server })
    }
}

/// A machine.
struct Host {
    net: SimNet,
    ip: IpAddr,
}

impl Host {
    fn own(&self, ip: IpAddr) -> IpAddr {
        if ip.is_loopback() || ip.is_unspecified() { self.ip } else { ip }
    }

    fn resolve(&self, host: &str) -> io::Result<IpAddr> {
        if host == "localhost" {
            return Ok(self.ip);
        }
        let named = self.net.shared.state.lock().names.get(host).copied();
        named
            .or_else(|| host.parse().ok())
            .map(|ip| self.own(ip))
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no machine is called {host}")))
    }
}

struct SimListener {
    net: SimNet,
    shown: SocketAddr,
    key: (IpAddr, u16),
    number: u64,
    incoming: tokio::sync::Mutex<mpsc::UnboundedReceiver<Stream>>,
}

impl Net for Host {
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let host = self.own(addr.ip());
            if host != self.ip {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
            let (sender, receiver) = mpsc::unbounded_channel();
            let mut state = self.net.shared.state.lock();
            let port = if addr.port() == 0 { state.free_port(host) } else { addr.port() };
            if state.listeners.get(&(host, port)).is_some_and(|(_, sender)| !sender.is_closed()) {
                return Err(io::ErrorKind::AddrInUse.into());
            }
            let number = state.next_listener;
            state.next_listener += 1;
            state.listeners.insert((host, port), (number, sender));
            let listener = SimListener {
                net: self.net.clone(),
                shown: SocketAddr::new(addr.ip(), port),
                key: (host, port),
                number,
                incoming: tokio::sync::Mutex::new(receiver),
            };
            Ok(Box::new(listener) as Box<dyn Listener>)
        })
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move {
            let to = self.resolve(host)?;
            loop {
                let healed = self.net.shared.healed.notified();
                if !self.net.is_cut(self.ip, to) && !self.net.is_cut(to, self.ip) {
                    break;
                }
                healed.await;
            }
            // There and back.
            self.net.shared.clock.sleep(self.net.delay() + self.net.delay()).await;
            let (local, listener) = {
                let mut state = self.net.shared.state.lock();
                let local = SocketAddr::new(self.ip, state.free_port(self.ip));
                (local, state.listeners.get(&(to, port)).cloned())
            };
            let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
            let (_, listener) = listener.ok_or_else(refused)?;
            let (near, far) = self.net.join(local, SocketAddr::new(to, port));
            listener.send(far).map_err(|_| refused())?;
            Ok(near)
        })
    }
}

impl Listener for SimListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.shown)
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let next = self.incoming.lock().await.recv().await;
            next.ok_or_else(|| io::ErrorKind::ConnectionAborted.into())
        })
    }
}

impl Drop for SimListener {
    fn drop(&mut self) {
        let mut state = self.net.shared.state.lock();
        let ours = state.listeners.get(&self.key).is_some_and(|(number, _)| *number == self.number);
        if ours {
            state.listeners.remove(&self.key);
        }
    }
}
