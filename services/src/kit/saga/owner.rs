//! Who drives a saga where replicas share the journal.
//!
//! The owner stands in the mark of the open saga. While a replica drives sagas it *beats*: it counts in a row of its own.
//! A replica whose count stands still for a lease, by the clock of the one who looks, has lost its sagas to whoever claims
//! them first; wall clocks, which differ, decide nothing. A process that starts under a replica's name takes its place in
//! that row: an earlier one of the same name, which may live on, beats no more and claims nothing from then on. A silent
//! replica may be alive: it is fenced off by the saga's version, which the claim raises as every commit does, and stops at
//! its next commit. The calls that it has made by then carry the same keys as the new owner's: they are what a crash leaves
//! too.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::{Instant, sleep};

use super::{
    Beat, DRIVERS, Engine, OPEN_SAGAS, OpenSaga, Owner, Saga, SagaRecord, Status,
    inner::{Inner, LOOK_EVERY, past_cancelling},
    table,
};
use crate::{
    kit::{Code, Problem, StoreError},
    planted_bug::Bug,
};

/// Beats within a lease: three may be lost.
const BEATS: u32 = 4;

/// The last beat of each owner that was seen, and since when.
#[derive(Default)]
struct Seen(BTreeMap<(String, u64), (Option<Beat>, Instant)>);

impl Seen {
    /// Whether an owner has lost its sagas.
    fn is_silent(&mut self, owner: &Owner, beat: Option<Beat>, lease: Duration) -> bool {
        if beat.is_some_and(|beat| beat.boot_id != owner.boot_id) {
            // A later life of it beats.
            return true;
        }
        let key = (owner.replica.clone(), owner.boot_id);
        let now = Instant::now();
        let seen = self.0.entry(key).or_insert((beat, now));
        if seen.0 != beat {
            *seen = (beat, now);
        }
        seen.1.elapsed() >= lease
    }
}

impl<S: Saga> Engine<S> {
    /// Takes over what no living replica drives, now and then, for ever.
    pub(super) async fn keep_taking_over(&self) -> ! {
        let beating = self.clone();
        self.0
            .platform
            .spawn("saga-beat", async move { beating.keep_beating().await });
        // Often enough to see a silent replica twice within one and a half leases.
        let config = &self.0.config;
        let every = config.recover_every.min(config.lease / 2);
        let mut seen = Seen::default();
        // Early, because the place goes to whoever comes last.
        while let Err(error) = self.0.has_place().await {
            tracing::info!(%error, "no place yet");
            sleep(LOOK_EVERY / 5).await;
        }
        loop {
            let taken_over = match self.0.has_place().await {
                Ok(true) => self.take_over(&mut seen).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = taken_over {
                tracing::info!(%error, "recovery put off");
            }
            sleep(every).await;
        }
    }

    async fn take_over(&self, seen: &mut Seen) -> Result<(), StoreError> {
        let inner = &self.0;
        let open = inner.store.read(|tx| tx.scan(&OPEN_SAGAS, ""))?;
        let open_owners = |key: &(String, u64)| {
            let of = |owner: &Owner| (&owner.replica, owner.boot_id) == (&key.0, key.1);
            open.iter()
                .any(|(_, open)| open.owner.as_ref().is_some_and(of))
        };
        seen.0.retain(|key, _| open_owners(key));
        for (id, open) in open {
            if !inner.has(Bug::RecoveryRacesOwner) && !inner.is_orphan(&open, seen)? {
                continue;
            }
            let mine = match inner.registry.claim(&id) {
                Ok(mine) => mine,
                Err(_) if !inner.has(Bug::RecoveryRacesOwner) => continue,
                Err(_) => inner.registry.register(&id),
            };
            let of_another = open
                .owner
                .as_ref()
                .is_some_and(|owner| *owner.replica != *inner.platform.name);
            match inner.claim(&id, open).await {
                Ok(Some(saga)) if inner.takes_up(&saga) => {
                    if of_another {
                        let span = saga.context.span();
                        span.in_scope(|| tracing::info!("saga taken over"));
                    }
                    self.resume(saga, mine);
                }
                other => {
                    inner.registry.release(&id, &mine);
                    other?;
                }
            }
        }
        Ok(())
    }

    /// Shows that this replica lives while it drives sagas, and hears of those that are to be cancelled.
    async fn keep_beating(&self) -> ! {
        let inner = &self.0;
        loop {
            if inner.registry.is_idle() {
                inner.registry.busy.notified().await;
            }
            if let Err(error) = inner.beat().await {
                tracing::info!(%error, "no beat");
            }
            sleep(inner.config.lease / BEATS).await;
        }
    }
}

impl<S: Saga> Inner<S> {
    /// This process as an owner; `None` where it owns all sagas of its store.
    pub fn me(&self) -> Option<Owner> {
        self.store.is_shared().then(|| Owner {
            replica: self.platform.name.to_string(),
            boot_id: self.platform.process.boot_id(),
        })
    }

