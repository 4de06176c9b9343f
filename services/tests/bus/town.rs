//! A bus, and events to send over it.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use squall_services::{
    bus,
    kit::{
        Context,
        bus::{Bus, Delivery, Event, Outcome, Read, Settled},
    },
    ports::Platform,
};

use super::{machine::Machine, world::World};

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
        let world = World::new();
        let bus = serve_with(&world, None, config);
        let (client, _) = world.machine("client");
        world.pass(Duration::from_millis(50)).await;
        Town { world, bus, client }
    }

    /// A world in which the bus has crashed just now and is up again.
    pub async fn crash(&self) -> Town {
        let world = World::new();
        let bus = serve(&world, Some(&self.bus));
        let (client, _) = world.machine("client");
        world.pass(Duration::from_millis(50)).await;
        Town { world, bus, client }
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
            self.client().append("news", event).await.unwrap();
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
        self.client()
            .read(&context, "news", group, &read)
            .await
            .unwrap()
    }
}

/// Serves a bus over the database of an earlier one, if there was one.
pub fn serve(world: &World, earlier: Option<&Machine>) -> Arc<Machine> {
    serve_with(world, earlier, bus::Config::default())
}

fn serve_with(world: &World, earlier: Option<&Machine>, config: bus::Config) -> Arc<Machine> {
    let (platform, machine) = world.machine("bus");
    if let Some(file) = earlier.and_then(|earlier| earlier.file(bus::store::FILE)) {
        let bytes = file.bytes.lock().unwrap().clone();
        machine.put_file(bus::store::FILE, bytes);
    }
    let served = platform.clone();
    platform.spawn("service", async move {
        bus::run(served, config).await.unwrap();
    });
    machine
}

pub fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|d| d.event.id.as_str()).collect()
}

pub async fn count(town: &Town, service: &str, member: &str) -> u64 {
    let (_, counts) = town
        .world
        .ask(service, "GET /outbox", None, Value::Null)
        .await;
    counts[member].as_u64().unwrap()
}
