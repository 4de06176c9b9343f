//! Nodes of two builds: upgrades, rollbacks, and worlds that begin with either.

use std::{collections::BTreeSet, time::Duration};

use squall::{
    Node, Sim,
    campaign::{Campaign, Seeds},
    explore::Sweep,
    fault::Upgrade,
    run::{Outcome, Spec, Verdict, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Action, Fault, FaultKind, Plan, Profile},
    trace::{Life, What},
};

use crate::{
    bank::Bank,
    little::{Log, at, crash, events, for_ever, lasts, now, power_loss},
};

/// Two servers of two builds, which say of which one they are, and a store of one.
#[derive(Default)]
struct Rolling(Log);

const SERVERS: [&str; 2] = ["server-1", "server-2"];

impl Scenario for Rolling {
    fn name(&self) -> &str {
        "rolling"
    }

    fn about(&self) -> &str {
        "servers that are upgraded"
    }

    fn profile(&self) -> Profile {
        Profile {
            upgrades: SERVERS.into(),
            ..Profile::new(&["server-1", "server-2", "store"], &[])
        }
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        for name in [SERVERS[0], SERVERS[1], "store"] {
            let (log, builds) = (self.0, sim.builds());
            sim.node(name, move |node: Node| {
                let runs = builds.of(node.name());
                assert_eq!(runs.unwrap_or(0), node.build());
                log.tell(now(), format!("{} {}", node.name(), node.build()));
                async move {
                    node.sleep(Duration::from_millis(100)).await;
                    tracing::info!("works");
                    for_ever().await
                }
            });
        }
        lasts(sim, 5);
    }
}

impl Rolling {
    fn run(&self, seed: Seed, faults: Vec<Fault>) -> Outcome {
        let spec = Spec::of(self, seed).under(Plan::new(faults));
        self.0.take();
        let outcome = run(self, &spec, true);
        assert_eq!(outcome.verdict, Verdict::Survived);
        outcome
    }

    /// The builds of the first server's lives.
    fn lives(&self, seed: Seed, faults: Vec<Fault>) -> (Vec<u32>, Vec<bool>) {
        let outcome = self.run(seed, faults);
        let told = self.0.lines();
        let of = told
            .iter()
            .filter_map(|line| line.strip_prefix("server-1 "));
        let builds = of.map(|build| build.parse().expect("it is a number"));
        let effective = outcome.faults.iter().map(|fault| fault.effective);
        (builds.collect(), effective.collect())
    }
}

/// A seed whose first server begins with this build.
fn beginning_with(build: u32) -> Seed {
    let begins = |seed: &Seed| Rolling::default().lives(*seed, Vec::new()).0 == [build];
    (0..).map(Seed).find(begins).expect("there are both")
}

/// A bank whose nodes are of one build.
fn plain_bank() -> Profile {
    Profile {
        upgrades: Vec::new(),
        ..Bank.profile()
    }
}

fn upgrade(node: &str) -> Action {
    let node = node.to_owned();
    Action::Upgrade(Upgrade::new(node))
}

#[test]
fn an_upgrade_boots_the_next_build_and_a_rollback_the_one_before() {
    let rolling = Rolling::default();
    let twice = || vec![at(500, upgrade("server-1")), at(1_500, upgrade("server-1"))];
    for (first, builds, turns) in [
        (0, [0, 1, 0], ["is upgraded", "is rolled back"]),
        (1, [1, 0, 1], ["is rolled back", "is upgraded"]),
    ] {
        let seed = beginning_with(first);
        assert_eq!(rolling.lives(seed, twice()), (builds.into(), vec![true; 2]));
        let outcome = rolling.run(seed, twice());
        let of_server = events(&outcome).iter().filter(|e| e.node == "server-1");
        let told: Vec<String> = of_server
            .filter_map(|event| match &event.what {
                What::Node { event, detail } => Some(format!("{event} {detail}")),
                _ => None,
            })
            .collect();
        let boots = |build: u32| format!("boots build {}", build + 1);
        let expected = [
            boots(builds[0]),
            format!("{} ", turns[0]),
            boots(builds[1]),
            format!("{} ", turns[1]),
            boots(builds[2]),
        ];
        assert_eq!(told, expected);
    }
}

#[test]
fn a_build_is_kept_over_crashes_and_power_losses() {
    let faults = vec![
        at(500, upgrade("server-1")),
        at(1_000, crash("server-1", 100)),
        at(2_000, power_loss("server-1", 100)),
    ];
    let (builds, _) = Rolling::default().lives(beginning_with(0), faults);
    assert_eq!(builds, [0, 1, 1, 1]);
}

