//! All services of a system on machines in memory, and requests that no client of ours would send.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value;
use squall_services::{infrastructure::gateway, systems::System};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{sleep, timeout},
};

use super::routes::Route;
use crate::support::machine::{Machine, Network};

/// Longer than any service takes to answer.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running system.
pub struct Town {
    network: Network,
    machines: Vec<(&'static str, Arc<Machine>)>,
    met: Mutex<BTreeMap<u16, usize>>,
}

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query, as they are.
    pub target: String,
    pub headers: Vec<(&'static str, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    to_head: bool,
}

impl Town {
    /// Opens all services of a system and a gateway in front of them.
    pub async fn open(system: &System) -> Town {
        let network = Network::default();
        let services = system.services.iter();
        let mut machines: Vec<_> = services
            .map(|service| (service.name, network.serve(service.name, service.run)))
            .collect();
        let (name, config) = (
            gateway::SERVICE.name,
            gateway::Config::over(system.services),
        );
        let gateway = network.serve(name, |platform| gateway::run(platform, config));
        machines.push((name, gateway));
        sleep(Duration::from_secs(5)).await;
        Town {
            network,
            machines,
            met: Mutex::default(),
        }
    }

    /// Who can be asked.
    pub fn services(&self) -> Vec<&'static str> {
        self.machines.iter().map(|(name, _)| *name).collect()
    }

    /// Why services gave up, if any did.
    pub fn failures(&self) -> Vec<String> {
        let failures = self.machines.iter();
        let failures = failures.flat_map(|(_, machine)| machine.failures.lock().unwrap().clone());
        failures.collect()
    }

    /// How many answers have had a status.
    pub fn met(&self, status: u16) -> usize {
        let met = self.met.lock().unwrap();
        met.get(&status).copied().unwrap_or(0)
    }

    /// Whether a service has a route.
    pub async fn has(&self, service: &str, route: &Route) -> bool {
        let answer = self.send(service, &Request::plain(route)).await;
        let answer = answer.unwrap_or_else(|lost| panic!("{service}: {route}: {lost}"));
        let told = format!("nothing here answers {} ", route.method);
        answer.status != 405 && !answer.detail().starts_with(&told)
    }

    /// Sends a request on a connection of its own. An error says what became of that.
    pub async fn send(&self, service: &str, request: &Request) -> Result<Answer, String> {
        let mut stream = self
            .network
            .connect(service)
            .map_err(|error| format!("no connection: {error}"))?;
        let exchange = async {
            // What is refused early need not be read to its end.
            let _ = stream.write_all(&request.bytes()).await;
            let _ = stream.flush().await;
            let mut told = Vec::new();
            stream
                .read_to_end(&mut told)
                .await
                .map_err(|error| format!("the connection broke: {error}"))?;
            Ok(told)
        };
        let told: Result<Vec<u8>, String> = timeout(PATIENCE, exchange)
            .await
            .map_err(|_| format!("no answer within {PATIENCE:?}"))?;
        let answer = Answer::read(&told?, request.method == "HEAD")?;
        *self.met.lock().unwrap().entry(answer.status).or_default() += 1;
        Ok(answer)
    }
}

impl Request {
    /// The simplest one to a route.
    pub fn plain(route: &Route) -> Request {
        Request {
            method: route.method.to_owned(),
            target: route.filled(|_| "x".to_owned()),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// The same with a JSON body, and the headers of a good client.
    pub fn with_body(self, body: &Value) -> Request {
        Request {
            headers: vec![
                ("content-type", b"application/json".to_vec()),
                ("idempotency-key", b"key-1".to_vec()),
            ],
            body: body.to_string().into_bytes(),
            ..self
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        let length = self.body.len().to_string().into_bytes();
        let own = [
            ("host", b"town".to_vec()),
            ("connection", b"close".to_vec()),
            ("content-length", length),
        ];
        for (name, value) in own.iter().chain(&self.headers) {
            bytes.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        [&*bytes, b"\r\n", &self.body].concat()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.bytes();
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(2_000)]);
        write!(f, "{shown}")
    }
}

impl Answer {
    fn read(bytes: &[u8], to_head: bool) -> Result<Answer, String> {
        let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
        let lost = || format!("no whole answer, only {text:?}");
        let (head, body) = text.split_once("\r\n\r\n").ok_or_else(lost)?;
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Ok(Answer {
            status: status.ok_or_else(lost)?,
            head: head.to_lowercase(),
            body: body.to_owned(),
            to_head,
        })
    }

    /// The problem's detail; empty if there is none.
    pub fn detail(&self) -> String {
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        body["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// What no answer may be like.
    pub fn fault(&self) -> Option<&'static str> {
        if self.status >= 500 {
            return Some("a bad request is nobody's fault but the sender's");
        }
        if self.status < 400 || self.to_head {
            return None;
        }
        let body: Value = serde_json::from_str(&self.body).unwrap_or_default();
        if !self.head.contains("content-type: application/problem+json") {
            return Some("a refusal has to be a problem");
        }
        if body["status"] != self.status || !body["code"].is_string() {
            return Some("a problem has to bear its status and its code");
        }
        match body["detail"].as_str() {
            None | Some("") => Some("a problem has to say what is wrong"),
            Some(_) => None,
        }
    }
}
