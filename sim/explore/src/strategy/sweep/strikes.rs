//! What can be done to a site: the columns of a sweep.

use serde::{Deserialize, Serialize};

use squall_core::site::{Kind, Met, Site};
use squall_engine::storm::{Action, Fault, Profile, When};

/// How long faults last, which differs by their kind. Others than the usual length are tried where another seed meets the
/// same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Length {
    /// The one that should hurt most.
    #[default]
    Usual,
    /// Most are over before anybody gives up.
    Short,
    /// Between the two, or longer.
    Other,
}

impl Length {
    /// In the order in which they are tried.
    pub(super) const ALL: [Length; 3] = [Length::Usual, Length::Short, Length::Other];

    /// As an addition to a site's name.
    pub fn words(self) -> &'static str {
        match self {
            Length::Usual => "",
            Length::Short => " (short)",
            Length::Other => " (other length)",
        }
    }
}

/// Milliseconds by [`Length`].
type Lengths = [u64; Length::ALL.len()];

/// A process that crashed is back sooner than a caller gives up altogether.
const CRASH: Lengths = [1_000, 50, 15_000];
/// A machine takes longer: callers have given up by then, and clocks have gone on.
const POWER: Lengths = [10_000, 500, 30_000];
/// Longer than leases, deadlines and the timeouts of all callers.
const PAUSE: Lengths = [70_000, 5_000, 20_000];
/// Longer than a lease; as long as its owner works; longer than all that anybody waits.
const STALE: Lengths = [20_000, 3_000, 70_000];
/// Longer than a lease; shorter; as long as anybody insists.
const OVERLAP: Lengths = [20_000, 2_000, 40_000];
/// A clock that jumps so far ends whatever is timed, or makes it endless.
const JUMP: Lengths = [60_000, 5_000, 600_000];
/// So short that callers still wait: whatever they want comes all at once then.
const STALL: Lengths = [1_000, 50, 300];
/// Longer than any caller waits, so that what comes late meets what was done about its absence.
const DELAY: Lengths = [20_000, 100, 3_000];
/// A copy that comes while the original is being handled or has just been.
const DUPLICATE: Lengths = [5, 1, 50];
/// A copy that comes when much has followed.
const LATE_DUPLICATE: Lengths = [3_000, 500, 20_000];
/// A link that is cut, until all have given up.
const CUT: Lengths = [20_000, 200, 2_500];
/// Whatever is slow, for as long as a saga takes then.
const SLOW: Lengths = [10_000, 500, 2_000];
/// The scenario's own faults, unless they end by themselves.
const OWN: Lengths = [10_000, 500, 2_000];

/// A slow disk takes so much longer for each commit, ...
const SLOW_DISK_MS: u64 = 500;
/// ... and a slow node waits so long before each turn of a task: two that do the same meet each other.
const SLOW_NODE_MS: u64 = 50;

/// Names of the columns, in their order; the scenario's own faults follow.
const NAMES: [&str; 23] = [
    "crash before",
    "crash after",
    "power loss before",
    "power loss after",
    "restart",
    "pause",
    "stall",
    "slow node",
    "slow disk",
    "request lost",
    "answer lost",
    "reset",
    "delayed",
    "duplicated",
    "duplicated late",
    "link cut",
    "sync error",
    "write error",
    "stale clock",
    "clock ahead",
    "clock back",
    "upgrade",
    "overlap",
];

/// All columns of a sweep over a scenario with this profile.
pub(super) fn columns(profile: &Profile) -> Vec<String> {
    let own = profile.custom.iter();
    let own = own.flat_map(|own| amounts(own.amount).map(|amount| named(own.name, amount)));
    let all = NAMES.iter().map(|name| (*name).to_owned());
    all.chain(own).collect()
}

/// What applies to a site, each under the name of its column. `next` is the node's next site: whatever happens there
/// before its action happens after that of this site, and nobody outside can tell the instants between the two apart.
/// What has no length is left out unless the usual one is asked for: it would be the same again.
pub(super) fn strikes(
    met: &Met,
    next: Option<&Site>,
    profile: &Profile,
    length: Length,
) -> Vec<(String, Fault)> {
    let mut strikes = Strikes {
        profile,
        length,
        all: Vec::new(),
    };
    strikes.at_node(met, next);
    if let Kind::Send(peer) = &met.site.kind {
        strikes.at_burst(met, peer);
        strikes.own(met, peer);
    }
    strikes.all
}

struct Strikes<'a> {
    profile: &'a Profile,
    length: Length,
    all: Vec<(String, Fault)>,
}

