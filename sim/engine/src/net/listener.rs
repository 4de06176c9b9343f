//! Listening sockets.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    io,
    sync::Arc,
    task::{Context, Poll},
};

use squall_core::{event::ConnectionEvent, host::NodeIx, time::VirtualTime};

use super::{
    Aftermath, Net, State,
    connection::SERVER,
    fabric::Listening,
    linux::{self, error},
    node_is_down,
    stream::Stream,
    timer::Waiter,
};

/// A listening socket. Dropping it resets the connections that it has not accepted.
pub struct Listener {
    net: Arc<Net>,
    node: NodeIx,
    life: u32,
    port: u16,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("node", &self.node)
            .field("port", &self.port)
            .finish_non_exhaustive()
    }
}

impl Listener {
    pub(super) fn new(net: Arc<Net>, node: NodeIx, port: u16, backlog: usize) -> io::Result<Self> {
        let life = {
            let mut state = net.lock();
            let id = state.next_socket;
            state.next_socket += 1;
            let node = state.fabric.node_mut(node);
            if !node.process || node.frozen {
                return Err(node_is_down());
            }
            if node.listening.contains_key(&port) {
                return Err(error(linux::ADDRESS_IN_USE));
            }
            let listening = Listening {
                id,
                backlog,
                pending: Vec::new(),
                ready: VecDeque::new(),
                waiter: Waiter::default(),
            };
            node.listening.insert(port, listening);
            node.life
        };
        Ok(Listener {
            net,
            node,
            life,
            port,
        })
    }

    /// The next connection. On a node that has died it never comes.
    ///
    /// # Errors
    /// None: the socket of a process that lives stays usable.
    pub async fn accept(&mut self) -> io::Result<Stream> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    /// From now on so many connections wait to be accepted.
    pub fn set_backlog(&self, backlog: usize) {
        self.net.turn(|state, _, _| {
            if state.fabric.lives(self.node, self.life)
                && let Some(socket) = state.socket(self.node, self.port)
            {
                socket.backlog = backlog;
            }
        });
    }

    /// Whether a connection waits to be accepted; `waker` is woken by the next one that is ready.
    pub fn readiness(&self, waker: &std::task::Waker) -> bool {
        let (node, port) = (self.node, self.port);
        self.net.turn(|state, aftermath, now| {
            if !state.fabric.lives(node, self.life) {
                return false;
            }
            state.catch_up(node, port, aftermath, now);
            let Some(socket) = state.socket(node, port) else {
                return false;
            };
            aftermath.forgotten.extend(socket.waiter.park(waker));
            let is_ready = !socket.ready.is_empty();
            for id in socket.pending.clone() {
                if let Some(connection) = state.connections.get_mut(&id) {
                    connection.settle(&mut state.fabric, now);
                }
            }
            is_ready
        })
    }

    /// [`accept`](Listener::accept) as a poll.
    ///
    /// # Errors
    /// As [`accept`](Listener::accept).
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Stream>> {
        let (node, port) = (self.node, self.port);
        let accepted = self.net.turn(|state, aftermath, now| {
            if !state.fabric.lives(node, self.life) {
                return None;
            }
            state.socket(node, port)?.waiter.unpark();
            state.catch_up(node, port, aftermath, now);
            let State {
                fabric,
                connections,
                ..
            } = state;
            let socket = fabric.node_mut(node).listening.get_mut(&port)?;
            while let Some(id) = socket.ready.pop_front() {
                let pending = socket.pending.clone();
                let Some(connection) = connections.get_mut(&id) else {
                    continue;
                };
                connection.listening = None;
                connection.tell(SERVER, ConnectionEvent::Accept, fabric, aftermath);
                let stream = Stream::new(self.net.clone(), connection, SERVER, self.life);
                // Whoever was turned away by a full queue gets another chance.
                for id in pending {
                    if let Some(connection) = connections.get_mut(&id) {
                        connection.resume(fabric, now);
                        connection.settle(fabric, now);
                    }
                }
                return Some(stream);
            }
            aftermath.forgotten.extend(socket.waiter.park(cx.waker()));
            for id in socket.pending.clone() {
                if let Some(connection) = connections.get_mut(&id) {
                    connection.settle(fabric, now);
                }
            }
            None
        });
        accepted.map_or(Poll::Pending, |stream| Poll::Ready(Ok(stream)))
    }
}

impl State {
    fn socket(&mut self, node: NodeIx, port: u16) -> Option<&mut Listening> {
        self.fabric.node_mut(node).listening.get_mut(&port)
    }

    /// Brings the handshakes of a listening socket up to the present.
    pub(super) fn catch_up(
        &mut self,
        node: NodeIx,
        port: u16,
        aftermath: &mut Aftermath,
        now: VirtualTime,
    ) {
        let pending = self
            .socket(node, port)
            .map(|socket| socket.pending.clone())
            .unwrap_or_default();
        for id in pending {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.advance(&mut self.fabric, aftermath, now);
                connection.settle(&mut self.fabric, now);
            } else if let Some(socket) = self.socket(node, port) {
                socket.pending.retain(|pending| *pending != id);
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        let (node, port) = (self.node, self.port);
        self.net.turn(|state, aftermath, now| {
            if !state.fabric.lives(node, self.life) {
                return;
            }
            state.catch_up(node, port, aftermath, now);
            let Some(mut socket) = state.fabric.node_mut(node).listening.remove(&port) else {
                return;
            };
            socket.waiter.forget(aftermath);
            for id in socket.ready.into_iter().chain(socket.pending) {
                if let Some(connection) = state.connections.get_mut(&id) {
                    connection.deny(&mut state.fabric, aftermath, now);
                    connection.settle(&mut state.fabric, now);
                }
            }
            state
                .connections
                .retain(|_, connection| !connection.is_over());
        });
    }
}
