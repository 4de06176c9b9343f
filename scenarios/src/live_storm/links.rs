//! A proxy on each link between two processes.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use crate::lock;

/// How often a link that nothing passes is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// How long a process may be silent before it is looked whether the connection was given up.
const READ_WITHIN: Duration = Duration::from_millis(20);

/// How bad a way from one process to another one is.
#[derive(Clone, Copy, Debug, Default)]
struct Way {
    /// How many faults cut it.
    cuts: u32,
    extra_ms: u64,
    bytes_per_s: Option<u64>,
}

/// How bad a process's port is, for those that connect to it.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    refuses: bool,
    hangs: bool,
}

#[derive(Default)]
struct State {
    ways: BTreeMap<(String, String), Way>,
    ports: BTreeMap<String, Port>,
    /// How often the connections between two processes were reset, in the order of their names.
    resets: BTreeMap<(String, String), u64>,
    /// How often they were made to die silently.
    silences: BTreeMap<(String, String), u64>,
}

/// All links.
pub(super) struct Links {
    state: Arc<Mutex<State>>,
    /// Where `from` reaches `to`.
    proxies: BTreeMap<(String, String), SocketAddr>,
}

/// A link's proxy: who connects to whom.
#[derive(Clone)]
struct Link {
    from: String,
    to: String,
    state: Arc<Mutex<State>>,
}

impl Links {
    /// A proxy from each service to each other one, which listens at its port.
    pub fn between(ports: &BTreeMap<&'static str, u16>) -> io::Result<Links> {
        let state = Arc::<Mutex<State>>::default();
        let mut proxies = BTreeMap::new();
        for from in ports.keys() {
            for (to, port) in ports.iter().filter(|(to, _)| *to != from) {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
                let at = listener.local_addr()?;
                proxies.insert(((*from).to_owned(), (*to).to_owned()), at);
                let link = Link {
                    from: (*from).to_owned(),
                    to: (*to).to_owned(),
                    state: state.clone(),
                };
                let to = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                std::thread::spawn(move || link.serve(listener, at, to));
            }
        }
        Ok(Links { state, proxies })
    }

    /// Where a service reaches the others.
    pub fn from(&self, service: &str) -> Vec<(String, SocketAddr)> {
        let own = self.proxies.iter().filter(|((from, _), _)| from == service);
        own.map(|((_, to), at)| (to.clone(), *at)).collect()
    }

    pub fn cut(&self, from: &str, to: &str, on: bool) {
        self.way(from, to, |way| match on {
            true => way.cuts += 1,
            false => way.cuts = way.cuts.saturating_sub(1),
        });
    }

    /// Cuts a service off from all others, both ways.
    pub fn isolate(&self, service: &str, on: bool) {
        let pairs: Vec<(String, String)> = self.proxies.keys().cloned().collect();
        for (from, to) in pairs {
            if from == service || to == service {
                self.cut(&from, &to, on);
            }
        }
    }

    pub fn slow(&self, from: &str, to: &str, extra_ms: u64) {
        self.way(from, to, |way| way.extra_ms = extra_ms);
    }

    pub fn trickle(&self, from: &str, to: &str, bytes_per_s: Option<u64>) {
        self.way(from, to, |way| way.bytes_per_s = bytes_per_s);
    }

    pub fn refuse(&self, service: &str, on: bool) {
        self.port(service, |port| port.refuses = on);
    }

    pub fn hang(&self, service: &str, on: bool) {
        self.port(service, |port| port.hangs = on);
    }

    pub fn reset(&self, a: &str, b: &str) {
        *lock(&self.state).resets.entry(pair(a, b)).or_default() += 1;
    }

    pub fn silence(&self, a: &str, b: &str) {
        *lock(&self.state).silences.entry(pair(a, b)).or_default() += 1;
    }

    fn way(&self, from: &str, to: &str, change: impl FnOnce(&mut Way)) {
        let way = (from.to_owned(), to.to_owned());
        change(lock(&self.state).ways.entry(way).or_default());
    }

