//! The calls to catalog, inventory and payment, and what their answers mean.

use std::{sync::Mutex, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Config, store::OrderData};
use crate::{
    kit::{
        CallError, Code, Context, Peer, PeerPolicy, Problem, Reply,
        format::More,
        lock,
        saga::{Act, Call, Undo, offered, settled, undone},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// A product as the catalog sells it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Product {
    /// Won.
    pub price: u64,
    pub version: u64,
    on_sale: bool,
}

impl Product {
    /// What the catalog says of it now, and whether it `must` be on sale.
    pub async fn find(
        catalog: &Peer,
        context: &Context,
        sku: &str,
        must: bool,
    ) -> Result<Self, Problem> {
        let context = context.step("catalog-read");
        let path = format!("/products/{sku}");
        let reply = catalog.call(&context, "GET", &path, None, &()).await?;
        let product: Product = reply.ok()?;
        match product.on_sale || !must {
            true => Ok(product),
            false => Err(Code::NotForSale.because(format!("{sku} is not for sale"))),
        }
    }
}

/// What is to be paid.
#[derive(Serialize)]
struct Bill<'a> {
    saga_id: &'a str,
    order_id: &'a str,
    /// Won.
    amount: u64,
    card: &'a str,
    mode: &'a str,
    /// What a later build says of it: the payment service may know it.
    #[serde(flatten)]
    more: &'a More,
}

/// Longer than any process lives.
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

pub(super) struct Peers {
    catalog: Peer,
    inventory: Peer,
    payment: Peer,
    /// Calls carry idempotency keys.
    keyed: bool,
    /// What is not on sale is not sold.
    heeds_sale_status: bool,
    bugs: Bugs,
    /// The trace of the last call. Only for the planted bug `trace-id-leaks`.
    ambient: Mutex<Option<String>>,
}

impl Peers {
    pub fn new(platform: &Platform, config: &Config) -> Self {
        let bugs = config.bugs;
        let peer = |name: &str, policy: &PeerPolicy| {
            let mut policy = policy.clone();
            if bugs.has(Bug::BreakerNeverHalfOpens) {
                policy.breaker_open = A_YEAR;
            }
            policy.breaker_lets_all_through = bugs.has(Bug::BreakerLetsAllThrough);
            Peer::new(platform, name, policy)
        };
        Peers {
            catalog: peer("catalog", &config.catalog_calls),
            inventory: peer(&config.inventory, &config.inventory_calls),
            payment: peer("payment", &config.payment_calls),
            keyed: !config.bugs.has(Bug::NoKey),
            heeds_sale_status: !config.bugs.has(Bug::RewardForUnsoldProduct),
            bugs,
            ambient: Mutex::default(),
        }
    }

    /// What the product costs now.
    pub async fn product(&self, context: &Context, sku: &str) -> Result<Product, Problem> {
        Product::find(&self.catalog, context, sku, self.heeds_sale_status).await
    }

    pub async fn reserve(&self, data: &OrderData, call: Call<'_>) -> Act {
        let body = json!({
            "saga_id": data.owner,
            "order_id": data.order_id,
            "sku": data.sku,
            "quantity": data.quantity,
        });
        let reply = self.post(&self.inventory, "/reservations", call, &body);
        self.offered(reply.await)
    }

    pub async fn confirm(&self, data: &OrderData, call: Call<'_>) -> Act {
        let path = format!("/reservations/{}/confirm", data.owner);
        match settled(self.post(&self.inventory, &path, call, &json!({})).await) {
            Ok(()) => Act::Done,
            Err(reason) => Act::Unknown(reason),
        }
    }

    pub async fn release(&self, data: &OrderData, call: Call<'_>) -> Undo {
        let path = format!("/reservations/{}/cancel", data.owner);
        let body = json!({ "sku": data.sku });
        undone(self.post(&self.inventory, &path, call, &body).await)
    }

    /// Authorizes or charges, by mode.
    pub async fn pay(&self, data: &OrderData, mode: &str, call: Call<'_>) -> Act {
        let body = Bill {
            saga_id: &data.owner,
            order_id: &data.order_id,
            amount: data.amount,
            card: &data.card,
            mode,
            more: &data.more,
        };
        self.offered(self.post(&self.payment, "/payments", call, &body).await)
    }

    pub async fn capture(&self, data: &OrderData, call: Call<'_>) -> Act {
        let path = format!("/payments/{}/capture", data.owner);
        match self.post(&self.payment, &path, call, &json!({})).await {
            Ok(reply) if reply.is_success() => Act::Done,
            Ok(reply) => match reply.problem() {
                // The one answer that says for certain that no money moved, nor will.
                why if why.code == Code::PaymentDeclined => Act::Refused(why),
                why => Act::Unknown(why.to_string()),
            },
            Err(error) => Act::Unknown(error.to_string()),
        }
    }

    pub async fn give_back(&self, data: &OrderData, call: Call<'_>) -> Undo {
        let path = format!("/payments/{}/cancel", data.owner);
        let mut body = json!({});
        if self.bugs.has(Bug::RefundAtCurrentPrice) {
            match self.product(call.context, &data.sku).await {
                Ok(product) => body["amount"] = json!(product.price * data.quantity),
                Err(why) => return Undo::Retry(why.to_string()),
            }
        }
        undone(self.post(&self.payment, &path, call, &body).await)
    }

    async fn post(
        &self,
        peer: &Peer,
        path: &str,
        call: Call<'_>,
        body: &(impl Serialize + Sync),
    ) -> Result<Reply, CallError> {
        let key = self.keyed.then_some(call.key);
        let mut context = call.context.clone();
        if self.bugs.has(Bug::TraceIdLeaks) {
            let mut ambient = lock(&self.ambient);
            let leaked = ambient.replace(context.trace_id.clone());
            context.trace_id = leaked.unwrap_or(context.trace_id);
        }
        peer.call(&context, "POST", path, key, body).await
    }

    /// The answer to something that may be refused and can be undone.
    fn offered(&self, reply: Result<Reply, CallError>) -> Act {
        match offered(reply) {
            Act::Busy(_) if self.bugs.has(Bug::ConflictTakenForDone) => Act::Done,
            act => act,
        }
    }
}
