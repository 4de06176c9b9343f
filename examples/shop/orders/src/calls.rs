//! What the service asks others.

use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::sleep;
use tracing::warn;

use crate::{Config, api::Place};

const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// What follows from a decision, and is done when there is time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Errand {
    /// What is reserved is sold.
    Confirm,
    /// What is reserved is free again.
    Release,
    /// What was charged is given back.
    Refund,
}

pub(crate) struct Calls {
    client: Client,
    stock: String,
    ledger: String,
    tries: u32,
}

/// An answer: its body, or why it is no.
type Answer = Result<Vec<u8>, String>;

#[derive(Deserialize)]
struct Price {
    price: i64,
}

#[derive(Deserialize)]
struct No {
    error: String,
}

impl Calls {
    pub(crate) fn new(config: &Config) -> anyhow::Result<Calls> {
        let client = Client::builder().timeout(config.patience);
        Ok(Calls {
            client: client.build()?,
            stock: config.stock.clone(),
            ledger: config.ledger.clone(),
            tries: config.tries,
        })
    }

    /// Reserves; answers with the price.
    pub(crate) async fn reserve(&self, order: &Place) -> Result<i64, String> {
        let body = json!({ "key": order.key, "sku": order.sku, "qty": order.qty });
        let url = format!("{}/reservations", self.stock);
        let answer = self.ask(order, self.client.post(url).json(&body)).await?;
        let price = serde_json::from_slice::<Price>(&answer);
        price
            .map(|price| price.price)
            .map_err(|error| error.to_string())
    }

    /// Charges.
    pub(crate) async fn charge(&self, order: &Place, amount: i64) -> Result<(), String> {
        let body = json!({ "key": order.key, "customer": order.customer, "amount": amount });
        let url = format!("{}/charges", self.ledger);
        self.ask(order, self.client.post(url).json(&body))
            .await
            .map(drop)
    }

    /// Goes on an errand, once.
    pub(crate) async fn go(&self, errand: Errand, key: &str) -> reqwest::Result<Answer> {
        let request = match errand {
            Errand::Confirm => self
                .client
                .post(format!("{}/reservations/{key}/confirm", self.stock)),
            Errand::Release => self
                .client
                .delete(format!("{}/reservations/{key}", self.stock)),
            Errand::Refund => self.client.delete(format!("{}/charges/{key}", self.ledger)),
        };
        answer(request).await
    }

    /// Asks until there is an answer; the lack of one is a no in the end.
    async fn ask(&self, order: &Place, request: RequestBuilder) -> Answer {
        let mut pause = FIRST_PAUSE;
        for _ in 0..self.tries {
            let again = request.try_clone().ok_or("its body can't be sent twice")?;
            match answer(again).await {
                Ok(answer) => return answer,
                Err(error) => warn!("{}: {:#}", order.key, anyhow::Error::from(error)),
            }
            sleep(pause).await;
            pause *= 2;
        }
        Err("no answer".to_owned())
    }
}

/// An answer without a body is none of the service: a name may lead to a machine that has its old address.
async fn answer(request: RequestBuilder) -> reqwest::Result<Answer> {
    let response = request.send().await?;
    let failure = response.error_for_status_ref().err();
    let is_server_error = response.status().is_server_error();
    let body = response.bytes().await?;
    match failure {
        None => Ok(Ok(body.to_vec())),
        Some(failure) => match serde_json::from_slice::<No>(&body) {
            Ok(no) if !is_server_error => Ok(Err(no.error)),
            _ => Err(failure),
        },
    }
}
