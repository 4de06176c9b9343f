//! A stand-in for the external payment gateway: another company's system, with its own database.
//!
//! Its [`ledger`] is the ground truth for money. It keeps idempotency keys in one of the two styles found in the
//! market, sends webhooks, and misbehaves when told to through its [`Behaviour`].
//!
//! What it is *not*: a defence for its callers. It allows over-capture and repeated refunds (see [`ledger`]), so that a
//! caller who loses count loses money.

mod api;
mod behaviour;
mod keys;
pub mod ledger;
pub mod requests;
mod webhooks;
mod work;

use std::{io, sync::Arc, time::Duration};

pub use behaviour::{Behaviour, Fault, Operation, Rule};
pub use keys::{ANSWERS, Answer, KEPT_MS, KeyStyle};
pub use ledger::{Entry, Kind, LEDGER};
pub use webhooks::Notice;

use crate::{
    kit::{Store, Writer, http, idempotency::keep_sweeping},
    ports::Platform,
    service::{Service, service},
};

/// The file that holds the gateway's database.
pub const FILE: &str = "pg.redb";

/// How the gateway is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Which answers it stores.
    pub style: KeyStyle,
    /// The service that is told of what was done, at `POST /webhooks/pg`.
    pub webhooks: Option<String>,
    /// How long a refund takes; its key is in flight meanwhile, and the work goes on if the caller hangs up.
    pub refund_takes: Duration,
    /// What a refund costs the merchant, in minor units.
    pub refund_fee: i64,
    /// How it misbehaves.
    pub behaviour: Arc<Behaviour>,
}

/// The service, as topologies list it.
pub const SERVICE: Service = service!("pg", [], |p| {
    let webhooks = Some("payment".to_owned());
    run(
        p,
        Config {
            webhooks,
            ..Config::default()
        },
    )
});

/// Runs the gateway until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, FILE).await?;
    let is_over = |_: &Writer, answer: &Answer, oldest_ms| Ok(answer.at <= oldest_ms);
    let pruning = keep_sweeping(platform.clone(), store.clone(), ANSWERS, is_over);
    platform.spawn("pg-prune-keys", pruning);
    let provider = Arc::new(work::Provider::new(platform.clone(), store, config));
    http::serve(&platform, api::router(provider)).await
}
