//! Inconsistency windows of product sync: from the instant that the catalog commits a version of a product to the instant
//! from which the challenge service's own state would answer with that version or a later one.
//!
//! Read at every state change, not polled. A window ends with the commit that brings the version into the copies; where
//! the mode keeps none (`live`), with the answer of the first read. While the service would ask the catalog if anybody
//! asked it (nothing is kept, or the copy has expired) nobody waits, so the time until somebody does is not counted.
//! What is then left is the way of a notice, the rest of a copy's life, or a round trip.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    check::{Commit, Findings},
    time::VirtualTime,
};
use squall_services::{
    rewards::challenge::{
        store::{self as challenge, PRODUCTS, SETTINGS, SYNC, Sync},
        sync::{Mode, Transport},
    },
    shared::catalog::store as catalog,
};

use crate::{lock, table_view::TableView};

/// The invariant.
pub const WITHIN_BOUND: &str = "inconsistency windows stay within the mode's bound";

/// A read is asked again at most this long after the storm by whom it concerns, and then takes a round trip: the breaker
/// may be open for ten seconds, and connections that died in the storm are found out within two calls.
const ROUND_TRIP_MAX: Duration = Duration::from_secs(30);
/// A notice is sent again after ten seconds at most, delivered again after ten more, and may have to be resolved by a
/// round trip.
const DELIVERY_MAX: Duration = Duration::from_secs(60);

/// The ways of learning of a change: the modes, and the last one's transports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// Asks at every read.
    Live,
    /// Keeps copies for a while.
    Cache,
    /// Is told by the catalog.
    Webhook,
    /// Is told over a channel of the bus.
    PubSub,
    /// Is told from a log of the bus.
    Stream,
}

