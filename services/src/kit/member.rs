//! A service's part in a choreography: it hears events, and what it changes and says about each is one commit.

use std::{
    io,
    sync::{Arc, Mutex},
};

use axum::Router;
use serde::Serialize;

use crate::{
    kit::{
        Context, Store, StoreError, Writer,
        bus::{Bus, Consumer, DELIVERIES_MAX, Event, Handler, HandlerError, Subscription},
        format::Format,
        inbox::Inbox,
        lock,
        outbox::{self, Mode, Outbox, Outgoing, Policy, Target},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
};

/// How a service takes part.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// How its outbox is emptied.
    pub mode: Mode,
    /// How patient its outbox is.
    pub policy: Policy,
    /// Pollers of its outbox, in polling mode.
    pub pollers: usize,
    /// Deliveries after which an event that it cannot handle goes to the dead letters.
    pub deliveries_max: u32,
    /// The bus's name.
    pub bus: String,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            bugs: Bugs::NONE,
            mode: Mode::default(),
            policy: Policy::default(),
            pollers: outbox::Config::default().pollers,
            deliveries_max: DELIVERIES_MAX,
            bus: "bus".to_owned(),
        }
    }
}

/// A service's part in the choreography of one topic. Cheap to clone.
#[derive(Clone)]
pub struct Member {
    platform: Platform,
    store: Store,
    outbox: Outbox,
    inbox: Inbox,
    bus: Bus,
    topic: Arc<str>,
    group: Arc<str>,
    deliveries_max: u32,
    bugs: Bugs,
    /// The trace of what was said last. Only for the planted bug `trace-id-leaks`.
    ambient: Arc<Mutex<Option<String>>>,
}

/// What a transaction has to say, once it commits.
pub struct Says<'a> {
    member: &'a Member,
    outgoing: &'a mut Vec<Outgoing>,
}

impl Says<'_> {
    /// How the service's build reads and writes.
    pub fn format(&self) -> Format {
        self.member.format()
    }

    /// Tells that something happened to `key`.
    pub fn say(&mut self, kind: &str, key: &str, context: &Context, body: &impl Serialize) {
        let context = self.member.perhaps_anothers(context);
        let event = Event::new(&self.member.platform, kind, key, &context, body);
        tracing::info!(kind, key, "says");
        self.outgoing.push(Outgoing {
            target: self.member.target(),
            event,
        });
    }
}

impl Member {
    /// Opens the service's own database, `file`, and [joins](Self::join) with it.
    pub async fn open(
        platform: &Platform,
        file: &str,
        topic: &str,
        settings: &Settings,
    ) -> io::Result<Self> {
        let store = Store::open(platform, file).await?;
        Ok(Member::join(platform, &store, topic, settings).await?)
    }

    /// Takes part in `topic` as the group of the service's own name, with outbox and inbox in its store.
    pub async fn join(
        platform: &Platform,
        store: &Store,
        topic: &str,
        settings: &Settings,
    ) -> Result<Self, StoreError> {
        let Settings {
            bugs,
            mode,
            policy,
            pollers,
            deliveries_max,
            bus,
        } = settings.clone();
        let group = platform.name.clone();
        let config = outbox::Config {
            bugs,
            mode,
            policy,
            pollers,
            bus: bus.clone(),
            ..Default::default()
        };
        Ok(Member {
            outbox: Outbox::open(platform, store, config).await?,
            inbox: Inbox::open(platform, store, &group, bugs),
            bus: Bus::new(platform, &bus),
            platform: platform.clone(),
            store: store.clone(),
            topic: topic.into(),
            group,
            deliveries_max,
            bugs,
            ambient: Arc::default(),
        })
    }

    /// Hears events of these kinds. The routes are where their dead letters, and those of the outbox, are looked after.
    pub fn hear(&self, kinds: &[&str], handler: Arc<dyn Handler>) -> Router {
        let subscription = Subscription {
            deliveries_max: self.deliveries_max,
            ..Subscription::new(&self.topic, &self.group, kinds)
        };
        let consumer = Consumer::start(
            &self.platform,
            &self.store,
            &self.bus,
            subscription,
            self.bugs,
            handler,
        );
        Consumer::router(vec![consumer]).merge(outbox::api::router(self.outbox.clone()))
    }

    /// Changes something and says so, in one commit.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Writer, &mut Says) -> Result<T, E> + Clone + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let member = self.clone();
        let transaction = move |tx: &mut Writer, outgoing: &mut Vec<Outgoing>| {
            let mut says = Says {
                member: &member,
                outgoing,
            };
            work(tx, &mut says)
        };
        self.outbox.write(transaction).await
    }

    /// Does about an event what is to be done once: the note of it is in the same commit.
    pub async fn once(
        &self,
        event: &Event,
        work: impl FnOnce(&mut Writer, &mut Says) -> Result<(), HandlerError> + Clone + Send + 'static,
    ) -> Result<(), HandlerError> {
        let (inbox, event) = (self.inbox.clone(), event.clone());
        self.write(move |tx, says| match inbox.is_new(tx, &event)? {
            true => work(tx, says),
            false => Ok(()),
        })
        .await
    }

    /// The bus, for what is not said in events.
    pub fn bus(&self) -> &Bus {
        &self.bus
    }

    /// The service's machine.
    pub fn platform(&self) -> &Platform {
        &self.platform
    }

    /// The service's database.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// The planted bugs that are on.
    pub fn bugs(&self) -> Bugs {
        self.bugs
    }

    /// How the service's build reads and writes.
    pub fn format(&self) -> Format {
        Format::of(&self.platform, self.bugs)
    }

    fn perhaps_anothers(&self, context: &Context) -> Context {
        let mut context = context.clone();
        if self.bugs.has(Bug::TraceIdLeaks) {
            let mut ambient = lock(&self.ambient);
            let leaked = ambient.replace(context.trace_id.clone());
            context.trace_id = leaked.unwrap_or(context.trace_id);
        }
        context
    }

    fn target(&self) -> Target {
        match self.bugs.has(Bug::PubsubOnly) {
            true => Target::Channel(self.topic.to_string()),
            false => Target::Stream(self.topic.to_string()),
        }
    }
}
