//! The ports on real sockets, files and clocks.
//!
//! This is the one place where services meet the operating system, so what simulated code must not use is used here.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

mod demo;
mod files;
mod machine;
mod net;
mod program;

use std::{collections::BTreeMap, io, net::SocketAddr, path::Path, sync::Arc};

use crate::ports::Platform;

pub use machine::EXIT_FAILED;
pub use program::main;

/// The machine of the service `name`: its databases are in `data_dir` (made if need be), it listens on its own entry of
/// `addresses`, and calls its peers at theirs.
pub fn platform(
    name: &str,
    data_dir: &Path,
    addresses: BTreeMap<String, SocketAddr>,
) -> io::Result<Platform> {
    let machine = Arc::new(machine::Machine::new(name));
    Ok(Platform {
        name: name.into(),
        net: Arc::new(net::Tcp::new(name, addresses)?),
        storage: Arc::new(files::Files::new(data_dir)?),
        clock: machine.clone(),
        random: machine.clone(),
        process: machine,
    })
}
