//! Durable execution: a saga as an ordinary function, whose journal answers for it when it is run again.
//!
//! [`Saga::run`] is written from top to bottom. What it [asks for](Workflow::step) is carried out and journalled: the
//! intent before the call, the outcome after it, in one commit with the next intent. After a crash the function is run
//! again from its beginning. As far as the journal goes it is given what came of each step the first time, and nothing is
//! carried out; from there on it goes on. A compensatable step leaves its undo on a stack; a function that stops is
//! undone from the top of the stack.
//!
//! So the function has to be *deterministic*: it may depend on its data, on what its steps have come to, and on what it
//! [took note of](Workflow::note), the time for instance, but on nothing else. A replay that asks for something else than
//! the journal tells is noticed before anything is carried out: the journal stays as it is, and the saga needs attention.
//! That is what Temporal calls a non-determinism error
//! (<https://docs.temporal.io/troubleshooting/execution-failures>), and DBOS checks too
//! (<https://docs.dbos.dev/explanations/how-workflows-work>).
//!
//! The journal is the saga's [facts]. Its row, which others look at, is projected from them.
//!
//! Waits between attempts are not journalled: a process that starts again asks what is under way at once, with all its
//! tries. The deadline is: it is a fact of the saga's beginning.

pub mod api;
mod view;

use std::collections::VecDeque;

use serde::{Serialize, de::DeserializeOwned};

use super::{
    Event, Role, Saga, SagaRecord, Step, StepStatus,
    drive::{Drive, cancelled, too_late},
    facts::{self, Fact},
};
use crate::{kit::Problem, planted_bug::Bug};

pub use view::{Happened, HistoryEntry, Told, WaitsFor, WorkflowDetail, WorkflowView};

/// The function is to return: it goes no further forward, and what is on its stack is undone if need be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped(());

/// A workflow, as its function sees it.
pub struct Workflow<'a, S: Saga> {
    drive: Drive<'a, S>,
    /// As it was when the function came here.
    saga: SagaRecord<S::Data>,
    /// What the function has still to come to again.
    journal: VecDeque<Fact<S::Data>>,
    /// How much of it the function has come to.
    heard: usize,
    stop: Option<Stop>,
    /// There is no turning back any more.
    forward_only: bool,
}

/// Why the function goes no further.
enum Stop {
    /// This happened, and is to be journalled.
    Happened(Event, Option<String>),
    /// It went no further the first time.
    AsBefore,
    /// It asks for something else than the first time.
    Astray(String),
    /// Another replica owns the saga.
    Lost,
}

/// Runs the function of a saga that was claimed, from its beginning to where it rests. `None`: another owns it by now.
pub(super) async fn replay<S: Saga>(
    drive: Drive<'_, S>,
    saga: SagaRecord<S::Data>,
) -> Option<SagaRecord<S::Data>> {
    let inner = drive.inner;
    let facts = loop {
        match inner.facts(&saga.id) {
            Ok(facts) => break facts,
            Err(error) => error.endure(&inner.platform, "workflow journal").await,
        }
    };
    let mut facts: VecDeque<_> = facts.into_iter().map(|row| row.fact).collect();
    let mut workflow = Workflow {
        drive,
        // A saga that is kept in memory only is where its first commit left it.
        saga: facts::fold(facts.pop_front()).unwrap_or(saga),
        journal: facts,
        heard: 0,
        stop: None,
        forward_only: false,
    };
    let returned = inner.saga.run(&mut workflow).await;
    if returned.is_ok() {
        let _ = workflow.come_to_the_end();
    }
    workflow.rest().await
}

