//! What should sometimes happen: states worth testing that a campaign has to reach, or its silence proves little.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use squall_core::event::Scope;

use super::Commit;

/// Something that should sometimes happen. Cheap to clone.
#[derive(Clone, Default)]
pub struct Goal(Arc<AtomicU64>);

impl Goal {
    /// It happened.
    pub fn hit(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// How often it happened in this run.
    pub fn hits(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

impl fmt::Debug for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Goal").field(&self.hits()).finish()
    }
}

type OnCommit = Box<dyn FnMut(&Commit<'_>) -> bool + Send>;
type Happens = Box<dyn FnMut(&Scope, &str) -> bool + Send>;

/// Waits for a message of a node.
struct OnLog {
    goal: Goal,
    node: &'static str,
    message: &'static str,
    happens: Happens,
    heard: bool,
}

/// The goals of one run.
#[derive(Default)]
pub(crate) struct Goals {
    named: BTreeMap<&'static str, Goal>,
    on_commit: Vec<(Goal, OnCommit)>,
    on_log: Vec<OnLog>,
    on_outlived: Vec<(Goal, &'static str, &'static str)>,
}

impl Goals {
    /// The goal of this name, known from now on.
    pub fn goal(&mut self, name: &'static str) -> Goal {
        self.named.entry(name).or_default().clone()
    }

    pub fn on_commit(&mut self, name: &'static str, happens: OnCommit) {
        let goal = self.goal(name);
        self.on_commit.push((goal, happens));
    }

    pub fn on_log(
        &mut self,
        name: &'static str,
        node: &'static str,
        message: &'static str,
        happens: Happens,
    ) {
        let goal = self.goal(name);
        self.listen(goal, node, message, happens);
    }

    fn listen(&mut self, goal: Goal, node: &'static str, message: &'static str, happens: Happens) {
        self.on_log.push(OnLog {
            goal,
            node,
            message,
            happens,
            heard: false,
        });
    }

    /// Calls back whenever the node logs this message; this reaches no goal.
    pub fn hear(
        &mut self,
        node: &'static str,
        message: &'static str,
        mut hear: impl FnMut(&Scope, &str) + Send + 'static,
    ) {
        let hear = move |scope: &Scope, fields: &str| {
            hear(scope, fields);
            false
        };
        self.listen(Goal::default(), node, message, Box::new(hear));
    }

    pub fn on_outlived(&mut self, name: &'static str, node: &'static str, to: &'static str) {
        let goal = self.goal(name);
        self.on_outlived.push((goal, node, to));
    }

    /// The nodes that goals and checks listen to.
    pub fn listened_to(&self) -> impl Iterator<Item = &'static str> {
        let on_log = self.on_log.iter().map(|on| on.node);
        let on_outlived = self.on_outlived.iter();
        on_log.chain(on_outlived.flat_map(|(_, node, to)| [*node, *to]))
    }

    /// An old process of `node` sends something to `to`, and its successor is up.
    pub fn outlived(&self, node: &str, to: &str) {
        for (goal, _, _) in self
            .on_outlived
            .iter()
            .filter(|goal| (goal.1, goal.2) == (node, to))
        {
            goal.hit();
        }
    }

    pub fn commit(&mut self, commit: &Commit<'_>) {
        for (goal, happens) in &mut self.on_commit {
            if happens(commit) {
                goal.hit();
            }
        }
    }

    pub fn log(&mut self, node: &str, message: &str, scope: &Scope, fields: &str) {
        for on in &mut self.on_log {
            if on.message == message && on.node == node {
                on.heard = true;
                if (on.happens)(scope, fields) {
                    on.goal.hit();
                }
            }
        }
    }

    /// What goals and checks have waited for and no node has logged, as (node, message).
    pub fn unheard(&self) -> BTreeSet<(String, String)> {
        let unheard = self.on_log.iter().filter(|on| !on.heard);
        unheard
            .map(|on| (on.node.to_owned(), on.message.to_owned()))
            .collect()
    }

    /// Every goal by name, with how often it was reached. Forgets who was to look.
    pub fn finish(&mut self) -> BTreeMap<String, u64> {
        let goals = std::mem::take(self).named.into_iter();
        goals
            .map(|(name, goal)| (name.to_owned(), goal.hits()))
            .collect()
    }
}
