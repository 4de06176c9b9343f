//! What the order service asks before it begins: who orders, and what it costs. Without an answer there is no order.

use serde::Deserialize;

use crate::{
    kit::{Code, Context, Peer, PeerPolicy, Problem},
    planted_bug::{Bug, Bugs},
    ports::Platform,
    shared::catalog::store::Product,
};

/// The user who stands in while the user service is down, with `fallback-default-user`.
pub const DEFAULT_USER: &str = "default-user";

/// Whom it asks. Each has a breaker that opens when half of the last ten calls failed.
pub(super) struct Peers {
    user: Peer,
    catalog: Peer,
    bugs: Bugs,
}

#[derive(Deserialize)]
struct User {
    id: String,
    active: bool,
}

impl Peers {
    pub fn new(platform: &Platform, bugs: Bugs) -> Self {
        let peer = |name| Peer::new(platform, name, PeerPolicy::internal());
        Peers {
            user: peer("user"),
            catalog: peer("catalog"),
            bugs,
        }
    }

    /// The id of a user who may order.
    pub async fn user(&self, context: &Context, id: &str) -> Result<String, Problem> {
        let (context, path) = (context.step("user"), format!("/users/{id}"));
        let reply = match self.user.call(&context, "GET", &path, None, &()).await {
            Ok(reply) => reply,
            Err(error) if self.bugs.has(Bug::FallbackDefaultUser) => {
                tracing::warn!(%error, "a default user stands in");
                return Ok(DEFAULT_USER.to_owned());
            }
            Err(error) => {
                tracing::info!(%error, "order refused: the user is not known yet");
                return Err(error.into());
            }
        };
        let user: User = reply.ok()?;
        match user.active {
            true => Ok(user.id),
            false => {
                let detail = format!("user {id} may not order");
                Err(Code::InvalidState.because(detail))
            }
        }
    }

    /// A product that is on sale, as it is offered now.
    pub async fn product(&self, context: &Context, id: &str) -> Result<Product, Problem> {
        let (context, path) = (context.step("catalog"), format!("/products/{id}"));
        let reply = self.catalog.call(&context, "GET", &path, None, &()).await?;
        let product: Product = reply.ok()?;
        match product.on_sale {
            true if product.price > 0 => Ok(product),
            true => {
                let detail = format!("product {id} has no price; set one in the catalog");
                Err(Code::NotForSale.because(detail))
            }
            false => {
                let detail = format!("product {id} is not on sale; see GET /products");
                Err(Code::NotForSale.because(detail))
            }
        }
    }
}
