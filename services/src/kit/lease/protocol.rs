//! What the lock service and its clients say to each other.

use serde::{Deserialize, Serialize};

/// The body of `POST /locks/{name}/acquire`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acquire {
    /// The holder, unique to each acquisition. A repeat with the same owner is given the same lease.
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
    pub(crate) fn again(prove: &Prove) -> Self {
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