impl Way {
    /// All of them.
    pub const ALL: [Way; 5] = [
        Way::Live,
        Way::Cache,
        Way::Webhook,
        Way::PubSub,
        Way::Stream,
    ];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Way::Live => "live",
            Way::Cache => "cache",
            Way::Webhook => "events, webhook",
            Way::PubSub => "events, pub/sub",
            Way::Stream => "events, stream",
        }
    }

    /// What `PUT /sync` and the configuration call it.
    pub fn setting(self) -> (Mode, Transport) {
        match self {
            Way::Live => (Mode::Live, Transport::Webhook),
            Way::Cache => (Mode::Cache, Transport::Webhook),
            Way::Webhook => (Mode::Events, Transport::Webhook),
            Way::PubSub => (Mode::Events, Transport::PubSub),
            Way::Stream => (Mode::Events, Transport::Stream),
        }
    }

    fn of(sync: &Sync) -> Self {
        match (sync.mode, sync.transport) {
            (Mode::Live, _) => Way::Live,
            (Mode::Cache, _) => Way::Cache,
            (Mode::Events, Transport::Webhook) => Way::Webhook,
            (Mode::Events, Transport::PubSub) => Way::PubSub,
            (Mode::Events, Transport::Stream) => Way::Stream,
        }
    }

    /// How long a window may last that no outage prolongs.
    fn bound(self, ttl: Duration) -> Duration {
        match self {
            Way::Live => ROUND_TRIP_MAX,
            Way::Cache => ttl + ROUND_TRIP_MAX,
            Way::Webhook | Way::PubSub | Way::Stream => DELIVERY_MAX,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The windows that ended.
    pub windows: Vec<Duration>,
    /// Versions that the challenge service never came to show.
    pub never: u64,
    /// Reads.
    pub reads: u64,
    /// Reads that were refused or not answered.
    pub refused: u64,
}

impl Measured {
    /// Adds what another run gave.
    pub fn add(&mut self, other: Measured) {
        self.windows.extend(other.windows);
        self.never += other.never;
        self.reads += other.reads;
        self.refused += other.refused;
    }
}

/// A version that the challenge service does not show yet.
#[derive(Clone, Debug)]
struct Waiting {
    sku: String,
    version: u64,
    since: VirtualTime,
    /// From when the service would have asked if somebody had asked it, and when somebody did.
    asked: Option<(VirtualTime, VirtualTime)>,
}

/// A window that ended.
struct Ended {
    waiting: Waiting,
    at: VirtualTime,
    way: Way,
}

/// The room in which windows are measured: it follows the commits of the nodes `"catalog"` and `"challenge"`.
pub struct Windows {
    ttl: Duration,
    initial: Way,
    switched: VirtualTime,
    products: TableView<catalog::Product>,
    copies: TableView<challenge::Product>,
    settings: TableView<Sync>,
    /// When a product's copy was made or forgotten.
    touched: BTreeMap<String, VirtualTime>,
    waiting: Vec<Waiting>,
    ended: Vec<Ended>,
    healed: Option<VirtualTime>,
    reads: u64,
    refused: u64,
}

/// Watches a run whose copies live for `ttl`, whose challenge service begins in this way, and whose products change for so
/// long, maybe after the storm. `judged` says whether the bounds are to be kept: over a channel that forgets, nobody can.
pub fn watch(
    sim: &Sim,
    ttl: Duration,
    initial: Way,
    changing: Duration,
    judged: bool,
) -> Arc<Mutex<Windows>> {
    let windows = Arc::new(Mutex::new(Windows {
        ttl,
        initial,
        switched: VirtualTime::ZERO,
        products: TableView::new("catalog", catalog::PRODUCTS),
        copies: TableView::new("challenge", PRODUCTS),
        settings: TableView::new("challenge", SETTINGS),
        touched: BTreeMap::new(),
        waiting: Vec::new(),
        ended: Vec::new(),
        healed: None,
        reads: 0,
        refused: 0,
    }));
    let follow = windows.clone();
    sim.always(
        "copies are never older than before",
        move |commit, findings| {
            lock(&follow).follow(commit, findings);
        },
    );
    if judged {
        let judge = windows.clone();
        let last = Way::Cache.bound(ttl).max(DELIVERY_MAX) + ROUND_TRIP_MAX + changing;
        sim.finally(WITHIN_BOUND, last, move |_, findings| {
            lock(&judge).judge(findings);
        });
    }
    windows
}

impl Windows {
    /// The storm is over; the caller goes on reading.
    pub fn healed(&mut self, now: VirtualTime) {
        self.healed = Some(now);
    }

    /// A reader begins to read a product.
    pub fn read_begins(&mut self, sku: &str, now: VirtualTime) {
        self.reads += 1;
        for n in 0..self.waiting.len() {
            let waiting = &self.waiting[n];
            if waiting.sku == sku
                && waiting.asked.is_none()
                && let Some(ready) = self.ready(waiting).filter(|ready| *ready <= now)
            {
                self.waiting[n].asked = Some((ready, now));
            }
        }
    }

    /// The read was answered with this version.
    pub fn answered(&mut self, sku: &str, version: u64, now: VirtualTime) {
        if self.way() == Way::Live {
            self.resolve(sku, version, now);
        }
    }

    /// The read was refused, or not answered.
    pub fn refused(&mut self) {
        self.refused += 1;
    }

    /// What was measured so far. What is left open would be answered as soon as somebody asks, or never.
    pub fn measured(&self) -> Measured {
        let mut measured = Measured {
            windows: self.ended.iter().map(Ended::length).collect(),
            reads: self.reads,
            refused: self.refused,
            never: 0,
        };
        for waiting in &self.waiting {
            match self.ready(waiting) {
                Some(ready) if waiting.asked.is_none() => {
                    measured.windows.push(ready.since(waiting.since));
                }
                _ => measured.never += 1,
            }
        }
        measured
    }

    fn way(&self) -> Way {
        self.settings.get(SYNC).map_or(self.initial, Way::of)
    }

    /// From when the service asks the catalog for the product, whoever reads it; `None` if it shows its copy.
    fn ready(&self, waiting: &Waiting) -> Option<VirtualTime> {
        let way = self.way();
        let touched = self.touched.get(&waiting.sku).copied();
        let touched = touched.unwrap_or(VirtualTime::ZERO);
        let from = match (way, self.copies.get(&waiting.sku)) {
            (Way::Live, _) => self.switched,
            (_, None) => touched,
            (Way::Cache, Some(_)) => touched + self.ttl,
            _ => return None,
        };
        Some(from.max(waiting.since))
    }

    fn follow(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        let now = findings.now();
        for change in self.products.follow(commit) {
            // The first version is there before anybody reads.
            if let Some(product) = change.after().filter(|product| product.version > 1) {
                self.waiting.push(Waiting {
                    sku: product.sku.clone(),
                    version: product.version,
                    since: now,
                    asked: None,
                });
            }
        }
        if !self.settings.follow(commit).is_empty() {
            self.switched = now;
        }
        for change in self.copies.follow(commit) {
            self.touched.insert(change.key.to_owned(), now);
            if let (Some(before), Some(after)) = (change.before(), change.after())
                && after.version < before.version
            {
                findings.broken(
                    "went back",
                    &[change.key],
                    format!("version {} or later", before.version),
                    format!("version {}", after.version),
                );
            }
            if let Some(copy) = change.after() {
                self.resolve(&copy.sku, copy.version, now);
            }
        }
    }

    fn resolve(&mut self, sku: &str, version: u64, now: VirtualTime) {
        let way = self.way();
        let shown = |waiting: &mut Waiting| waiting.sku == sku && waiting.version <= version;
        self.ended
            .extend(self.waiting.extract_if(.., shown).map(|waiting| Ended {
                waiting,
                at: now,
                way,
            }));
    }

    /// A window may be longer than its bound only for an outage: what counts begins with the end of the storm.
    fn judge(&self, findings: &mut Findings) {
        let now = findings.now();
        let healed = self.healed.unwrap_or(now);
        let from = |waiting: &Waiting| {
            let asked = waiting.asked.map_or(waiting.since, |(_, asked)| asked);
            waiting.since.max(self.switched).max(healed).max(asked)
        };
        for ended in &self.ended {
            let (waited, bound) = (from(&ended.waiting), ended.way.bound(self.ttl));
            if ended.at > waited + bound {
                let Waiting { sku, version, .. } = &ended.waiting;
                findings.broken(
                    "too late",
                    &[sku],
                    format!("version {version} within {bound:?}"),
                    format!("after {:?} ({})", ended.at.since(waited), ended.way.name()),
                );
            }
        }
        for waiting in &self.waiting {
            let since = now.since(waiting.since);
            findings.broken(
                "never shown",
                &[&waiting.sku],
                format!("version {}", waiting.version),
                format!("an older one for {since:?} ({})", self.way().name()),
            );
        }
    }
}

impl Ended {
    fn length(&self) -> Duration {
        let idle = self
            .waiting
            .asked
            .map_or(Duration::ZERO, |(ready, asked)| asked.since(ready));
        self.at.since(self.waiting.since).saturating_sub(idle)
    }
}
