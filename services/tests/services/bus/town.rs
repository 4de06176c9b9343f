//! A bus, and events to send over it.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use squall_services::{
    infrastructure::bus,
    kit::{
        Context,
        bus::{Bus, Delivery, Event, Outcome, Read, Settled},
    },
    ports::Platform,
};

use crate::support::{
    machine::{Machine, start},
    world::World,
};

pub struct Town {
    pub world: World,
    pub bus: Arc<Machine>,
    pub client: Platform,
}

impl Town {
    pub async fn new() -> Town {
        Town::with(bus::Config::default()).await
    }

    pub async fn with(config: bus::Config) -> Town {
        Town::over(None, config).await
    }

    /// A world in which the bus has crashed just now and is up again.
    pub async fn crash(&self) -> Town {
        Town::over(Some(&self.bus), bus::Config::default()).await
    }

    async fn over(earlier: Option<&Machine>, config: bus::Config) -> Town {
        let world = World::new();
        let bus = serve(&world, earlier, config);
        let client = world.network.machine("client").0;
        world.pass(Duration::from_millis(50)).await;
        Town { world, bus, client }
    }

    /// Starts the bus again over its database.
    pub fn start_bus(&self) {
        serve(&self.world, Some(&self.bus), bus::Config::default());
    }

    pub fn client(&self) -> Bus {
        Bus::new(&self.client, "bus")
    }

    pub fn event(&self, kind: &str, key: &str) -> Event {
        let context = Context::fresh(&self.client, "test");
        Event::new(&self.client, kind, key, &context, &json!({}))
    }

    /// Appends two events of one key.
    pub async fn tell_twice(&self) -> [Event; 2] {
        let events = ["a", "a"].map(|key| self.event("told", key));
        for event in &events {
            self.tell(event).await;
        }
        events
    }

    /// What the group is given now, earlier deliveries settled.
    pub async fn read(&self, group: &str, settled: &[&Delivery]) -> Vec<Delivery> {
        let done = |delivery: &&Delivery| Settled {
            offset: delivery.offset,
            outcome: Outcome::Done,
        };
        let read = Read {
            consumer: "reader".to_owned(),
            kinds: Vec::new(),
            max: 16,
            wait_ms: 0,
            settled: settled.iter().map(done).collect(),
        };
        let context = Context::fresh(&self.client, "read");
        let read = self.client().read(&context, "news", group, &read).await;
        read.unwrap()
    }

    /// Appends an event.
    pub async fn tell(&self, event: &Event) {
        self.client().append("news", event).await.unwrap();
    }

    /// How many rows of a kind a service's outbox says that it has.
    pub async fn count(&self, service: &str, member: &str) -> u64 {
        let counts = self.world.see(service, "/outbox").await;
        counts[member].as_u64().unwrap()
    }
}

/// Serves a bus over the database of an earlier one, if there was one.
fn serve(world: &World, earlier: Option<&Machine>, config: bus::Config) -> Arc<Machine> {
    let (platform, machine) = match earlier {
        Some(earlier) => world.network.successor(earlier, 2),
        None => world.network.machine("bus"),
    };
    start(&platform, |platform| bus::run(platform, config));
    machine
}

pub fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| d.event.id.as_str()).collect()
}
