//! Healers: what mends what went wrong. They may hide a bug: so none is needed but in the wake of a disturbance, and each
//! life of a process takes up a saga once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::Sim;
use squall_services::kit::{
    outbox::Mode,
    saga::{DEAD_LETTERS, DeadLetter},
};

use super::{notes::Notes, stock::Stock};
use crate::{lock, table_view::TableView};

/// Looks at what services say that they mend.
const IN_VAIN: &str = "inside the healers: none is needed but in the wake of a disturbance";

/// Looks at what drivers of sagas say.
const ONCE: &str = "inside the sagas: each life of a process takes one up once";

/// A message that tells of a healer at work.
#[derive(Clone, Copy, Debug)]
pub struct Healer {
    /// What should sometimes happen.
    pub goal: &'static str,
    /// The message.
    pub message: &'static str,
    /// What is counted.
    pub count: &'static str,
    /// For how long after the last disturbance there may be something to mend.
    pub wake: Duration,
    /// What a message says that tells of something else: of what is refused for good, whatever disturbs whom.
    pub but: Option<&'static str>,
}

/// How often sagas are looked for that nobody drives: in a quarter of the worlds only as their process starts, for then
/// nothing may need more.
pub fn recovered_every(sim: &Sim, usual: Duration) -> Duration {
    match sim.seed().stream("recoveries").chance(0.25) {
        true => NOT_IN_THIS_RUN,
        false => usual,
    }
}

/// How often an outbox is looked at that nothing wakes: in a quarter of the worlds not at all. But pollers cannot do
/// without: what one has in hand when the disk does not let it note what became of that is given back by nobody else.
pub fn looked_at_every(sim: &Sim, mode: Mode, usual: Duration) -> Duration {
    match sim.seed().stream("looks").chance(0.25) && mode == Mode::Cdc {
        true => NOT_IN_THIS_RUN,
        false => usual,
    }
}

