//! TCP.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::net::{TcpListener, TcpStream};

use crate::net::{Listener, Net, SharedNet, Stream};

/// The machine's network.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealNet;

impl RealNet {
    /// The machine's network, shared.
    #[must_use]
    pub fn shared() -> SharedNet {
        Arc::new(Self)
    }
}

fn stream(socket: TcpStream) -> io::Result<Stream> {
    // Requests are small and answered at once: Nagle would hold them back.
    socket.set_nodelay(true)?;
    Ok(Stream { peer: socket.peer_addr()?, local: socket.local_addr()?, io: Box::pin(socket) })
}

impl Listener for TcpListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    fn accept(&self) -> BoxFuture<'_, io::Result<Stream>> {
        Box::pin(async move {
            let (socket, _) = Self::accept(self).await?;
            stream(socket)
        })
    }
}

impl Net for RealNet {
    fn listen(&self, addr: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move { Ok(Box::new(TcpListener::bind(addr).await?) as Box<dyn Listener>) })
    }

    fn connect<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Stream>> {
        Box::pin(async move { stream(TcpStream::connect((host, port)).await?) })
    }
}
