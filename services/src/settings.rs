//! How a storm sets services up that run as processes of their own: what a scenario draws for them, as JSON.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    kit::bulkhead::Permits,
    orchestration::orders::{self, PaymentMode},
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Service, Serving},
    shared::{
        catalog, inventory,
        payment::{self, Beyond},
    },
};

/// The settings of the shop: order, inventory, payment and catalog.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The planted bugs, by name.
    pub bugs: Vec<String>,
    /// Whether money is taken in one step.
    pub one_step: bool,
    /// Milliseconds between two recoveries of sagas without a driver.
    pub recover_ms: u64,
    /// How many milliseconds a saga may take to its pivot.
    pub deadline_ms: u64,
    /// Attempts of what can only succeed, before a saga needs attention.
    pub tries: u32,
    /// Milliseconds between two looks of the inventory's sweeper.
    pub sweep_ms: u64,
    /// How many calls of the payment gateway are under way at most.
    pub permits: usize,
    /// How many calls line up beyond that, if they do.
    pub line: Option<usize>,
}

impl Settings {
    /// Runs a service as these settings have it; one that they do not speak of, as it is.
    pub fn run(&self, service: &Service, platform: Platform) -> Serving {
        let bugs = self.bugs();
        match service.name {
            "order" => Box::pin(orders::run(platform, self.orders())),
            "inventory" => {
                let config = inventory::Config {
                    bugs,
                    sweep_every: Duration::from_millis(self.sweep_ms),
                    ..Default::default()
                };
                Box::pin(inventory::run(platform, config))
            }
            "payment" => {
                let config = payment::Config {
                    bugs,
                    permits: Permits::new(self.permits),
                    beyond: self.line.map_or(Beyond::Waits, Beyond::LinesUp),
                    ..Default::default()
                };
                Box::pin(payment::run(platform, config))
            }
            "catalog" => Box::pin(catalog::run(platform, Default::default())),
            _ => (service.run)(platform),
        }
    }

    fn orders(&self) -> orders::Config {
        orders::Config {
            bugs: self.bugs(),
            payment: match self.one_step {
                true => PaymentMode::OneStep,
                false => PaymentMode::TwoStep,
            },
            recover_every: Duration::from_millis(self.recover_ms),
            saga_deadline: Duration::from_millis(self.deadline_ms),
            saga_tries: self.tries,
            ..Default::default()
        }
    }

    fn bugs(&self) -> Bugs {
        let named = |bug: &&Bug| self.bugs.iter().any(|name| name == bug.name());
        Bug::ALL.iter().filter(named).copied().collect()
    }
}

impl std::str::FromStr for Settings {
    type Err = serde_json::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        serde_json::from_str(text)
    }
}
