//! Other services.

use std::time::Duration;

use axum::http::StatusCode;
use reqwest::{Client, Response};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::time::sleep;
use tracing::warn;

use crate::{Error, Result};

const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A service that is asked over HTTP.
#[derive(Clone, Debug)]
pub struct Peer {
    client: Client,
    url: String,
    tries: u32,
}

#[derive(Deserialize)]
struct No {
    error: String,
}

impl Peer {
    /// The service at a URL, which has `patience` for each answer and is asked `tries` times.
    ///
    /// # Errors
    ///
    /// The system has no more to give.
    pub fn new(url: String, patience: Duration, tries: u32) -> anyhow::Result<Peer> {
        let client = Client::builder().timeout(patience).no_proxy().build()?;
        Ok(Peer { client, url, tries })
    }

    /// Posts, until there is an answer or it has been tried often enough. What is posted has to count once.
    ///
    /// # Errors
    ///
    /// It is refused; or nobody knows what has become of it.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let url = format!("{}{path}", self.url);
        let mut pause = FIRST_PAUSE;
        let mut why = String::new();
        for _ in 0..self.tries {
            match self.client.post(&url).json(body).send().await {
                Ok(response) if !response.status().is_server_error() => {
                    match read(response).await {
                        Err(Error::Unknown(error)) => why = error,
                        answer => return answer,
                    }
                }
                Ok(response) => why = response.status().to_string(),
                Err(error) => why = format!("{:#}", anyhow::Error::from(error)),
            }
            warn!("{url}: {why}");
            sleep(pause).await;
            pause *= 2;
        }
        Err(Error::Unknown(why))
    }
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T> {
    let status = response.status();
    let body = response.bytes().await;
    let body = body.map_err(|error| Error::Unknown(error.to_string()))?;
    if status.is_success() {
        return serde_json::from_slice(&body).map_err(|error| Error::Unknown(error.to_string()));
    }
    let why = serde_json::from_slice(&body).map_or(status.to_string(), |no: No| no.error);
    let status = StatusCode::from_u16(status.as_u16()).unwrap_or(StatusCode::BAD_GATEWAY);
    Err(Error::Refused(status, why))
}
