//! The lock service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::{get, post},
};

use super::{LEASE_MAX, Locks, WAIT_MAX};
use crate::kit::{
    Code, Problem,
    http::Body,
    input::within,
    lease::{Acquire, Granted, Held, Prove},
};

type App = State<Arc<Locks>>;

pub(super) fn router(locks: Arc<Locks>) -> Router {
    Router::new()
        .route("/locks", get(list))
        .route("/locks/{name}/acquire", post(acquire))
        .route("/locks/{name}/renew", post(renew))
        .route("/locks/{name}/release", post(release))
        .with_state(locks)
}

async fn list(State(locks): App) -> Json<Vec<Held>> {
    let held = locks.leases.held().into_iter();
    Json(
        held.map(|(name, owner, token)| Held { name, owner, token })
            .collect(),
    )
}

async fn acquire(
    State(locks): App,
    Path(name): Path<String>,
    Body(ask): Body<Acquire>,
) -> Result<Json<Granted>, Problem> {
    plain("name", &name)?;
    plain("owner", &ask.owner)?;
    within("wait_ms", ask.wait_ms, 0..=WAIT_MAX.as_millis() as u64)?;
    within("lease_ms", ask.lease_ms, LEASE_MS)?;
    locks.acquire(&name, &ask).await.map(Json)
}

async fn renew(
    State(locks): App,
    Path(name): Path<String>,
    Body(prove): Body<Prove>,
) -> Result<Json<Granted>, Problem> {
    within("lease_ms", prove.lease_ms, LEASE_MS)?;
    locks.renew(&name, &prove).map(Json)
}

async fn release(
    State(locks): App,
    Path(name): Path<String>,
    Body(prove): Body<Prove>,
) -> Result<Json<Granted>, Problem> {
    locks.release(&name, &prove).map(Json)
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
