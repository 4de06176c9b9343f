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
    LostUpdate "lost-update" "stock: an item is read in one transaction, changed, and written back in another"
    NoIdempotency "no-idempotency" "stock, ledger: a request that comes again reserves, or charges, again"
    CheckThenActStock "check-then-act-stock" "stock: what is free is looked at in one transaction, and taken in another"
    OversoldForAMoment "oversold-for-a-moment" "stock: what is not free is taken in one transaction, and put back in the next"
    LateReserveAfterCancel "late-reserve-after-cancel" "stock: a release of what is not reserved leaves nothing behind that refuses it when it comes late"
    ReleaseBeforeCommit "release-before-commit" "ledger: the lock of the database is released between reading a balance and writing it"
    CancelRacesConfirm "cancel-races-confirm" "orders: a cancellation does not look whether the order has been confirmed since it was read"
    RecoveryRacesOwner "recovery-races-owner" "orders: the recovery drives orders that a request drives, and neither looks what the other has made of them"
    RowMarkedBeforeSent "row-marked-before-sent" "orders: a row of the outbox is deleted before it is sent"
    JournalComesBack "journal-comes-back" "ledger: SQLite syncs its file, and not the directory from which it deletes its journal"
    CommitWithoutSync "commit-without-sync" "all: commits do not wait for the disk"
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

impl From<Bug> for Bugs {
    fn from(bug: Bug) -> Self {
        Bugs(vec![bug])
    }
}

impl FromStr for Bugs {
    type Err = anyhow::Error;

    fn from_str(names: &str) -> Result<Self, Self::Err> {
        let names = names.split(',').filter(|name| !name.is_empty());
        names.map(Bug::from_str).collect::<Result<_, _>>().map(Bugs)
    }
}