    /// Whether this process has the place of its replica. It takes it, unless another one of its name has meanwhile and is
    /// not silent: a process that has died may take it late.
    async fn has_place(&self) -> Result<bool, StoreError> {
        let Some(me) = self.me() else {
            return Ok(true);
        };
        let found: Option<Beat> = self.store.read(|tx| tx.get(&DRIVERS, &me.replica))?;
        let whose = found.map(|beat| beat.boot_id);
        let before = *self.place.before.get_or_init(|| whose);
        if whose == Some(me.boot_id) {
            return Ok(true);
        }
        if let Some(beat) = found.filter(|_| whose != before) {
            let since = self.place.silent_since(beat);
            if since.elapsed() < self.config.lease {
                return Ok(false);
            }
        }
        self.count_beat(me, whose).await
    }

    /// Counts one more beat, unless the place of this replica is neither this process's nor the one's who was there `before`
    /// it; whether it was counted.
    async fn count_beat(&self, me: Owner, before: Option<u64>) -> Result<bool, StoreError> {
        let boot_id = me.boot_id;
        self.write(move |tx| {
            let found: Option<Beat> = tx.get(&DRIVERS, &me.replica)?;
            let mine = found.filter(|beat| beat.boot_id == boot_id);
            if mine.is_none() && found.map(|beat| beat.boot_id) != before {
                return Ok(false);
            }
            let beats = mine.map_or(0, |beat| beat.beats) + 1;
            tx.put(&DRIVERS, &me.replica, &Beat { boot_id, beats })?;
            Ok(true)
        })
        .await
    }

    /// Whether no living replica drives an open saga, as far as can be seen. One of this process is an orphan too if no
    /// task of it has the saga in hand.
    fn is_orphan(&self, open: &OpenSaga, seen: &mut Seen) -> Result<bool, StoreError> {
        let Some(owner) = &open.owner else {
            return Ok(true);
        };
        if *owner.replica == *self.platform.name {
            return Ok(true);
        }
        let beat = self.store.read(|tx| tx.get(&DRIVERS, &owner.replica))?;
        Ok(seen.is_silent(owner, beat, self.config.lease))
    }

    /// Makes this process the owner of an open saga whose mark is still as it was seen.
    async fn claim(
        &self,
        id: &str,
        seen: OpenSaga,
    ) -> Result<Option<SagaRecord<S::Data>>, StoreError> {
        let (id, fences) = (id.to_owned(), !self.has(Bug::RecoveryRacesOwner));
        let mine = self.open_mark(Some(seen.clone()));
        let me = self.me();
        self.write(move |tx| {
            if let Some(me) = me {
                let beat: Option<Beat> = tx.get(&DRIVERS, &me.replica)?;
                if beat.is_none_or(|beat| beat.boot_id != me.boot_id) {
                    return Ok(None);
                }
            }
            let open = tx.get(&OPEN_SAGAS, &id)?;
            let saga = tx.get(&table::<S::Data>(), &id)?;
            let Some(mut saga) = saga.filter(|_| open == Some(seen)) else {
                return Ok(None);
            };
            if fences {
                saga.version += 1;
                tx.put(&OPEN_SAGAS, &id, &mine)?;
                tx.put(&table(), &id, &saga)?;
            }
            Ok(Some(saga))
        })
        .await
    }

    async fn beat(&self) -> Result<(), StoreError> {
        let Some(me) = self.me() else { return Ok(()) };
        if let Some(before) = self.place.before.get() {
            self.count_beat(me, *before).await?;
        }
        for (id, open) in self.store.read(|tx| tx.scan(&OPEN_SAGAS, ""))? {
            if let (true, Some(driven)) = (open.cancel, self.registry.of(&id)) {
                driven.request_cancel();
            }
        }
        Ok(())
    }

    /// Notes for the owner of a saga, whichever replica that is by then, that it is to turn back.
    pub async fn ask_owner_to_cancel(&self, id: &str) -> Result<(), Problem> {
        let id = id.to_owned();
        let steps = |data: &S::Data| self.saga.steps(data);
        let Some(saga) = self.read(&id)? else {
            return Err(Code::NotFound.because(format!("no saga {id}")));
        };
        let plan = steps(&saga.data);
        self.write(move |tx| {
            let saga = tx.get(&table::<S::Data>(), &id)?;
            let open = tx.get(&OPEN_SAGAS, &id)?;
            match (saga, open) {
                (Some(saga), Some(open)) if saga.status == Status::Running => {
                    if saga.is_at_pivot(plan) {
                        return Err(past_cancelling(&id));
                    }
                    let open = OpenSaga {
                        cancel: true,
                        ..open
                    };
                    Ok(tx.put(&OPEN_SAGAS, &id, &open)?)
                }
                (Some(saga), _) if saga.refusal.is_some() => Ok(()),
                _ => Err(past_cancelling(&id)),
            }
        })
        .await
    }
}
