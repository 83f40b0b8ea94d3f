//! Accepting connections, within the limits.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use waybill_rt::{Listener, SharedClock, Stream};

/// How long to wait after `accept` failed (too many open files, say) before trying again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The most connections, in all and from one address (`max.connections`, `max.connections.per.ip`).
#[derive(Debug, Clone, Copy)]
pub struct ConnectionLimits {
    /// In all.
    pub total: usize,
    /// From one address.
    pub per_ip: usize,
}

/// Counts open connections.
#[derive(Debug, Default)]
pub struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_ip: HashMap<IpAddr, usize>,
    refused: u64,
}

/// An open connection's place, given back on drop.
#[derive(Debug)]
pub struct Place {
    connections: Arc<Connections>,
    ip: IpAddr,
}

impl Connections {
    /// Connections open now.
    pub fn open(&self) -> usize {
        self.open.lock().total
    }

    /// Connections refused so far, because a limit was reached.
    pub fn refused(&self) -> u64 {
        self.open.lock().refused
    }

    /// Takes a place, unless a limit is reached.
    pub fn admit(self: &Arc<Self>, ip: IpAddr, limits: ConnectionLimits) -> Option<Place> {
        let mut open = self.open.lock();
        let from_ip = open.by_ip.get(&ip).copied().unwrap_or_default();
        if open.total >= limits.total || from_ip >= limits.per_ip {
            open.refused += 1;
            return None;
        }
        open.total += 1;
        *open.by_ip.entry(ip).or_default() += 1;
        Some(Place { connections: Arc::clone(self), ip })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.total -= 1;
        if let Some(count) = open.by_ip.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                open.by_ip.remove(&self.ip);
            }
        }
    }
}

/// Accepts for ever, handing each admitted connection to `serve`.
pub async fn accept(
    listener: Box<dyn Listener>,
    connections: Arc<Connections>,
    limits: ConnectionLimits,
    clock: SharedClock,
    serve: impl Fn(Stream, Place),
) {
    loop {
        match listener.accept().await {
            Ok(stream) => match connections.admit(stream.peer.ip(), limits) {
                Some(place) => serve(stream, place),
                None => tracing::debug!(peer = %stream.peer, "connection refused: too many are open"),
            },
            Err(error) => {
                tracing::warn!(%error, "accepting a connection failed");
                clock.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether an address is one that clients elsewhere can not be told.
#[must_use]
pub fn is_wildcard(addr: SocketAddr) -> bool {
    addr.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_limited_and_come_back() {
        let connections = Arc::new(Connections::default());
        let limits = ConnectionLimits { total: 3, per_ip: 2 };
        let ip = |last: u8| IpAddr::from([127, 0, 0, last]);
        let first = connections.admit(ip(1), limits).unwrap();
        let _second = connections.admit(ip(1), limits).unwrap();
        assert!(connections.admit(ip(1), limits).is_none());
        let _other = connections.admit(ip(2), limits).unwrap();
        assert!(connections.admit(ip(3), limits).is_none());
        assert_eq!((connections.open(), connections.refused()), (3, 2));
        drop(first);
        assert!(connections.admit(ip(1), limits).is_some());
    }
}
