//! Topologies: which services a scenario runs, each on a node of its own, and how they are set up. One line a service.

use std::{io, sync::Arc, time::Duration};

use squall::Sim;
use squall_services::{
    kit::store::{self, Seat, Shared},
    ports::Platform,
    service::{Service, Serving},
};

use crate::{
    live_storm,
    platform::{platform_over, read_store},
};

/// One node and what runs there.
#[derive(Clone)]
pub struct Member {
    name: String,
    shared: Option<Shared>,
    run: Arc<dyn Fn(Platform) -> Serving + Send + Sync>,
}

impl Member {
    /// The name of its node.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// A service on a node of its name, set up by the scenario.
pub fn member<F>(service: Service, run: impl Fn(Platform) -> F + Send + Sync + 'static) -> Member
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Member {
        name: service.name.to_owned(),
        shared: None,
        run: Arc::new(move |platform| Box::pin(run(platform))),
    }
}

/// The same, where all that is to be set up is its configuration.
pub fn with<C, F>(
    service: Service,
    config: C,
    run: impl Fn(Platform, C) -> F + Send + Sync + 'static,
) -> Member
where
    C: Clone + Send + Sync + 'static,
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    member(service, move |platform| run(platform, config.clone()))
}

/// A service as it declares itself.
impl From<Service> for Member {
    fn from(service: Service) -> Self {
        member(service, service.run)
    }
}

/// Two replicas of a service, on the nodes `{name}-1` and `{name}-2`, and the database that they share, which is a
/// failure domain of its own: `{name}-db`. A transaction may take as long as `within`, there and back.
pub fn replicas(service: Member, file: &'static str, within: Duration) -> [Member; 3] {
    let seat = Seat::default();
    let database = format!("{}-db", service.name);
    let shared = Shared {
        seat: seat.clone(),
        peer: Some(database.clone()),
        within,
    };
    let replica = |n: u32| Member {
        name: format!("{}-{n}", service.name),
        shared: Some(shared.clone()),
        run: service.run.clone(),
    };
    let host = Member {
        name: database,
        shared: None,
        run: Arc::new(move |platform| Box::pin(store::host(platform, file, seat.clone()))),
    };
    [replica(1), replica(2), host]
}

/// Adds the nodes to the world, in this order.
pub fn open(sim: &Sim, members: impl IntoIterator<Item = Member>) {
    let members: Vec<Member> = members.into_iter().collect();
    if live_storm::open(sim, members.iter().map(Member::name)) {
        return;
    }
    sim.read_stores_with(read_store);
    for Member { name, shared, run } in members {
        sim.node(&name, move |node| run(platform_over(&node, shared.clone())));
    }
}
