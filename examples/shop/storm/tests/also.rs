//! What else services are made of, in the simulation: the servers and clients of `shop-also`, as they are.

use shop_also::{events, grpc, timeouts, websocket};
use squall::{Processes, Sim, seed::Seed, storm::Plan, storms, trace::text, unmodified};
use tokio::net::TcpListener;

async fn listener() -> std::io::Result<TcpListener> {
    TcpListener::bind("0.0.0.0:80").await
}

fn also(sim: &Sim) {
    sim.process("adder", async || grpc::serve(listener().await?).await);
    sim.process("ticker", async || events::serve(listener().await?).await);
    sim.process("totals", async || websocket::serve(listener().await?).await);
    sim.process("sleeper", async || timeouts::serve(listener().await?).await);
    sim.client(
        "ann",
        unmodified(async |_: squall::Client| {
            let adder = || "http://adder:80".to_owned();
            assert_eq!(grpc::add(adder(), 3).await.expect("a sum"), 3);
            let counted = grpc::count(adder(), 3).await;
            assert_eq!(counted.expect("a stream"), [1, 2, 3]);
            let totals = grpc::totals(adder(), vec![1, 2]).await;
            assert_eq!(totals.expect("a stream"), [1, 3]);
            grpc::add(adder(), 0).await.expect_err("a refusal");
            let ticks = events::ticks_of("http://ticker:80", 3).await;
            assert_eq!(ticks.expect("a stream"), ["0", "1", "2"]);
            let totals = websocket::totals("totals:80", &[1, 2, 3]).await;
            assert_eq!(totals.expect("a socket"), [1, 3, 6]);
            let given_up = timeouts::sleep_at("http://sleeper:80", 60_000).await;
            assert_eq!(given_up.expect("an answer").as_u16(), 504);
        }),
    );
}

#[test]
fn each_runs_and_its_messages_are_told() {
    let told = |seed| {
        let outcome = storms("also").plan(Plan::calm()).one(Seed(seed), also);
        assert!(outcome.violations.is_empty(), "{:?}", outcome.violations);
        let trace = outcome.trace.expect("it is kept");
        text::render(&trace, &text::Options::default())
    };
    let text = told(1);
    for message in [
        "adder POST /shop.Adder/Add (",
        "ann POST /shop.Adder/Add → 200 (",
        "ann POST /shop.Adder/Count → 200 (",
        "ann POST /shop.Adder/Totals → 200 (",
        "ann GET /ticks/3 → 200 OK (",
        "ann GET /totals → 101 Switching Protocols (",
        "504 Gateway Timeout (",
    ] {
        assert!(text.contains(message), "{message}\n{text}");
    }
    for seed in 1..20 {
        assert_eq!(told(seed), told(seed));
    }
}
