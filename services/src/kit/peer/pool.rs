//! Keep-alive connections to one peer, and one exchange over one of them.

use std::{
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Bytes,
    http::{Method, Request, Response},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use crate::{
    kit::{http::HEAD_TIMEOUT, lock, timer::within},
    ports::Platform,
};

/// Connections kept for later.
const IDLE_MAX: usize = 32;
/// How long one is kept: well within the time after which the server hangs up.
const IDLE_FOR: Duration = HEAD_TIMEOUT.saturating_sub(Duration::from_secs(10));
/// The largest answer.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Why there was no answer.
pub(crate) enum Failure {
    /// Certainly not a byte of the request was sent.
    NotSent(String),
    /// It was sent, or may have been.
    Unknown(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::NotSent(reason) | Failure::Unknown(reason) => f.write_str(reason),
        }
    }
}

type Sender = SendRequest<Full<Bytes>>;

pub(crate) struct Pool {
    platform: Platform,
    pub(crate) peer: String,
    /// The longest idle first.
    idle: Mutex<Vec<(Sender, Instant)>>,
}

impl Pool {
    pub(crate) fn new(platform: &Platform, peer: &str) -> Self {
        Pool {
            platform: platform.clone(),
            peer: peer.to_owned(),
            idle: Mutex::new(Vec::new()),
        }
    }

    /// Sends a request and reads the whole answer, within `limit` from connecting to the last byte. A connection
    /// whose answer did not come in time is closed.
    pub(crate) async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: Duration,
    ) -> Result<Response<Bytes>, Failure> {
        let sent = AtomicBool::new(false);
        // Boxed: every caller's future holds it, and futures are moved often.
        let exchange = Box::pin(self.exchange_unlimited(request, &sent));
        match within(limit, exchange).await {
            Some(result) => result,
            None if sent.into_inner() => Err(Failure::Unknown(format!("no answer in {limit:?}"))),
            None => Err(Failure::NotSent(format!("no connection in {limit:?}"))),
        }
    }

    async fn exchange_unlimited(
        &self,
        request: Request<Full<Bytes>>,
        sent: &AtomicBool,
    ) -> Result<Response<Bytes>, Failure> {
        // The peer may hang up on an idle connection while a request is on its way there. What may be sent twice is
        // sent again on a fresh connection.
        let repeatable =
            request.method() == Method::GET || request.headers().contains_key("idempotency-key");
        while let Some(sender) = self.take_idle().await {
            match self.send(sender, request.clone(), sent).await {
                Ok(response) => return Ok(response),
                Err(Broken {
                    before_sending: true,
                    ..
                }) => continue,
                Err(Broken {
                    before_answer: true,
                    ..
                }) if repeatable => {
                    // The others are as old.
                    lock(&self.idle).clear();
                    break;
                }
                Err(broken) => return Err(Failure::Unknown(broken.reason)),
            }
        }
        let failure = match self.connect().await {
            Ok(sender) => match self.send(sender, request, sent).await {
                Ok(response) => return Ok(response),
                Err(broken) => broken.reason,
            },
            Err(reason) => reason,
        };
        match sent.load(Ordering::Relaxed) {
            true => Err(Failure::Unknown(failure)),
            false => Err(Failure::NotSent(failure)),
        }
    }

    async fn connect(&self) -> Result<Sender, String> {
        let connection = self.platform.net.connect(&self.peer).await;
        let connection = connection.map_err(|error| format!("no connection: {error}"))?;
        let (sender, connection) = handshake(TokioIo::new(connection))
            .await
            .map_err(|error| error.to_string())?;
        self.platform.spawn("http-client", async move {
            if let Err(error) = connection.await {
                tracing::trace!(%error, "connection ended");
            }
        });
        Ok(sender)
    }

    async fn send(
        &self,
        mut sender: Sender,
        request: Request<Full<Bytes>>,
        sent: &AtomicBool,
    ) -> Result<Response<Bytes>, Broken> {
        let sent_before = sent.swap(true, Ordering::Relaxed);
        let response = sender.try_send_request(request).await.map_err(|error| {
            let before_sending = error.message().is_some();
            if before_sending {
                sent.store(sent_before, Ordering::Relaxed);
            }
            Broken {
                before_sending,
                before_answer: true,
                reason: error.into_error().to_string(),
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| Broken {
            before_sending: false,
            before_answer: false,
            reason: format!("the answer broke off: {error}"),
        })?;
        self.put_idle(sender);
        Ok(Response::from_parts(head, body.to_bytes()))
    }

    /// The connection that was used last and is still open.
    async fn take_idle(&self) -> Option<Sender> {
        loop {
            let (mut sender, since) = lock(&self.idle).pop()?;
            if since.elapsed() >= IDLE_FOR {
                lock(&self.idle).clear();
            } else if sender.ready().await.is_ok() {
                return Some(sender);
            }
        }
    }

    fn put_idle(&self, sender: Sender) {
        let mut idle = lock(&self.idle);
        if idle.len() == IDLE_MAX {
            idle.remove(0);
        }
        if !sender.is_closed() {
            idle.push((sender, Instant::now()));
        }
    }
}

/// A connection that broke during an exchange.
struct Broken {
    /// Not a byte of the request went out.
    before_sending: bool,
    /// The answer had not begun.
    before_answer: bool,
    reason: String,
}
