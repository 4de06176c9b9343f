//! Services in several replicas. Within one program they share the open database, and whoever calls them by the
//! service's name takes them in turn.

use std::{collections::BTreeMap, io, path::Path, time::Duration};

use super::{Addresses, Place, platform};
use crate::{
    kit::{
        Store,
        store::{Seat, Shared},
    },
    orchestration::orders,
    shared::inventory,
    systems::System,
};

/// The most replicas of a service.
pub(super) const REPLICAS_MAX: u16 = 9;

/// A transaction on a database at hand is not sent anywhere: no patience is needed.
const WITHIN: Duration = Duration::from_secs(1);

/// Those that can: their system, their name, and the file of the database that they share.
const SHARING: [(&str, &str, &str); 5] = [
    ("rewards", orders::SERVICE.name, orders::store::FILE),
    ("rewards", inventory::SERVICE.name, inventory::store::FILE),
    ("orders", orders::SERVICE.name, orders::store::FILE),
    ("orders", inventory::SERVICE.name, inventory::store::FILE),
    ("checkout", inventory::SERVICE.name, inventory::store::FILE),
];

fn file_of(system: &System, service: &str) -> Option<&'static str> {
    let of = |shares: &&(&str, &str, &str)| (shares.0, shares.1) == (system.name, service);
    SHARING.iter().find(of).map(|(.., file)| *file)
}

/// Whether some service of the system can run as replicas.
pub(super) fn some_share(system: &System) -> bool {
    SHARING.iter().any(|(of, ..)| *of == system.name)
}

/// What the replicas of a service are called; one alone, or one that shares nothing, has the service's name.
pub(super) fn names(system: &System, service: &str, replicas: u16) -> Vec<String> {
    match file_of(system, service) {
        Some(_) if replicas > 1 => (1..=replicas).map(|n| format!("{service}-{n}")).collect(),
        _ => vec![service.to_owned()],
    }
}

/// The databases that replicas share, open for as long as this is kept.
#[derive(Default)]
pub(super) struct Databases(BTreeMap<&'static str, (Shared, Store)>);

impl Databases {
    /// Opens those of the services that have several replicas.
    pub async fn open(
        system: &'static System,
        replicas: u16,
        data: &Path,
        addresses: &Addresses,
    ) -> io::Result<Self> {
        let mut open = BTreeMap::new();
        for service in system.services {
            let Some(file) = file_of(system, service.name).filter(|_| replicas > 1) else {
                continue;
            };
            let platform = platform(service.name, data, addresses.clone(), Place::Files, None)?;
            let store = Store::open(&platform, file).await?;
            let seat = Seat::default();
            seat.take(&store)?;
            let shared = Shared {
                seat,
                peer: None,
                within: WITHIN,
            };
            open.insert(service.name, (shared, store));
        }
        Ok(Databases(open))
    }

    /// Where that of a service is.
    pub fn of(&self, service: &str) -> Place {
        let shared = self.0.get(service).map(|(shared, _)| shared.clone());
        shared.map_or(Place::Files, Place::Shared)
    }
}
