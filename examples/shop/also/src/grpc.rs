//! gRPC: unary, streams of the server, of the client, and of both.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::Result;
use tokio::{net::TcpListener, sync::mpsc, time::interval};
use tokio_stream::{Stream, StreamExt, wrappers::ReceiverStream};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Server, server::TcpIncoming},
};

include!(concat!(env!("OUT_DIR"), "/shop.Adder.rs"));

/// A number on its way.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Amount {
    /// The number.
    #[prost(uint64, tag = "1")]
    pub amount: u64,
}

#[derive(Default)]
struct Adder {
    total: AtomicU64,
}

impl Adder {
    fn plus(&self, Amount { amount }: Amount) -> Amount {
        let before = self.total.fetch_add(amount, Ordering::Relaxed);
        let amount = before + amount;
        Amount { amount }
    }
}

type Amounts = ReceiverStream<Result<Amount, Status>>;

#[tonic::async_trait]
impl adder_server::Adder for Adder {
    type CountStream = Amounts;
    type TotalsStream = Amounts;

    async fn add(&self, asked: Request<Amount>) -> Result<Response<Amount>, Status> {
        match asked.into_inner() {
            Amount { amount: 0 } => Err(Status::invalid_argument("nothing to add")),
            amount => Ok(Response::new(self.plus(amount))),
        }
    }

    async fn count(&self, asked: Request<Amount>) -> Result<Response<Amounts>, Status> {
        let Amount { amount: until } = asked.into_inner();
        let (send, counted) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut beat = interval(Duration::from_millis(2));
            for amount in 1..=until {
                beat.tick().await;
                if send.send(Ok(Amount { amount })).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(counted)))
    }

    async fn sum(&self, asked: Request<Streaming<Amount>>) -> Result<Response<Amount>, Status> {
        let mut amounts = asked.into_inner();
        let mut total = self.plus(Amount::default());
        while let Some(amount) = amounts.message().await? {
            total = self.plus(amount);
        }
        Ok(Response::new(total))
    }

    async fn totals(&self, asked: Request<Streaming<Amount>>) -> Result<Response<Amounts>, Status> {
        let mut amounts = asked.into_inner();
        let mut total = 0;
        let (send, totals) = mpsc::channel(1);
        tokio::spawn(async move {
            while let Some(amount) = amounts.next().await {
                let amount = amount.map(|Amount { amount }| {
                    total += amount;
                    Amount { amount: total }
                });
                if send.send(amount).await.is_err() {
                    break;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(totals)))
    }
}

/// Serves, for ever.
///
/// # Errors
///
/// The connections end.
pub async fn serve(listener: TcpListener) -> Result<()> {
    let adder = adder_server::AdderServer::new(Adder::default());
    let serving = Server::builder().add_service(adder);
    serving
        .serve_with_incoming(TcpIncoming::from(listener))
        .await?;
    Ok(())
}

/// A client of a server.
///
/// # Errors
///
/// Nobody is there.
pub async fn connect(url: String) -> Result<adder_client::AdderClient<Channel>> {
    let channel = Channel::from_shared(url)?.timeout(Duration::from_secs(5));
    Ok(adder_client::AdderClient::new(channel.connect().await?))
}

/// Asks for one sum.
///
/// # Errors
///
/// The server says no.
pub async fn add(url: String, amount: u64) -> Result<u64> {
    let total = connect(url).await?.add(Amount { amount }).await?;
    Ok(total.into_inner().amount)
}

/// Hears the server count.
///
/// # Errors
///
/// The stream ends with an error.
pub async fn count(url: String, until: u64) -> Result<Vec<u64>> {
    let counted = connect(url).await?.count(Amount { amount: until }).await?;
    collect(counted.into_inner()).await
}

/// Sends numbers, and hears their sum.
///
/// # Errors
///
/// The server says no.
pub async fn sum(url: String, amounts: Vec<u64>) -> Result<u64> {
    let total = connect(url).await?.sum(stream(amounts)).await?;
    Ok(total.into_inner().amount)
}

/// Sends numbers, and hears their sum so far after each.
///
/// # Errors
///
/// The stream ends with an error.
pub async fn totals(url: String, amounts: Vec<u64>) -> Result<Vec<u64>> {
    let totals = connect(url).await?.totals(stream(amounts)).await?;
    collect(totals.into_inner()).await
}

fn stream(amounts: Vec<u64>) -> impl Stream<Item = Amount> {
    tokio_stream::iter(amounts).map(|amount| Amount { amount })
}

async fn collect(mut amounts: Streaming<Amount>) -> Result<Vec<u64>> {
    let mut all = vec![];
    while let Some(Amount { amount }) = amounts.message().await? {
        all.push(amount);
    }
    Ok(all)
}
