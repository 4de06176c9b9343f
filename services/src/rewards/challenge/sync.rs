//! How the challenge service learns what its rewards are: three modes, the last over three [transports](transport), all
//! switchable while running.
//!
//! | mode | a read | a notice | while the catalog is away |
//! |---|---|---|---|
//! | live | asks the catalog | is acknowledged only | is refused |
//! | cache | shows the copy; past its time to live asks | is acknowledged only | shows the copy, marked stale, up to a limit |
//! | events | shows the copy, which notices keep; asks where there is none | is applied, ignored or resolved by asking | shows the copy |
//!
//! A copy that heard of every version but one is old without knowing it: a notice that skips a version is resolved by
//! asking. A channel forgets what nobody hears, so that a process that was away while notices came that way begins
//! without copies. A copy is never replaced by an older version. A switch forgets all copies, since they may have missed notices; an
//! answer that was asked for before a switch is shown but not kept.

pub mod transport;

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    model::{Freshness, Verdict},
    store::{PRODUCTS, Product, SETTINGS, SYNC, Sync},
};
use crate::{
    kit::{CallError, Code, Context, Peer, Problem, Store, StoreError, Writer, lock},
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

pub use super::model::{Mode, Transport};

/// A product as it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// The product.
    #[serde(flatten)]
    pub product: Product,
    /// The catalog could not be asked, and the copy is past its time to live.
    pub stale: bool,
    /// The copy's age.
    pub age_ms: u64,
}

/// The local view of the catalog's products.
pub(super) struct View {
    pub(super) platform: Platform,
    pub(super) store: Store,
    pub(super) bugs: Bugs,
    pub(super) ttl: Duration,
    pub(super) stale_limit: Duration,
    pub(super) catalog: Peer,
    /// The mode until somebody switches, and how notices come.
    pub(super) initial: (Mode, Transport),
    /// Whether there is a bus to hear notices from.
    pub(super) has_bus: bool,
    /// When this life of the process fetched a copy: the wall clock may jump.
    pub(super) fetched: Mutex<BTreeMap<String, Instant>>,
}

impl View {
    /// The mode now.
    pub(super) fn sync(&self) -> Result<Sync, StoreError> {
        let row = self.store.read(|rows| rows.get(&SETTINGS, SYNC))?;
        Ok(row.unwrap_or_else(|| self.never_switched()))
    }

    fn never_switched(&self) -> Sync {
        let (mode, transport) = self.initial;
        Sync {
            mode,
            transport,
            epoch: 0,
        }
    }

    fn copy(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        self.store.read(|rows| rows.get(&PRODUCTS, sku))
    }

    /// The product as the mode shows it; `None` if the catalog has no such product.
    pub(super) async fn show(
        &self,
        context: &Context,
        sku: &str,
    ) -> Result<Option<Shown>, Problem> {
        let sync = self.sync()?;
        let copy = match sync.mode {
            Mode::Live => None,
            Mode::Cache | Mode::Events => self.copy(sku)?,
        };
        let age = copy.as_ref().map_or(Duration::ZERO, |copy| self.age(copy));
        let freshness = match sync.mode {
            Mode::Cache if !self.bugs.has(Bug::CacheNeverExpires) => {
                Freshness::of(age, self.ttl, self.stale_limit)
            }
            _ => Freshness::Fresh,
        };
        let shown = |product, stale, age: Duration| {
            Ok(Some(Shown {
                product,
                stale,
                age_ms: age.as_millis() as u64,
            }))
        };
        match (copy, freshness) {
            (Some(copy), Freshness::Fresh) => shown(copy, false, age),
            (copy, freshness) => match (self.fetch(context, sku).await, copy) {
                (Ok(Some(product)), _) => {
                    if sync.mode != Mode::Live {
                        self.keep(product.clone(), sync.epoch).await?;
                    }
                    shown(product, false, Duration::ZERO)
                }
                (Ok(None), _) => Ok(None),
                (Err(_), Some(copy)) if freshness == Freshness::Stale => shown(copy, true, age),
                (Err(away), _) => {
                    Err(Code::ServiceUnavailable.because(format!("{away}; try again shortly")))
                }
            },
        }
    }

    /// Carries out a notice. An error means: not acknowledged, send it again.
    pub(super) async fn hear(
        &self,
        context: &Context,
        told: Product,
        by: Transport,
    ) -> Result<(), Problem> {
        let sync = self.sync()?;
        if sync.mode != Mode::Events || sync.transport != by {
            return Ok(());
        }
        let copy = self.copy(&told.sku)?.map(|copy| copy.version);
        let verdict = match Verdict::of(copy, told.version) {
            _ if self.bugs.has(Bug::EventsWithoutVersion) => Verdict::Apply,
            Verdict::Resync if self.bugs.has(Bug::EventsWithoutResync) => Verdict::Ignore,
            verdict => verdict,
        };
        let product = match verdict {
            Verdict::Ignore => return Ok(()),
            Verdict::Apply => Some(told),
            Verdict::Resync => {
                tracing::info!(sku = told.sku, version = told.version, "notice missed");
                self.fetch(context, &told.sku).await?
            }
        };
        match product {
            Some(product) => self.keep(product, sync.epoch).await,
            None => Ok(()),
        }
    }

