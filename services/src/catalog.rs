//! The catalog service: products, prices with a version, sale status; it tells its subscribers of every change.
//!
//! A change, the version that it makes and the notices about it are one commit: nobody is told of a change that did
//! not happen, and no change that happened goes untold. Per product they are told in the order of its versions; the
//! network can still reorder a late first attempt, so subscribers compare versions.

mod api;
pub mod store;

use std::{io, sync::Arc};

use axum::Router;

use crate::{
    kit::{
        self, Context, Problem, Store, StoreError,
        bus::Event,
        outbox::{self, Outbox, Target, enqueue},
    },
    ports::Platform,
    service::{Demo, Service},
};
use store::{Change, PRODUCTS, Product, VERSIONS, Version, version_key};

pub use api::{New, Patch};

/// How the service is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The services that are told of every change (`POST /webhooks/products`).
    pub subscribers: Vec<String>,
}

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "catalog",
    paths: &["/products"],
    run: |platform| Box::pin(run(platform, Config::default())),
    demo: &[Demo {
        list: "/products",
        puts: &[
            (
                "/products/1",
                r#"{"name": "Fountain pen", "category": "stationery", "price": 35000}"#,
            ),
            (
                "/products/2",
                r#"{"name": "Notebook", "category": "stationery", "price": 12000}"#,
            ),
            (
                "/products/3",
                r#"{"name": "Desk lamp", "category": "furniture", "price": 89000}"#,
            ),
            (
                "/products/4",
                r#"{"name": "Last of its kind", "category": "curiosities", "price": 3500000}"#,
            ),
        ],
    }],
};

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE)
        .await
        .map_err(io::Error::other)?;
    let mut notices = Router::new();
    if !config.subscribers.is_empty() {
        let one_poller = outbox::Config {
            pollers: 1,
            ..Default::default()
        };
        let outbox = Outbox::open(&platform, &store, one_poller).await;
        notices = outbox::api::router(outbox.map_err(io::Error::other)?);
    }
    let catalog = Arc::new(Catalog {
        platform: platform.clone(),
        store,
        subscribers: config.subscribers,
    });
    kit::http::serve(&platform, api::router(catalog).merge(notices)).await
}

/// What a change is called when subscribers are told of it.
pub const PRODUCT_CHANGED: &str = "product.changed";

/// Where subscribers are told: the body is a [`Change`].
const WEBHOOK: &str = "/webhooks/products";

/// The service's state.
struct Catalog {
    platform: Platform,
    store: Store,
    subscribers: Vec<String>,
}

impl Catalog {
    fn product(&self, sku: &str) -> Result<Option<Product>, StoreError> {
        self.store.read(|rows| rows.get(&PRODUCTS, sku))
    }

    /// Makes the product what `edit` says, as a new version; no new version if that is what it is already.
    async fn change(
        &self,
        context: &Context,
        sku: &str,
        edit: impl FnOnce(Option<&Product>) -> Result<Product, Problem> + Send + 'static,
    ) -> Result<Product, Problem> {
        let (subscribers, platform) = (self.subscribers.clone(), self.platform.clone());
        let from_ms = self.platform.clock.now_ms();
        let (key, context) = (sku.to_owned(), context.clone());
        let (product, changed) = self
            .store
            .write(move |tx| {
                let before = tx.get(&PRODUCTS, &key)?;
                let mut product = edit(before.as_ref())?;
                let version = before.as_ref().map_or(0, |before| before.version);
                product.version = version;
                if before.as_ref() == Some(&product) {
                    return Ok::<_, Problem>((product, false));
                }
                product.version += 1;
                tx.put(&PRODUCTS, &key, &product)?;
                let offered = Version {
                    price: product.price,
                    on_sale: product.on_sale,
                    from_ms,
                };
                tx.put(&VERSIONS, &version_key(&key, product.version), &offered)?;
                for service in subscribers {
                    let target = Target::Webhook {
                        service,
                        path: WEBHOOK.to_owned(),
                    };
                    let change = Change::of(&product);
                    let event = Event::new(&platform, PRODUCT_CHANGED, &key, &context, &change);
                    enqueue(tx, target, event, from_ms)?;
                }
                Ok((product, true))
            })
            .await?;
        if changed {
            tracing::info!(sku, version = product.version, "product changed");
        }
        Ok(product)
    }
}

impl Change {
    fn of(product: &Product) -> Self {
        Change {
            sku: product.sku.clone(),
            version: product.version,
            price: product.price,
            on_sale: product.on_sale,
            name: product.name.clone(),
        }
    }
}
