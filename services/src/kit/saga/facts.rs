//! The event-sourced journal: a saga is kept as what happened to it, and its state is the fold of that.
//!
//! Facts are appended and never changed. The rows that others look at, the saga's own among them, are a read side
//! (Young, [*CQRS documents*](https://cqrs.files.wordpress.com/2010/11/cqrs_documents.pdf), 2010), projected in the commit that appends; it can be made anew from the facts at any time.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{SagaRecord, Status, StepRecord, StepStatus};
use crate::kit::{Context, Problem, StoreError, Table, Writer};

/// The facts, in the order in which they happened within their [stream](stream()).
pub const fn table<D>() -> Table<FactRow<D>> {
    Table::new("facts")
}

/// The prefix of a saga's facts; a number follows.
pub fn stream(saga_id: &str) -> String {
    format!("{saga_id}/")
}

/// A fact as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactRow<D> {
    /// What it is called in the business's words: `StockDeductionRequested`.
    pub name: String,
    /// When it was recorded; wall clock.
    pub at_ms: u64,
    /// What happened.
    pub fact: Fact<D>,
}

/// Something that happened to a saga.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact<D> {
    /// It began.
    Began {
        /// Its id.
        id: String,
        /// Its kind.
        kind: String,
        /// Who asked.
        context: Context,
        /// What it knew.
        data: D,
        /// When it turns back unless it has come to its pivot; wall clock.
        deadline_ms: u64,
        /// When; wall clock.
        created_ms: u64,
    },
    /// It knows something else now.
    Learned {
        /// All that it knows.
        data: D,
    },
    /// It turned back.
    TurnedBack {
        /// Why.
        why: Problem,
    },
    /// A [workflow](super::workflow) took note of what it could not know again.
    Noted {
        /// What it is.
        what: String,
        /// The time, a drawn number, whatever it was.
        value: Value,
    },
    /// A step, or its undo, was asked for or came to something.
    Step {
        /// The step.
        step: String,
        /// Where it is now.
        status: StepStatus,
        /// How often it, or its undo, was asked until then.
        attempts: u32,
    },
    /// The saga came to another status.
    Came {
        /// Which.
        to: Status,
        /// When it ended, if it did; wall clock.
        ended_ms: Option<u64>,
    },
}

impl<D> Fact<D> {
    /// A plain name for it.
    pub fn name(&self) -> String {
        match self {
            Fact::Began { .. } => "Began".to_owned(),
            Fact::Learned { .. } => "Learned".to_owned(),
            Fact::TurnedBack { .. } => "TurnedBack".to_owned(),
            Fact::Noted { what, .. } => format!("{what} noted"),
            Fact::Step { step, status, .. } => format!("{step} {status:?}"),
            Fact::Came { to, .. } => format!("{to:?}"),
        }
    }

    /// Whether it tells that this step is in one of these states now.
    pub(super) fn is_step(&self, name: &str, statuses: &[StepStatus]) -> bool {
        matches!(self, Fact::Step { step, status, .. } if step == name && statuses.contains(status))
    }
}

/// What must have happened for `before` to become `after`.
fn between<D: Clone + Serialize>(
    before: Option<&SagaRecord<D>>,
    after: &SagaRecord<D>,
) -> Result<Vec<Fact<D>>, StoreError> {
    let mut facts = Vec::new();
    match before {
        None => facts.push(Fact::Began {
            id: after.id.clone(),
            kind: after.kind.clone(),
            context: after.context.clone(),
            data: after.data.clone(),
            deadline_ms: after.deadline_ms,
            created_ms: after.created_ms,
        }),
        Some(before) if differ(&before.data, &after.data)? => {
            let data = after.data.clone();
            facts.push(Fact::Learned { data });
        }
        Some(_) => {}
    }
    let was_refused = before.is_some_and(|before| before.refusal == after.refusal);
    if let Some(why) = after.refusal.clone().filter(|_| !was_refused) {
        facts.push(Fact::TurnedBack { why });
    }
    let known = before.map_or(&[][..], |before| &before.steps);
    for (nth, step) in after.steps.iter().enumerate() {
        if known
            .get(nth)
            .is_none_or(|known| known.status != step.status)
        {
            facts.push(Fact::Step {
                step: step.name.clone(),
                status: step.status,
                attempts: step.attempts,
            });
        }
    }
    if before.map_or(Status::Running, |before| before.status) != after.status {
        facts.push(Fact::Came {
            to: after.status,
            ended_ms: after.ended_ms,
        });
    }
    Ok(facts)
}

/// Whether two states of a saga's data are stored differently.
pub(super) fn differ<D: Serialize>(one: &D, other: &D) -> Result<bool, StoreError> {
    let stored = |data: &D| {
        serde_json::to_vec(data)
            .map_err(|error| StoreError::Corrupt(format!("a saga's data is not JSON: {error}")))
    };
    Ok(stored(one)? != stored(other)?)
}

