//! WebSocket: messages both ways over one connection.

use anyhow::{Result, bail};
use axum::{
    Router,
    extract::ws::{Message, WebSocket, WebSocketUpgrade},
    response::Response,
    routing::get,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{client_async, tungstenite};

/// Serves, for ever: `GET /totals` adds what it is told, and says the total each time.
///
/// # Errors
///
/// The connections end.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let app = Router::new().route("/totals", get(upgrade));
    axum::serve(listener, app).await?;
    Ok(())
}

async fn upgrade(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(add)
}

async fn add(mut socket: WebSocket) {
    let mut total = 0;
    while let Some(Ok(message)) = socket.recv().await {
        let Message::Text(amount) = message else {
            continue;
        };
        let Ok(amount) = amount.parse::<u64>() else {
            return;
        };
        total += amount;
        if socket.send(Message::text(total.to_string())).await.is_err() {
            return;
        }
    }
}

/// Says each amount, and hears the total; `address` is `host:port`.
///
/// # Errors
///
/// The connection breaks off, or something else is said.
pub async fn totals(address: &str, amounts: &[u64]) -> Result<Vec<u64>> {
    let stream = TcpStream::connect(address).await?;
    let (mut socket, _) = client_async(format!("ws://{address}/totals"), stream).await?;
    let mut totals = vec![];
    for amount in amounts {
        let message = tungstenite::Message::text(amount.to_string());
        socket.send(message).await?;
        match socket.next().await {
            Some(message) => totals.push(message?.to_text()?.parse()?),
            None => bail!("the connection breaks off"),
        }
    }
    socket.close(None).await?;
    Ok(totals)
}