impl<S: Saga> Workflow<'_, S> {
    /// What the workflow knows: its input, and what its steps have learnt.
    pub fn data(&self) -> &S::Data {
        &self.saga.data
    }

    /// Carries out a step, unless the journal tells what came of it.
    ///
    /// # Errors
    /// [`Stopped`]: it was refused, or the workflow is to turn back, or a person has to look at it.
    pub async fn step(&mut self, step: Step) -> Result<(), Stopped> {
        self.may_go_on()?;
        let leaves = step.role != Role::Compensatable;
        if leaves && !self.forward_only && !self.drive.plan.is_empty() {
            self.look_at_the_time()?;
        }
        self.look_for_reasons(leaves)?;
        self.drive.plan.push(step);
        if step.local {
            return self.pass(step);
        }
        let known = self.intend(step).await?;
        self.settle(step, known).await
    }

    /// Takes note of something that would not be the same another time: the first answer is journalled, with the next
    /// intent, and given ever after.
    ///
    /// # Errors
    /// [`Stopped`]: the workflow has gone astray.
    pub fn note<T>(&mut self, what: &str, make: impl FnOnce() -> T) -> Result<T, Stopped>
    where
        T: Serialize + DeserializeOwned,
    {
        self.may_go_on()?;
        let value = match self.told() {
            None => None,
            Some(Fact::Noted { what: noted, value }) if noted == what => Some(value.clone()),
            Some(_) => return Err(self.astray(&format!("to note {what}"))),
        };
        let Some(value) = value else {
            let noted = make();
            let value = serde_json::to_value(&noted)
                .map_err(|error| self.astray(&format!("to note {what}: {error}")))?;
            let what = what.to_owned();
            self.say(Fact::Noted { what, value });
            return Ok(noted);
        };
        self.hear();
        if self.drive.inner.has(Bug::WorkflowNotDeterministic) {
            return Ok(make());
        }
        serde_json::from_value(value)
            .map_err(|error| self.astray(&format!("another kind of {what}: {error}")))
    }

    /// The wall clock, as it was when the function first came here.
    ///
    /// # Errors
    /// As for [`note`](Self::note).
    pub fn now_ms(&mut self) -> Result<u64, Stopped> {
        let clock = self.drive.inner.platform.clock.clone();
        self.note("time", move || clock.now_ms())
    }

    /// The function's own decision to go no further: return what this gives.
    pub fn turn_back(&mut self, why: Problem) -> Stopped {
        if self.stop.is_none() {
            let forward_only = self.forward_only;
            self.stop = Some(match self.told() {
                None if forward_only => {
                    let reason = format!("it turns back from where no step can be undone: {why}");
                    Stop::Happened(Event::Spent, Some(reason))
                }
                None => Stop::Happened(Event::DoneButTurnBack(why), None),
                Some(Fact::TurnedBack { .. }) => Stop::AsBefore,
                Some(_) => return self.astray("to turn back"),
            });
        }
        Stopped(())
    }

    fn may_go_on(&self) -> Result<(), Stopped> {
        match self.stop {
            None => Ok(()),
            Some(_) => Err(Stopped(())),
        }
    }

    fn astray(&mut self, wish: &str) -> Stopped {
        let told = self.told().map_or("nothing".to_owned(), Fact::name);
        let reason = format!(
            "the replay asks {wish}, where the journal has {told:?}: it is another function, or not deterministic"
        );
        self.stop = Some(Stop::Astray(reason));
        Stopped(())
    }

    /// The last look at the time before there is no turning back. It is a note, for a replay must decide the same.
    fn look_at_the_time(&mut self) -> Result<(), Stopped> {
        let now_ms = self.now_ms()?;
        match now_ms < self.saga.deadline_ms || self.drive.inner.has(Bug::NoSagaDeadline) {
            true => Ok(()),
            false => Err(self.turn_back(too_late())),
        }
    }

    /// Turns back before the next step if there is a reason to; the last chance is before the first step that cannot be
    /// undone (`leaves`).
    fn look_for_reasons(&mut self, leaves: bool) -> Result<(), Stopped> {
        // Of a saga that has done nothing yet, the first step says whether it is to be.
        let begun = !self.saga.steps.is_empty();
        let new = match self.told() {
            Some(Fact::TurnedBack { .. }) => {
                self.stop = Some(Stop::AsBefore);
                return Err(Stopped(()));
            }
            told => told.is_none(),
        };
        if self.forward_only {
            return Ok(());
        }
        let mut reason = self.drive.reason_to_stop();
        if reason.is_none() && leaves && !self.drive.driven.close() {
            reason = Some(cancelled());
        }
        if let Some(why) = reason.filter(|_| new && begun) {
            return Err(self.turn_back(why));
        }
        self.forward_only = leaves;
        Ok(())
    }

    /// A step that the next commit carries out.
    fn pass(&mut self, step: Step) -> Result<(), Stopped> {
        let done = Fact::Step {
            step: step.name.to_owned(),
            status: StepStatus::Done,
            attempts: 0,
        };
        match self.told() {
            None => self.say(done),
            Some(told) if told.is_step(step.name, &[StepStatus::Done]) => self.hear(),
            Some(_) => return Err(self.astray(&format!("for {}", step.name))),
        }
        Ok(())
    }

    /// Sees to it that the journal knows of the step before it is asked. Says whether it did before.
    async fn intend(&mut self, step: Step) -> Result<bool, Stopped> {
        const ENDS: [StepStatus; 3] = [StepStatus::Done, StepStatus::Failed, StepStatus::Unknown];
        match self.told() {
            Some(told) if told.is_step(step.name, &[StepStatus::Intended]) => {
                self.hear();
                Ok(true)
            }
            // An unsound journal has the outcome only.
            Some(told) if told.is_step(step.name, &ENDS) => Ok(true),
            Some(_) => Err(self.astray(&format!("for {}", step.name))),
            None => match self.drive.turn(self.saga.clone(), Event::Done, None).await {
                Some(saga) => {
                    self.saga = saga;
                    Ok(false)
                }
                None => {
                    self.stop = Some(Stop::Lost);
                    Err(Stopped(()))
                }
            },
        }
    }

    /// What came of the step, from the journal or by asking.
    async fn settle(&mut self, step: Step, known: bool) -> Result<(), Stopped> {
        while let Some(told) = self.told() {
            match told {
                told if told.is_step(step.name, &[StepStatus::Done]) => {
                    self.hear();
                    return Ok(());
                }
                told if told.is_step(step.name, &[StepStatus::Failed, StepStatus::Unknown]) => {
                    self.hear();
                    self.stop = Some(Stop::AsBefore);
                    return Err(Stopped(()));
                }
                Fact::Learned { .. } => self.hear(),
                _ => return Err(self.astray(&format!("what came of {}", step.name))),
            }
        }
        self.drive.resumed = known;
        let before = self.saga.data.clone();
        let Some((event, why)) = self.drive.forward(&mut self.saga).await else {
            return Err(self.astray(&format!("for {} without an intent", step.name)));
        };
        let status = match event {
            Event::Refused(_) => Some(StepStatus::Failed),
            Event::Abandoned(_) => Some(StepStatus::Unknown),
            Event::Spent => None,
            _ => Some(StepStatus::Done),
        };
        if let Some(status) = status {
            let attempts = self.saga.steps.last().map_or(0, |step| step.attempts);
            // What cannot be stored fails in the commit, where it is dealt with.
            if facts::differ(&before, &self.saga.data).unwrap_or(true) {
                let data = self.saga.data.clone();
                self.say(Fact::Learned { data });
            }
            self.say(Fact::Step {
                step: step.name.to_owned(),
                status,
                attempts,
            });
        }
        match event {
            Event::Done => Ok(()),
            event => {
                self.stop = Some(Stop::Happened(event, why));
                Err(Stopped(()))
            }
        }
    }

    /// The function is done: the last chance to turn back, unless there was one.
    fn come_to_the_end(&mut self) -> Result<(), Stopped> {
        self.may_go_on()?;
        self.look_for_reasons(true)?;
        match self.told() {
            None => Ok(()),
            Some(_) => Err(self.astray("for nothing more")),
        }
    }

    /// Journals why the function went no further, and undoes what is to be undone.
    async fn rest(mut self) -> Option<SagaRecord<S::Data>> {
        while !self.journal.is_empty() {
            self.hear();
        }
        if matches!(self.stop, Some(Stop::AsBefore)) && !self.is_where_its_function_is() {
            self.astray("to undo other steps");
        }
        let (event, why) = match self.stop.take() {
            None => (Event::Done, None),
            Some(Stop::Happened(event, why)) => (event, why),
            Some(Stop::Astray(reason)) => (Event::Spent, Some(reason)),
            Some(Stop::Lost) => return None,
            Some(Stop::AsBefore) => return self.drive.onward(self.saga).await,
        };
        let saga = self.drive.turn(self.saga, event, why).await?;
        self.drive.onward(saga).await
    }

    /// Whether the steps of the journal are those on the function's stack.
    fn is_where_its_function_is(&self) -> bool {
        let told = self.saga.steps.iter().map(|step| step.name.as_str());
        told.eq(self.drive.plan.iter().map(|step| step.name))
    }

    /// What the journal tells next. That a person was needed meanwhile is no matter of the function's.
    fn told(&mut self) -> Option<&Fact<S::Data>> {
        while let Some(Fact::Came { .. }) = self.journal.front() {
            self.hear();
        }
        self.journal.front()
    }

    /// Comes to the next thing that the journal tells.
    fn hear(&mut self) {
        let Some(fact) = self.journal.pop_front() else {
            return;
        };
        facts::apply_to(&mut self.saga, fact);
        self.heard += 1;
        if self.journal.is_empty() {
            let span = self.saga.context.span();
            span.in_scope(|| tracing::info!(facts = self.heard, "workflow replayed"));
        }
    }

    /// Has the next commit journal something that has just happened.
    fn say(&mut self, fact: Fact<S::Data>) {
        facts::apply_to(&mut self.saga, fact.clone());
        self.drive.said.push(fact);
    }
}
