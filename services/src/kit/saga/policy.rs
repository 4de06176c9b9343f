//! How patient the engine is, and which of its defences are in place.

use std::time::Duration;

use super::model::UndoOrder;
use crate::{
    gap::{Gap, Gaps},
    ports::Random,
};

/// Growing waits between attempts.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// Before the second attempt; doubled each time.
    pub first: Duration,
    /// No wait is longer.
    pub cap: Duration,
}

impl Backoff {
    /// The wait after the `attempt`-th attempt (from 1): between half of the nominal wait and all of it, so that sagas that
    /// failed together do not come back together.
    pub fn wait(&self, attempt: u32, random: &dyn Random) -> Duration {
        let share = random.next_u64() as f64 / u64::MAX as f64;
        self.shortest(attempt) + self.nominal(attempt).mul_f64(share / 2.0)
    }

    /// The shortest wait after the `attempt`-th attempt.
    pub fn shortest(&self, attempt: u32) -> Duration {
        self.nominal(attempt).div_f64(2.0)
    }

    fn nominal(&self, attempt: u32) -> Duration {
        let doublings = attempt.saturating_sub(1).min(20);
        self.cap.min(self.first.saturating_mul(1 << doublings))
    }
}

/// The engine's patience.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Weaknesses.
    pub gaps: Gaps,
    /// How long a saga may take to come to its pivot.
    pub deadline: Duration,
    /// How long a step is asked again while another saga is in the way.
    pub busy_patience: Duration,
    /// Between attempts of a compensatable step whose outcome is unknown, or that finds another saga in the way.
    pub asking: Backoff,
    /// Between attempts of undos, the pivot and retriable steps.
    pub insisting: Backoff,
    /// Attempts of an undo, the pivot or a retriable step before the saga needs attention.
    pub tries: u32,
    /// Between two recoveries; among replicas no longer than half of the lease.
    pub recover_every: Duration,
    /// How long a replica may be silent before another one takes over its sagas. It says so four times as often while it
    /// drives any.
    pub lease: Duration,
    /// What is journalled.
    pub journal: Journal,
    /// Who says what comes next.
    pub execution: Execution,
}

impl Config {
    /// How long at least an undo, the pivot or a retriable step is asked before the saga needs attention: what the waits
    /// between its attempts come to.
    pub fn spent_after(&self) -> Duration {
        (1..self.tries)
            .map(|tries| self.insisting.shortest(tries))
            .sum()
    }

    /// Whether the sagas' rows are projected from what happened.
    pub(super) fn keeps_facts(&self) -> bool {
        self.journal == Journal::Facts || self.execution == Execution::Workflow
    }
}

/// Who says what a saga does next. What was begun under one of them is not taken up under the other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Execution {
    /// The plan: the steps as [declared](super::Saga::steps), and the saga's own row says where it is.
    #[default]
    Saga,
    /// A function, [run](super::Saga::run) again from its beginning after a crash: its [journal](super::workflow) says what
    /// came of each step. Implies [`Journal::Facts`].
    Workflow,
}

/// What a saga is kept as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Journal {
    /// As it is: one row, changed by every commit.
    #[default]
    State,
    /// As what happened to it: [facts](super::facts) that are appended and never changed. Its row is projected from them.
    /// Only where one process owns all sagas.
    Facts,
}

impl Default for Config {
    /// Twelve tries take about three minutes: longer than a restart or a partition that heals by itself.
    fn default() -> Self {
        Config {
            gaps: Gaps::NONE,
            deadline: Duration::from_secs(60),
            busy_patience: Duration::from_secs(10),
            asking: Backoff {
                first: Duration::from_millis(100),
                cap: Duration::from_secs(2),
            },
            insisting: Backoff {
                first: Duration::from_millis(250),
                cap: Duration::from_secs(30),
            },
            tries: 12,
            recover_every: Duration::from_secs(60),
            lease: Duration::from_secs(10),
            journal: Journal::State,
            execution: Execution::Saga,
        }
    }
}

