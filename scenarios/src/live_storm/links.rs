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

/// How bad a way from one process to another one is: the faults that last.
#[derive(Clone, Debug, Default)]
struct Way {
    /// How many cut it.
    cuts: u32,
    /// By how much they slow it; they add up.
    extra_ms: u64,
    /// What they let through; the least counts.
    bytes_per_s: Vec<u64>,
}

/// How bad a process's port is, for those that connect to it: how many faults there are.
#[derive(Clone, Copy, Debug, Default)]
struct Port {
    refuses: u32,
    hangs: u32,
}

fn count(faults: &mut u32, on: bool) {
    *faults = match on {
        true => *faults + 1,
        false => faults.saturating_sub(1),
    };
}

/// What becomes of something on its way.
enum Passage {
    Passes,
    /// The connection is dead, and nobody knows.
    Swallowed,
    Reset,
}

#[derive(Default)]
struct State {
    ways: BTreeMap<(String, String), Way>,
    ports: BTreeMap<String, Port>,
    /// Ends that must not be told of the other one's.
    kept: Vec<TcpStream>,
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
        self.way(from, to, |way| count(&mut way.cuts, on));
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

    pub fn slow(&self, from: &str, to: &str, extra_ms: u64, on: bool) {
        self.way(from, to, |way| {
            way.extra_ms = match on {
                true => way.extra_ms + extra_ms,
                false => way.extra_ms.saturating_sub(extra_ms),
            }
        });
    }

    pub fn trickle(&self, from: &str, to: &str, bytes_per_s: u64, on: bool) {
        self.way(from, to, |way| {
            let rates = &mut way.bytes_per_s;
            if on {
                rates.push(bytes_per_s);
            } else if let Some(at) = rates.iter().position(|rate| *rate == bytes_per_s) {
                rates.remove(at);
            }
        });
    }

    pub fn refuse(&self, service: &str, on: bool) {
        self.port(service, |port| count(&mut port.refuses, on));
    }

    pub fn hang(&self, service: &str, on: bool) {
        self.port(service, |port| count(&mut port.hangs, on));
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
            if self.port().refuses > 0 {
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
            .cloned()
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
        while self.port().hangs > 0 || self.way(false).cuts > 0 || self.way(true).cuts > 0 {
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

    /// Waits until a way lets something through, or what is on it is lost.
    fn passage(&self, back: bool, struck: (u64, u64)) -> Passage {
        loop {
            let (resets, silences) = self.struck();
            if resets != struck.0 {
                return Passage::Reset;
            }
            if silences != struck.1 {
                return Passage::Swallowed;
            }
            if self.way(back).cuts == 0 {
                return Passage::Passes;
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Passes bytes one way, until an end closes or the connection is reset. The end of a connection takes the same way
    /// as its bytes.
    fn pass(&self, from: TcpStream, to: TcpStream, back: bool, struck: (u64, u64)) {
        let _ = (from.set_nodelay(true), to.set_nodelay(true));
        let _ = from.set_read_timeout(Some(READ_WITHIN));
        let mut bytes = vec![0; 16 << 10];
        // Who is told, how, and on which way.
        let (told, how, way) = loop {
            let read = match (&from).read(&mut bytes) {
                Ok(0) => break (&to, Shutdown::Write, back),
                Ok(read) => read,
                Err(error) if is_pause(&error) => 0,
                Err(_) => break (&to, Shutdown::Both, back),
            };
            if read > 0 {
                self.dawdle(read, back);
            }
            match self.passage(back, struck) {
                Passage::Passes if (&to).write_all(&bytes[..read]).is_err() => {
                    break (&from, Shutdown::Both, !back);
                }
                Passage::Reset => break (&to, Shutdown::Both, back),
                _ => {}
            }
        };
        match self.passage(way, struck) {
            Passage::Passes => {
                let _ = told.shutdown(how);
            }
            Passage::Reset => {
                let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
            }
            Passage::Swallowed => lock(&self.state).kept.extend([from, to]),
        }
    }

    /// What so many bytes need for a slow way.
    fn dawdle(&self, bytes: usize, back: bool) {
        let way = self.way(back);
        std::thread::sleep(Duration::from_millis(way.extra_ms));
        if let Some(rate) = way.bytes_per_s.iter().min() {
            let takes = bytes as u64 * 1000 / (*rate).max(1);
            std::thread::sleep(Duration::from_millis(takes.min(20_000)));
        }
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The two ends of a connection of `a` to `b`.
    fn connection() -> (Links, TcpStream, TcpStream) {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = server.local_addr().unwrap().port();
        // The proxy to `a` is not used.
        let links = Links::between(&BTreeMap::from([("a", 1), ("b", port)])).unwrap();
        let (_, at) = links.from("a")[0].clone();
        let mut client = TcpStream::connect(at).unwrap();
        client.write_all(b"x").unwrap();
        let (mut served, _) = server.accept().unwrap();
        served.read_exact(&mut [0]).unwrap();
        for end in [&client, &served] {
            end.set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
        }
        (links, client, served)
    }

    /// Whether an end is told nothing for now.
    fn is_silent(mut end: &TcpStream) -> bool {
        matches!(end.read(&mut [0]), Err(error) if is_pause(&error))
    }

    #[test]
    fn the_end_of_a_connection_does_not_pass_a_cut_link() {
        let (links, client, mut served) = connection();
        links.cut("a", "b", true);
        links.cut("a", "b", true);
        drop(client);
        links.cut("a", "b", false);
        assert!(is_silent(&served), "one of two cuts is over");
        links.cut("a", "b", false);
        served.set_read_timeout(None).unwrap();
        assert_eq!(served.read(&mut [0]).unwrap(), 0);
    }

    #[test]
    fn nothing_passes_a_half_open_connection() {
        let (links, mut client, served) = connection();
        links.silence("a", "b");
        client.write_all(b"y").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert!(is_silent(&served));
        drop(served);
        assert!(is_silent(&client));
    }

    #[test]
    fn a_reset_passes_at_once() {
        let (links, client, mut served) = connection();
        links.cut("a", "b", true);
        links.reset("a", "b");
        served.set_read_timeout(None).unwrap();
        assert!(matches!(served.read(&mut [0]), Ok(0) | Err(_)));
        drop(client);
    }

    #[test]
    fn faults_of_one_link_that_overlap_are_counted() {
        let links = Links::between(&BTreeMap::from([("a", 1), ("b", 2)])).unwrap();
        let state = || {
            let state = lock(&links.state);
            let way = state.ways[&("a".to_owned(), "b".to_owned())].clone();
            (way.extra_ms, way.bytes_per_s, state.ports["b"].refuses)
        };
        for (ms, rate) in [(5, 100), (7, 90)] {
            links.slow("a", "b", ms, true);
            links.trickle("a", "b", rate, true);
            links.refuse("b", true);
        }
        links.slow("a", "b", 5, false);
        links.trickle("a", "b", 100, false);
        links.refuse("b", false);
        assert_eq!(state(), (7, vec![90], 1));
    }
}
