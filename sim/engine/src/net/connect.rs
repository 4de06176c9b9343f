//! Opening a connection: three packets, each of which may be lost.
//!
//! The connecting task itself walks the SYN to the server and the answer back, waiting for each to arrive. The third
//! packet travels like data, in the new connection.

use std::{future::pending, io, sync::Arc, time::Duration};

use squall_core::{event::ConnectionEvent, host::NodeIx, seed::hash, time::VirtualTime};

use super::{
    Aftermath, Effect, Fabric, Net, Note, State,
    connection::{CLIENT, Connection, SERVER},
    linux::{self, error},
    pipe::{Content, Packet},
    stream::Stream,
    timer,
};

/// An attempt to connect.
struct Attempt {
    net: Arc<Net>,
    from: NodeIx,
    to: NodeIx,
    port: u16,
    life: u32,
    ordinal: u64,
    /// A SYN had no answer.
    resends: bool,
}

/// What a SYN meets.
enum Answer {
    /// A listening socket, by its id.
    Accepted(u64),
    Refused(i32),
    Silence,
}

pub(super) async fn connect(
    net: Arc<Net>,
    from: NodeIx,
    to: NodeIx,
    port: u16,
) -> io::Result<Stream> {
    let (life, ordinal) = {
        let mut state = net.lock();
        if !state.fabric.knows(to) {
            return Err(error(linux::NETWORK_UNREACHABLE));
        }
        let life = state.fabric.node(from).life;
        let ordinal = state.fabric.next_ordinal(from, to, port);
        state.connecting += 1;
        (life, ordinal)
    };
    let attempt = Attempt {
        net,
        from,
        to,
        port,
        life,
        ordinal,
        resends: false,
    };
    attempt.run().await
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut state = self.net.lock();
        state.connecting -= 1;
        state.resending -= usize::from(self.resends);
    }
}

impl Attempt {
    async fn run(mut self) -> io::Result<Stream> {
        let started = self.net.host.now();
        for (attempt, seconds) in (0..).zip(linux::SYN_SECONDS) {
            self.wait(started + Duration::from_secs(seconds)).await;
            if let Some(result) = self.syn(attempt).await {
                return result;
            }
            if !self.resends {
                self.resends = true;
                self.net.lock().resending += 1;
            }
        }
        self.wait(started + linux::SYN_GIVE_UP).await;
        self.fail(linux::TIMED_OUT, ConnectionEvent::TimedOut)
    }

    /// Waits, if need be for ever: the process may be gone.
    async fn wait(&self, until: VirtualTime) {
        timer::until(&*self.net.host, until).await;
        if !self.net.lock().fabric.lives(self.from, self.life) {
            pending::<()>().await;
        }
    }

    /// Sends a SYN. No result if there is no answer.
    async fn syn(&self, attempt: u64) -> Option<io::Result<Stream>> {
        let syn = self.packet(self.from, self.to, attempt);
        let unreachable = {
            let state = self.net.lock();
            state.fabric.obstacle(self.from, self.to) == Some(Effect::Unreachable)
        };
        if unreachable {
            let back = self.travel(self.to, self.from, attempt);
            self.wait(self.net.host.now() + syn.unwrap_or(back) + back)
                .await;
            return Some(self.fail(linux::HOST_UNREACHABLE, ConnectionEvent::Unreachable));
        }
        self.wait(self.net.host.now() + syn?).await;
        let answer = self
            .net
            .turn(|state, aftermath, now| state.answer(self, aftermath, now));
        if matches!(answer, Answer::Silence) {
            return None;
        }
        let reply = self.packet(self.to, self.from, attempt)?;
        self.wait(self.net.host.now() + reply).await;
        if attempt > 0 {
            self.net.lock().fabric.retransmitted = self.net.host.now();
        }
        match answer {
            Answer::Accepted(socket) => Some(Ok(self.establish(socket))),
            Answer::Refused(code) => Some(self.fail(code, ConnectionEvent::Refused)),
            Answer::Silence => None,
        }
    }

