//! The shop in the storm, on each simulator.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use squall::{
    Isolation, Processes, Sim,
    campaign::{Campaign, Seeds},
    fault::Crash,
    in_child,
    net::Latency,
    scenario::{Scenario, Setup},
    storm::{Fault, Plan, Profile, When},
    unmodified,
};
use tokio_real as tokio;

use crate::shop::{self, CRASH_AT, LATENCY, Machine, Rows};

const ANYWHERE: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A machine on tokio's timers and a network that is used like tokio's.
macro_rules! machine {
    ($(#[$about:meta])* $Name:ident over $($net:ident)::+) => {
        $(#[$about])*
        struct $Name;

        impl Machine for $Name {
            type Stream = $($net)::+::TcpStream;
            type Listener = $($net)::+::TcpListener;

            async fn listen(port: u16) -> io::Result<Self::Listener> {
                Self::Listener::bind((ANYWHERE, port)).await
            }
            async fn accept(listener: &mut Self::Listener) -> io::Result<Self::Stream> {
                Ok(listener.accept().await?.0)
            }
            async fn connect(node: &str, port: u16) -> io::Result<Self::Stream> {
                Self::Stream::connect((node, port)).await
            }
            fn spawn(task: impl Future<Output = ()> + Send + 'static) {
                tokio::spawn(task);
            }
            async fn sleep(time: Duration) {
                tokio::time::sleep(time).await;
            }
        }
    };
}

machine! {
    /// The real tokio, which knows nothing of a simulation.
    Tokio over tokio::net
}

struct Shop;

impl Scenario for Shop {
    fn name(&self) -> &str {
        "shop"
    }
    fn about(&self) -> &str {
        "orders over stock"
    }
    fn profile(&self) -> Profile {
        let links = [("customer", "orders"), ("orders", "stock")];
        Profile::new(&["orders", "stock"], &links)
    }
    fn isolation(&self) -> Option<Isolation> {
        Some(in_child)
    }
    fn build(&self, sim: &Sim, _: &Setup) {
        sim.clients_assert();
        let rows = Rows::default();
        let served = rows.clone();
        sim.process("stock", move || shop::stock::<Tokio>(rows.clone()));
        sim.process("orders", shop::orders::<Tokio>);
        let customer = async |client: squall::Client| {
            shop::customer::<Tokio>().await;
            client.ok("all", "served");
        };
        sim.client("customer", unmodified(customer));
        sim.at_end(move |_| vec![("whole", u64::from(served.are_whole()))]);
        let latency = Latency {
            min: LATENCY.0,
            typical: LATENCY.1,
            tail_p: 0.0,
            tail_max: LATENCY.1,
        };
        sim.link("customer", "orders", latency);
        sim.link("orders", "stock", latency);
    }
}

/// Processes on one thread, in a child a storm as always.
pub fn on_squall(storms: u64, down: Duration) {
    let crash = Crash::new("stock", down.as_millis() as u64);
    let fault = Fault {
        when: When::AtMs(CRASH_AT.as_millis() as u64),
        action: crash.into(),
    };
    let campaign = Campaign {
        plan: Some(Plan::new(vec![fault])),
        jobs: 1,
        ..Campaign::over(&Shop, Seeds::up_to(storms))
    };
    let totals = campaign.run(&mut |_| ());
    assert_eq!(totals.tally.failed(), 0);
    assert_eq!(totals.tally.count("whole"), storms);
}

machine! {
    /// turmoil's network.
    Turmoil over turmoil::net
}

/// On one thread, with its usual tick of a millisecond.
pub fn on_turmoil(storms: u64, down: Duration) {
    for seed in 0..storms {
        let rows = Rows::default();
        let mut sim = turmoil::Builder::new()
            .rng_seed(seed)
            .min_message_latency(LATENCY.0)
            .max_message_latency(LATENCY.1)
            .simulation_duration(Duration::from_secs(60))
            .build();
        let kept = rows.clone();
        sim.host("stock", move || {
            let kept = kept.clone();
            async { Ok(shop::stock::<Turmoil>(kept).await?) }
        });
        sim.host("orders", async || Ok(shop::orders::<Turmoil>().await?));
        sim.client("customer", async {
            shop::customer::<Turmoil>().await;
            Ok(())
        });
        let mut is_over = false;
        let mut until = |sim: &mut turmoil::Sim<'_>, at| {
            while !is_over && sim.elapsed() < at {
                is_over = sim.step().expect("nothing fails");
            }
        };
        until(&mut sim, CRASH_AT);
        sim.crash("stock");
        until(&mut sim, CRASH_AT + down);
        sim.bounce("stock");
        until(&mut sim, Duration::MAX);
        assert!(rows.are_whole());
    }
}

/// madsim's network.
struct Madsim;

/// Its nodes find each other by address.
const ORDERS: [u8; 4] = [10, 0, 0, 1];
const STOCK: [u8; 4] = [10, 0, 0, 2];
const CUSTOMER: [u8; 4] = [10, 0, 0, 3];

impl Machine for Madsim {
    type Stream = madsim::net::TcpStream;
    type Listener = madsim::net::TcpListener;

    async fn listen(port: u16) -> io::Result<Self::Listener> {
        Self::Listener::bind((ANYWHERE, port)).await
    }
    async fn accept(listener: &mut Self::Listener) -> io::Result<Self::Stream> {
        Ok(listener.accept().await?.0)
    }
    async fn connect(node: &str, port: u16) -> io::Result<Self::Stream> {
        let address = if node == "stock" { STOCK } else { ORDERS };
        Self::Stream::connect((IpAddr::from(address), port)).await
    }
    fn spawn(task: impl Future<Output = ()> + Send + 'static) {
        madsim::task::spawn(task);
    }
    async fn sleep(time: Duration) {
        madsim::time::sleep(time).await;
    }
}

/// On one thread, each storm on one of its own, as madsim's own tests are.
pub fn on_madsim(storms: u64, down: Duration) {
    for seed in 0..storms {
        let storm = || {
            let mut config = madsim::Config::default();
            config.net.send_latency = LATENCY.0..LATENCY.1;
            madsim::runtime::Runtime::with_seed_and_config(seed, config).block_on(in_madsim(down));
        };
        std::thread::scope(|scope| scope.spawn(storm).join().expect("nothing fails"));
    }
}

async fn in_madsim(down: Duration) {
    let handle = madsim::runtime::Handle::current();
    let rows = Rows::default();
    let kept = rows.clone();
    let stock = handle.create_node().name("stock").ip(STOCK.into());
    let stock = stock.init(move || {
        let kept = kept.clone();
        async { shop::stock::<Madsim>(kept).await.expect("it serves") }
    });
    let stock = stock.build();
    let orders = handle.create_node().name("orders").ip(ORDERS.into());
    let orders = orders.init(async || shop::orders::<Madsim>().await.expect("it serves"));
    orders.build();
    let customer = handle.create_node().name("customer").ip(CUSTOMER.into());
    let served = customer.build().spawn(shop::customer::<Madsim>());
    madsim::time::sleep(CRASH_AT).await;
    handle.kill(stock.id());
    madsim::time::sleep(down).await;
    handle.restart(stock.id());
    served.await.expect("it ends");
    assert!(rows.are_whole());
}
