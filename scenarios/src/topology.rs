//! Topologies: which services a scenario runs, each on a node of its own, and how they are set up. One line a service.

use std::{io, sync::Arc};

use squall::Sim;
use squall_services::{
    ports::Platform,
    service::{Service, Serving},
};

use crate::platform::{platform, read_store};

/// One node and what runs there.
#[derive(Clone)]
pub struct Member {
    name: &'static str,
    run: Arc<dyn Fn(Platform) -> Serving + Send + Sync>,
}

/// A service on a node of its name, set up by the scenario.
pub fn member<F>(service: Service, run: impl Fn(Platform) -> F + Send + Sync + 'static) -> Member
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Member {
        name: service.name,
        run: Arc::new(move |platform| Box::pin(run(platform))),
    }
}

/// A service as it declares itself.
impl From<Service> for Member {
    fn from(service: Service) -> Self {
        member(service, service.run)
    }
}

/// Adds the nodes to the world, in this order.
pub fn open(sim: &Sim, members: impl IntoIterator<Item = Member>) {
    sim.read_stores_with(read_store);
    for Member { name, run } in members {
        sim.node(name, move |node| run(platform(&node)));
    }
}