    /// Switches the mode and the transport. Copies that may have missed notices are forgotten in the same commit.
    pub(super) async fn switch(&self, mode: Mode, transport: Transport) -> Result<Sync, Problem> {
        if transport != Transport::Webhook && !self.has_bus {
            return Err(Code::InvalidRequest
                .because("there is no bus here: the transport can only be webhook"));
        }
        let (never_switched, bugs) = (self.never_switched(), self.bugs);
        let switched = move |tx: &mut Writer<'_>| {
            let before = tx.get(&SETTINGS, SYNC)?.unwrap_or(never_switched);
            if (before.mode, before.transport) == (mode, transport) {
                return Ok::<_, Problem>(before);
            }
            let after = Sync {
                mode,
                transport,
                epoch: before.epoch + 1,
            };
            tx.put(&SETTINGS, SYNC, &after)?;
            if !bugs.has(Bug::EventsWithoutResync) {
                forget_all(tx)?;
            }
            Ok(after)
        };
        let sync = self.store.write(switched).await?;
        tracing::info!(mode = ?sync.mode, transport = ?sync.transport, "sync mode");
        Ok(sync)
    }

    /// Forgets, as a process begins, what may have changed while nobody listened.
    pub(super) async fn begin(&self) -> Result<(), StoreError> {
        let sync = self.sync()?;
        let deaf = (sync.mode, sync.transport) == (Mode::Events, Transport::PubSub);
        let copies = self.store.read(|rows| rows.scan(&PRODUCTS, ""))?;
        if !deaf || copies.is_empty() || self.bugs.has(Bug::EventsWithoutResync) {
            return Ok(());
        }
        self.store.write(forget_all).await
    }

    /// Forgets the copy of a product if it is older than `version`.
    async fn forget_older(&self, sku: &str, version: u64) -> Result<(), StoreError> {
        let sku = sku.to_owned();
        let forgotten = move |tx: &mut Writer<'_>| match tx.get(&PRODUCTS, &sku)? {
            Some(copy) if copy.version < version => tx.delete(&PRODUCTS, &sku),
            _ => Ok(()),
        };
        self.store.write(forgotten).await
    }

    /// Asks the catalog; `None` if it has no such product.
    async fn fetch(&self, context: &Context, sku: &str) -> Result<Option<Product>, CallError> {
        let path = format!("/products/{sku}");
        let reply = self
            .catalog
            .call(&context.step("product"), "GET", &path, None, &())
            .await?;
        let unusable = |reason: String| CallError::Unknown {
            peer: "catalog".to_owned(),
            reason,
        };
        match reply.status {
            404 => Ok(None),
            _ => {
                let mut product: Product = reply
                    .ok()
                    .map_err(|problem| unusable(problem.to_string()))?;
                product.at_ms = self.platform.clock.now_ms();
                Ok(Some(product))
            }
        }
    }

    /// Keeps a copy unless there is a newer one, or the mode was switched since `epoch`.
    async fn keep(&self, mut product: Product, epoch: u64) -> Result<(), Problem> {
        let (never_switched, bugs) = (self.never_switched(), self.bugs);
        product.at_ms = self.platform.clock.now_ms();
        let (sku, now) = (product.sku.clone(), Instant::now());
        let kept = move |tx: &mut Writer<'_>| {
            if tx.get(&SETTINGS, SYNC)?.unwrap_or(never_switched).epoch != epoch {
                return Ok::<_, Problem>(false);
            }
            let older = |copy: Product| product.version < copy.version;
            if tx.get(&PRODUCTS, &product.sku)?.is_some_and(older)
                && !bugs.has(Bug::EventsWithoutVersion)
            {
                return Ok(false);
            }
            tx.put(&PRODUCTS, &product.sku, &product)?;
            Ok(true)
        };
        if self.store.write(kept).await? {
            lock(&self.fetched).insert(sku, now);
        }
        Ok(())
    }

    /// Since the copy was fetched. Of a copy from an earlier life only the wall clock knows, and that is trusted to
    /// make it older, not to make it fresh.
    fn age(&self, copy: &Product) -> Duration {
        match lock(&self.fetched).get(&copy.sku) {
            Some(at) => at.elapsed(),
            None => {
                let now_ms = self.platform.clock.now_ms();
                self.ttl
                    .max(Duration::from_millis(now_ms.saturating_sub(copy.at_ms)))
            }
        }
    }
}

fn forget_all(tx: &mut Writer<'_>) -> Result<(), StoreError> {
    for (sku, _) in tx.scan(&PRODUCTS, "")? {
        tx.delete(&PRODUCTS, &sku)?;
    }
    Ok(())
}