    /// How long a packet of the handshake travels, if it gets through.
    fn packet(&self, from: NodeIx, to: NodeIx, attempt: u64) -> Option<Duration> {
        let mut state = self.net.lock();
        let bits = self.bits(&state, from, to, attempt);
        let obstacle = state.fabric.obstacle(from, to);
        let link = state.fabric.link_mut(from, to);
        let lost = link.loses(bits).then_some(Effect::Loss);
        if link.change.is_some() {
            link.touch(Effect::Latency);
        }
        if let Some(effect) = obstacle.or(lost) {
            link.touch(effect);
            return None;
        }
        Some(link.travel(bits))
    }

    fn travel(&self, from: NodeIx, to: NodeIx, attempt: u64) -> Duration {
        let state = self.net.lock();
        let bits = self.bits(&state, from, to, attempt);
        state.fabric.link(from, to).travel(bits)
    }

    fn bits(&self, state: &State, from: NodeIx, to: NodeIx, attempt: u64) -> u64 {
        let link = state.fabric.link(from, to);
        let way = hash(b"handshake") ^ u64::from(self.port);
        let parts = [link.key, way, self.ordinal, attempt];
        state.fabric.seed.keyed(&parts)
    }

    /// The SYN-ACK has arrived: the connection is there, and the third packet leaves.
    fn establish(&self, socket: u64) -> Stream {
        self.net.turn(|state, aftermath, now| {
            let id = state.next_connection;
            state.next_connection += 1;
            let nodes = [self.from, self.to];
            let mut connection = Connection::new(id, self.ordinal, self.port, socket, nodes);
            connection.tell(CLIENT, ConnectionEvent::Connect, &state.fabric, aftermath);
            state.await_accept(&connection);
            connection.hello(&mut state.fabric, now);
            connection.settle(&mut state.fabric, now);
            let stream = Stream::new(self.net.clone(), &connection, CLIENT, self.life);
            state.connections.insert(id, connection);
            stream
        })
    }

    fn fail(&self, code: i32, event: ConnectionEvent) -> io::Result<Stream> {
        self.net.turn(|state, aftermath, _| {
            aftermath.notes.push(Note::Connection {
                node: self.from,
                peer: state.fabric.node(self.to).name.clone(),
                connection: self.ordinal,
                event,
            });
        });
        Err(error(code))
    }
}

impl State {
    /// What the server's kernel says to a SYN.
    fn answer(&mut self, attempt: &Attempt, aftermath: &mut Aftermath, now: VirtualTime) -> Answer {
        let (from, to) = (attempt.from, attempt.to);
        self.catch_up(to, attempt.port, aftermath, now);
        let node = self.fabric.node(to);
        if !node.kernel || node.frozen {
            return Answer::Silence;
        }
        if node.hang_connects {
            self.fabric.link_mut(from, to).touch(Effect::Hung);
            return Answer::Silence;
        }
        if node.refuse {
            self.fabric.link_mut(from, to).touch(Effect::Refused);
            return Answer::Refused(linux::CONNECTION_REFUSED);
        }
        match node.listening.get(&attempt.port) {
            None => Answer::Refused(linux::CONNECTION_REFUSED),
            Some(socket) if socket.is_full() => Answer::Silence,
            Some(socket) => Answer::Accepted(socket.id),
        }
    }

    /// Enters a new connection in the queue of its listening socket, unless that is gone.
    pub(super) fn await_accept(&mut self, connection: &Connection) {
        let node = self.fabric.node_mut(connection.ends[SERVER].node);
        if let Some(socket) = node.listening.get_mut(&connection.port)
            && Some(socket.id) == connection.listening
        {
            socket.pending.push(connection.id);
        }
    }
}

impl Connection {
    /// The last step of the handshake leaves.
    fn hello(&mut self, fabric: &mut Fabric, now: VirtualTime) {
        self.pipes[CLIENT].push(Packet::control(Content::Open, 0));
        self.transmit(CLIENT, fabric, now);
    }
}
