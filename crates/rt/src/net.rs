//! Listening and connecting, passed in.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};

/// A connection's two directions.
pub trait Duplex: AsyncRead + AsyncWrite + Send + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + 'static> Duplex for T {}

/// A connection.
pub struct Stream {
    /// The bytes.
    pub io: Pin<Box<dyn Duplex>>,
    /// The other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream({} - {})", self.local, self.peer)
    }
}

/// A listening socket.
pub trait Listener: Send + Sync {
    /// The address it listens on, with the port that was chosen.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Waits for a connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>>;
}

/// A network.
pub trait Net: Send + Sync + 'static {
    /// Listens on `addr`; port 0 takes a free one.
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>>;

    /// Connects to `host:port`.
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Stream>>;
}

/// A network as it is handed around.
pub type SharedNet = Arc<dyn Net>;
