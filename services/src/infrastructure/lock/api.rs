//! The lock service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};

use super::{Desk, LEASE_MAX, WAIT_MAX};
use crate::kit::{Code, Problem, http::Body, input::within};

/// The body of `POST /locks/{name}/acquire`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// Whoever is to hold the lease: another one for every acquisition. A repeat with the same owner is given the same lease.
    pub owner: String,
    /// How long to wait for it, up to 30 s; milliseconds.
    pub wait_ms: u64,
    /// How long it lasts unless it is renewed, up to 60 s; milliseconds.
    pub lease_ms: u64,
}

/// The body of `POST /locks/{name}/renew` and `POST /locks/{name}/release`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prove {
    /// Who holds the lease.
    pub owner: String,
    /// Its token.
    pub token: u64,
    /// How long it lasts from now on; milliseconds. A release does not look at it.
    #[serde(default)]
    pub lease_ms: u64,
}

/// A lease, as its owner is told.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Granted {
    /// The fencing token: greater than that of every lease before.
    pub token: u64,
    /// How long its owner has waited for it at the service; milliseconds. The lease lasts from then on.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub waited_ms: u64,
}

impl Granted {
    /// What an owner is told who shows a lease that it has.
    pub(super) fn again(prove: &Prove) -> Self {
        Granted {
            token: prove.token,
            waited_ms: 0,
        }
    }
}

fn is_zero(ms: &u64) -> bool {
    *ms == 0
}

/// A lease, as others are told.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Held {
    /// The lock.
    pub name: String,
    /// Who holds it.
    pub owner: String,
    /// The fencing token.
    pub token: u64,
}

type App = State<Arc<Desk>>;

pub(super) fn router(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/locks", get(list))
        .route("/locks/{name}/acquire", post(acquire))
        .route("/locks/{name}/renew", post(renew))
        .route("/locks/{name}/release", post(release))
        .with_state(desk)
}

async fn list(State(desk): App) -> Json<Vec<Held>> {
    let held = desk.leases.held().into_iter();
    Json(
        held.map(|(name, owner, token)| Held { name, owner, token })
            .collect(),
    )
}

async fn acquire(
    State(desk): App,
    Path(name): Path<String>,
    Body(ask): Body<Acquire>,
) -> Result<Json<Granted>, Problem> {
    plain("name", &name)?;
    plain("owner", &ask.owner)?;
    within("wait_ms", ask.wait_ms, 0..=WAIT_MAX.as_millis() as u64)?;
    within("lease_ms", ask.lease_ms, LEASE_MS)?;
    desk.acquire(&name, &ask).await.map(Json)
}

async fn renew(
    State(desk): App,
    Path(name): Path<String>,
    Body(prove): Body<Prove>,
) -> Result<Json<Granted>, Problem> {
    within("lease_ms", prove.lease_ms, LEASE_MS)?;
    desk.renew(&name, &prove).map(Json)
}

async fn release(
    State(desk): App,
    Path(name): Path<String>,
    Body(prove): Body<Prove>,
) -> Result<Json<Granted>, Problem> {
    desk.release(&name, &prove).map(Json)
}

const LEASE_MS: std::ops::RangeInclusive<u64> = 100..=LEASE_MAX.as_millis() as u64;

/// Like the names of lock libraries: `inventory:lock:1`.
fn plain(field: &str, text: &str) -> Result<(), Problem> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
    if (1..=128).contains(&text.len()) && text.bytes().all(is_plain) {
        return Ok(());
    }
    Err(Code::InvalidRequest.because(format!("{field} must be 1 to 128 letters, digits or -_.:")))
}
