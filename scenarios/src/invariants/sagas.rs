//! Sagas: every one ends.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, de::IgnoredAny};
use squall::{
    Sim,
    check::{Commit, Findings, Truth},
};
use squall_services::kit::{
    Table,
    saga::{self, SagaRecord, Status, StepStatus},
};

use super::{healers, schedule};
use crate::{lock, table_view::TableView};

/// A saga retries its undos for some three minutes, then a person redrives it; two minutes for that.
pub const SAGAS_END: Duration = Duration::from_secs(5 * 60);

/// What a saga that does not end has done to money and stock speaks first; the journal has this much longer.
pub const JOURNAL_ENDS: Duration = Duration::from_secs(6 * 60);

/// The steps from which on the sagas only go forward.
const PIVOTS: [&str; 3] = ["payment-capture", "order-confirm", "completion-save"];

/// Looks into the traces.
pub const TRACE: &str = "one trace id per saga";

/// Looks into the journal: what turns back.
pub const PIVOT: &str = "a saga turns back before its pivot only";

/// Looks into the journal: what goes forward.
pub const IN_ORDER: &str = "a saga takes its steps in order";

/// Looks into the journal: what is undone.
pub const IN_REVERSE: &str = "compensation runs in reverse";

/// Looks into the journal: what has not ended.
pub const JOURNAL: &str = "every saga ends";

/// The journal of a node's sagas, as far as it is judged here.
pub const COURSES: Table<Course> = Table::new(saga::table::<IgnoredAny>().name);

/// What the checks look at of a [`SagaRecord`]: all of it would take longer to read than the rest of a commit.
#[derive(Deserialize)]
pub struct Course {
    /// Where the saga is.
    pub status: Status,
    steps: Vec<Step>,
    refusal: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Step {
    name: String,
    status: StepStatus,
}

impl<D> From<&SagaRecord<D>> for Course {
    fn from(saga: &SagaRecord<D>) -> Self {
        let steps = saga.steps.iter().map(|step| Step {
            name: step.name.clone(),
            status: step.status,
        });
        Course {
            status: saga.status,
            steps: steps.collect(),
            refusal: saga.refusal.as_ref().map(|_| IgnoredAny),
        }
    }
}

/// The trace that each saga was first seen in.
#[derive(Default)]
pub struct Traces(BTreeMap<String, String>);

impl Traces {
    /// Reports a commit that is made for a saga within another trace than those before.
    pub fn judge(&mut self, commit: &Commit<'_>, findings: &mut Findings) {
        let (saga, trace) = (&commit.scope.saga_id, &commit.scope.trace_id);
        if saga.is_empty() || trace.is_empty() {
            return;
        }
        match self.0.get(saga) {
            None => {
                self.0.insert(saga.clone(), trace.clone());
            }
            Some(first) if first != trace => {
                let (expected, found) = (first.clone(), trace.clone());
                findings.broken_as(TRACE, "two traces", &[saga, commit.node], expected, found);
            }
            Some(_) => {}
        }
    }
}

/// Says of what is judged of journals that it looks into them.
pub fn declare(sim: &Sim) {
    for inside in [PIVOT, IN_ORDER, IN_REVERSE, JOURNAL] {
        sim.inside(inside);
    }
}

/// Watches the traces of choreographed sagas.
pub fn watch_traces(sim: &Sim) {
    sim.inside(TRACE);
    let traces = Arc::new(Mutex::new(Traces::default()));
    sim.always(TRACE, move |commit, findings| {
        lock(&traces).judge(commit, findings);
    });
}

/// For how long after a disturbance there may be a saga to take up.
const TAKEN_UP: Duration = Duration::from_secs(30);

/// Watches who drives sagas, as patiently as `config` says, whose journal is on the node `journal`: they are called for no
/// sooner than that, and each life of a driver takes one up once.
pub fn watch_drivers(
    sim: &Sim,
    drivers: &[&'static str],
    journal: &'static str,
    config: &saga::Config,
) {
    healers::watch_drivers(sim, drivers, journal, TAKEN_UP);
    schedule::watch_sagas(sim, drivers, config);
}

/// Takes a commit over into the view, and judges the sagas that it moves.
pub fn follow(courses: &mut TableView<Course>, commit: &Commit<'_>, findings: &mut Findings) {
    for change in courses.follow(commit) {
        if let Some(saga) = change.after() {
            judge_course(change.key, saga, findings);
        }
    }
}

/// Reports a saga that turns back once its pivot is done, that goes forward over a step that is not done, or undoes its steps in any order but the reverse.
pub fn judge_course(id: &str, saga: &Course, findings: &mut Findings) {
    let undone = |status| matches!(status, StepStatus::Failed | StepStatus::Compensated);
    let undoing = saga
        .steps
        .iter()
        .position(|step| step.status == StepStatus::CompensationIntended);
    let passed = |step: &&Step| {
        let kept = matches!(step.status, StepStatus::Done | StepStatus::Compensated);
        PIVOTS.contains(&step.name.as_str()) && kept
    };
    if saga.refusal.is_some()
        && let Some(pivot) = saga.steps.iter().find(passed)
    {
        findings.broken_as(
            PIVOT,
            "the pivot was passed",
            &[id, &pivot.name],
            "a saga that goes on",
            format!("{:?}", saga.status),
        );
    }
    let rest = match (saga.status, undoing) {
        (Status::Running, _) => {
            let before = saga
                .steps
                .split_last()
                .map_or(&[][..], |(_, before)| before);
            let skipped = before.iter().find(|step| step.status != StepStatus::Done);
            if let Some(step) = skipped {
                findings.broken_as(
                    IN_ORDER,
                    "skipped",
                    &[id, &step.name],
                    "every step before the last is done",
                    format!("{:?}", step.status),
                );
            }
            return;
        }
        (Status::Compensating, Some(at)) => &saga.steps[at + 1..],
        (Status::Compensated, _) => &saga.steps[..],
        _ => return,
    };
    if let Some(step) = rest.iter().find(|step| !undone(step.status)) {
        findings.broken_as(
            IN_REVERSE,
            "out of order",
            &[id, &step.name],
            "what came later is undone first",
            format!("{:?}", step.status),
        );
    }
}

/// Reports every saga that has not ended.
pub fn judge_ended<'a>(sagas: impl Iterator<Item = (&'a str, Status)>, findings: &mut Findings) {
    for (id, status) in sagas.filter(|(_, status)| !status.is_ended()) {
        let tag = match status {
            Status::Running => "running",
            Status::Compensating => "compensating",
            _ => "needs attention",
        };
        let found = format!("{status:?}");
        findings.broken(tag, &[id], "Completed or Compensated", found);
    }
}

/// How many sagas of a node ended how.
pub fn saga_counts(truth: &Truth, node: &str) -> Vec<(&'static str, u64)> {
    #[derive(Deserialize)]
    struct Ended {
        status: Status,
    }
    const ENDED: Table<Ended> = Table::new(COURSES.name);
    let rows = truth.rows(node, ENDED.name);
    let sagas: Vec<Ended> = rows.filter_map(|(_, row)| ENDED.decode(row).ok()).collect();
    let count = |status| sagas.iter().filter(|saga| saga.status == status).count() as u64;
    vec![
        ("completed", count(Status::Completed)),
        ("compensated", count(Status::Compensated)),
    ]
}
