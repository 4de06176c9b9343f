//! The reference systems: which services each is made of. One line a service.

use crate::{
    checkout::{self, coupon, data_platform, ranking},
    choreography,
    infrastructure::{bus, lock},
    orchestration, purchase,
    rewards::challenge,
    service::{Service, service},
    shared::{catalog, inventory, notification, payment, payment_provider, user},
};

/// A system that runs as a whole.
pub struct System {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its services, the gateway excepted.
    pub services: &'static [Service],
}

/// All of them, the default first.
pub const SYSTEMS: &[System] = &[
    System {
        name: "rewards",
        about: "a shop whose orders are orchestrated, and challenges that are rewarded there",
        services: &[
            orchestration::orders::SERVICE,
            inventory::SERVICE,
            payment::SERVICE,
            challenge::SERVICE,
            service!(catalog::SERVICE, |p| {
                let told = catalog::Config::webhooks(&[challenge::SERVICE.name]);
                catalog::run(p, told)
            }),
            payment_provider::SERVICE,
        ],
    },
    System {
        name: "orders",
        about: "the shop alone, its stock under lease locks",
        services: &[
            orchestration::orders::SERVICE,
            service!(inventory::SERVICE, |p| {
                inventory::run(p, inventory::Config::under_leases())
            }),
            payment::SERVICE,
            catalog::SERVICE,
            payment_provider::SERVICE,
            lock::SERVICE,
        ],
    },
    System {
        name: "workflows",
        about: "the shop alone, its orders carried out by durable execution",
        services: &[
            service!(orchestration::orders::SERVICE, |p| {
                let config = orchestration::orders::Config {
                    execution: orchestration::orders::Execution::Workflow,
                    ..Default::default()
                };
                orchestration::orders::run(p, config)
            }),
            inventory::SERVICE,
            payment::SERVICE,
            catalog::SERVICE,
            payment_provider::SERVICE,
        ],
    },
    System {
        name: "checkout",
        about: "a shop whose users pay from a balance and with coupons, and who else hears of it",
        services: &[
            checkout::orders::SERVICE,
            service!(inventory::SERVICE, |p| {
                let config = inventory::Config {
                    orchestrator: checkout::orders::SERVICE.name.to_owned(),
                    ..Default::default()
                };
                inventory::run(p, config)
            }),
            catalog::SERVICE,
            user::SERVICE,
            coupon::SERVICE,
            data_platform::SERVICE,
            notification::SERVICE,
            ranking::SERVICE,
        ],
    },
    System {
        name: "purchases",
        about: "items bought with a balance, choreographed by events on a bus",
        services: &[
            bus::SERVICE,
            purchase::orders::SERVICE,
            purchase::users::SERVICE,
            purchase::bag::SERVICE,
            purchase::items::SERVICE,
            purchase::payments::SERVICE,
            service!(notification::SERVICE, |p| {
                let config = notification::Config {
                    listens: Some(purchase::notices(Default::default())),
                    ..Default::default()
                };
                notification::run(p, config)
            }),
        ],
    },
    System {
        name: "choreography",
        about: "a shop whose orders are choreographed by events on a durable log",
        services: &[
            bus::SERVICE,
            choreography::orders::SERVICE,
            choreography::stock::SERVICE,
            choreography::payments::SERVICE,
            payment_provider::SERVICE,
            choreography::delivery::SERVICE,
            service!(notification::SERVICE, |p| {
                let config = notification::Config {
                    listens: Some(choreography::notices(Default::default())),
                    ..Default::default()
                };
                notification::run(p, config)
            }),
            user::SERVICE,
            catalog::SERVICE,
        ],
    },
];

impl System {
    /// The system of this name.
    pub fn named(name: &str) -> Option<&'static System> {
        SYSTEMS.iter().find(|system| system.name == name)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_services_of_a_system_share_a_name_or_a_path() {
        for system in SYSTEMS {
            let (mut names, mut paths) = (BTreeSet::from(["gateway"]), BTreeSet::new());
            for service in system.services {
                let name = service.name;
                assert!(names.insert(name), "{}: two {name}", system.name);
                for path in service.paths {
                    assert!(
                        path.starts_with('/') && !path.ends_with('/'),
                        "{name}: {path}"
                    );
                    assert!(paths.insert(path), "{}: two {path}", system.name);
                }
            }
        }
    }

    #[test]
    fn what_a_demonstration_puts_is_json_under_the_list_that_it_fills() {
        for service in SYSTEMS.iter().flat_map(|system| system.services) {
            for demo in service.demo {
                for (path, body) in demo.puts {
                    assert!(path.starts_with(demo.list), "{path}");
                    let body = serde_json::from_str::<serde_json::Value>(body);
                    assert!(body.is_ok_and(|body| body.is_object()), "{path}");
                }
            }
        }
    }
}