/// A saga from what happened to it; `None` if it never began.
pub fn fold<D>(facts: impl IntoIterator<Item = Fact<D>>) -> Option<SagaRecord<D>> {
    let mut saga = None;
    for fact in facts {
        apply(&mut saga, fact);
    }
    saga
}

/// All sagas of a store, from its facts in the order of their keys.
pub fn fold_all<D>(rows: impl IntoIterator<Item = (String, FactRow<D>)>) -> Vec<SagaRecord<D>> {
    let mut sagas = BTreeMap::new();
    for (key, row) in rows {
        let id = key.split('/').next().unwrap_or_default().to_owned();
        apply(sagas.entry(id).or_default(), row.fact);
    }
    sagas.into_values().flatten().collect()
}

/// What one more fact makes of a saga.
pub fn apply<D>(saga: &mut Option<SagaRecord<D>>, fact: Fact<D>) {
    let Some(saga) = saga else {
        if let Fact::Began {
            id,
            kind,
            context,
            data,
            deadline_ms,
            created_ms,
        } = fact
        {
            *saga = Some(SagaRecord {
                id,
                kind,
                status: Status::Running,
                context,
                data,
                deadline_ms,
                steps: Vec::new(),
                refusal: None,
                created_ms,
                ended_ms: None,
                version: 0,
            });
        }
        return;
    };
    apply_to(saga, fact);
}

/// What one more fact makes of a saga that has begun.
pub(super) fn apply_to<D>(saga: &mut SagaRecord<D>, fact: Fact<D>) {
    match fact {
        Fact::Began { .. } | Fact::Noted { .. } => {}
        Fact::Learned { data } => saga.data = data,
        Fact::TurnedBack { why } => saga.refusal = Some(why),
        Fact::Step {
            step,
            status,
            attempts,
        } => match saga.steps.iter_mut().find(|known| known.name == step) {
            Some(known) => (known.status, known.attempts) = (status, attempts),
            None => saga.steps.push(StepRecord {
                name: step,
                status,
                attempts,
            }),
        },
        Fact::Came { to, ended_ms } => (saga.status, saga.ended_ms) = (to, ended_ms),
    }
}

/// Appends what was said, and what made `saga` of the saga that the facts then tell of; folds them all.
pub(super) fn append<D: Clone + Serialize + DeserializeOwned>(
    tx: &mut Writer<'_>,
    saga: &SagaRecord<D>,
    mut said: Vec<Fact<D>>,
    at_ms: u64,
    name: impl Fn(&Fact<D>) -> String,
) -> Result<SagaRecord<D>, StoreError> {
    let (table, stream) = (table::<D>(), stream(&saga.id));
    let known = tx.scan(&table, &stream)?;
    let next = known.len();
    let mut folded = fold(known.into_iter().map(|(_, row)| row.fact));
    for fact in &said {
        apply(&mut folded, fact.clone());
    }
    let changes = between(folded.as_ref(), saga)?;
    for fact in &changes {
        apply(&mut folded, fact.clone());
    }
    said.extend(changes);
    for (nth, fact) in (next..).zip(said) {
        let row = FactRow {
            name: name(&fact),
            at_ms,
            fact,
        };
        tx.put(&table, &format!("{stream}{nth:06}"), &row)?;
    }
    Ok(folded.expect("a saga's first fact is that it began"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kit::{
        Code,
        saga::{Event, Step},
    };

    const PLAN: [Step; 5] = [
        Step::compensatable("order-create", "order-cancel").local(),
        Step::compensatable("inventory-reserve", "inventory-cancel"),
        Step::compensatable("user-reserve", "user-release"),
        Step::pivot("order-confirm").local(),
        Step::retriable("user-confirm"),
    ];

    fn events() -> impl Strategy<Value = Vec<Event>> {
        let why = || Code::OutOfStock.because("none left");
        let event = prop_oneof![
            4 => Just(Event::Done),
            1 => Just(Event::DoneButTurnBack(why())),
            1 => Just(Event::Refused(why())),
            1 => Just(Event::Abandoned(why())),
            3 => Just(Event::Undone),
            1 => Just(Event::Spent),
            1 => Just(Event::Redriven),
        ];
        prop::collection::vec(event, 0..30)
    }

    proptest! {
        #[test]
        fn the_fold_of_the_facts_is_the_saga(events in events()) {
            let id = ("SAGA-00000001".to_owned(), "checkout");
            let mut saga = SagaRecord::begin(id, Context::default(), 0_u32, &PLAN, 1, 9);
            let mut folded = fold(between(None, &saga).unwrap());
            prop_assert_eq!(folded.as_ref(), Some(&saga));
            for (now_ms, event) in (2..).zip(events) {
                let _ = saga.apply(&PLAN, event, now_ms);
                saga.data += 1;
                for fact in between(folded.as_ref(), &saga).unwrap() {
                    apply(&mut folded, fact);
                }
                prop_assert_eq!(folded.as_ref(), Some(&saga));
            }
        }
    }
}
