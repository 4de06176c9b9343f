//! A server that gives slow requests up, by tower-http.

use std::time::Duration;

use anyhow::Result;
use axum::{Router, extract::Path, http::StatusCode, routing::get};
use tokio::{net::TcpListener, time::sleep};
use tower_http::timeout::TimeoutLayer;

/// How long a request may take.
pub const LIMIT: Duration = Duration::from_millis(200);

/// Serves, for ever: `GET /sleep/{ms}` takes so long, and is a gateway timeout if that is too long.
///
/// # Errors
///
/// The connections end.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let slow = async |Path(ms): Path<u64>| sleep(Duration::from_millis(ms)).await;
    let limit = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT);
    let app = Router::new().route("/sleep/{ms}", get(slow)).layer(limit);
    axum::serve(listener, app).await?;
    Ok(())
}

/// Asks for a request that takes so long.
///
/// # Errors
///
/// There is no answer.
pub async fn sleep_at(url: &str, ms: u64) -> Result<StatusCode> {
    Ok(reqwest::get(format!("{url}/sleep/{ms}")).await?.status())
}
