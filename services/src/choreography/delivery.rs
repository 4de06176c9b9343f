//! The delivery service: shipments of paid orders, and what becomes of them.
//!
//! A courier tries to hand a shipment over, and tries once more if nobody is there; then it has failed for good. Which
//! shipments are under way is on the disk: a restart of the service takes them up again.

mod courier;
pub mod model;
pub mod store;

use std::{io, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use tokio::sync::Notify;

use crate::{
    choreography::{DELIVERY_STARTED, PAYMENT_COMPLETED, Placed, TOPIC},
    kit::{
        self, Code, Problem,
        bus::{Event, Handler, HandlerError},
        member::{Member, Settings},
    },
    ports::Platform,
    service::{Service, service},
};
use store::{OPEN, Open, SHIPMENTS, Shipment};

/// The service, as topologies list it.
pub const SERVICE: Service = service!("delivery", ["/deliveries"]);

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// How it takes part in the choreography.
    pub settings: Settings,
    /// How long a try takes.
    pub takes: Duration,
    /// One delivery attempt in this many finds no one at home.
    pub misses_one_in: u64,
    /// Tries before a delivery has failed for good.
    pub tries_max: u32,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            settings: Settings::default(),
            takes: Duration::from_millis(500),
            misses_one_in: 3,
            tries_max: 2,
        }
    }
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let member = Member::open(&platform, store::FILE, TOPIC, &config.settings).await?;
    let deliveries = Arc::new(Deliveries {
        member: member.clone(),
        accepted: Notify::new(),
        config,
    });
    platform.spawn("courier", courier::work(deliveries.clone()));
    let events = member.hear(&[PAYMENT_COMPLETED], deliveries.clone());
    let router = Router::new()
        .route("/deliveries/{order_id}", get(show))
        .with_state(deliveries)
        .merge(events);
    kit::http::serve(&platform, router).await
}

/// The service's state.
struct Deliveries {
    member: Member,
    /// Told of each new shipment.
    accepted: Notify,
    config: Config,
}

#[async_trait]
impl Handler for Deliveries {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let placed = Placed::of(event)?;
        let now_ms = self.member.platform().clock.now_ms();
        let context = event.context.clone();
        let started = self.member.once(event, move |tx, says| {
            let key = placed.order_id.clone();
            if tx.get(&SHIPMENTS, &key)?.is_some() {
                return Ok(());
            }
            says.say(DELIVERY_STARTED, &key, &context, &placed);
            tx.put(&SHIPMENTS, &key, &Shipment::new(placed, context, now_ms))?;
            tx.put(&OPEN, &key, &Open {})?;
            Ok(())
        });
        started.await?;
        self.accepted.notify_one();
        Ok(())
    }
}

async fn show(
    State(deliveries): State<Arc<Deliveries>>,
    Path(order_id): Path<String>,
) -> Result<Json<Shipment>, Problem> {
    let store = deliveries.member.store();
    let shipment = store.read(|rows| rows.get(&SHIPMENTS, &order_id))?;
    shipment.map(Json).ok_or_else(|| {
        let detail = format!("nothing is on its way for order {order_id}");
        Code::NotFound.because(detail)
    })
}
