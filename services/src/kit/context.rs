//! Who asked, and within which saga: W3C trace context, request id, baggage, saga id.

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};

use crate::ports::Platform;

/// The context of one request, taken from its headers and passed on with every call that it causes.
///
/// It is handed along explicitly, never kept in an ambient place, so that it cannot leak into another request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Context {
    /// The trace that this request belongs to: 32 hexadecimal digits ([W3C Trace Context](https://www.w3.org/TR/trace-context/)).
    pub trace_id: String,
    /// `REQ-XXXXXXXX`, from `X-Request-ID` or made here.
    pub request_id: String,
    /// What the caller is doing, in a few words (`alice-2-place`, `alice-2-place/reserve`): the member `op` of the
    /// [W3C baggage](https://www.w3.org/TR/baggage/) header.
    pub op: String,
    /// The saga on whose behalf this happens.
    pub saga_id: Option<String>,
}

impl Context {
    /// A fresh context for work that no request caused (a recovery, a sweeper).
    pub fn fresh(platform: &Platform, op: &str) -> Self {
        Context {
            trace_id: fresh_trace_id(platform),
            request_id: platform.short_id("REQ"),
            op: op.to_owned(),
            saga_id: None,
        }
    }

    /// The context of an incoming request; what is missing or malformed is made anew.
    pub fn from_headers(platform: &Platform, headers: &HeaderMap) -> Self {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
        let mut context = Context {
            trace_id: text("traceparent")
                .and_then(parse_traceparent)
                .map_or_else(|| fresh_trace_id(platform), str::to_owned),
            request_id: text("x-request-id")
                .filter(|id| is_plain(id))
                .map_or_else(|| platform.short_id("REQ"), str::to_owned),
            ..Context::default()
        };
        for member in text("baggage").unwrap_or_default().split(',') {
            match member.trim().split_once('=') {
                Some(("op", op)) if is_plain(op) => context.op = op.to_owned(),
                Some(("saga", saga)) if is_plain(saga) => context.saga_id = Some(saga.to_owned()),
                _ => {}
            }
        }
        context
    }

    /// The same context one step further: `op` becomes `op/step`.
    pub fn step(&self, step: &str) -> Self {
        Context {
            op: format!("{}/{step}", self.op),
            ..self.clone()
        }
    }

    /// The same context on behalf of a saga.
    pub fn with_saga(&self, saga_id: &str) -> Self {
        Context {
            saga_id: Some(saga_id.to_owned()),
            ..self.clone()
        }
    }

    /// The headers that carry this context to a callee.
    pub fn headers(&self, span_id: u64) -> [(&'static str, String); 3] {
        let saga = self
            .saga_id
            .as_deref()
            .map(|saga| format!(",saga={saga}"))
            .unwrap_or_default();
        [
            (
                "traceparent",
                format!("00-{}-{span_id:016x}-01", self.trace_id),
            ),
            ("x-request-id", self.request_id.clone()),
            ("baggage", format!("op={}{saga}", self.op)),
        ]
    }

    /// The span that all work for this request runs in. Its fields are the contract with whoever observes the
    /// service: `trace_id`, `request_id`, `op`, `saga_id`.
    pub fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "work",
            trace_id = self.trace_id.as_str(),
            request_id = self.request_id.as_str(),
            op = self.op.as_str(),
            saga_id = self.saga_id.as_deref().unwrap_or(""),
        )
    }
}

fn fresh_trace_id(platform: &Platform) -> String {
    let random = &platform.random;
    format!("{:016x}{:016x}", random.next_u64(), random.next_u64())
}

/// The trace id of a well-formed `traceparent` of any version but `ff`.
fn parse_traceparent(value: &str) -> Option<&str> {
    let mut parts = value.split('-');
    let (version, trace, parent, flags) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let hex =
        |s: &str, len| s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |s: &str| s.bytes().all(|b| b == b'0');
    (hex(version, 2)
        && version != "ff"
        && hex(trace, 32)
        && !zero(trace)
        && hex(parent, 16)
        && !zero(parent)
        && hex(flags, 2))
    .then_some(trace)
}

/// Ids that we are ready to log and pass on: short, printable, without separators of the headers that carry them.
fn is_plain(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_./#:".contains(&b))
}
