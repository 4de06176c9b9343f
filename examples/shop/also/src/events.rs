//! Server-sent events.

use std::{convert::Infallible, time::Duration};

use anyhow::Result;
use axum::{
    Router,
    extract::Path,
    response::{
        Sse,
        sse::{Event, KeepAlive},
    },
    routing::get,
};
use tokio::{net::TcpListener, sync::mpsc, time::sleep};
use tokio_stream::{Stream, wrappers::ReceiverStream};

const BEAT: Duration = Duration::from_millis(5);

/// Serves, for ever: `GET /ticks/{count}` is a stream of so many events.
///
/// # Errors
///
/// The connections end.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let app = Router::new().route("/ticks/{count}", get(ticks));
    axum::serve(listener, app).await?;
    Ok(())
}

async fn ticks(Path(count): Path<u64>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (send, events) = mpsc::channel(1);
    tokio::spawn(async move {
        for tick in 0..count {
            let event = Event::default().event("tick").data(tick.to_string());
            if send.send(Ok(event)).await.is_err() {
                break;
            }
            sleep(BEAT).await;
        }
    });
    Sse::new(ReceiverStream::new(events)).keep_alive(KeepAlive::default())
}

/// Hears the stream to its end; answers with the data of its events.
///
/// # Errors
///
/// The stream breaks off, or is not text.
pub async fn ticks_of(url: &str, count: u64) -> Result<Vec<String>> {
    let mut answer = reqwest::get(format!("{url}/ticks/{count}"))
        .await?
        .error_for_status()?;
    let mut text = Vec::new();
    while let Some(chunk) = answer.chunk().await? {
        text.extend_from_slice(&chunk);
    }
    let text = String::from_utf8(text)?;
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    Ok(data.map(str::to_owned).collect())
}