impl Strikes<'_> {
    fn strike(&mut self, name: &str, site: &Site, action: Action) {
        if !self.profile.never.contains(&action.kind()) {
            let when = When::Site(site.clone());
            self.all.push((name.to_owned(), Fault { when, action }));
        }
    }

    fn once(&mut self, name: &str, site: &Site, action: Action) {
        if self.length == Length::Usual {
            self.strike(name, site, action);
        }
    }

    fn lasting(&mut self, name: &str, site: &Site, ms: Lengths, action: impl Fn(u64) -> Action) {
        self.strike(name, site, action(ms[self.length as usize]));
    }

    fn at_node(&mut self, met: &Met, next: Option<&Site>) {
        let site = &met.site;
        if !self.profile.nodes.contains(&&*site.node) {
            return;
        }
        let node = || site.node.clone();
        let stop = |for_ms| Action::Pause {
            node: node(),
            for_ms,
        };
        if site.kind == Kind::Clock {
            return self.lasting("stale clock", site, STALE, stop);
        }
        let crash = |down_ms| Action::Crash {
            node: node(),
            down_ms,
        };
        let power = |down_ms| Action::PowerLoss {
            node: node(),
            down_ms,
        };
        if let Some(next) = next {
            self.lasting("crash after", next, CRASH, crash);
            self.lasting("power loss after", next, POWER, power);
        }
        self.lasting("crash before", site, CRASH, crash);
        self.lasting("power loss before", site, POWER, power);
        match site.kind {
            Kind::Write => self.once("write error", site, Action::WriteError { node: node() }),
            Kind::Sync => self.once("sync error", site, Action::SyncError { node: node() }),
            // A process can't be stopped in the middle of a commit: it would be so just after.
            _ => {
                self.once("restart", site, Action::Restart { node: node() });
                self.lasting("pause", site, PAUSE, stop);
                self.lasting("stall", site, STALL, stop);
                if self.profile.upgrades.contains(&&*site.node) {
                    self.once("upgrade", site, Action::Upgrade { node: node() });
                }
            }
        }
        if self.profile.overlaps.contains(&&*site.node) {
            self.lasting("overlap", site, OVERLAP, |for_ms| Action::Overlap {
                node: node(),
                for_ms,
            });
        }
        match &site.kind {
            Kind::Send(_) => self.lasting("slow node", site, SLOW, |for_ms| Action::SlowNode {
                node: node(),
                wait_ms: SLOW_NODE_MS,
                for_ms,
            }),
            Kind::Commit => self.lasting("slow disk", site, SLOW, |for_ms| Action::SlowDisk {
                node: node(),
                extra_ms: SLOW_DISK_MS,
                for_ms,
            }),
            Kind::Event(event) if self.profile.holds(&site.node, event) => {
                let jump = |by_ms| Action::ClockJump {
                    node: node(),
                    by_ms,
                };
                let ahead = |by_ms: u64| jump(by_ms as i64);
                self.lasting("clock ahead", site, JUMP, ahead);
                self.lasting("clock back", site, JUMP, |by_ms| jump(-(by_ms as i64)));
            }
            _ => {}
        }
    }

    fn at_burst(&mut self, met: &Met, peer: &str) {
        let site = &met.site;
        let link = |from: &str, to: &str| self.profile.links.contains(&(from, to));
        let calls = link(&site.node, peer);
        if !calls && !link(peer, &site.node) {
            return;
        }
        // Where the bytes don't tell, whoever calls asks.
        let asks = met.asks.unwrap_or(calls);
        let lost = if asks { "request lost" } else { "answer lost" };
        self.once(lost, site, Action::LoseBurst {});
        self.once("reset", site, Action::ResetBurst {});
        self.lasting("delayed", site, DELAY, |by_ms| Action::DelayBurst { by_ms });
        // An answer comes on the connection of its request: nobody sends it twice.
        if asks {
            let again = |after_ms| Action::DuplicateBurst { after_ms };
            self.lasting("duplicated", site, DUPLICATE, again);
            self.lasting("duplicated late", site, LATE_DUPLICATE, again);
        }
        self.lasting("link cut", site, CUT, |for_ms| Action::Cut {
            from: site.node.clone(),
            to: peer.to_owned(),
            both: true,
            for_ms,
        });
    }

    /// The scenario's own faults concern whoever is asked, and whoever asks.
    fn own(&mut self, met: &Met, peer: &str) {
        if met.asks == Some(false) {
            return;
        }
        let profile = self.profile;
        let own = profile.custom.iter();
        for own in own.filter(|own| own.node == peer || own.node == met.site.node) {
            for amount in amounts(own.amount) {
                let name = named(own.name, amount);
                self.lasting(&name, &met.site, OWN, |for_ms| Action::Custom {
                    name: own.name.to_owned(),
                    node: own.node.to_owned(),
                    amount,
                    for_ms,
                });
            }
        }
    }
}

/// The weakest and the strongest.
fn amounts((low, high): (u64, u64)) -> impl Iterator<Item = u64> {
    let high = (high != low).then_some(high);
    [low].into_iter().chain(high)
}

fn named(own: &str, amount: u64) -> String {
    format!("{own} {amount}")
}
