//! What handlers take from a request, refusing what they cannot use with a [`Problem`] that says what to do.

use axum::{
    body::to_bytes,
    extract::{FromRequest, FromRequestParts, OptionalFromRequestParts, Request},
    http::{HeaderMap, header, request::Parts},
};
use serde::de::DeserializeOwned;

use super::BODY_BYTES_MAX;
use crate::kit::{Code, Context, Problem, json};

/// A JSON body; what does not parse is refused with a [`Problem`] that says where.
pub struct Body<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let kind = request.headers().get(header::CONTENT_TYPE);
        if !kind.is_some_and(|kind| kind.to_str().is_ok_and(is_json)) {
            return Err(Code::UnsupportedMediaType.because(
                "send the body as JSON, with the header `Content-Type: application/json`",
            ));
        }
        let body = to_bytes(request.into_body(), BODY_BYTES_MAX)
            .await
            .map_err(|error| Code::InvalidRequest.because(error.to_string()))?;
        json::parse(&body).map(Body).map_err(|error| {
            let near = member_before(&body, error.line(), error.column())
                .map(|name| format!(" (near `{name}`)"))
                .unwrap_or_default();
            Code::InvalidRequest.because(format!("the body: {error}{near}"))
        })
    }
}

/// A JSON body, or its default where the request declares none.
pub struct Perhaps<T>(pub T);

impl<S: Send + Sync, T: Default + DeserializeOwned> FromRequest<S> for Perhaps<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !request.headers().contains_key(header::CONTENT_TYPE) {
            return Ok(Perhaps(T::default()));
        }
        let Body(body) = Body::from_request(request, state).await?;
        Ok(Perhaps(body))
    }
}

/// `application/json` or `application/anything+json`, with or without parameters.
pub(super) fn is_json(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// The name of the last object member that begins before this position, both counted from one.
fn member_before(body: &[u8], line: usize, column: usize) -> Option<&str> {
    let text = std::str::from_utf8(body).ok()?;
    let line_start = text
        .split_inclusive('\n')
        .take(line.checked_sub(1)?)
        .map(str::len)
        .sum::<usize>();
    let before = text.get(..(line_start + column).min(text.len()))?;
    let colon = before.rfind("\":")?;
    before[..colon].rsplit_once('"').map(|(_, name)| name)
}

impl<S: Send + Sync> FromRequestParts<S> for Context {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Context>().cloned().ok_or_else(|| {
            Code::Internal.because("the request did not come through the service's server")
        })
    }
}

/// The `Idempotency-Key` header (the older `X-Idempotency-Key` is accepted), as a required extractor:
/// 400 `IDEMPOTENCY_KEY_MISSING` without it. Use `Option<IdempotencyKey>` where it is optional.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub String);

/// The longest key.
const KEY_BYTES_MAX: usize = 200;

impl IdempotencyKey {
    /// A key that came in some other way than the header; the same limits hold.
    pub fn new(key: &str) -> Result<Self, Problem> {
        let visible = key.bytes().all(|b| b.is_ascii_graphic());
        if visible && (1..=KEY_BYTES_MAX).contains(&key.len()) {
            return Ok(IdempotencyKey(key.to_owned()));
        }
        Err(Code::InvalidRequest.because(format!(
            "an idempotency key must be 1 to {KEY_BYTES_MAX} visible ASCII characters"
        )))
    }

    /// The refusal of a request without one.
    pub fn missing() -> Problem {
        Code::IdempotencyKeyMissing
            .because("send an Idempotency-Key header; repeat it when you repeat the request")
    }

    fn find(headers: &HeaderMap) -> Result<Option<Self>, Problem> {
        let value = headers
            .get("idempotency-key")
            .or_else(|| headers.get("x-idempotency-key"));
        // What is not visible ASCII is no text, and refused like an empty key.
        value
            .map(|value| Self::new(value.to_str().unwrap_or_default()))
            .transpose()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::find(&parts.headers)?.ok_or_else(Self::missing)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        Self::find(&parts.headers)
    }
}
