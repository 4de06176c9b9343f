//! `squall-live`: all services of a system in one process, each with its own address and database.

use std::{
    fmt::Write,
    io,
    net::{IpAddr, SocketAddr, TcpListener},
    path::PathBuf,
    pin::pin,
    process::ExitCode,
};

use clap::{
    Parser,
    builder::{PossibleValue, PossibleValuesParser},
};
use futures_util::future::{Either, select};
use tokio::sync::mpsc;

use super::{
    Addresses, demo, platform,
    replicas::{self, Databases, REPLICAS_MAX},
};
use crate::{
    infrastructure::gateway,
    ports::Platform,
    service::Serving,
    systems::{SYSTEMS, System},
};

const GATEWAY: &str = gateway::SERVICE.name;

/// Runs the reference services on real sockets and files until Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(name = "squall-live", version)]
struct Options {
    /// Folder of the databases, one folder in it a system; made if it is not there.
    #[arg(long, value_name = "DIR", default_value = "./data")]
    data: PathBuf,
    /// Address that all services listen on.
    #[arg(long, default_value = "127.0.0.1")]
    host: IpAddr,
    /// Which system to run.
    #[arg(long, value_name = "NAME", default_value = SYSTEMS[0].name, value_parser = names())]
    system: String,
    /// Port of the gateway; the services get the ports after it, in the order in which they are told at the start.
    #[arg(long, default_value_t = 8080, value_parser = clap::value_parser!(u16).range(1..=65_000))]
    port_base: u16,
    /// How many replicas of order and inventory to run; they share a database, and the gateway takes them in turn.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=REPLICAS_MAX as i64))]
    replicas: u16,
    /// Port of one service, or of one replica (order-2=9001); may be given for several.
    #[arg(long = "port", value_name = "SERVICE=PORT", value_parser = port_of)]
    ports: Vec<(String, u16)>,
    /// Fill empty services with a few things to play with.
    #[arg(long)]
    seed_demo: bool,
}

fn names() -> PossibleValuesParser {
    let named = |system: &System| PossibleValue::new(system.name).help(system.about);
    SYSTEMS.iter().map(named).collect::<Vec<_>>().into()
}

fn port_of(text: &str) -> Result<(String, u16), String> {
    let (service, port) = text.split_once('=').unwrap_or((text, ""));
    match port.parse() {
        Ok(0) | Err(_) => Err("say which port of which service: --port order=9001".to_owned()),
        Ok(port) => Ok((service.to_owned(), port)),
    }
}

impl Options {
    fn system(&self) -> io::Result<&'static System> {
        let system = System::named(&self.system).expect("clap lets no other name through");
        let names = self.names_of(system);
        if self.replicas > 1 && !replicas::some_share(system) {
            return Err(invalid(format!(
                "--replicas {}: no service of the system {} can run as replicas; leave it out, or choose another --system",
                self.replicas, system.name
            )));
        }
        match self.ports.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(system),
            Some((name, port)) => Err(invalid(format!(
                "--port {name}={port}: the system {} has no service {name}; it has {}",
                system.name,
                names.join(", ")
            ))),
        }
    }

    /// The services of a system, replicas each by its own name, in the order of their ports.
    fn names_of(&self, system: &'static System) -> Vec<String> {
        let services = system.services.iter();
        let named = services.flat_map(|service| self.replicas_of(system, service.name));
        [GATEWAY.to_owned()].into_iter().chain(named).collect()
    }

    fn replicas_of(&self, system: &'static System, service: &str) -> Vec<String> {
        replicas::names(system, service, self.replicas)
    }

    fn addresses(&self, system: &'static System) -> Addresses {
        let addressed = self.names_of(system).into_iter().zip(self.port_base..);
        let mut addresses: Addresses = addressed
            .map(|(name, next)| {
                let own = self.ports.iter().rfind(|(named, _)| *named == name);
                let port = own.map_or(next, |(_, port)| *port);
                (name, vec![SocketAddr::new(self.host, port)])
            })
            .collect();
        for service in system.services {
            let replicas = self.replicas_of(system, service.name);
            let all = replicas.iter().flat_map(|name| addresses[name].clone());
            let all = all.collect();
            addresses.insert(service.name.to_owned(), all);
        }
        addresses
    }

    fn gateway(&self, system: &'static System) -> gateway::Config {
        let mut config = gateway::Config::over(system.services);
        for (_, to) in &mut config.routes {
            let replicas = to.iter().flat_map(|name| self.replicas_of(system, name));
            *to = replicas.collect();
        }
        config
    }
}

fn invalid(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
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
    let system = options.system()?;
    let addresses = options.addresses(system);
    let names = options.names_of(system);
    for name in &names {
        check_free(name, addresses[name][0])?;
    }
    let data = options.data.join(system.name);
    let databases = Databases::open(system, options.replicas, &data, &addresses).await?;
    let (failed, mut first_failure) = mpsc::unbounded_channel();
    let start = |name: String, service: &str, run: &dyn Fn(Platform) -> Serving| {
        let platform = platform(&name, &data, addresses.clone(), databases.of(service))?;
        let (served, failed) = (run(platform.clone()), failed.clone());
        platform.spawn("service", async move {
            if let Err(error) = served.await {
                let error = io::Error::new(error.kind(), format!("{name}: {error}"));
                failed.send(error).ok();
            }
        });
        Ok::<_, io::Error>(platform)
    };
    let gateway = start(GATEWAY.to_owned(), GATEWAY, &|platform| {
        Box::pin(gateway::run(platform, options.gateway(system)))
    })?;
    for service in system.services {
        for replica in options.replicas_of(system, service.name) {
            start(replica, service.name, &service.run)?;
        }
    }
    print!("{}", table(&names, &addresses));
    if options.seed_demo {
        let filled = demo::fill(&gateway, system.services).await;
        filled.map_err(io::Error::other)?;
    }
    match select(pin!(first_failure.recv()), pin!(signal())).await {
        Either::Left((failure, _)) => failure.map_or(Ok(()), Err),
        Either::Right((stopped, _)) => stopped,
    }
}

fn check_free(service: &str, address: SocketAddr) -> io::Result<()> {
    TcpListener::bind(address).map(drop).map_err(|error| {
        let text = format!(
            "{service} cannot listen on {address}: {error}; choose other ports with --port-base or --port {service}=PORT"
        );
        io::Error::new(error.kind(), text)
    })
}

fn table(names: &[String], addresses: &Addresses) -> String {
    let mut text = String::new();
    for name in names {
        writeln!(text, "{name:<12} http://{}", addresses[name][0])
            .expect("a string takes any text");
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