#[test]
fn a_node_that_is_down_boots_as_what_was_installed_meanwhile_and_only_what_changed_it_has_touched_anything()
 {
    let seed = beginning_with(0);
    let down = || at(500, crash("server-1", 2_000));
    let installed = |ms| at(ms, upgrade("server-1"));
    let rolling = Rolling::default();
    assert_eq!(
        rolling.lives(seed, vec![down(), installed(1_000)]),
        (vec![0, 1], vec![true, true])
    );
    assert_eq!(
        rolling.lives(seed, vec![down(), installed(1_000), installed(1_500)]),
        (vec![0, 0], vec![true, false, false])
    );
}

#[test]
fn a_node_of_one_build_cannot_be_upgraded_and_its_trace_tells_of_none() {
    let rolling = Rolling::default();
    let faults = vec![at(500, upgrade("store"))];
    let plan = Plan::new(faults.clone());
    let refused = rolling
        .profile()
        .check(&plan)
        .expect_err("it has one build");
    assert_eq!(
        refused.to_string(),
        "the plan's fault 0 (at 0.5 s: store is restarted as its other build) cannot happen here: of two builds there are server-1, server-2"
    );
    let refused = plain_bank().check(&Plan::new(vec![at(1, upgrade("vault"))]));
    let refused = refused.expect_err("none has two").to_string();
    assert!(
        refused.ends_with("the scenario has no node of two builds"),
        "{refused}"
    );
    let outcome = rolling.run(Seed(1), faults);
    assert!(!outcome.faults[0].effective);
    let told: Vec<&What> = events(&outcome)
        .iter()
        .filter(|event| event.node == "store" && matches!(event.what, What::Node { .. }))
        .map(|event| &event.what)
        .collect();
    assert!(
        matches!(told[..], [What::Node { event: Life::Boots, detail }] if detail.is_empty()),
        "{told:?}"
    );
}

#[test]
fn worlds_begin_with_the_old_build_with_the_next_one_or_with_both() {
    let rolling = Rolling::default();
    let mut begun: Vec<(u32, u32)> = Vec::new();
    for seed in 0..60 {
        rolling.run(Seed(seed), Vec::new());
        let told = rolling.0.lines();
        let build = |name: &str| {
            let line = told.iter().find_map(|line| line.strip_prefix(name));
            line.expect("it boots")
                .trim()
                .parse()
                .expect("it is a number")
        };
        begun.push((build("server-1"), build("server-2")));
        assert_eq!(build("store"), 0);
    }
    let old = begun.iter().filter(|begun| **begun == (0, 0)).count();
    assert!((24..54).contains(&old), "{old}");
    let kinds: BTreeSet<_> = begun.into_iter().collect();
    assert_eq!(kinds.len(), 4);
}

#[test]
fn some_storms_have_upgrades_and_the_others_are_as_they_would_be_without() {
    let plain = Profile {
        overlaps: Vec::new(),
        ..plain_bank()
    };
    let rolling = Profile {
        upgrades: vec!["vault", "front"],
        ..plain.clone()
    };
    let is_upgrade = |fault: &Fault| fault.action.kind() == FaultKind::Upgrade;
    let (mut upgraded, mut together) = (0, 0);
    for seed in (0..2_000).map(Seed) {
        let (before, after) = (plain.draw(seed), rolling.draw(seed));
        let own = after
            .faults
            .iter()
            .filter(|fault| is_upgrade(fault))
            .count();
        match own {
            0 => assert_eq!(before, after),
            _ => {
                upgraded += 1;
                together += u64::from(own == 2);
                let others = &after.faults[..after.faults.len() - own];
                assert_eq!(others, &before.faults[..others.len()]);
            }
        }
    }
    assert!((200..400).contains(&upgraded), "{upgraded}");
    assert!(2 * together > upgraded / 2, "{together} of {upgraded}");
}

#[test]
fn a_sweep_upgrades_nodes_of_two_builds_at_their_sites_and_has_no_such_column_where_there_is_none()
{
    let rolling = Rolling::default();
    let seeds = Seeds::one(Seed(1));
    let mut sweep = Sweep::new(&rolling, seeds, 0);
    let totals = Campaign::over(&rolling, seeds).explore(&mut sweep, &mut |_| ());
    assert!(totals.is_clean());
    let matrix = sweep.matrix();
    let column = matrix
        .columns
        .iter()
        .find(|column| column.name == "upgrade");
    let column = column.expect("there is such a column");
    assert!(column.planned > 0 && column.effective == column.planned);
    for row in &matrix.rows {
        let upgrades = row.cells.iter().any(|cell| cell.column == "upgrade");
        assert_eq!(upgrades, SERVERS.contains(&&*row.site.node), "{}", row.site);
    }
}
