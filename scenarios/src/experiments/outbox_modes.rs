//! The two ways out of one outbox, compared: pollers, and change data capture. What is told is the same to the
//! millisecond; the delay from its commit to the note that it was sent, and what that costs, are not.

use std::{
    collections::BTreeMap,
    fmt::Write,
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use squall::{
    Sim,
    check::Commit,
    fault::PowerLoss,
    net::Latency,
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::{Fault, Profile},
    time::VirtualTime,
};
use squall_services::{
    infrastructure::bus,
    kit::{
        self, Context, Store, StoreError, Table,
        bus::Event,
        outbox::{self, DEAD_LETTERS, Mode, OUTBOX, Outbox, Outgoing, PUBLISHED, State, Target},
    },
    ports::Platform,
    service::Service,
};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    experiments::survived,
    lock,
    planted_bug::described,
    topology::{self, member},
};

/// Changes that are told, and how often there is one.
const CHANGES: u64 = 600;
const EVERY: Duration = Duration::from_millis(100);
/// Things that change: the changes of one are told in their order.
const THINGS: u64 = 20;
/// From the first change until everything is told, whatever the bus does.
const TELLING: Duration = Duration::from_secs(3 * 60);
/// Then nothing changes for so long.
const IDLE: Duration = Duration::from_secs(10 * 60);
/// How much later than the clients the speaker may be there.
const LATECOMERS: Duration = Duration::from_secs(10);
/// What a slow bus waits before it answers.
const SLOW: Duration = Duration::from_millis(500);
/// The bus is away from the tenth second on, for so long.
const AWAY: Duration = Duration::from_secs(20);

/// What changes things and tells of it.
const SERVICE: Service = Service {
    name: "speaker",
    paths: &[],
    run: |platform| Box::pin(speak(platform, Mode::default(), Arc::default())),
    demo: &[],
};

/// The last change of each thing.
const CHANGED: Table<u64> = Table::new("changed");

/// How the bus behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// It answers at once.
    Prompt,
    /// It answers late.
    Slow,
    /// Its machine has no power for a while.
    Away,
}

impl Bus {
    /// All of them.
    pub const ALL: [Bus; 3] = [Bus::Prompt, Bus::Slow, Bus::Away];

    fn name(self) -> &'static str {
        match self {
            Bus::Prompt => "prompt",
            Bus::Slow => "slow",
            Bus::Away => "away",
        }
    }
}

/// What a run has shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// From the commit of each row to the commit that notes it as sent; the shortest first.
    pub delays: Vec<Duration>,
    /// Rows that were given up.
    pub dead: u64,
    /// Commits of the outbox beside those that put rows there.
    pub commits: u64,
    /// Scans of the outbox while rows were told, and rows that they found.
    pub scans: (u64, u64),
    /// Scans of the outbox in the ten minutes in which there was nothing to tell.
    pub idle_scans: u64,
}

impl Measured {
    /// The delay percentile: what this many rows in a hundred do not exceed.
    ///
    /// # Panics
    ///
    /// If no row was told.
    pub fn delay(&self, percent: usize) -> Duration {
        let place = (self.delays.len() * percent).div_ceil(100);
        self.delays[place.max(1) - 1]
    }
}

/// Measures one mode with a bus that behaves so.
///
/// # Panics
///
/// If the run itself went wrong.
pub fn measure(seed: Seed, mode: Mode, bus: Bus) -> Measured {
    let telling = Telling {
        mode,
        bus,
        seen: Arc::default(),
    };
    let away = Fault::at_ms(
        10_000,
        PowerLoss {
            node: bus::SERVICE.name.to_owned(),
            down_ms: AWAY.as_millis() as u64,
        },
    );
    let faults = match bus {
        Bus::Away => vec![away],
        _ => Vec::new(),
    };
    survived(&telling, seed, faults);
    let seen = lock(&telling.seen);
    let mut measured = seen.measured.clone();
    measured.delays.sort_unstable();
    measured
}

/// The published comparison, measured: a line for each behaviour of the bus and each mode.
pub fn table(seed: Seed) -> String {
    let mut text = String::from(
        "bus     mode     sent        median  99 %      commits  scans    rows read  idle scans\n\
         \u{20}                                              a row    a row    a row      a minute\n",
    );
    for bus in Bus::ALL {
        for (mode, name) in [(Mode::Polling, "polling"), (Mode::Cdc, "cdc")] {
            let measured = measure(seed, mode, bus);
            let sent = measured.delays.len() as f64;
            let each = |count: u64| format!("{:.2}", count as f64 / sent);
            let ms = |percent| format!("{} ms", measured.delay(percent).as_millis());
            let minutes = IDLE.as_secs_f64() / 60.0;
            writeln!(
                text,
                "{:<6}  {name:<7}  {:<10}  {:<6}  {:<8}  {:<7}  {:<7}  {:<9}  {:.1}",
                bus.name(),
                format!("{sent} of {CHANGES}"),
                ms(50),
                ms(99),
                each(measured.commits),
                each(measured.scans.0),
                each(measured.scans.1),
                measured.idle_scans as f64 / minutes,
            )
            .expect("a string takes any text");
        }
    }
    text
}

