//! HTTP/1.1 server: axum routers served by hyper over the port's streams.

use axum::{Router, extract::FromRequest};
use serde::de::DeserializeOwned;

use super::Problem;
use crate::ports::Platform;

/// Serves `router` on this service's own address until the process ends. Every request runs inside its
/// [`Context`](super::Context)'s span; the context is an extractor.
#[allow(unused_variables, clippy::todo)]
pub async fn serve(platform: &Platform, router: Router) -> std::io::Result<()> {
    todo!()
}

/// A JSON body; what does not parse is refused with a [`Problem`] that says where.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;
    #[allow(unused_variables, clippy::todo)]
    async fn from_request(request: axum::extract::Request, state: &S) -> Result<Self, Problem> {
        todo!()
    }
}

/// The `Idempotency-Key` header (the older `X-Idempotency-Key` is accepted), as a required extractor:
/// 400 `IDEMPOTENCY_KEY_MISSING` without it. Use `Option<IdempotencyKey>` where it is optional.
pub struct IdempotencyKey(pub String);
