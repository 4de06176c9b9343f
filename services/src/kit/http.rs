//! HTTP/1.1 server: axum routers served by hyper over the port's streams.
//!
//! A request reaches its handler whole: its body has arrived, within [`BODY_BYTES_MAX`], before the router sees it. So
//! a handler that does not read a body never breaks the connection, and a half-sent request has no effect. From then on
//! the caller may hang up: a handler that may change something ends all the same, so that what follows a commit happens.

mod extract;
mod refuse;

use std::{convert::Infallible, future::pending, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body as AxumBody, Bytes, HttpBody},
    http::{HeaderName, HeaderValue, Request, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::sync::{Semaphore, oneshot};
use tower::Service;
use tracing::Instrument;

use super::{
    Code, Context,
    timer::{ConnectionTimer, within},
};
use crate::ports::{Connection, Platform};

pub use extract::{Body, IdempotencyKey, Perhaps};

/// The largest request body.
pub const BODY_BYTES_MAX: usize = 64 << 10;
/// How much of a body that is too large is read before it is refused, because an answer sent over unread input may
/// be lost. A larger one is cut off.
const DRAINED_BYTES_MAX: usize = 1 << 20;
/// How long a connection may stay silent between requests, or take for a request's head.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a request's body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections served at a time; further ones wait to be accepted.
const CONNECTIONS_MAX: usize = 1024;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Serves `router` on this service's own address until the process ends. Every request runs inside its
/// [`Context`]'s span; the context is an extractor.
pub async fn serve(platform: &Platform, router: Router) -> io::Result<()> {
    let mut listener = platform.net.listen().await?;
    let router = router.with_state::<()>(());
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let slot = slots
            .clone()
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let connection = listener.accept().await?;
        let (platform_of_task, router) = (platform.clone(), router.clone());
        platform.spawn("http-server", async move {
            serve_connection(platform_of_task, router, connection).await;
            drop(slot);
        });
    }
}

async fn serve_connection(platform: Platform, router: Router, connection: Connection) {
    let service = service_fn(|request| {
        let answer = answer(&platform, router.clone(), request);
        async { Ok::<_, Infallible>(answer.await) }
    });
    let served = http1::Builder::new()
        .timer(ConnectionTimer::default())
        .header_read_timeout(HEAD_TIMEOUT)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(connection), service)
        .await;
    if let Err(error) = served {
        tracing::trace!(%error, "connection ended");
    }
}

async fn answer(platform: &Platform, mut router: Router, request: Request<Incoming>) -> Response {
    let context = Context::from_headers(platform, request.headers());
    let span = context.span();
    let request_id = HeaderValue::from_str(&context.request_id);
    let work = async move {
        let (mut parts, body) = request.into_parts();
        let body = match within(BODY_TIMEOUT, receive(body)).await {
            Some(Ok(body)) => body,
            Some(Err(refused)) => return refused,
            None => return cut_off(Code::InvalidRequest, "the body did not arrive in 10 s"),
        };
        parts.extensions.insert(context);
        let (method, uri) = (parts.method.clone(), parts.uri.clone());
        let only_reads = method.is_safe();
        let request = Request::from_parts(parts, AxumBody::from(body));
        let handler = async move {
            let Ok(response) = router.call(request).await;
            refuse::as_problem(response, &method, &uri).await
        };
        match only_reads {
            true => handler.await,
            false => to_its_end(platform, handler).await,
        }
    };
    let mut response = work.instrument(span).await;
    if let Ok(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

/// Runs a handler in a task of its own: hyper drops what it waits for when the connection ends.
async fn to_its_end(
    platform: &Platform,
    handler: impl Future<Output = Response> + Send + 'static,
) -> Response {
    let (done, answer) = oneshot::channel();
    let task = async move {
        // A caller who hung up needs no answer.
        let _ = done.send(handler.await);
    };
    platform.spawn("http-handler", task.in_current_span());
    match answer.await {
        Ok(response) => response,
        // The process is ending.
        Err(_) => pending().await,
    }
}

/// The whole body, or the answer that refuses it.
async fn receive(mut body: Incoming) -> Result<Bytes, Response> {
    let too_large = || format!("the body is larger than {BODY_BYTES_MAX} bytes");
    if body.size_hint().lower() > DRAINED_BYTES_MAX as u64 {
        return Err(cut_off(Code::BodyTooLarge, too_large()));
    }
    let (mut whole, mut received) = (Bytes::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            cut_off(Code::InvalidRequest, format!("the body broke off: {error}"))
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        received += data.len();
        if received > DRAINED_BYTES_MAX {
            return Err(cut_off(Code::BodyTooLarge, too_large()));
        } else if received <= BODY_BYTES_MAX {
            whole = match whole.is_empty() {
                true => data,
                false => [whole, data].concat().into(),
            };
        }
    }
    match received {
        0..=BODY_BYTES_MAX => Ok(whole),
        _ => Err(Code::BodyTooLarge.because(too_large()).into_response()),
    }
}

/// A refusal after which the connection is of no more use, since the rest of the request is still to come.
fn cut_off(code: Code, detail: impl Into<String>) -> Response {
    let mut response = code.because(detail).into_response();
    response
        .headers_mut()
        .insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}
