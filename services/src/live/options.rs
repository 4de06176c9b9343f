//! The command line.

use std::{
    io,
    net::{IpAddr, SocketAddr, ToSocketAddrs},
    path::PathBuf,
};

use clap::{
    Parser,
    builder::{PossibleValue, PossibleValuesParser},
};

use super::{
    Addresses, Place, Url,
    replicas::{self, REPLICAS_MAX},
};
use crate::{
    infrastructure::gateway,
    settings::Settings,
    systems::{SYSTEMS, System},
};

pub(super) const GATEWAY: &str = gateway::SERVICE.name;

/// Runs the reference services on real sockets, in files or over a database server, until Ctrl-C or SIGTERM.
#[derive(Parser)]
#[command(name = "squall-live", version)]
pub(super) struct Options {
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
    pub replicas: u16,
    /// Port of one service, or of one replica (order-2=9001); may be given for several.
    #[arg(long = "port", value_name = "SERVICE=PORT", value_parser = port_of)]
    ports: Vec<(String, u16)>,
    /// Where the rows are kept in place of files: on a PostgreSQL server.
    #[arg(long, value_name = "postgres://USER@HOST/DATABASE", env = STORE, hide_env_values = true)]
    pub store: Option<Url>,
    /// Run this service only, or this replica (order-2), or the gateway.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Where a service listens that runs elsewhere; may be given for several.
    #[arg(long = "peer", value_name = "NAME=HOST:PORT", value_parser = peer_of, requires = "service")]
    peers: Vec<(String, SocketAddr)>,
    /// Run each service as a process of its own, and start it again whenever it ends.
    #[arg(long, conflicts_with_all = ["service", "peers", "settings", "tell_commits"])]
    pub processes: bool,
    /// Run the services as a storm sets them up.
    #[arg(long, hide = true, value_name = "JSON")]
    pub settings: Option<Settings>,
    /// Tell every commit in a line of this file, to which several services may append.
    #[arg(long, hide = true, value_name = "FILE")]
    pub tell_commits: Option<PathBuf>,
    /// End when nobody holds the standard input open any more: how a supervisor's processes end with it.
    #[arg(long, hide = true)]
    pub until_stdin_ends: bool,
    /// Fill empty services with a few things to play with.
    #[arg(long, conflicts_with = "service")]
    pub seed_demo: bool,
}

/// What `--store` may be told by as well.
pub(super) const STORE: &str = "SQUALL_STORE";

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

fn peer_of(text: &str) -> Result<(String, SocketAddr), String> {
    let (name, address) = text.split_once('=').unwrap_or((text, ""));
    let found = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next());
    let address =
        found.ok_or_else(|| "say who is where: --peer inventory=127.0.0.1:9002".to_owned())?;
    Ok((name.to_owned(), address))
}

impl Options {
    pub fn system(&self) -> io::Result<&'static System> {
        let system = System::named(&self.system).expect("clap lets no other name through");
        let names = self.names_of(system);
        if self.replicas > 1 && !replicas::some_share(system) {
            return Err(invalid(format!(
                "--replicas {}: no service of the system {} can run as replicas; leave it out, or choose another --system",
                self.replicas, system.name
            )));
        }
        if self.replicas > 1 && self.store.is_none() && (self.processes || self.service.is_some()) {
            return Err(invalid(format!(
                "--replicas {}: files cannot be shared by processes; choose a --store",
                self.replicas
            )));
        }
        let ports = self
            .ports
            .iter()
            .map(|(name, port)| ("port", name, format!("={port}")));
        let peers = self
            .peers
            .iter()
            .map(|(name, at)| ("peer", name, format!("={at}")));
        let service = self
            .service
            .iter()
            .map(|name| ("service", name, String::new()));
        match ports
            .chain(peers)
            .chain(service)
            .find(|(_, name, _)| !names.contains(name))
        {
            None => Ok(system),
            Some((option, name, rest)) => Err(invalid(format!(
                "--{option} {name}{rest}: the system {} has no service {name}; it has {}",
                system.name,
                names.join(", ")
            ))),
        }
    }

    /// The folder of the system's databases.
    pub fn data(&self, system: &System) -> PathBuf {
        self.data.join(system.name)
    }

    /// Where the database of a service is, unless it is shared within this program.
    pub fn place(&self, system: &'static System, service: &str) -> Option<Place> {
        let url = Box::new(self.store.clone()?);
        Some(Place::Postgres {
            url,
            system: system.name,
            shared: self.replicas_of(system, service).len() > 1,
        })
    }

    /// The arguments of a process that runs one of the services.
    pub fn of_one(&self, name: &str) -> Vec<String> {
        let mut arguments = vec![
            format!("--data={}", self.data.display()),
            format!("--host={}", self.host),
            format!("--system={}", self.system),
            format!("--port-base={}", self.port_base),
            format!("--replicas={}", self.replicas),
            format!("--service={name}"),
            "--until-stdin-ends".to_owned(),
        ];
        let ports = self.ports.iter();
        arguments.extend(ports.map(|(name, port)| format!("--port={name}={port}")));
        arguments
    }

    /// The services of a system, replicas each by its own name, in the order of their ports.
    pub fn names_of(&self, system: &'static System) -> Vec<String> {
        let services = system.services.iter();
        let named = services.flat_map(|service| self.replicas_of(system, service.name));
        [GATEWAY.to_owned()].into_iter().chain(named).collect()
    }

    pub fn replicas_of(&self, system: &'static System, service: &str) -> Vec<String> {
        replicas::names(system, service, self.replicas)
    }

    pub fn addresses(&self, system: &'static System) -> Addresses {
        let addressed = self.names_of(system).into_iter().zip(self.port_base..);
        let mut addresses: Addresses = addressed
            .map(|(name, next)| {
                let own = self.ports.iter().rfind(|(named, _)| *named == name);
                let port = own.map_or(next, |(_, port)| *port);
                let elsewhere = self.peers.iter().rfind(|(named, _)| *named == name);
                let address = elsewhere.map_or(SocketAddr::new(self.host, port), |(_, at)| *at);
                (name, vec![address])
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

    pub fn gateway(&self, system: &'static System) -> gateway::Config {
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
