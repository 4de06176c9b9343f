//! The ports on real sockets, files and clocks.
//!
//! This is the one place where services meet the operating system, so what simulated code must not use is used here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod demo;
mod files;
mod machine;
mod net;
mod options;
mod postgres;
mod program;
mod replicas;
mod supervisor;
mod told;

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc};

use crate::{
    kit::{format, store::Shared},
    ports::{Platform, Process, Server},
};

pub use machine::EXIT_FAILED;
pub use postgres::Url;
pub use program::main;

/// Where services listen, by name. A name with several addresses stands for replicas, which are called in turn.
pub type Addresses = BTreeMap<String, Vec<SocketAddr>>;

/// Where a service's database is.
#[derive(Clone)]
pub enum Place {
    /// In files of its own.
    Files,
    /// In this program, at hand for each of the service's replicas.
    Shared(Shared),
    /// On a PostgreSQL server, where a system's services keep apart from those of others. Replicas in any number of
    /// processes may share it.
    Postgres {
        /// The server and its database.
        url: Box<Url>,
        /// The name of the system.
        system: &'static str,
        /// Whether the service runs as replicas.
        shared: bool,
    },
}

/// The machine of the service `name`: its databases are where `place` says, files in `data_dir` (made if need be); it
/// listens on its own entry of `addresses`, and calls its peers at theirs. Its commits are told in the file `told`.
pub fn platform(
    name: &str,
    data_dir: &Path,
    addresses: Addresses,
    place: Place,
    told: Option<&Path>,
) -> io::Result<Platform> {
    let machine = Arc::new(machine::Machine::new(name));
    let told = told.map(|file| told::Told::new(name, file)).transpose()?;
    let (shared, server) = match place {
        Place::Files => (None, None),
        Place::Shared(shared) => (Some(shared), None),
        Place::Postgres {
            url,
            system,
            shared,
        } => {
            let process: Arc<dyn Process> = machine.clone();
            let server = postgres::Postgres {
                url: *url,
                system,
                shared,
                process,
            };
            (None, Some(Arc::new(server) as Arc<dyn Server>))
        }
    };
    Ok(Platform {
        name: name.into(),
        net: Arc::new(net::Tcp::new(name, addresses)?),
        storage: Arc::new(files::Files::new(data_dir, shared, server, told)?),
        clock: machine.clone(),
        random: machine.clone(),
        process: machine,
        // The next one is there to be upgraded to in a storm: this shop gives no rebate.
        build: format::FIRST,
    })
}