/// A service that changes things and tells of it, and a bus.
struct Telling {
    mode: Mode,
    bus: Bus,
    seen: Arc<Mutex<Seen>>,
}

/// What the feed of commits has shown, and the outbox's own counts.
#[derive(Default)]
struct Seen {
    waiting: BTreeMap<String, VirtualTime>,
    measured: Measured,
}

impl Seen {
    fn follow(&mut self, commit: &Commit<'_>, now: VirtualTime) {
        if commit.node != SERVICE.name {
            return;
        }
        let (mut touches, mut enqueues) = (false, false);
        for row in commit.rows {
            touches |= [OUTBOX.name, PUBLISHED.name, DEAD_LETTERS.name].contains(&&*row.table);
            let Some(value) = &row.value else { continue };
            if row.table == OUTBOX.name {
                let row_now = OUTBOX.decode(value).expect("it is a row of the outbox");
                let new = row_now.state == State::Pending && row_now.attempts == 0;
                if new && !self.waiting.contains_key(&row.key) {
                    self.waiting.insert(row.key.clone(), now);
                    enqueues = true;
                }
            } else if row.table == PUBLISHED.name {
                let since = self.waiting[&row.key];
                self.measured.delays.push(now.since(since));
            } else if row.table == DEAD_LETTERS.name {
                self.measured.dead += 1;
            }
        }
        if touches && !enqueues {
            self.measured.commits += 1;
        }
    }
}

impl Scenario for Telling {
    described! { "outbox-modes": "the same changes, told by polling or by change data capture" }

    fn profile(&self) -> Profile {
        let (speaker, bus) = (SERVICE.name, bus::SERVICE.name);
        Profile::new(&[speaker, bus], &[(speaker, bus)])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let (mode, seen) = (self.mode, self.seen.clone());
        topology::open(
            sim,
            [
                bus::SERVICE.into(),
                member(SERVICE, move |p| speak(p, mode, seen.clone())),
            ],
        );
        if self.bus == Bus::Slow {
            sim.link(SERVICE.name, bus::SERVICE.name, Latency::fixed(SLOW / 2));
        }
        let seen = self.seen.clone();
        sim.always("the outbox is watched", move |commit, findings| {
            lock(&seen).follow(commit, findings.now());
        });
        sim.client("audience", |client| async move {
            client.node().sleep(TELLING + IDLE + LATECOMERS).await;
        });
    }
}

/// Serves the outbox's own routes, and tells.
async fn speak(platform: Platform, mode: Mode, seen: Arc<Mutex<Seen>>) -> io::Result<()> {
    let store = Store::open(&platform, "speaker.redb").await?;
    let config = outbox::Config {
        mode,
        ..Default::default()
    };
    let outbox = Outbox::open(&platform, &store, config).await?;
    platform.spawn("telling", tell(platform.clone(), outbox.clone(), seen));
    kit::http::serve(&platform, outbox::api::router(outbox)).await
}

/// One thing after another changes; then nothing does. What the outbox read meanwhile is noted.
async fn tell(platform: Platform, outbox: Outbox, seen: Arc<Mutex<Seen>>) {
    let begins = Instant::now();
    for change in 0..CHANGES {
        sleep_until(begins + EVERY * (change as u32 + 1)).await;
        let thing = format!("thing-{:02}", change % THINGS);
        let context = Context::fresh(&platform, &format!("change-{change}"));
        let event = Event::new(&platform, "changed", &thing, &context, &change);
        let target = Target::Stream("changes".to_owned());
        let changed = outbox.write(move |tx, outgoing| {
            tx.put(&CHANGED, &thing, &change)?;
            outgoing.push(Outgoing { target, event });
            Ok::<_, StoreError>(())
        });
        changed.await.expect("no disk refuses in these runs");
    }
    sleep_until(begins + TELLING).await;
    let told = outbox.scans();
    lock(&seen).measured.scans = told;
    sleep(IDLE).await;
    lock(&seen).measured.idle_scans = outbox.scans().0 - told.0;
}
