//! TCP.

use std::{
    io,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::net::{TcpListener, TcpStream};

use super::Addresses;
use crate::ports::{BoxFuture, Connection, Listener, Net};

/// Pause after an accept that failed for want of something (file descriptors), which may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Tcp {
    own: SocketAddr,
    addresses: Addresses,
    /// Connections that were opened to any peer.
    opened: AtomicUsize,
}

impl Tcp {
    pub(super) fn new(name: &str, addresses: Addresses) -> io::Result<Self> {
        let own = nth_of(&addresses, name, 0)?;
        let opened = AtomicUsize::new(0);
        Ok(Tcp {
            own,
            addresses,
            opened,
        })
    }
}

/// One of the addresses of a name, in turn.
fn nth_of(addresses: &Addresses, name: &str, nth: usize) -> io::Result<SocketAddr> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
    let replicas = addresses.get(name).ok_or_else(missing)?;
    let turn = nth.checked_rem(replicas.len()).ok_or_else(missing)?;
    Ok(replicas[turn])
}

impl Net for Tcp {
    fn listen(&self) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let own = self.own;
        Box::pin(async move {
            let listener = TcpListener::bind(own).await.map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {own}: {error}"))
            })?;
            Ok(Box::new(Accepting(listener)) as Box<dyn Listener>)
        })
    }

    fn connect(&self, peer: &str) -> BoxFuture<'static, io::Result<Connection>> {
        let turn = self.opened.fetch_add(1, Ordering::Relaxed);
        let address = nth_of(&self.addresses, peer, turn);
        Box::pin(async move {
            let stream = TcpStream::connect(address?).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Connection)
        })
    }
}

struct Accepting(TcpListener);

impl Listener for Accepting {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Connection>> {
        Box::pin(async {
            loop {
                match self.0.accept().await {
                    Ok((stream, _)) => {
                        stream.set_nodelay(true).ok();
                        return Ok(Box::new(stream) as Connection);
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        })
    }
}
