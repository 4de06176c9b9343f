//! Orders over stock by HTTP, with retries: what all simulators run, whatever their networks are.

use std::{
    future::Future,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Json, Router, body::Body, extract::State, http::StatusCode, routing::post};
use http_body_util::BodyExt;
use hyper::{Request, client, server};
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_real as tokio;

/// Each storm has so many.
pub const ORDERS: u64 = 20;
/// When stock crashes.
pub const CRASH_AT: Duration = Duration::from_millis(300);
/// Packets take so long on all of them.
pub const LATENCY: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

const PORT: u16 = 8080;
const PATIENCE: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(50);

/// What a simulator offers to its nodes.
pub trait Machine: 'static {
    type Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static;
    type Listener: Send;

    fn listen(port: u16) -> impl Future<Output = io::Result<Self::Listener>> + Send;
    fn accept(
        listener: &mut Self::Listener,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn connect(node: &str, port: u16) -> impl Future<Output = io::Result<Self::Stream>> + Send;
    fn spawn(task: impl Future<Output = ()> + Send + 'static);
    fn sleep(time: Duration) -> impl Future<Output = ()> + Send;
}

#[derive(Clone, Serialize, Deserialize)]
struct Order {
    key: u64,
    sku: String,
    quantity: u32,
}

/// The orders that stock has served: what is left of it when it crashes.
#[derive(Clone, Default)]
pub struct Rows(Arc<[AtomicBool; ORDERS as usize]>);

impl Rows {
    /// Whether each order has had its effect.
    pub fn are_whole(&self) -> bool {
        self.0.iter().all(|row| row.load(Relaxed))
    }
}

/// Takes what is ordered from stock, once.
pub async fn stock<M: Machine>(rows: Rows) -> io::Result<()> {
    let take = async |State(rows): State<Rows>, Json(order): Json<Order>| {
        rows.0[order.key as usize].store(true, Relaxed);
        Json(order)
    };
    serve::<M>(Router::new().route("/", post(take)).with_state(rows)).await
}

/// Passes orders on to stock until that has served them.
pub async fn orders<M: Machine>() -> io::Result<()> {
    let order = |Json(order): Json<Order>| async {
        match until_served::<M>("stock", &order).await {
            true => Ok(Json(order)),
            false => Err(StatusCode::BAD_GATEWAY),
        }
    };
    serve::<M>(Router::new().route("/", post(order))).await
}

/// Orders, one after the other.
pub async fn customer<M: Machine>() {
    for key in 0..ORDERS {
        let order = Order {
            key,
            sku: "tea".to_owned(),
            quantity: 1,
        };
        assert!(until_served::<M>("orders", &order).await);
    }
}

async fn serve<M: Machine>(router: Router) -> io::Result<()> {
    let mut listener = M::listen(PORT).await?;
    loop {
        let stream = TokioIo::new(M::accept(&mut listener).await?);
        let service = TowerToHyperService::new(router.clone());
        M::spawn(async move {
            let connection = server::conn::http1::Builder::new();
            let _ = connection.serve_connection(stream, service).await;
        });
    }
}

async fn until_served<M: Machine>(node: &'static str, order: &Order) -> bool {
    for _ in 0..100 {
        let served = tokio::select! {
            biased;
            served = call::<M>(node, order) => served.unwrap_or(false),
            () = M::sleep(PATIENCE) => false,
        };
        if served {
            return true;
        }
        M::sleep(PAUSE).await;
    }
    false
}

async fn call<M: Machine>(
    node: &str,
    order: &Order,
) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TokioIo::new(M::connect(node, PORT).await?);
    let (mut sender, connection) = client::conn::http1::handshake(stream).await?;
    M::spawn(async move {
        let _ = connection.await;
    });
    let request = Request::post("/")
        .header("host", node)
        .header("content-type", "application/json")
        .body(Body::from(serde_json::to_vec(order)?))?;
    let answer = sender.send_request(request).await?;
    let is_ok = answer.status().is_success();
    answer.into_body().collect().await?;
    Ok(is_ok)
}
