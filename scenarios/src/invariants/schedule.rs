//! Nothing is given up too soon: no operator is called before all waits between the tries have passed. Judged by what
//! services log, not by what they store.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{Sim, time::VirtualTime};
use squall_services::kit::{bus::retry_after, outbox::Policy, saga};

use super::notes::{Notes, field};
use crate::lock;

/// The invariant on the callee's side.
const NAME: &str = "a dead letter comes no sooner than its schedule";

/// Timers are good to a millisecond.
const TICK: Duration = Duration::from_millis(1);

/// What a wait lasts through: the life of its process, and what else makes it end too soon.
type Epoch = (u32, u64);

/// The tries of things, by node and id.
#[derive(Default)]
struct Schedule(BTreeMap<(&'static str, String), Tried>);

/// The tries of one thing.
struct Tried {
    /// When the first one failed.
    first: VirtualTime,
    /// What the waits between them come to.
    due: Duration,
    /// After the last one.
    wait: Duration,
    epoch: Epoch,
}

/// What was given up too soon.
#[derive(Debug, PartialEq, Eq)]
struct TooSoon {
    due: Duration,
    took: Duration,
}

impl Schedule {
    /// A try has failed that is not the last one: the next one comes no sooner than after `wait`. The `first` one forgets
    /// what was before.
    fn failed(
        &mut self,
        what: (&'static str, &str),
        (now, epoch): (VirtualTime, Epoch),
        first: bool,
        wait: Duration,
    ) {
        let key = (what.0, what.1.to_owned());
        let known = self.0.remove(&key).filter(|_| !first);
        let tried = known.map_or(
            Tried {
                first: now,
                due: Duration::ZERO,
                wait,
                epoch,
            },
            |known| Tried {
                due: known.due_in(epoch),
                wait,
                epoch,
                ..known
            },
        );
        self.0.insert(key, tried);
    }

    /// It is given up.
    fn given_up(
        &mut self,
        what: (&'static str, &str),
        (now, epoch): (VirtualTime, Epoch),
    ) -> Option<TooSoon> {
        let tried = self.0.remove(&(what.0, what.1.to_owned()))?;
        let (due, took) = (tried.due_in(epoch), now.since(tried.first));
        (took + TICK < due).then_some(TooSoon { due, took })
    }
}

impl Tried {
    /// What the waits come to, the last one too if nothing has ended it.
    fn due_in(&self, epoch: Epoch) -> Duration {
        match self.epoch == epoch {
            true => self.due + self.wait,
            false => self.due,
        }
    }
}

/// Watches the outboxes of these nodes, which are as patient as `policy` says: by what they tell of rows that failed and
/// of those that they gave up.
pub fn watch_outboxes(sim: &Sim, nodes: &[&'static str], policy: &Policy) {
    let notes = Notes::watch(sim, NAME);
    for &node in nodes {
        let policy = policy.clone();
        let messages = ["outbox row failed", "outbox row dead-lettered"];
        let tries = move |fields: &str| {
            let failures = field(fields, "attempts")?.parse().ok()?;
            Some((failures, policy.wait(failures)))
        };
        watch(sim, node, messages, &notes, || 0, tries);
    }
}

/// Watches the consumers of these nodes, by what they tell of events that they could not handle and of those that they
/// gave up. `misfortunes` counts what makes the bus forget a wait.
pub fn watch_consumers(
    sim: &Sim,
    nodes: &[&'static str],
    misfortunes: impl Fn() -> u64 + Clone + Send + 'static,
) {
    let notes = Notes::watch(sim, NAME);
    for &node in nodes {
        let (weather, misfortunes) = (sim.weather(), misfortunes.clone());
        let bus = move || misfortunes() << 16 | u64::from(weather.life_of("bus"));
        let messages = ["an event is to be delivered again", "event dead-lettered"];
        let tries = |fields: &str| {
            let deliveries = field(fields, "deliveries")?.parse().ok()?;
            Some((deliveries, retry_after(deliveries)))
        };
        watch(sim, node, messages, &notes, bus, tries);
    }
}

/// Watches what a node tells of tries that failed, each with its number and the wait that it is followed by, and of what
/// is given up.
fn watch(
    sim: &Sim,
    node: &'static str,
    [failed, given_up]: [&'static str; 2],
    notes: &Notes,
    elsewhere: impl Fn() -> u64 + Clone + Send + 'static,
    tries: impl Fn(&str) -> Option<(u32, Duration)> + Send + 'static,
) {
    let schedule = Arc::new(Mutex::new(Schedule::default()));
    let weather = sim.weather();
    let present = move || (weather.now(), (weather.life_of(node), elsewhere()));
    let (noted, at) = (schedule.clone(), present.clone());
    sim.hear(node, failed, move |_, fields| {
        let (Some(id), Some((number, wait))) = (field(fields, "id"), tries(fields)) else {
            return;
        };
        lock(&noted).failed((node, id), at(), number == 1, wait);
    });
    let notes = notes.clone();
    sim.hear(node, given_up, move |_, fields| {
        let Some(id) = field(fields, "id") else {
            return;
        };
        if let Some(TooSoon { due, took }) = lock(&schedule).given_up((node, id), present()) {
            let kind = field(fields, "kind").unwrap_or_default();
            notes.broken(
                "too soon",
                &[node, id, kind],
                format!("{due:?} at least between its first try and its last"),
                format!("{took:?}"),
            );
        }
    });
}

/// When a saga last came to a step or was taken up, and whether anything has failed since.
type Steps = Arc<Mutex<BTreeMap<String, (VirtualTime, bool)>>>;

/// Watches the sagas of these nodes, which are as patient as `config` says: none needs a person before its step could
/// have been tried as often as it says.
pub fn watch_sagas(sim: &Sim, drivers: &[&'static str], config: &saga::Config) {
    let (notes, due) = (Notes::watch(sim, NAME), config.spent_after());
    let steps = Steps::default();
    for &node in drivers {
        for message in ["step intended", super::healers::RESUMED] {
            let (weather, steps) = (sim.weather(), steps.clone());
            sim.hear(node, message, move |scope, _| {
                lock(&steps).insert(scope.saga_id.clone(), (weather.now(), false));
            });
        }
        for message in ["step unknown", "undo unknown"] {
            let steps = steps.clone();
            sim.hear(node, message, move |scope, _| {
                if let Some((_, failed)) = lock(&steps).get_mut(&scope.saga_id) {
                    *failed = true;
                }
            });
        }
        let (weather, steps, notes) = (sim.weather(), steps.clone(), notes.clone());
        sim.hear(node, "saga needs attention", move |scope, _| {
            let began = lock(&steps).remove(&scope.saga_id);
            // What goes astray without a try needs a person at once.
            let Some((began, true)) = began else { return };
            let took = weather.now().since(began);
            if took + TICK < due {
                notes.broken(
                    "too soon",
                    &[node, &scope.saga_id],
                    format!("{due:?} at least from when its step was first tried"),
                    format!("{took:?}"),
                );
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use std::{io, time::Duration};

    use squall::{Node, Sim, run::Verdict, time::VirtualTime};
    use squall_services::kit::{Context, outbox::Policy, saga};

    use super::{Epoch, NAME, Schedule, TooSoon, watch_consumers, watch_outboxes, watch_sagas};
    use crate::{
        little::{Little, broken, lasts},
        platform::platform,
    };

    const ROW: (&str, &str) = ("order", "EVT-1");
    const LIFE: Epoch = (1, 0);

    fn at(ms: u64) -> VirtualTime {
        VirtualTime::from_start(Duration::from_millis(ms))
    }

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// Tries that failed at these instants, each followed by a wait, in ms; all in one life.
    fn tried(tries: &[(u64, u64)]) -> Schedule {
        let mut schedule = Schedule::default();
        for (n, (when, wait)) in tries.iter().enumerate() {
            schedule.failed(ROW, (at(*when), LIFE), n == 0, ms(*wait));
        }
        schedule
    }

    #[test]
    fn what_is_given_up_before_its_waits_are_over_is_given_up_too_soon() {
        let tries = [(1_000, 500), (1_500, 2_500)];
        assert_eq!(tried(&tries).given_up(ROW, (at(4_000), LIFE)), None);
        let too_soon = TooSoon {
            due: ms(3_000),
            took: ms(2_000),
        };
        let given_up = tried(&tries).given_up(ROW, (at(3_000), LIFE));
        assert_eq!(given_up, Some(too_soon));
    }

    #[test]
    fn what_is_given_up_at_its_first_try_has_waited_for_nothing() {
        assert_eq!(tried(&[]).given_up(ROW, (at(1), LIFE)), None);
    }

    #[test]
    fn a_wait_that_a_restart_or_the_bus_has_ended_counts_for_nothing() {
        for epoch in [(2, 0), (1, 1)] {
            let mut schedule = tried(&[(1_000, 60_000)]);
            schedule.failed(ROW, (at(1_100), epoch), false, ms(500));
            assert_eq!(schedule.given_up(ROW, (at(1_600), epoch)), None);
            let mut schedule = tried(&[(1_000, 60_000)]);
            schedule.failed(ROW, (at(1_100), epoch), false, ms(500));
            let given_up = schedule.given_up(ROW, (at(1_400), epoch));
            assert_eq!(given_up.map(|soon| soon.due), Some(ms(500)));
        }
    }

    #[test]
    fn what_is_redriven_begins_its_schedule_anew() {
        let mut schedule = tried(&[(1_000, 500)]);
        assert_eq!(schedule.given_up(ROW, (at(1_500), LIFE)), None);
        assert_eq!(schedule.given_up(ROW, (at(1_501), LIFE)), None);
        let mut schedule = tried(&[(1_000, 60_000)]);
        schedule.failed(ROW, (at(90_000), LIFE), true, ms(500));
        assert_eq!(schedule.given_up(ROW, (at(90_500), LIFE)), None);
    }

    /// What a node says, so many milliseconds after what it said before.
    type Lines = &'static [(u64, Line)];

    #[derive(Clone, Copy)]
    enum Line {
        RowFailed(u32),
        RowGivenUp,
        Again(u32),
        EventGivenUp,
        Step,
        Unknown,
        Attention,
    }

    impl Line {
        fn say(self) {
            let (kind, id) = ("order.created", "EVT-1");
            match self {
                Line::RowFailed(attempts) => {
                    tracing::warn!(kind, id, attempts, "outbox row failed")
                }
                Line::RowGivenUp => tracing::error!(kind, id, "outbox row dead-lettered"),
                Line::Again(deliveries) => {
                    tracing::warn!(kind, id, deliveries, "an event is to be delivered again");
                }
                Line::EventGivenUp => tracing::error!(kind, id, "event dead-lettered"),
                Line::Step => tracing::info!("step intended"),
                Line::Unknown => tracing::info!("undo unknown"),
                Line::Attention => tracing::info!("saga needs attention"),
            }
        }
    }

    /// Whether whoever is watched so is called too soon when a node says these lines.
    fn is_too_soon(watch: impl Fn(&Sim) + Send + Sync, lines: Lines) -> bool {
        let world = Little(move |sim: &Sim| {
            for name in ["bus", "order"] {
                sim.node(name, move |node: Node| async move {
                    let saga = Context::fresh(&platform(&node), "ann-1").with_saga("SAGA-1");
                    for (after, line) in lines.iter().filter(|_| name == "order") {
                        node.sleep(ms(*after)).await;
                        saga.span().in_scope(|| line.say());
                    }
                    std::future::pending::<io::Result<()>>().await
                });
            }
            watch(sim);
            lasts(sim, 30);
        });
        let outcome = world.run(&[]);
        match outcome.verdict {
            Verdict::Survived => false,
            _ => {
                assert_eq!(broken(&outcome), [(NAME, "too soon")]);
                true
            }
        }
    }

    #[test]
    fn an_outbox_is_held_to_the_waits_of_its_policy() {
        use Line::{RowFailed, RowGivenUp};
        let watch = |sim: &Sim| watch_outboxes(sim, &["order"], &Policy::default());
        let patient: Lines = &[(0, RowFailed(1)), (500, RowFailed(2)), (2_500, RowGivenUp)];
        assert!(!is_too_soon(watch, patient));
        let hasty: Lines = &[(0, RowFailed(1)), (500, RowFailed(2)), (500, RowGivenUp)];
        assert!(is_too_soon(watch, hasty));
    }

    #[test]
    fn a_consumer_is_held_to_the_waits_between_deliveries() {
        use Line::{Again, EventGivenUp};
        let watch = |sim: &Sim| watch_consumers(sim, &["order"], || 0);
        let patient: Lines = &[(0, Again(1)), (500, Again(2)), (1_000, EventGivenUp)];
        assert!(!is_too_soon(watch, patient));
        let hasty: Lines = &[(0, Again(1)), (1, Again(2)), (1, EventGivenUp)];
        assert!(is_too_soon(watch, hasty));
        let unlucky = |sim: &Sim| {
            let weather = sim.weather();
            let strikes = move || weather.now().since_start().as_millis() as u64;
            watch_consumers(sim, &["order"], strikes);
        };
        assert!(!is_too_soon(unlucky, hasty));
    }

    #[test]
    fn a_saga_needs_nobody_before_its_step_was_tried_as_often_as_it_may_be() {
        use Line::{Attention, Step, Unknown};
        let config = saga::Config {
            tries: 3,
            ..saga::Config::default()
        };
        // Half of 250 ms, and half of 500 ms.
        assert_eq!(config.spent_after(), ms(375));
        let watch = move |sim: &Sim| watch_sagas(sim, &["order"], &config);
        assert!(!is_too_soon(
            watch,
            &[(100, Step), (0, Unknown), (375, Attention)]
        ));
        assert!(is_too_soon(
            watch,
            &[(100, Step), (0, Unknown), (300, Attention)]
        ));
        // What goes astray was not tried.
        assert!(!is_too_soon(watch, &[(100, Step), (0, Attention)]));
    }
}
