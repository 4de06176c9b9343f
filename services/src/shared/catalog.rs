//! The catalog service: products, prices with a version, sale status; it tells of every change.
//!
//! A change, the version that it makes and the notices about it in the outbox are one commit: nobody is
//! told of a change that did not happen, and no change that happened goes untold.

mod api;
pub mod store;

use std::{io, sync::Arc, time::Duration};

use crate::{
    kit::{
        self, Context, Problem, Store, StoreError,
        bus::Event,
        outbox::{self, Mode, Outbox, Outgoing, Policy, Target},
    },
    ports::Platform,
    service::{Demo, Service, service},
};
use store::{Change, PRODUCTS, Product, VERSIONS, Version, version_key};

pub use api::{New, Patch};

/// The topic, and the channel, of changed products.
pub const TOPIC: &str = "products";

/// The kind of a notice on the bus. Its key is the SKU, its body a [`Change`].
pub const PRODUCT_CHANGED: &str = "product.changed";

/// Where webhooks go.
const WEBHOOK: &str = "/webhooks/products";

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where every change is told.
    pub tells: Vec<Target>,
    /// The bus's name.
    pub bus: String,
}

impl Default for Config {
    /// No notices are sent.
    fn default() -> Self {
        Config {
            tells: Vec::new(),
            bus: "bus".to_owned(),
        }
    }
}

impl Config {
    /// Tells these services by webhook (`POST /webhooks/products`).
    pub fn webhooks<S: AsRef<str>>(services: &[S]) -> Self {
        let webhook = |service: &S| Target::Webhook {
            service: service.as_ref().to_owned(),
            path: WEBHOOK.to_owned(),
        };
        Config {
            tells: services.iter().map(webhook).collect(),
            ..Config::default()
        }
    }

    /// Tells the bus too: the stream and the channel of [`TOPIC`].
    pub fn and_bus(mut self) -> Self {
        self.tells.push(Target::Stream(TOPIC.to_owned()));
        self.tells.push(Target::Channel(TOPIC.to_owned()));
        self
    }
}

/// The tries span six minutes at least, so that only a longer outage leaves a dead letter: a reader would stay
/// stale until it is redriven.
fn patience() -> Policy {
    Policy {
        attempts_max: 200,
        backoff: Duration::from_secs(2),
        growth: 1,
        ..Policy::default()
    }
}

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
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
    ..service!("catalog", ["/products"])
};

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?;
    let Config { tells, bus } = config;
    let config = outbox::Config {
        // One tail, two commits a notice.
        mode: Mode::Cdc,
        policy: patience(),
        bus,
        ..Default::default()
    };
    let outbox = Outbox::open(&platform, &store, config).await?;
    let catalog = Arc::new(Catalog {
        platform: platform.clone(),
        store,
        outbox: outbox.clone(),
        tells,
    });
    let routes = api::router(catalog).merge(outbox::api::router(outbox));
    kit::http::serve(&platform, routes).await
}

/// The service's state.
struct Catalog {
    platform: Platform,
    store: Store,
    outbox: Outbox,
    tells: Vec<Target>,
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
        edit: impl FnOnce(Option<&Product>) -> Result<Product, Problem> + Clone + Send + 'static,
    ) -> Result<Product, Problem> {
        let platform = self.platform.clone();
        let from_ms = platform.clock.now_ms();
        let (key, context, tells) = (sku.to_owned(), context.clone(), self.tells.clone());
        let (product, changed) = self
            .outbox
            .write(move |tx, outgoing| {
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
                if !tells.is_empty() {
                    let change = Change::of(&product);
                    let event = Event::new(&platform, PRODUCT_CHANGED, &key, &context, &change);
                    outgoing.extend(tells.into_iter().map(|target| Outgoing {
                        target,
                        event: event.clone(),
                    }));
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
