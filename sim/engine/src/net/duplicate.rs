//! The same bytes once more, on a second connection that has no process at its client's end.

use std::time::Duration;

use bytes::Bytes;

use squall_core::time::VirtualTime;

use super::{
    Fabric, State,
    connection::{CLIENT, Connection, SERVER},
    pipe::{Content, Packet},
};

impl State {
    /// Sends `bytes` once more, on a second connection that has no process at the client's end. It is established and
    /// carries the bytes after `delay`; without a listener, or over a cut link, nothing comes of it.
    pub(super) fn duplicate(
        &mut self,
        original: u64,
        bytes: Bytes,
        delay: Duration,
        now: VirtualTime,
    ) {
        let Some(first) = self.connections.get(&original) else {
            return;
        };
        let nodes = [first.ends[CLIENT].node, first.ends[SERVER].node];
        let burst = first.pipes[CLIENT].bursts;
        let (ordinal, port, label) = (first.ordinal, first.port, first.label.clone());
        let server = self.fabric.node(nodes[1]);
        let Some(socket) = server.listening.get(&port).map(|socket| socket.id) else {
            return;
        };
        if server.refuse || server.hang_connects || first.obstacle(CLIENT, &self.fabric).is_some() {
            return;
        }
        let id = self.next_connection;
        self.next_connection += 1;
        // Beyond all ordinals of real connections, which it must not shift.
        let ordinal = (burst + 1) << 32 | ordinal;
        let mut connection = Connection::new(id, ordinal, port, socket, nodes);
        connection.label = label;
        connection.haunt(bytes, delay, &mut self.fabric, now);
        self.await_accept(&connection);
        connection.settle(&mut self.fabric, now);
        self.connections.insert(id, connection);
    }
}

impl Connection {
    /// Makes this a connection without a process: it has sent `bytes`.
    fn haunt(&mut self, bytes: Bytes, delay: Duration, fabric: &mut Fabric, now: VirtualTime) {
        self.ends[CLIENT].held = false;
        self.ends[CLIENT].phantom = true;
        let mut hello = Packet::control(Content::Open, 0);
        hello.extra = delay;
        self.pipes[CLIENT].push(hello);
        self.transmit(CLIENT, fabric, now);
        self.send(CLIENT, bytes, Duration::ZERO, fabric, now);
    }
}