/// The defences, as the gaps leave them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defences {
    /// Intents and outcomes are committed.
    pub journal: bool,
    /// An unknown outcome is settled or undone, rather than taken for a refusal.
    pub unknown_is_unknown: bool,
    /// An undo is repeated until it is done or a person is told.
    pub undo_insists: bool,
    /// The recovery leaves alone what a live task drives.
    pub respect_owner: bool,
    /// Commits are synced.
    pub sync: bool,
    /// Waiters learn of the end after its commit.
    pub commit_before_ack: bool,
    /// From the pivot on there is no way back.
    pub pivot_is_final: bool,
    /// A step without an answer is settled or undone, rather than left with all before it.
    pub undo_without_answer: bool,
    /// An unknown outcome is asked for again before it is undone.
    pub ask_again: bool,
    /// Sagas that a crash left running are taken up.
    pub recover_running: bool,
    /// Sagas that a crash left compensating are taken up.
    pub recover_compensating: bool,
    /// A saga that takes too long turns back.
    pub deadline: bool,
    /// Intents are durable before their calls are made.
    pub intent_first: bool,
    /// A failed undo keeps none from being asked again.
    pub undo_goes_on: bool,
    /// An undo that met a conflict is asked again.
    pub conflict_is_retried: bool,
    /// A workflow is told again what it took note of, rather than what it would note now.
    pub notes_replayed: bool,
    /// A read side is taken away and made anew in one commit.
    pub rebuild_is_one_commit: bool,
    /// Among replicas a commit asks whether its replica owns the saga still.
    pub commit_asks_owner: bool,
    /// Ids of sagas are drawn, not counted.
    pub drawn_ids: bool,
    /// A dead letter is redriven once, and only while its saga waits for it.
    pub redrive_once: bool,
    /// No two sagas have the same id.
    pub unused_ids: bool,
    /// Each step has its own tries.
    pub tries_of_each: bool,
    /// The order of compensation.
    pub undo_order: UndoOrder,
}

impl Defences {
    pub fn new(gaps: Gaps) -> Self {
        Defences {
            journal: !gaps.has(Gap::NoJournal),
            unknown_is_unknown: !gaps.has(Gap::TimeoutMeansNo),
            undo_insists: !gaps.has(Gap::CompensationNotRetried),
            respect_owner: !gaps.has(Gap::RecoveryRacesOwner),
            sync: !gaps.has(Gap::CommitWithoutSync),
            commit_before_ack: !gaps.has(Gap::AckBeforeCommit),
            pivot_is_final: !gaps.has(Gap::CompensateAfterPivot),
            undo_without_answer: !gaps.has(Gap::UndoOnlyOnAnsweredNo),
            ask_again: !gaps.has(Gap::RollbackOvertakesLateSuccess),
            recover_running: !gaps.has(Gap::RecoveryOnlyFailed),
            recover_compensating: !gaps.has(Gap::RecoveryForgetsCompensating),
            deadline: !gaps.has(Gap::NoSagaDeadline),
            intent_first: !gaps.has(Gap::JournalAfterCall),
            undo_goes_on: !gaps.has(Gap::StopAtFirstCompensationError),
            conflict_is_retried: !gaps.has(Gap::ConflictInCompensationGivesUp),
            notes_replayed: !gaps.has(Gap::WorkflowNotDeterministic),
            rebuild_is_one_commit: !gaps.has(Gap::RebuildInTwoCommits),
            commit_asks_owner: !gaps.has(Gap::RecoveryRacesOwner)
                && !gaps.has(Gap::OwnerNotChecked),
            drawn_ids: !gaps.has(Gap::IdsCountedByName),
            redrive_once: !gaps.has(Gap::LetterRedrivenTwice),
            unused_ids: !gaps.has(Gap::SagaIdsCollide),
            tries_of_each: !gaps.has(Gap::TriesAddedUp),
            undo_order: match gaps.has(Gap::CompensateInOrder) {
                true => UndoOrder::AsDone,
                false => UndoOrder::Reverse,
            },
        }
    }
}
