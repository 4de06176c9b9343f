//! Story scenarios: one person does one thing, and the few faults that make the story are aimed at named sites.
//! They are no part of the random campaigns; their stories are reviewed as snapshots.

use squall::{
    run::{self, Outcome, Spec},
    scenario::Scenario,
    seed::Seed,
    storm::{Fault, Plan},
    trace::{
        Trace, What,
        story::{self, Untold},
    },
};

pub mod checkout;
pub mod flows;
pub mod item_purchase;
pub mod order_choreography;
pub mod order_replicas;

/// A flow whose story is told.
pub trait StoryScenario: Scenario + Sized {
    /// What goes wrong, and where.
    fn storm(&self) -> &[Fault];

    /// The labels of what the story is about.
    fn ops(&self) -> Vec<String>;

    /// What a reader does not care about.
    fn untold(&self) -> &Untold<'static>;

    /// Plays it, with everything recorded.
    fn play(&self, seed: Seed) -> Outcome {
        let spec = Spec::of(self, seed).under(Plan::new(self.storm().to_vec()));
        run::run(self, &spec, true)
    }

    /// The story; empty if the outcome bears no trace of it.
    fn story(&self, outcome: &Outcome) -> String {
        let Some(trace) = &outcome.trace else {
            return String::new();
        };
        let trace = &until_broken(trace);
        let first = |op: &String| trace.events.iter().find(|event| event.scope.op == *op);
        let ops = self.ops();
        let traces: Vec<&str> = ops
            .iter()
            .filter_map(first)
            .map(|event| event.scope.trace_id.as_str())
            .collect();
        story::retell(trace, &traces, self.untold())
    }
}

/// Makes a scenario a story: its field `storm` is what goes wrong, and a reader does not care about `UNTOLD`.
macro_rules! told {
    ($scenario:ty, $ops:expr) => {
        impl $crate::stories::StoryScenario for $scenario {
            fn storm(&self) -> &[Fault] {
                &self.storm
            }

            fn ops(&self) -> Vec<String> {
                let ops: fn(&Self) -> Vec<String> = $ops;
                ops(self)
            }

            fn untold(&self) -> &Untold<'static> {
                &UNTOLD
            }
        }
    };
}

/// The name of a scenario, and what it is, are its fields of these names.
macro_rules! named {
    () => {
        fn name(&self) -> &str {
            self.name
        }

        fn about(&self) -> &str {
            self.about
        }
    };
}

pub(crate) use {named, told};

/// The trace until something is broken: how the run went on from there is no part of the story.
fn until_broken(trace: &Trace) -> Trace {
    let is_violation = |what: &What<'_>| matches!(what, What::Violation { .. });
    let mut events = trace.events.iter();
    let end = events
        .position(|event| is_violation(&event.what))
        .map_or(trace.events.len(), |first| {
            first + 1 + events.take_while(|event| is_violation(&event.what)).count()
        });
    Trace {
        events: trace.events[..end].to_vec(),
        ..trace.clone()
    }
}