    fn port(&self, service: &str, change: impl FnOnce(&mut Port)) {
        change(
            lock(&self.state)
                .ports
                .entry(service.to_owned())
                .or_default(),
        );
    }
}

fn pair(a: &str, b: &str) -> (String, String) {
    let (a, b) = (a.to_owned(), b.to_owned());
    (a.clone().min(b.clone()), a.max(b))
}

impl Link {
    fn serve(&self, listener: TcpListener, at: SocketAddr, to: SocketAddr) {
        let mut listener = Some(listener);
        loop {
            if self.port().refuses {
                listener = None;
            } else if listener.is_none() {
                listener = TcpListener::bind(at).ok();
            }
            if let Some(listener) = &listener {
                let _ = listener.set_nonblocking(true);
                while let Ok((stream, _)) = listener.accept() {
                    let link = self.clone();
                    std::thread::spawn(move || link.carry(stream, to));
                }
            }
            std::thread::sleep(LOOK);
        }
    }

    fn port(&self) -> Port {
        lock(&self.state)
            .ports
            .get(&self.to)
            .copied()
            .unwrap_or_default()
    }

    fn way(&self, back: bool) -> Way {
        let way = match back {
            false => (self.from.clone(), self.to.clone()),
            true => (self.to.clone(), self.from.clone()),
        };
        lock(&self.state)
            .ways
            .get(&way)
            .copied()
            .unwrap_or_default()
    }

    /// How often connections of this link were reset, and made to die silently.
    fn struck(&self) -> (u64, u64) {
        let state = lock(&self.state);
        let of = |counts: &BTreeMap<_, u64>| counts.get(&pair(&self.from, &self.to)).copied();
        (
            of(&state.resets).unwrap_or(0),
            of(&state.silences).unwrap_or(0),
        )
    }

    /// Carries a connection. As the kernel does, it holds back what a cut link does not let through, the connect first.
    fn carry(&self, client: TcpStream, to: SocketAddr) {
        let struck = self.struck();
        let _ = client.set_nonblocking(false);
        while self.port().hangs || self.way(false).cuts > 0 || self.way(true).cuts > 0 {
            if self.struck().0 != struck.0 {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let Ok(server) = TcpStream::connect(to) else {
            return;
        };
        let ends = || Some((client.try_clone().ok()?, server.try_clone().ok()?));
        let Some((client_too, server_too)) = ends() else {
            return;
        };
        let link = self.clone();
        std::thread::spawn(move || link.pass(server_too, client_too, true, struck));
        self.pass(client, server, false, struck);
    }

    /// Passes bytes one way, until an end closes or the connection is reset.
    fn pass(&self, mut from: TcpStream, mut to: TcpStream, back: bool, struck: (u64, u64)) {
        let _ = (from.set_nodelay(true), to.set_nodelay(true));
        let _ = from.set_read_timeout(Some(READ_WITHIN));
        let mut bytes = vec![0; 16 << 10];
        let closed = loop {
            let read = match from.read(&mut bytes) {
                Ok(0) => break Shutdown::Write,
                Ok(read) => read,
                Err(error) if is_pause(&error) => 0,
                Err(_) => break Shutdown::Both,
            };
            let way = self.way(back);
            if read > 0 {
                std::thread::sleep(Duration::from_millis(way.extra_ms));
                if let Some(rate) = way.bytes_per_s {
                    let takes = read as u64 * 1000 / rate.max(1);
                    std::thread::sleep(Duration::from_millis(takes.min(20_000)));
                }
            }
            while read > 0 && self.way(back).cuts > 0 && self.struck().0 == struck.0 {
                std::thread::sleep(LOOK);
            }
            let now = self.struck();
            if now.0 != struck.0 {
                break Shutdown::Both;
            }
            // Swallowed, if the connection is dead and nobody knows.
            if read > 0 && now.1 == struck.1 && to.write_all(&bytes[..read]).is_err() {
                break Shutdown::Both;
            }
        };
        let _ = to.shutdown(closed);
        if closed == Shutdown::Both {
            let _ = from.shutdown(closed);
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}
