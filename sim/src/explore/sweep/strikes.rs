//! What can be done to a site: the columns of a sweep.

use crate::{
    site::{Kind, Met, Site},
    storm::{Action, Fault, Profile, When},
};

/// A process that crashed is back after this long: sooner than a caller gives up altogether.
const CRASH_MS: u64 = 1_000;
/// A machine takes longer: callers have given up by then, and clocks have gone on.
const POWER_MS: u64 = 10_000;
/// Longer than leases, deadlines and the timeouts of all callers.
const PAUSE_MS: u64 = 70_000;
/// Longer than any caller waits, so that what comes late meets what was done about its absence.
const DELAY_MS: u64 = 20_000;
/// A copy that comes while the original is being handled or has just been.
const DUPLICATE_MS: u64 = 5;
/// The scenario's own faults go on for so long, unless they end by themselves.
const CUSTOM_MS: u64 = 10_000;

/// Names of the columns, in their order; the scenario's own faults follow.
const NAMES: [&str; 13] = [
    "crash before",
    "crash after",
    "power loss before",
    "power loss after",
    "restart",
    "pause",
    "request lost",
    "answer lost",
    "reset",
    "delayed",
    "duplicated",
    "sync error",
    "write error",
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
pub(super) fn strikes(met: &Met, next: Option<&Site>, profile: &Profile) -> Vec<(String, Fault)> {
    let mut strikes = Vec::new();
    let mut strike = |name: &str, site: &Site, action: Action| {
        if !profile.never.contains(&action.kind()) {
            let when = When::Site(site.clone());
            strikes.push((name.to_owned(), Fault { when, action }));
        }
    };
    let site = &met.site;
    let node = site.node.clone();
    if profile.nodes.contains(&&*node) {
        let crash = Action::Crash {
            node: node.clone(),
            down_ms: CRASH_MS,
        };
        let power = Action::PowerLoss {
            node: node.clone(),
            down_ms: POWER_MS,
        };
        if let Some(next) = next {
            strike("crash after", next, crash.clone());
            strike("power loss after", next, power.clone());
        }
        strike("crash before", site, crash);
        strike("power loss before", site, power);
        match site.kind {
            Kind::Write => strike("write error", site, Action::WriteError { node }),
            Kind::Sync => strike("sync error", site, Action::SyncError { node }),
            // A process can't be stopped in the middle of a commit: it would be so just after.
            _ => {
                let for_ms = PAUSE_MS;
                strike("restart", site, Action::Restart { node: node.clone() });
                strike("pause", site, Action::Pause { node, for_ms });
            }
        }
    }
    let Kind::Send(peer) = &site.kind else {
        return strikes;
    };
    let link = |from: &str, to: &str| profile.links.contains(&(from, to));
    if link(&site.node, peer) || link(peer, &site.node) {
        // Where the bytes don't tell, whoever calls asks.
        let asks = met.asks.unwrap_or_else(|| link(&site.node, peer));
        let lost = if asks { "request lost" } else { "answer lost" };
        strike(lost, site, Action::LoseBurst {});
        strike("reset", site, Action::ResetBurst {});
        strike("delayed", site, Action::DelayBurst { by_ms: DELAY_MS });
        // An answer comes on the connection of its request: nobody sends it twice.
        if asks {
            let after_ms = DUPLICATE_MS;
            strike("duplicated", site, Action::DuplicateBurst { after_ms });
        }
    }
    // The scenario's own faults concern whoever is asked, and whoever asks.
    let own = profile.custom.iter();
    let own = own.filter(|own| own.node == *peer || own.node == site.node);
    for own in own.filter(|_| met.asks != Some(false)) {
        for amount in amounts(own.amount) {
            let action = Action::Custom {
                name: own.name.to_owned(),
                node: own.node.to_owned(),
                amount,
                for_ms: CUSTOM_MS,
            };
            strike(&named(own.name, amount), site, action);
        }
    }
    strikes
}

/// The weakest and the strongest.
fn amounts((low, high): (u64, u64)) -> impl Iterator<Item = u64> {
    let high = (high != low).then_some(high);
    [low].into_iter().chain(high)
}

fn named(own: &str, amount: u64) -> String {
    format!("{own} {amount}")
}
