//! `squall-live`: all services in one process, each with its own address and database.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
};

use clap::Parser;
use futures_util::future::{Either, select};
use tokio::sync::mpsc;

use super::{demo, platform};
use crate::{
    catalog, challenge, gateway, inventory, order, payment, pg,
    ports::{BoxFuture, Platform},
};

/// Runs the reference services on real sockets and files until Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(name = "squall-live", version)]
struct Options {
    /// Folder of the databases; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data: PathBuf,
    /// Address that all services listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Port of the gateway; the services get the ports after it, in the order of the options below.
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port_base: u16,
    /// Port of the order service.
    #[arg(long, value_name = "PORT")]
    order_port: Option<u16>,
    /// Port of the inventory service.
    #[arg(long, value_name = "PORT")]
    inventory_port: Option<u16>,
    /// Port of the payment service.
    #[arg(long, value_name = "PORT")]
    payment_port: Option<u16>,
    /// Port of the challenge service.
    #[arg(long, value_name = "PORT")]
    challenge_port: Option<u16>,
    /// Port of the catalog service.
    #[arg(long, value_name = "PORT")]
    catalog_port: Option<u16>,
    /// Port of the stand-in for the payment gateway.
    #[arg(long, value_name = "PORT")]
    pg_port: Option<u16>,
    /// Fill an empty catalog and an empty inventory with a few products.
    #[arg(long)]
    seed_demo: bool,
}

type Run = fn(Platform) -> BoxFuture<'static, io::Result<()>>;

/// Each service and how it is run.
const SERVICES: &[(&str, Run)] = &[
    ("gateway", |p| Box::pin(gateway::run(p, Default::default()))),
    ("order", |p| Box::pin(order::run(p, Default::default()))),
    ("inventory", |p| {
        Box::pin(inventory::run(p, Default::default()))
    }),
    ("payment", |p| Box::pin(payment::run(p, Default::default()))),
    ("challenge", |p| {
        Box::pin(challenge::run(p, Default::default()))
    }),
    ("catalog", |p| {
        let subscribers = vec!["challenge".to_owned()];
        Box::pin(catalog::run(p, catalog::Config { subscribers }))
    }),
    ("pg", |p| {
        let config = pg::Config {
            webhooks: Some("payment".to_owned()),
            ..Default::default()
        };
        Box::pin(pg::run(p, config))
    }),
];

impl Options {
    fn addresses(&self) -> BTreeMap<String, SocketAddr> {
        let ports = [
            ("gateway", None),
            ("order", self.order_port),
            ("inventory", self.inventory_port),
            ("payment", self.payment_port),
            ("challenge", self.challenge_port),
            ("catalog", self.catalog_port),
            ("pg", self.pg_port),
        ];
        let ports = ports.into_iter().zip(self.port_base..);
        ports
            .map(|((name, port), default)| {
                let address = SocketAddr::new(self.host, port.unwrap_or(default));
                (name.to_owned(), address)
            })
            .collect()
    }
}

/// Parses the command line and runs. The exit code is 0 after a signal, 2 if the services could not be started, and
/// [`EXIT_FAILED`](super::EXIT_FAILED) if one gave up.
pub fn main() -> ExitCode {
    let options = Options::parse();
    tracing_subscriber::fmt().with_writer(io::stderr).init();
    let ended = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(run(options)));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("squall-live: {error}");
            ExitCode::from(2)
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    let addresses = options.addresses();
    for (service, address) in &addresses {
        check_free(service, *address)?;
    }
    let (failed, mut first_failure) = mpsc::unbounded_channel();
    for (service, run) in SERVICES {
        let platform = platform(service, &options.data, addresses.clone())?;
        let (served, failed) = (run(platform.clone()), failed.clone());
        platform.spawn("service", async move {
            if let Err(error) = served.await {
                let error = io::Error::new(error.kind(), format!("{service}: {error}"));
                failed.send(error).ok();
            }
        });
    }
    print!("{}", table(&addresses));
    if options.seed_demo {
        // It makes requests only, so it needs nobody's disk or port.
        let platform = platform("gateway", &options.data, addresses)?;
        demo::fill(&platform).await.map_err(io::Error::other)?;
    }
    match select(pin!(first_failure.recv()), pin!(signal())).await {
        Either::Left((failure, _)) => failure.map_or(Ok(()), Err),
        Either::Right((stopped, _)) => stopped,
    }
}

fn check_free(service: &str, address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| {
        let option = match service {
            "gateway" => String::new(),
            service => format!(" or --{service}-port"),
        };
        let text = format!(
            "{service} cannot listen on {address}: {error}; choose other ports with --port-base{option}"
        );
        io::Error::new(error.kind(), text)
    })
}

fn table(addresses: &BTreeMap<String, SocketAddr>) -> String {
    let mut text = String::new();
    for (service, _) in SERVICES {
        if let Some(address) = addresses.get(*service) {
            writeln!(text, "{service:<10} http://{address}").expect("a string takes any text");
        }
    }
    text
}

/// Resolves at Ctrl-C or SIGTERM.
async fn signal() -> io::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate())?;
        match select(pin!(tokio::signal::ctrl_c()), pin!(terminate.recv())).await {
            Either::Left((pressed, _)) => pressed,
            Either::Right(_) => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}
