//! A world that does nothing but watch the network: two machines and madsim's clock.

#![allow(
    dead_code,
    reason = "each of the crates that share this file uses a part of it"
)]

use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
    time::Duration,
};

use madsim::runtime::Runtime;

use squall::{
    host::{BurstFault, Host, NodeIx, Reached, Verdict},
    net::{Latency, Listener, Net, Stream},
    seed::Seed,
    time::VirtualTime,
    trace::{Fate, What},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::Instant,
};

/// The machine that connects.
pub const CLIENT: NodeIx = NodeIx(0);
/// The machine that listens.
pub const SERVER: NodeIx = NodeIx(1);
/// Where it listens.
pub const PORT: u16 = 80;
/// One way, as in the measurements.
pub const ONE_WAY: Duration = Duration::from_millis(20);

/// What a burst does to the world as it leaves.
type Trap = Box<dyn FnOnce() -> Verdict + Send>;

/// The host of a test.
pub struct World {
    started: Instant,
    quiet: bool,
    /// Labels of the bursts that were about to leave, with their senders.
    pub sites: Mutex<Vec<(NodeIx, String)>>,
    /// Latencies of the bursts that left, with their senders and fates.
    pub bursts: Mutex<Vec<(NodeIx, Duration, Fate)>>,
    traps: Mutex<VecDeque<(NodeIx, Trap)>>,
}

impl World {
    /// A world of two machines, 20 ms apart.
    pub fn new() -> (Arc<World>, Arc<Net>) {
        let (world, net) = World::with(false);
        for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
            net.set_link(from, to, Latency::fixed(ONE_WAY));
        }
        (world, net)
    }

    /// Two machines in a data centre. A quiet world keeps no records.
    pub fn with(quiet: bool) -> (Arc<World>, Arc<Net>) {
        let world = Arc::new(World {
            started: Instant::now(),
            quiet,
            sites: Mutex::default(),
            bursts: Mutex::default(),
            traps: Mutex::default(),
        });
        let net = Net::new(world.clone());
        net.add_node(CLIENT);
        net.add_node(SERVER);
        (world, net)
    }

    /// At the next burst of `node` this happens.
    pub fn trap(&self, node: NodeIx, trap: impl FnOnce() -> Verdict + Send + 'static) {
        self.traps.lock().unwrap().push_back((node, Box::new(trap)));
    }

    /// The next burst of `node` meets this fault.
    pub fn fault(&self, node: NodeIx, fault: BurstFault) {
        self.trap(node, move || Verdict {
            burst: Some(fault),
            ..Verdict::default()
        });
    }

    /// Virtual time since the test began.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// The latencies of the bursts that `node` sent.
    pub fn latencies(&self, node: NodeIx) -> Vec<Duration> {
        let bursts = self.bursts.lock().unwrap();
        let own = bursts.iter().filter(|(sender, ..)| *sender == node);
        own.map(|(_, latency, _)| *latency).collect()
    }
}

impl Host for World {
    fn now(&self) -> VirtualTime {
        VirtualTime::from_start(self.started.elapsed())
    }

    fn seed(&self) -> Seed {
        Seed(7)
    }

    fn name(&self, node: NodeIx) -> Arc<str> {
        match node {
            CLIENT => "client".into(),
            SERVER => "server".into(),
            NodeIx(other) => format!("node-{other}").into(),
        }
    }

    fn reached(&self, node: NodeIx, site: Reached<'_>) -> Verdict {
        if self.quiet {
            return Verdict::default();
        }
        if let Reached::Send { label, .. } = site {
            self.sites.lock().unwrap().push((node, label.to_owned()));
        }
        let trap = {
            let mut traps = self.traps.lock().unwrap();
            let next = traps.iter().position(|(at, _)| *at == node);
            next.and_then(|ix| traps.remove(ix))
        };
        trap.map_or_else(Verdict::default, |(_, trap)| trap())
    }

    fn tracing(&self) -> bool {
        false
    }

    fn record(&self, node: NodeIx, what: What<'_>) {
        if let (false, What::Burst { latency, fate, .. }) = (self.quiet, what) {
            self.bursts.lock().unwrap().push((node, latency, fate));
        }
    }
}

/// A connection between the two machines, as both ends know it, and the socket that accepted it.
pub async fn connected(net: &Arc<Net>) -> (Stream, Stream, Listener) {
    let mut listener = net.listen(SERVER, PORT).expect("nobody listens yet");
    let client = net.connect(CLIENT, SERVER, PORT).await.expect("it listens");
    let server = listener.accept().await.expect("it lives");
    (client, server, listener)
}

/// Runs a test on a runtime of its own.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    Runtime::new().block_on(test)
}

/// Writes and flushes.
pub async fn say(stream: &mut Stream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.flush().await
}

/// Reads exactly what is expected.
pub async fn hear(stream: &mut Stream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await.expect("it arrives");
    assert_eq!(bytes, expected);
}

/// Reads until the end or an error: how many bytes, and which error.
pub async fn drain(stream: &mut Stream) -> (usize, Option<ErrorKind>) {
    let mut buffer = vec![0; 1 << 16];
    let mut total = 0;
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) => return (total, None),
            Ok(read) => total += read,
            Err(error) => return (total, Some(error.kind())),
        }
    }
}

/// Reads once: how many bytes, or which error.
pub async fn read(stream: &mut Stream) -> Result<usize, ErrorKind> {
    let mut buffer = [0; 1 << 16];
    stream.read(&mut buffer).await.map_err(|error| error.kind())
}

/// Writes until nothing more is taken for five seconds: how many bytes were.
pub async fn fill(stream: &mut Stream) -> usize {
    let chunk = [0; 10_000];
    let mut total = 0;
    while let Some(written) = within(5.0, stream.write(&chunk)).await {
        total += written.expect("the peer lives");
    }
    total
}

/// What a future comes to, if it does so in time.
pub async fn within<T>(seconds: f64, future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(Duration::from_secs_f64(seconds), future)
        .await
        .ok()
}

/// Sleeps.
pub async fn pause(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

/// Asserts that something took so many seconds, within a hundredth (and a millisecond of scheduling).
#[track_caller]
pub fn assert_took(elapsed: Duration, seconds: f64) {
    assert_between(elapsed, seconds * 0.99 - 0.001, seconds * 1.01 + 0.001);
}

/// Asserts that something took no less and no more.
#[track_caller]
pub fn assert_between(elapsed: Duration, least: f64, most: f64) {
    let seconds = elapsed.as_secs_f64();
    assert!(
        (least..=most).contains(&seconds),
        "took {seconds} s, expected {least} to {most} s"
    );
}

/// Cuts both ways.
pub fn cut(net: &Net) {
    net.cut(CLIENT, SERVER);
    net.cut(SERVER, CLIENT);
}

/// Heals both ways.
pub fn heal(net: &Net) {
    net.heal(CLIENT, SERVER);
    net.heal(SERVER, CLIENT);
}

/// Takes every fault away.
pub fn calm(net: &Net) {
    heal(net);
    for (from, to) in [(CLIENT, SERVER), (SERVER, CLIENT)] {
        net.set_loss(from, to, 0.0);
        net.set_bandwidth(from, to, None);
        net.set_latency(from, to, None);
        net.unreachable(from, false);
        net.hang_connects(from, false);
    }
}
