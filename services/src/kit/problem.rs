//! One error body for every service: problem details for HTTP APIs ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};

/// What went wrong, as a machine reads it. The name is the `code` member of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Code {
    /// 400: the request is malformed or breaks a stated limit.
    InvalidRequest,
    /// 400: the operation requires an `Idempotency-Key` header.
    IdempotencyKeyMissing,
    /// 404: no such thing.
    NotFound,
    /// 405: the path exists, the method does not.
    MethodNotAllowed,
    /// 409: the state of the thing forbids this (cancel after completion, confirm by another saga ...).
    InvalidState,
    /// 409: too few units on hand.
    OutOfStock,
    /// 409: the balance is smaller than the amount.
    InsufficientBalance,
    /// 409: no coupon of this campaign is left.
    CouponsGone,
    /// 409: the product is not on sale.
    NotForSale,
    /// 409: the payment gateway or the card's bank said no.
    PaymentDeclined,
    /// 409: another saga holds the semantic lock of this row; try again later.
    SagaInProgress,
    /// 409: the row changed since it was read; try again.
    VersionConflict,
    /// 409: a request with this idempotency key is under way.
    IdempotencyInFlight,
    /// 413: the body is larger than the stated limit.
    BodyTooLarge,
    /// 415: the body is not `application/json`.
    UnsupportedMediaType,
    /// 422: this idempotency key was used with another body.
    IdempotencyMismatch,
    /// 429: too many requests at once; certainly nothing was done.
    TooManyRequests,
    /// 503: a lock could not be obtained in time.
    LockNotAcquired,
    /// 503: too many calls to the payment gateway at once.
    PgThrottled,
    /// 503: a dependency cannot be reached, or its answer is not known yet.
    ServiceUnavailable,
    /// 500: a defect in this service; no internals are told.
    Internal,
}

impl Code {
    /// The HTTP status that goes with the code.
    pub fn status(self) -> u16 {
        match self {
            Code::InvalidRequest | Code::IdempotencyKeyMissing => 400,
            Code::NotFound => 404,
            Code::MethodNotAllowed => 405,
            Code::InvalidState
            | Code::OutOfStock
            | Code::InsufficientBalance
            | Code::CouponsGone
            | Code::NotForSale
            | Code::PaymentDeclined
            | Code::SagaInProgress
            | Code::VersionConflict
            | Code::IdempotencyInFlight => 409,
            Code::BodyTooLarge => 413,
            Code::UnsupportedMediaType => 415,
            Code::IdempotencyMismatch => 422,
            Code::TooManyRequests => 429,
            Code::LockNotAcquired | Code::PgThrottled | Code::ServiceUnavailable => 503,
            Code::Internal => 500,
        }
    }

    /// Whether the same request may succeed later without anybody doing anything: never stored as an answer.
    pub fn is_transient(self) -> bool {
        matches!(
            self,
            Code::SagaInProgress
                | Code::VersionConflict
                | Code::IdempotencyInFlight
                | Code::TooManyRequests
                | Code::LockNotAcquired
                | Code::PgThrottled
                | Code::ServiceUnavailable
                | Code::Internal
        )
    }

    /// A problem with this code. `detail` is one sentence: what was wrong and what to do.
    pub fn because(self, detail: impl Into<String>) -> Problem {
        Problem {
            code: self,
            detail: detail.into(),
        }
    }
}

/// A refused request: RFC 9457 body with the members `type`, `title`, `status`, `detail`, `code`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code:?}: {detail}")]
pub struct Problem {
    /// What went wrong.
    pub code: Code,
    /// One sentence for a person: what was wrong and what to do.
    pub detail: String,
}

impl Problem {
    /// The body as sent.
    pub fn body(&self) -> serde_json::Value {
        serde_json::json!({
            "type": "about:blank",
            "title": self.title(),
            "status": self.code.status(),
            "code": self.code,
            "detail": self.detail,
        })
    }

    fn title(&self) -> &'static str {
        axum::http::StatusCode::from_u16(self.code.status())
            .ok()
            .and_then(|s| s.canonical_reason())
            .unwrap_or("Error")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = axum::http::StatusCode::from_u16(self.code.status())
            .unwrap_or(axum::http::StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            "content-type",
            axum::http::HeaderValue::from_static("application/problem+json"),
        );
        if matches!(self.code.status(), 429 | 503) {
            headers.insert("retry-after", axum::http::HeaderValue::from_static("1"));
        }
        response
    }
}
