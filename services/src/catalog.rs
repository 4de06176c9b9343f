//! The catalog service: products, prices with a version, sale status; it tells its subscribers of every change.
//!
//! A change, the version that it makes and the notices about it are one commit: nobody is told of a change that did
//! not happen, and no change that happened goes untold.

mod api;
mod outbox;
pub mod store;

use std::{io, sync::Arc};

use tokio::sync::Notify;

use crate::{
    kit::{self, Context, Problem, Store, StoreError},
    ports::Platform,
    service::{Demo, Service},
};
use store::{
    Change, Notice, OUTBOX, PRODUCTS, Product, VERSIONS, Version, notice_key, version_key,
};

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
    let catalog = Catalog::start(platform.clone(), store, config);
    kit::http::serve(&platform, api::router(catalog)).await
}

/// The service's state.
struct Catalog {
    platform: Platform,
    store: Store,
    subscribers: Vec<(String, Arc<Notify>)>,
}

impl Catalog {
    /// Takes up the deliveries that an earlier life left.
    fn start(platform: Platform, store: Store, config: Config) -> Arc<Self> {
        let mut subscribers = Vec::new();
        for name in config.subscribers {
            let changed = Arc::new(Notify::new());
            let delivery = outbox::deliver(
                platform.clone(),
                store.clone(),
                name.clone(),
                changed.clone(),
            );
            platform.spawn("catalog-outbox", delivery);
            subscribers.push((name, changed));
        }
        Arc::new(Catalog {
            platform,
            store,
            subscribers,
        })
    }

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
        let subscribers: Vec<_> = self
            .subscribers
            .iter()
            .map(|(name, _)| name.clone())
            .collect();
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
                for subscriber in subscribers {
                    let notice = Notice {
                        context: context.clone(),
                        change: Change::of(&product),
                    };
                    tx.put(
                        &OUTBOX,
                        &notice_key(&subscriber, &key, product.version),
                        &notice,
                    )?;
                }
                Ok((product, true))
            })
            .await?;
        if changed {
            tracing::info!(sku, version = product.version, "product changed");
            for (_, changed) in &self.subscribers {
                changed.notify_one();
            }
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
