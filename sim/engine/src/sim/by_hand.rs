//! Faults brought about by hand: a client's task, or the scenario as it builds its world, says what happens and when.
//!
//! They come beside those that a storm draws, and are no part of its plan: shrinking leaves them alone. What is inflicted
//! before the storm begins happens as it begins; there is nothing to undo before. What goes on does so until it is undone, or else until the clients have
//! come to their ends: then all is healed, and nothing more is inflicted, so that what must hold in the end can be judged.
//!
//! ```
//! # use squall_engine::{Client, Sim};
//! fn world(sim: &Sim) {
//!     # sim.node("vault", |_| async { std::future::pending::<Result<(), String>>().await });
//!     let storm = sim.clone();
//!     sim.client("teller", move |client: Client| async move {
//!         // ... a deposit ...
//!         storm.crash("vault");
//!         client.sleep(std::time::Duration::from_secs(2)).await;
//!         storm.boot("vault");
//!         // ... the deposit must be there ...
//!     });
//! }
//! # struct Vault;
//! # impl squall_engine::scenario::Scenario for Vault {
//! #     fn name(&self) -> &str { "vault" }
//! #     fn about(&self) -> &str { "" }
//! #     fn profile(&self) -> squall_engine::storm::Profile { squall_engine::storm::Profile::new(&[], &[]) }
//! #     fn build(&self, sim: &Sim, _: &squall_engine::scenario::Setup) { world(sim) }
//! # }
//! # let spec = squall_engine::run::Spec::of(&Vault, squall_core::seed::Seed(1)).calm();
//! # let outcome = squall_engine::run::run(&Vault, &spec, false);
//! # assert!(outcome.by_hand[0].effective, "{outcome:?}");
//! ```

use std::sync::Arc;

use squall_core::fault::{Action, Crash, Cut, FOR_EVER_MS, Pause, PowerLoss, Restart};

use super::Sim;
use crate::world::NodeState;

impl Sim {
    /// Any fault that a storm could bring, now. One that strikes a single burst needs the burst, and so a plan.
    ///
    /// # Panics
    ///
    /// If it speaks of a node that is not there, needs a burst, or goes beyond what a plan may ask for.
    pub fn inflict(&self, fault: impl Into<Action>) {
        let fault = fault.into();
        if let Err(beyond) = fault.check() {
            panic!("{fault}: {beyond}");
        }
        self.begin(fault);
    }

    fn begin(&self, fault: impl Into<Action>) {
        let fault = fault.into();
        assert!(
            !fault.needs_burst(),
            "{fault}: which burst? Only a plan can aim at one"
        );
        let nodes = fault.nodes();
        nodes.iter().for_each(|node| drop(self.known(node)));
        assert!(
            !matches!(nodes[..], [a, b] if a == b),
            "{fault}: a link has two different ends"
        );
        self.world.inflict(fault);
    }

    fn known(&self, node: &str) -> Arc<NodeState> {
        self.world.find(node).unwrap_or_else(|| {
            let all = self.world.nodes();
            let all: Vec<&str> = all.iter().map(|node| &*node.name).collect();
            panic!(
                "no node is called \"{node}\"; there are: {}",
                all.join(", ")
            )
        })
    }

    /// The node's process dies, and stays dead until [`boot`](Sim::boot).
    pub fn crash(&self, node: impl Into<String>) {
        self.begin(Crash::new(node, FOR_EVER_MS));
    }

    /// The node's machine dies with all that is not synced, and stays dead until [`boot`](Sim::boot).
    pub fn power_loss(&self, node: impl Into<String>) {
        self.begin(PowerLoss::new(node, FOR_EVER_MS));
    }

    /// Starts the process of a node that is down; one that is up goes on.
    ///
    /// # Panics
    ///
    /// If there is no such node.
    pub fn boot(&self, node: impl AsRef<str>) {
        let node = self.known(node.as_ref());
        self.world.boot_now(&node);
    }

    /// The node's process is told to stop, as by `SIGTERM`, and is started again.
    pub fn restart(&self, node: impl Into<String>) {
        self.inflict(Restart::new(node));
    }

    /// The node's process stands still until [`resume`](Sim::resume).
    pub fn pause(&self, node: impl Into<String>) {
        self.begin(Pause::new(node, FOR_EVER_MS));
    }

    /// Ends every [`pause`](Sim::pause) of a node.
    pub fn resume(&self, node: impl AsRef<str>) {
        self.known(node.as_ref());
        let paused = |action: &Action| {
            matches!(action, Action::Pause(_)) && action.nodes() == [node.as_ref()]
        };
        self.world.relieve(paused);
    }

    /// Nothing passes between two nodes until [`repair`](Sim::repair). What is sent meanwhile is sent again and again,
    /// as TCP does, and arrives after that unless its connection has been given up.
    pub fn partition(&self, a: impl Into<String>, b: impl Into<String>) {
        self.begin(Cut::new(a, b, true, FOR_EVER_MS));
    }

    /// Ends what [`partition`](Sim::partition) and [`hold`](Sim::hold) did between two nodes.
    pub fn repair(&self, a: impl AsRef<str>, b: impl AsRef<str>) {
        let (a, b) = (a.as_ref(), b.as_ref());
        for node in [a, b] {
            self.known(node);
        }
        self.world.relieve(|action| {
            matches!(action, Action::Cut(_))
                && (action.nodes() == [a, b] || action.nodes() == [b, a])
        });
    }

    /// Holds back what one node sends to another until [`release`](Sim::release); the other way it passes.
    pub fn hold(&self, from: impl Into<String>, to: impl Into<String>) {
        self.begin(Cut::new(from, to, false, FOR_EVER_MS));
    }

    /// Ends a [`hold`](Sim::hold).
    pub fn release(&self, from: impl AsRef<str>, to: impl AsRef<str>) {
        let ends = [from.as_ref(), to.as_ref()];
        for node in ends {
            self.known(node);
        }
        self.world.relieve(|action| {
            matches!(action, Action::Cut(Cut { both: false, .. })) && action.nodes() == ends
        });
    }
}
