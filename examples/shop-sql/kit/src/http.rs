//! Serving requests, and refusing them.

use std::fmt;

use axum::{
    Json, Router,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use tokio::{
    net::TcpListener,
    select,
    signal::unix::{SignalKind, signal},
};
use tracing::{info, warn};

use crate::Database;

/// Why something is not done.
#[derive(Debug)]
pub enum Error {
    /// It is refused, and will be.
    Refused(StatusCode, String),
    /// Nobody knows whether it is done: there was no answer, or not in time.
    Unknown(String),
    /// The database has failed.
    Database(sqlx::Error),
}

/// What comes of most calls.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// A refusal with a reason.
    pub fn refused(status: StatusCode, why: &str) -> Error {
        Error::Refused(status, why.to_owned())
    }

    /// Whether PostgreSQL asks to do the whole transaction again: a serialization failure, or a deadlock.
    pub fn is_conflict(&self) -> bool {
        let Error::Database(sqlx::Error::Database(error)) = self else {
            return false;
        };
        matches!(error.code().as_deref(), Some("40001" | "40P01"))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Refused(_, why) | Error::Unknown(why) => f.write_str(why),
            Error::Database(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Error::Database(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let why = self.to_string();
        let status = match self {
            Error::Refused(status, _) => status,
            Error::Unknown(_) | Error::Database(_) => {
                warn!("{why}");
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, Json(json!({ "error": why }))).into_response()
    }
}

/// Serves `app`, and `/health` with it, until the process is told to end; what has begun then is finished.
///
/// # Errors
///
/// The port is taken, or the system has no more to give.
pub async fn serve(port: u16, app: Router, database: Database) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let asked_to_end = async move {
        select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        info!("ending");
    };
    let health = {
        let database = database.clone();
        get(async move || database.answers().await.map(|()| StatusCode::NO_CONTENT))
    };
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    info!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.route("/health", health))
        .with_graceful_shutdown(asked_to_end)
        .await?;
    database.close().await;
    info!("ended");
    Ok(())
}
