//! Requests one after the other: the same two programs on the real loopback and in the simulation.

use std::{
    future::Future,
    io,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use axum::{Json, Router, routing::post};
use serde::{Deserialize, Serialize};
use squall::{
    Isolation, Processes, Sim, in_child,
    isolation::End,
    run::{Spec, Verdict, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::Profile,
    unmodified,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_real as tokio;

#[derive(Serialize, Deserialize)]
struct Order {
    number: u64,
    customer: String,
    items: Vec<String>,
}

fn shop() -> Router {
    Router::new().route(
        "/orders",
        post(async |Json(mut order): Json<Order>| {
            order.number += 1;
            Json(order)
        }),
    )
}

async fn serve() -> io::Result<()> {
    axum::serve(TcpListener::bind("0.0.0.0:8080").await?, shop()).await
}

async fn ask(base: &str, count: u64) {
    let http = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("it needs nothing");
    for number in 0..count {
        let order = Order {
            number,
            customer: "ann".to_owned(),
            items: vec!["tea".to_owned(), "mug".to_owned()],
        };
        let answer = http.post(format!("{base}/orders")).json(&order).send();
        let answer = answer.await.expect("it answers");
        let order: Order = answer.json().await.expect("it is an order");
        assert_eq!(order.number, number + 1);
    }
}

/// On current-thread runtimes: one for each, in threads of their own, or one for both.
pub fn over_loopback(count: u64, is_shared: bool) {
    // What is static in tokio would come along into the children of what is measured next.
    let work = || {
        on_loopback(count, is_shared);
        Vec::new()
    };
    let child = in_child(&work).expect("it can be forked");
    assert_eq!(child.end, End::Returned(Vec::new()));
}

fn on_loopback(count: u64, is_shared: bool) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("there are ports");
    listener.set_nonblocking(true).expect("it can be told");
    let base = format!("http://{}", listener.local_addr().expect("it has one"));
    let serve = async {
        let listener = TcpListener::from_std(listener).expect("it is one");
        axum::serve(listener, shop()).await
    };
    if is_shared {
        current_thread(async {
            tokio::spawn(serve);
            ask(&base, count).await;
        });
    } else {
        std::thread::spawn(|| current_thread(serve));
        current_thread(ask(&base, count));
    }
}

fn current_thread<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder
        .enable_all()
        .build()
        .expect("it starts")
        .block_on(task)
}

fn four_workers<T>(task: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let builder = builder.worker_threads(4).enable_all();
    builder.build().expect("it starts").block_on(task)
}

/// As what the two sides run.
#[derive(Clone, Copy)]
pub enum Kind {
    /// Asynchronous functions.
    Process,
    /// Whole `main`s.
    Program,
}

/// How many requests the present measurement asks for: a program's `main` takes no arguments.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Asks, and listens as soon as all has been answered.
async fn caller() -> io::Result<()> {
    ask("http://server:8080", COUNT.load(Relaxed)).await;
    let done = TcpListener::bind("0.0.0.0:80").await?;
    loop {
        done.accept().await?;
    }
}

struct Pair(Kind);

impl Scenario for Pair {
    fn name(&self) -> &str {
        "pair"
    }
    fn about(&self) -> &str {
        "requests one after the other"
    }
    fn profile(&self) -> Profile {
        Profile::new(&["server", "caller"], &[("caller", "server")])
    }
    fn isolation(&self) -> Option<Isolation> {
        Some(in_child)
    }
    fn build(&self, sim: &Sim, _: &Setup) {
        match self.0 {
            Kind::Process => {
                sim.process("server", serve);
                sim.process("caller", caller);
            }
            Kind::Program => {
                sim.program("server", || four_workers(serve()));
                sim.program("caller", || four_workers(caller()));
            }
        }
        let waiting = async |client: squall::Client| {
            while TcpStream::connect("caller:80").await.is_err() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.ok("all", "answered");
        };
        sim.client("waiting", unmodified(waiting));
    }
}

/// A calm run, whole: its child and its world included.
pub fn simulated(kind: Kind, count: u64) {
    COUNT.store(count, Relaxed);
    let pair = Pair(kind);
    let spec = Spec::of(&pair, Seed(1)).calm();
    let outcome = run(&pair, &spec, false);
    assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
    assert_eq!(outcome.verdict, Verdict::Survived);
}
