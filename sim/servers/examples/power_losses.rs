//! Power losses of the real PostgreSQL and the real Redis, by the thousand, at any of the calls by which they write, sync
//! and answer: what was acknowledged has to be there afterwards. Where a disk says that it has synced what it has not, it
//! must be seen to be missing.
//!
//! ```sh
//! cargo run --release -p squall-servers --example power_losses -- run --seeds 1000               # exit code 0
//! cargo run --release -p squall-servers --example power_losses -- run lying-postgres --seeds 100 # exit code 1
//! ```

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/servers/clients.rs"]
mod clients;
#[path = "../tests/servers/selling.rs"]
mod selling;

use std::process::ExitCode;

use squall::{
    Sim,
    scenario::{Catalogue, Scenario},
    storm::{FaultKind, Profile},
    storms,
};

fn scenario(name: &str, server: &'static str, sells: fn(&Sim), lies: bool) -> Box<dyn Scenario> {
    let about = match lies {
        false => "what was acknowledged outlasts a power loss",
        true => "the same on a disk that lies about its syncs: it does not",
    };
    let mut drawn = vec![FaultKind::PowerLoss];
    drawn.extend(lies.then_some(FaultKind::LyingSyncs));
    let profile = move |profile: &mut Profile| {
        let all = FaultKind::ALL.iter().copied();
        profile.never = all.filter(|kind| !drawn.contains(kind)).collect();
        profile.nodes = vec![server];
        profile.max_faults = if lies { 4 } else { 1 };
        if lies {
            profile.lying = vec![server];
        }
    };
    storms(name)
        .about(about)
        .profile(profile)
        .scenario(move |sim, _| sells(sim))
}

fn main() -> ExitCode {
    squall::cli::main(Catalogue {
        scenarios: vec![
            scenario("postgres", "db", selling::postgres, false),
            scenario("redis", "cache", selling::redis, false),
            scenario("lying-postgres", "db", selling::postgres, true),
            scenario("lying-redis", "cache", selling::redis, true),
        ],
        canary: None,
    })
}
