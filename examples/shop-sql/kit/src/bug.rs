//! Bugs that the services have if they are asked to.

use std::str::FromStr;

use anyhow::anyhow;

macro_rules! bugs {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// A bug that a service has if it is asked to.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Bug { $(#[doc = $about] $variant),* }

        impl Bug {
            /// All of them.
            pub const ALL: &[Bug] = &[$(Bug::$variant),*];
            /// What `SHOP_BUG` calls it.
            pub fn name(self) -> &'static str { match self { $(Bug::$variant => $name),* } }
            /// What it does.
            pub fn about(self) -> &'static str { match self { $(Bug::$variant => $about),* } }
        }
    };
}

bugs! {
    WriteSkew "write-skew" "payments: credit is checked at REPEATABLE READ, where two charges do not see each other"
    CursorPassesOpenTransaction "cursor-passes-open-transaction" "orders: the outbox is read by `id > last`, which passes ids whose transaction is still open"
    ConflictTakenForInserted "conflict-taken-for-inserted" "orders: nobody looks whether INSERT .. ON CONFLICT DO NOTHING RETURNING has returned a row"
    CheckThenAct "check-then-act" "inventory: what is free is looked at in one statement, and taken in another, at READ COMMITTED"
    CommitTakenForFailed "commit-taken-for-failed" "orders: a COMMIT without an answer is taken for a failure, and the order is cancelled"
    LockForgotten "lock-forgotten" "orders: fencing numbers are counted by Redis, which forgets them together with the lock"
    LeaseOverrun "lease-overrun" "orders: whoever has taken the lock writes, also when its lease has run out since"
    StaleRead "stale-read" "orders: an order is read from the replica, which may not have it yet"
    DeadlockHalfRetried "deadlock-half-retried" "inventory: after a deadlock, the reservation goes on with the line that failed; those before it are rolled back"
    AdvisoryLockPooled "advisory-lock-pooled" "orders: a session's advisory lock is taken on one connection of the pool and released on another"
    NotifyTakenForDelivery "notify-taken-for-delivery" "orders: an event that no NOTIFY has told of is never sent"
    ReturningOrder "returning-order" "orders: events are sent in the order in which DELETE .. RETURNING gives them"
}

impl FromStr for Bug {
    type Err = anyhow::Error;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        let named = Bug::ALL.iter().find(|bug| bug.name() == name);
        named
            .copied()
            .ok_or_else(|| anyhow!("no bug is called {name}"))
    }
}

/// The bugs that a service has: none, if all is well.
#[derive(Clone, Debug, Default)]
pub struct Bugs(Vec<Bug>);

impl Bugs {
    /// Whether this is one of them.
    pub fn has(&self, bug: Bug) -> bool {
        self.0.contains(&bug)
    }
}

impl FromStr for Bugs {
    type Err = anyhow::Error;

    fn from_str(names: &str) -> Result<Self, Self::Err> {
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(Bug::from_str).collect::<Result<_, _>>().map(Bugs)
    }
}
