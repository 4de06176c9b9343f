//! Planted bugs: named switches, each of which turns one defence of a service off.
//!
//! Each weakness of the documented designs, and each bug that is planted alone, is one [`Bug`]. A *shape* is a set of
//! them: the hardened shape has none. Code asks `bugs.has(Bug::NoJournal)` at the one place where it matters.

macro_rules! bugs {
    ($($variant:ident $name:literal $about:literal)*) => {
        /// A planted bug: one defence that is switched off.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Bug { $(#[doc = $about] $variant),* }

        impl Bug {
            /// All bugs, in order of declaration.
            pub const ALL: &'static [Bug] = &[$(Bug::$variant),*];
            /// The switch's name: `no-journal`.
            pub fn name(self) -> &'static str { match self { $(Bug::$variant => $name),* } }
            /// What it does, in one line; where it turns a second defence off too, the line says so.
            pub fn about(self) -> &'static str { match self { $(Bug::$variant => $about),* } }
        }
    };
}

bugs! {
    NoJournal "no-journal" "saga steps are kept in memory only: a crash forgets what was done (the boot recovery finds nothing)"
    TimeoutMeansNo "timeout-means-no" "a step whose answer is unknown is taken for refused: it is neither settled nor undone"
    LateReserveAfterCancel "late-reserve-after-cancel" "a release leaves no tombstone: a reserve that arrives after its cancel succeeds (the reserve's key is not kept either)"
    CompensationNotRetried "compensation-not-retried" "a compensation is tried once; its failure is only logged (no dead letter, recovery passes the saga by)"
    RefundMarkedNotAsked "refund-marked-not-asked" "a void or refund that gets no permit or no answer is marked done although the payment provider was not asked"
    RefundWithoutKey "refund-without-key" "refunds go to the payment provider with a new key each time and without the payment's own state check"
    CaptureWithoutKey "capture-without-key" "captures and charges go to the payment provider with a new key each time"
    AckBeforeCommit "ack-before-commit" "the order service answers before its last commit has happened"
    CommitWithoutSync "commit-without-sync" "commits are not synced: a power loss takes them back"
    SemanticLockReservingOnly "semantic-lock-reserving-only" "the semantic lock refuses only RESERVING rows: another saga takes a RESERVED one (the owner check at confirm and cancel is off too)"
    SemanticLockNeverSwept "semantic-lock-never-swept" "the lock is taken in a commit of its own, before the reservation, and no sweeper frees one whose reservation never followed"
    CheckThenActStock "check-then-act-stock" "stock is read in one transaction and taken in another (the version check and the semantic lock are off too)"
    NoVersionCheck "no-version-check" "read-modify-write across transactions without comparing the row's version (the semantic lock is off too)"
    NoKey "no-key" "calls carry no idempotency key and the callee looks for none (the one-per-saga check is off too)"
    KeyStoredAfterEffect "key-stored-after-effect" "the idempotency record is committed after the effect, in a commit of its own (the one-per-saga check is off too)"
    CacheNeverExpires "cache-never-expires" "a cached copy of a product is shown for ever"
    EventsWithoutVersion "events-without-version" "a product notice is applied as it comes, whatever its version (a missed one goes unnoticed too)"
    EventsWithoutResync "events-without-resync" "a product notice that skips a version is dropped, not followed by a fetch (and a switch of the mode keeps the copies)"
    RewardForUnsoldProduct "reward-for-unsold-product" "the shop takes orders without looking at the product's sale status"
    StaleRead "stale-read" "stock and lists of orders are read from a copy that is up to two seconds old"
    RecoveryRacesOwner "recovery-races-owner" "the recovery drives sagas that a live task is driving"
    CompensateAfterPivot "compensate-after-pivot" "a cancel or a deadline that comes once the pivot is under way turns the saga back all the same"
    OrderCancelNotRetried "order-cancel-not-retried" "the order of a compensated saga is cancelled in a commit of its own, tried once"
    CancelAfterCompleted "cancel-after-completed" "an order that is completed can be cancelled: its stock is taken back, its money kept"
    HoldNeverVoided "hold-never-voided" "a hold that is given up is marked voided, and the payment gateway is not asked"
    CaptureAfterVoid "capture-after-void" "a capture that gets no answer is told as refused and put into a queue; its turn comes whatever has become of the hold, and one that is gone is authorized anew"
    PermitLeaked "permit-leaked" "a permit to call the payment gateway is not returned when the call fails"
    ConflictTakenForDone "conflict-taken-for-done" "a step that is refused because another saga is in the way, or the row has changed, is taken for done"
    RefundAtCurrentPrice "refund-at-current-price" "what is paid back is what the product costs now, not what was paid"
    RetryOfNonIdempotent "retry-of-non-idempotent" "a hold is asked for without a key, and asked for again when the answer is lost"
    KeyExpiresTooSoon "key-expires-too-soon" "answers to orders are kept for two seconds rather than a day"
    KeyIgnoresBody "key-ignores-body" "a key that comes with another request is answered as if it were the first one"
    InFlightNotRefused "in-flight-not-refused" "a repeat that comes while the first request is under way begins anew"
    TransientFailureCached "transient-failure-cached" "a refusal that would not last is kept under the key, and given to every repeat"
    KeySharedAcrossUsers "key-shared-across-users" "keys are not scoped to their user: two who choose the same key get in each other's way"
    BreakerNeverHalfOpens "breaker-never-half-opens" "a breaker that has opened lets no trial call through: it stays open until the process ends"
    TraceIdLeaks "trace-id-leaks" "the trace id of a call or an event is kept in an ambient place, where the next saga's finds it"
    SweeperFreesTheLiving "sweeper-frees-the-living" "the sweeper takes an old semantic lock for one whose saga has ended, and does not ask"
    LeaseWithoutFencing "lease-without-fencing" "a write's fencing token is compared with nothing: whoever lost the lease in a pause writes all the same (the version check is off too)"
    ReleaseNotOwner "release-not-owner" "a lease is released by its name, whoever holds it by now: a third comes in while the second works still"
    ReleaseBeforeCommit "release-before-commit" "the lease is released before the commit: the next holder reads the old row (the version check is off too)"
    LockFailureInCompensationGivesUp "lock-failure-in-compensation-gives-up" "a cancel that does not obtain the lease is only logged and answered as done (no sweeper comes by either)"
    LockFailsOpen "lock-fails-open" "a saga that does not obtain the lease of its product goes on without it"
    NoWatchdog "no-watchdog" "a lease is not renewed while the work goes on (the version check and the fencing are off too)"
    WatchdogWithoutLimit "watchdog-without-limit" "a lease is renewed for as long as the work hangs, and the work may hang for ever"
    UndoOnlyOnAnsweredNo "undo-only-on-answered-no" "a step that gets no answer ends the saga on the spot, and nothing is undone: only an answered \"no\" is compensated"
    RecoveryOnlyFailed "recovery-only-failed" "the recovery takes up only sagas that have turned back: one that a crash left running is never found"
    RecoveryForgetsCompensating "recovery-forgets-compensating" "the recovery takes up only running sagas: one that a crash left compensating is never found"
    NoSagaDeadline "no-saga-deadline" "a saga may take as long as it likes: it never turns back because of the time"
    JournalAfterCall "journal-after-call" "the intent of a step is journalled together with its outcome: a step that a crash left under way is not known to the recovery"
    WorkflowNotDeterministic "workflow-not-deterministic" "a workflow that is replayed looks at the wall clock rather than at what its journal says the time was"
    CompensateInOrder "compensate-in-order" "compensation runs in the order of the steps, not in reverse"
    StopAtFirstCompensationError "stop-at-first-compensation-error" "the first undo that fails ends the compensation: neither it nor those after it are asked again, and the saga counts as compensated"
    AckBeforeHandled "ack-before-handled" "a consumer acknowledges an event before it is handled: a crash in between loses it"
    NoInbox "no-inbox" "consumers do not remember which events they have handled: one that is delivered again has its effect again"
    InboxPrunedTooSoon "inbox-pruned-too-soon" "the inbox forgets an event after a second, long before the stream stops delivering it again"
    EventsOnlyInMemory "events-only-in-memory" "the events of a committed change wait in memory to be sent: a crash forgets them (there is no outbox)"
    OutboxStuckProcessing "outbox-stuck-processing" "an outbox row whose poller died stays in PROCESSING (neither the reboot nor the five minutes give it back)"
    OutboxPendingForgotten "outbox-pending-forgotten" "an outbox row that could not be sent once stays PENDING and is never taken up again (the hourly alert is off too)"
    OutboxClaimedTwice "outbox-claimed-twice" "a poller takes outbox rows that another one has in hand"
    OutboxPoisonBlocks "outbox-poison-blocks" "an outbox row that is refused is tried for ever and everything behind it waits (it never becomes a dead letter)"
    OutboxReordersAKey "outbox-reorders-a-key" "the newest outbox rows are sent first, whatever waits of the same key"
    DeadLetterDropped "dead-letter-dropped" "what can be neither sent nor handled is dropped: there is no dead letter table"
    PubsubOnly "pubsub-only" "events travel by publish/subscribe: who does not listen at that instant never hears them (there is no stream)"
    DualWrite "dual-write" "a change and its events are two writes: the events are sent once, after the commit (there is no outbox)"
    PublishBeforeCommit "publish-before-commit" "events are sent before the change that they tell of is committed (there is no outbox)"
    RollbackDataInBusMemory "rollback-data-in-bus-memory" "what a rollback needs to know is kept in the bus's memory: after a restart of the bus nothing is given back"
    NoPurchaseTimeout "no-purchase-timeout" "a purchase has no deadline: it waits for ever for an event that never comes"
    RestoreRememberedBalance "restore-remembered-balance" "a release sets the balance to what it was when the amount was reserved, wiping out what happened since"
    ConflictInCompensationGivesUp "conflict-in-compensation-gives-up" "a release reads its row first and answers VERSION_CONFLICT if that changed meanwhile; the saga does not ask again and takes it for undone"
    RollbackOvertakesLateSuccess "rollback-overtakes-late-success" "an unknown outcome is rolled back at once: neither the call nor the saga asks again (releases leave no tombstone, and a reserve's key is not kept)"
    CouponCheckThenUse "coupon-check-then-use" "a coupon is checked in one transaction and taken in another, whoever has it by then (nor does its use ask whose it is)"
    CouponOverIssued "coupon-over-issued" "coupons are counted in one transaction and issued in another"
    SharedExecutor "shared-executor" "all after-commit subscribers share one executor"
    SubscriberInsideTransaction "subscriber-inside-transaction" "subscribers are told before the order commits, and the order waits for them and fails with them"
    ClientPriceTrusted "client-price-trusted" "a price in the request is taken for the price"
    PriceNotSnapshotted "price-not-snapshotted" "the amount is worked out anew from the price of the moment when the balance is reserved"
    QueueUnbounded "queue-unbounded" "executors, and the line for the payment gateway, take whatever they are given into their queues"
    NoBulkhead "no-bulkhead" "executors start whatever they are given at once, however much is running, and calls to the payment gateway need no permit"
    FallbackDefaultUser "fallback-default-user" "while the user service does not answer, a default user stands in for whoever orders, known or not"
    PaymentFailedKeepsOrder "payment-failed-keeps-order" "the order does not hear of a failed payment: its goods go back, and it stays pending for ever"
    DeliveryFailureKeepsMoney "delivery-failure-keeps-money" "the payment does not hear of a failed delivery: the order is cancelled and the money kept"
    UnknownCommitToldAsNo "unknown-commit-told-as-no" "a first commit that a shared database did not answer for is told the client as a refusal for good"
    AcceptedToldAsRefused "accepted-told-as-refused" "an order that is still under way when the client has waited long enough is told as refused for good, rather than as accepted"
    KeySettledAfterTheEnd "key-settled-after-the-end" "the client's key is settled a fifth of a second after the saga's last commit, in a commit of its own that is tried once"
    BreakerLetsAllThrough "breaker-lets-all-through" "a half-open breaker lets every call through, and one that is answered with a refusal counts as failed"
    LetterRedrivenTwice "letter-redriven-twice" "a dead letter that was redriven is redriven again, whatever has become of its saga: the saga is begun anew, under an id of its own"
    RebuildInTwoCommits "rebuild-in-two-commits" "a rebuild of the read side takes it away in one commit and makes it anew in another one"
    LeaseEndsByWallClock "lease-ends-by-wall-clock" "leases end by the wall clock of the lock service, which may jump"
    RowMarkedBeforeSent "row-marked-before-sent" "an outbox row is marked as published before it is sent; one whose sending fails is put back"
    SagaIdsCollide "saga-ids-collide" "ids of sagas are drawn out of 256, and nobody looks whether one is in use"
    ReplicaSaysNotThere "replica-says-not-there" "a replica whose database is away says of an order or a saga that there is none"
    RenewalStopsAtFirstError "renewal-stops-at-first-error" "a lease is renewed no more after one renewal without an answer, and whoever works under it does not notice that it has ended (the version check and the fencing are off too)"
    LeaseFromAStaleClock "lease-from-a-stale-clock" "a lease lasts from when it was asked for, not from when it is granted: after a wait it has nearly ended, or has (the version check and the fencing are off too)"
    RetrySchedulePerPoller "retry-schedule-per-poller" "each poller keeps its own waits between the tries of an outbox row: together they use the tries up too soon"
    OwnerNotChecked "owner-not-checked" "a commit does not ask whether its replica owns the saga still: an old owner writes over what the new one has done"
    IdsCountedByName "ids-counted-by-name" "a replica numbers its sagas under its name, on from the highest that it finds when it needs the first number: two processes of it give out the same ones, and nobody looks whether one is in use"
    LostUpdateIgnored "lost-update-ignored" "a write to a product that is refused, because the row has changed or a later lease has written, is left out, and the rest is done as if it had been made"
    CouponOwnedIsEnough "coupon-owned-is-enough" "a coupon that one order has is given to another order of the same user too (nor does its use ask whose it is)"
    LateTimerActs "late-timer-acts" "a deadline that comes once the purchase has ended cancels it all the same"
    IntentByKeyOnly "intent-by-key-only" "an order is told from a repeat by its key alone: the same basket from a second device, with a key of its own, is ordered again"
    RedeliveredAtOnce "redelivered-at-once" "an event that could not be handled is delivered again without a wait: its deliveries are used up too soon"
    TriesAddedUp "tries-added-up" "the tries of all steps of a saga count against one limit: what one step has used up the next one lacks"
    UnreadableIsAbsent "unreadable-is-absent" "a row that the disk cannot read at present is taken for one that is not there"
    UnknownFieldsDropped "unknown-fields-dropped" "build 1 reads what build 2 wrote, and writes it back, acts on it and hands it on without what it does not know"
    OldReaderTakesDefault "old-reader-takes-default" "build 2 reads what build 1 wrote, which says nothing of a rebate, as if it had the one that is given by default now"
}

/// A set of planted bugs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bugs(u128);

impl Bugs {
    /// The hardened shape.
    pub const NONE: Bugs = Bugs(0);

    /// The set with one more bug.
    pub const fn with(self, bug: Bug) -> Self {
        Bugs(self.0 | 1 << bug as u8)
    }

    /// The set without a bug.
    pub const fn without(self, bug: Bug) -> Self {
        Bugs(self.0 & !(1 << bug as u8))
    }

    /// Whether the bug is on.
    pub const fn has(self, bug: Bug) -> bool {
        self.0 & (1 << bug as u8) != 0
    }

    /// The names of those that are on.
    pub fn names(self) -> Vec<String> {
        let on = Bug::ALL.iter().filter(|bug| self.has(**bug));
        on.map(|bug| bug.name().to_owned()).collect()
    }
}

impl FromIterator<Bug> for Bugs {
    fn from_iter<I: IntoIterator<Item = Bug>>(bugs: I) -> Self {
        bugs.into_iter().fold(Bugs::NONE, Bugs::with)
    }
}
