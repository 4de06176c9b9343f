//! Serving requests, and refusing them.

use anyhow::bail;
use axum::{
    Json, Router,
    http::{StatusCode, header::CONNECTION},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{SignalKind, signal},
};
use tracing::{error, info};

use crate::Health;

/// Serves until the process is told to end; what has begun then is finished.
///
/// # Errors
///
/// The system has no more to give, or no such listener; or the service has lost its file.
pub async fn serve(listener: TcpListener, app: Router, health: Health) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked_to_end = async move {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("ending");
    };
    info!("listening on {}", listener.local_addr()?);
    let serving =
        axum::serve(listener, app.fallback(elsewhere)).with_graceful_shutdown(asked_to_end);
    select! {
        served = serving.into_future() => served?,
        () = health.lost() => bail!("the file is lost"),
    }
    info!("ended");
    Ok(())
}

/// What no route is for was meant for another service, whose name led here: whoever asks has to look it up once more, and
/// not to keep this connection.
async fn elsewhere() -> impl IntoResponse {
    (StatusCode::MISDIRECTED_REQUEST, [(CONNECTION, "close")])
}

/// Why a request is refused.
#[derive(Debug)]
pub struct Refusal(pub StatusCode, pub String);

impl Refusal {
    /// A refusal with a reason.
    pub fn new(status: StatusCode, why: &str) -> Self {
        Refusal(status, why.to_owned())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        let error = error.into();
        error!("{error:#}");
        Refusal(StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Refusal(status, why) = self;
        (status, Json(json!({ "error": why }))).into_response()
    }
}
