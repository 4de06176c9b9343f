//! The ports on real sockets, files and clocks.
//!
//! This is the one place where services meet the operating system, so what simulated code must not use is used here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod demo;
mod files;
mod machine;
mod net;
mod program;
mod replicas;

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc};

use crate::{
    kit::{format, store::Shared},
    ports::Platform,
};

pub use machine::EXIT_FAILED;
pub use program::main;

/// Where services listen, by name. A name with several addresses stands for replicas, which are called in turn.
pub type Addresses = BTreeMap<String, Vec<SocketAddr>>;

/// The machine of the service `name`: its databases are in `data_dir` (made if need be) unless it shares one, it listens
/// on its own entry of `addresses`, and calls its peers at theirs.
pub fn platform(
    name: &str,
    data_dir: &Path,
    addresses: Addresses,
    shared: Option<Shared>,
) -> io::Result<Platform> {
    let machine = Arc::new(machine::Machine::new(name));
    Ok(Platform {
        name: name.into(),
        net: Arc::new(net::Tcp::new(name, addresses)?),
        storage: Arc::new(files::Files::new(data_dir, shared)?),
        clock: machine.clone(),
        random: machine.clone(),
        process: machine,
        // The next one is there to be upgraded to in a storm: this shop gives no rebate.
        build: format::FIRST,
    })
}
