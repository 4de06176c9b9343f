//! A world that does nothing but watch the network: two machines and madsim's clock.

#![allow(
    dead_code,
    reason = "each of the crates that share this file uses a part of it"
)]

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    host::{BurstFault, Host, NodeIx, Reached, Verdict},
    net::{Latency, Listener, Net, Stream},
    seed::Seed,
    time::VirtualTime,
    trace::What,
};
use tokio::time::Instant;

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
    pub bursts: Mutex<Vec<(NodeIx, Duration, &'static str)>>,
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
