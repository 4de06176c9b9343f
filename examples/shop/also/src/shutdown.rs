//! A server that finishes what it has begun before it ends.

use std::sync::Arc;

use anyhow::Result;
use axum::{Router, routing::get};
use tokio::{net::TcpListener, sync::Notify};

/// What goes on in the server.
#[derive(Debug, Default)]
pub struct Works {
    /// A request has begun.
    pub has_begun: Notify,
    /// It may go on.
    pub goes_on: Notify,
}

/// Serves until `end`: `GET /work` is answered with "done" when it may go on.
///
/// # Errors
///
/// The connections end.
pub async fn serve(
    listener: TcpListener,
    works: Arc<Works>,
    end: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    let work = async move || {
        works.has_begun.notify_one();
        works.goes_on.notified().await;
        "done"
    };
    let app = Router::new().route("/work", get(work));
    axum::serve(listener, app)
        .with_graceful_shutdown(end)
        .await?;
    Ok(())
}

/// Asks it to work.
///
/// # Errors
///
/// It does not answer.
pub async fn work(url: &str) -> Result<String> {
    Ok(reqwest::get(format!("{url}/work")).await?.text().await?)
}
