//! TCP.

use std::{collections::BTreeMap, io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use crate::ports::{BoxFuture, Connection, Listener, Net};

/// Pause after an accept that failed for want of something (file descriptors), which may come back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

pub(super) struct Tcp {
    own: SocketAddr,
    addresses: BTreeMap<String, SocketAddr>,
}

impl Tcp {
    pub(super) fn new(name: &str, addresses: BTreeMap<String, SocketAddr>) -> io::Result<Self> {
        let own = address_of(&addresses, name)?;
        Ok(Tcp { own, addresses })
    }
}

fn address_of(addresses: &BTreeMap<String, SocketAddr>, name: &str) -> io::Result<SocketAddr> {
    let missing = || io::Error::new(io::ErrorKind::NotFound, format!("{name} has no address"));
    addresses.get(name).copied().ok_or_else(missing)
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
        let address = address_of(&self.addresses, peer);
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