/// Longer than any run lasts.
pub const NOT_IN_THIS_RUN: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Counts what these healers do on these nodes, and holds them to their wakes.
pub fn watch(sim: &Sim, nodes: &[&'static str], healers: &[Healer]) {
    sim.inside(IN_VAIN);
    let notes = Notes::watch(sim, IN_VAIN);
    for &Healer {
        goal,
        message,
        count,
        wake,
        but,
    } in healers
    {
        for &node in nodes {
            let (weather, notes) = (sim.weather(), notes.clone());
            sim.sometimes_logged_where(goal, node, message, move |scope, fields| {
                let is_something_else = but.is_some_and(|reason| fields.contains(reason));
                if !is_something_else && !weather.explains(wake) {
                    let expected = format!("no disturbance for {wake:?}, and nothing to mend");
                    let entities = [node, &scope.op, &scope.saga_id];
                    notes.broken("needed", &entities, expected, format!("{message} {fields}"));
                }
                true
            });
        }
        let goal = sim.goal(goal);
        sim.at_end(move |_| vec![(count, goal.hits())]);
    }
}

/// Holds the inventory's sweeper, if it is one that looks, to the wake of a disturbance. To be called when its stock is
/// watched.
pub fn watch_sweeper(sim: &Sim, stock: &Arc<Mutex<Stock>>, wake: Duration) {
    sim.inside(IN_VAIN);
    let (weather, swept, mut known) = (sim.weather(), stock.clone(), 0);
    sim.always(IN_VAIN, move |commit, findings| {
        let swept = lock(&swept).swept;
        if swept > known && !weather.explains(wake) {
            let expected = format!("no disturbance for {wake:?}, and nothing to sweep");
            findings.broken("needed", &[commit.node], expected, "a product was freed");
        }
        known = swept;
    });
    let stock = stock.clone();
    sim.at_end(move |_| vec![("healed: products swept", lock(&stock).swept)]);
}

/// What befell sagas.
#[derive(Default)]
struct Drivers {
    /// By saga: redrives after which it was not taken up yet.
    redriven: BTreeMap<String, u32>,
    /// By saga, driver and life: how often it may still be taken up. Once, unless something else is told.
    due: BTreeMap<(String, &'static str, u32), u32>,
}

/// What a driver of sagas says when it takes one up.
pub const RESUMED: &str = "saga resumed";

/// Holds those who drive sagas, whose journal is on the node `journal`, to taking each up once in a life, and once more
/// for each redrive and each time that they have lost it.
pub fn watch_drivers(sim: &Sim, drivers: &[&'static str], journal: &'static str, wake: Duration) {
    sim.inside(ONCE);
    sim.inside(IN_VAIN);
    let (twice, in_vain) = (Notes::watch(sim, ONCE), Notes::watch(sim, IN_VAIN));
    let state = Arc::new(Mutex::new(Drivers::default()));
    let mut letters = TableView::<DeadLetter>::new(journal, DEAD_LETTERS);
    let redriven = state.clone();
    sim.always(ONCE, move |commit, _| {
        for change in letters.follow(commit) {
            let (Some(before), Some(after)) = (change.before(), change.after()) else {
                continue;
            };
            if before.redriven_ms.is_none() && after.redriven_ms.is_some() {
                let redriven = &mut lock(&redriven).redriven;
                *redriven.entry(after.saga_id.clone()).or_default() += 1;
            }
        }
    });
    for &node in drivers {
        let (weather, lost) = (sim.weather(), state.clone());
        sim.hear(node, "saga lost", move |scope, _| {
            let life = weather.life_of(node);
            let key = (scope.saga_id.clone(), node, life);
            *lock(&lost).due.entry(key).or_insert(1) += 1;
        });
        let (weather, state) = (sim.weather(), state.clone());
        let (twice, in_vain) = (twice.clone(), in_vain.clone());
        sim.hear(node, RESUMED, move |scope, _| {
            let Drivers { redriven, due, .. } = &mut *lock(&state);
            if let Some(redriven) = redriven.get_mut(&scope.saga_id).filter(|times| **times > 0) {
                *redriven -= 1;
                return;
            }
            if !weather.explains(wake) {
                let expected = format!("no disturbance for {wake:?}, and nothing to take up");
                in_vain.broken("needed", &[node, &scope.saga_id], expected, RESUMED);
            }
            let life = weather.life_of(node);
            let due = due.entry((scope.saga_id.clone(), node, life)).or_insert(1);
            match due.checked_sub(1) {
                Some(left) => *due = left,
                None => twice.broken(
                    "taken up twice",
                    &[node, &scope.saga_id],
                    "a saga that is driven goes on by itself",
                    format!("taken up anew in life {life} of its process"),
                ),
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use squall::{Node, Sim, run::Verdict};
    use squall_services::kit::Context;

    use super::{Healer, IN_VAIN, ONCE, RESUMED, watch, watch_drivers};
    use crate::{
        little::{Little, broken, lasts},
        platform::platform,
    };

    const WAKE: Duration = Duration::from_secs(3);

    const MENDING: Healer = Healer {
        goal: "something was mended",
        message: "mended",
        count: "healed: things",
        wake: WAKE,
        but: Some("of its own will"),
    };

    /// A node that says these things, each so many seconds after its process has begun.
    fn says(sim: &Sim, things: &'static [(u64, &'static str)]) {
        sim.node("order", move |node: Node| async move {
            let saga = Context::fresh(&platform(&node), "ann-1").with_saga("SAGA-1");
            for (after, thing) in things {
                node.sleep(Duration::from_secs(*after)).await;
                saga.span().in_scope(|| match *thing {
                    RESUMED => tracing::info!("saga resumed"),
                    "lost" => tracing::info!("saga lost"),
                    reason => tracing::info!(reason, "mended"),
                });
            }
            std::future::pending::<io::Result<()>>().await
        });
    }

    fn mending(things: &'static [(u64, &'static str)]) -> Little<impl Fn(&Sim) + Send + Sync> {
        Little(move |sim: &Sim| {
            says(sim, things);
            watch(sim, &["order"], &[MENDING]);
            lasts(sim, 12);
        })
    }

    fn driving(things: &'static [(u64, &'static str)]) -> Little<impl Fn(&Sim) + Send + Sync> {
        Little(move |sim: &Sim| {
            says(sim, things);
            watch_drivers(sim, &["order"], "order", WAKE);
            lasts(sim, 12);
        })
    }

    #[test]
    fn what_is_mended_in_a_run_without_faults_was_broken_by_nobody() {
        let outcome = mending(&[(1, "a fault")]).run(&[]);
        assert_eq!(broken(&outcome), [(IN_VAIN, "needed")]);
        assert_eq!(outcome.counts["healed: things"], 1);
        let outcome = mending(&[(1, "of its own will")]).run(&[]);
        assert_eq!(outcome.verdict, Verdict::Survived);
    }

    #[test]
    fn what_is_mended_in_the_wake_of_a_disturbance_may_have_to_be_and_no_later() {
        let soon = mending(&[(2, "a fault")]).run(&[(100, "order")]);
        assert_eq!(soon.verdict, Verdict::Survived);
        assert_eq!(soon.counts["healed: things"], 1);
        let late = mending(&[(4, "a fault")]).run(&[(100, "order")]);
        assert_eq!(broken(&late), [(IN_VAIN, "needed")]);
    }

    #[test]
    fn each_life_takes_a_saga_up_once_and_once_more_when_it_has_lost_it() {
        let once = driving(&[(1, RESUMED)]);
        assert_eq!(once.run(&[(500, "order")]).verdict, Verdict::Survived);
        assert_eq!(broken(&once.run(&[])), [(IN_VAIN, "needed")]);
        let twice = driving(&[(1, RESUMED), (1, RESUMED)]);
        assert_eq!(
            broken(&twice.run(&[(500, "order")])),
            [(ONCE, "taken up twice")]
        );
        let lost = driving(&[(1, RESUMED), (0, "lost"), (1, RESUMED)]);
        assert_eq!(lost.run(&[(500, "order")]).verdict, Verdict::Survived);
    }
}
