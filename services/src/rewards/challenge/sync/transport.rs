//! How notices of changed products reach the challenge service, and hearing those that come over the bus.
//!
//! | transport | a notice that is not heard at once | in order per product |
//! |---|---|---|
//! | webhook | stays in the catalog's outbox and is sent again | yes, but for a late first try |
//! | pub/sub | is gone: only a later one shows the gap | no |
//! | stream | stays in the bus's log and is delivered again | yes |
//!
//! All of them are listened to all the time; a notice that comes by another transport than the chosen one is
//! acknowledged, so that nothing piles up, and ignored.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;

use super::{Transport, View};
use crate::{
    kit::{
        Context, Store,
        bus::{Bus, Consumer, Event, Handler, HandlerError, Subscription},
    },
    planted_bug::Bugs,
    ports::Platform,
    rewards::challenge::store::Product,
    shared::catalog::{PRODUCT_CHANGED, TOPIC, store::Change},
};

/// The group of the stream; nobody else reads for this service.
const GROUP: &str = "challenge-products";
/// The same for the channel, so that their dead letters differ.
const CHANNEL_GROUP: &str = "challenge-products-channel";

/// Listens to the stream and to the channel of products. The routes are those of the consumers.
pub(in crate::rewards::challenge) fn listen(
    platform: &Platform,
    store: &Store,
    bugs: Bugs,
    bus: &str,
    view: &Arc<View>,
) -> Router {
    let bus = Bus::new(platform, bus);
    let heard = |group, transport| {
        let subscription = Subscription {
            channel: transport == Transport::PubSub,
            // What fails is the question to the catalog after a gap: it goes well once the catalog is back.
            deliveries_max: u32::MAX,
            ..Subscription::new(TOPIC, group, &[PRODUCT_CHANGED])
        };
        let ear = Arc::new(Ear {
            view: view.clone(),
            transport,
        });
        Consumer::start(platform, store, &bus, subscription, bugs, ear)
    };
    Consumer::router(vec![
        heard(GROUP, Transport::Stream),
        heard(CHANNEL_GROUP, Transport::PubSub),
    ])
}

/// Hears what one transport brings.
struct Ear {
    view: Arc<View>,
    transport: Transport,
}

#[async_trait]
impl Handler for Ear {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let context = event.context_of(GROUP);
        let told = Product::from(event.body::<Change>()?);
        match self.hear(&context, told.clone()).await {
            // Nobody tells again: rather no copy than one that is known to be old.
            Err(_) if self.transport == Transport::PubSub => self
                .view
                .forget_older(&told.sku, told.version)
                .await
                .map_err(HandlerError::from),
            heard => heard,
        }
    }
}

impl Ear {
    async fn hear(&self, context: &Context, told: Product) -> Result<(), HandlerError> {
        let heard = self.view.hear(context, told, self.transport).await;
        heard.map_err(|problem| HandlerError::Retry(problem.to_string()))
    }
}

impl From<Change> for Product {
    fn from(change: Change) -> Self {
        Product {
            sku: change.sku,
            name: change.name,
            price: change.price,
            version: change.version,
            on_sale: change.on_sale,
            at_ms: 0,
        }
    }
}
