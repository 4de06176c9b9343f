//! Operators tend whatever is listed, to the last page.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::{Value, json};
use squall::{
    Sim,
    run::{Spec, run},
    scenario::{Scenario, Setup},
    seed::Seed,
    storm::Profile,
};
use squall_scenarios::{
    experiments::must_survive,
    platform::{platform, read_store},
    workloads::{operator, shop::Hand},
};
use squall_services::{
    kit::{self, Listed, Page, Problem, Store, StoreError, Table},
    ports::Platform,
};

/// Dead letters of all kinds, under `{list}/{id}`.
const LETTERS: Table<Value> = Table::new("letters");
const LISTS: [&str; 3] = ["/dead-letters", "/outbox/dead-letters", "/dead-events"];
/// More than two pages.
const EACH: usize = 250;

/// Calls for each dead letter that was tended, by its path.
type Tended = Arc<Mutex<BTreeMap<String, u32>>>;

/// A service with nothing but dead letters, and two operators.
#[derive(Default)]
struct Backlog(Tended);

impl Scenario for Backlog {
    fn name(&self) -> &str {
        "backlog"
    }

    fn about(&self) -> &str {
        "a service with more dead letters than a page holds"
    }

    fn profile(&self) -> Profile {
        Profile::new(&["order"], &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        let tended = self.0.clone();
        sim.read_stores_with(read_store);
        sim.node("order", move |node| serve(platform(&node), tended.clone()));
        sim.after_storm("clerk", |client| async move {
            Hand::new(&client).tend_orders().await
        });
        sim.after_storm("operator", |client| async move {
            operator::tend(&client, &["order"], 1).await
        });
        let tended = self.0.clone();
        sim.finally(
            "every letter is tended",
            Duration::from_secs(60),
            move |_, findings| {
                let count = tended.lock().unwrap_or_else(PoisonError::into_inner).len();
                if count != LISTS.len() * EACH {
                    let all = format!("{} letters", LISTS.len() * EACH);
                    findings.broken("left", &["order"], all, count.to_string());
                }
            },
        );
    }
}

async fn serve(platform: Platform, tended: Tended) -> io::Result<()> {
    let store = Store::open(&platform, "letters.redb").await;
    let store = store.map_err(io::Error::other)?;
    let filled = store.write::<_, StoreError>(|tx| {
        for list in LISTS {
            for n in 0..EACH {
                let id = format!("{n:03}");
                let letter = json!({
                    "id": id, "key": id, "redriven": 0, "redriven_ms": null,
                    "group": "g", "event": { "id": id },
                });
                tx.put(&LETTERS, &format!("{list}/{id}"), &letter)?;
            }
        }
        Ok(())
    });
    filled.await.map_err(io::Error::other)?;
    let mut router = Router::new();
    for list in LISTS {
        let store = store.clone();
        let letters = move |page: Page| async move {
            let prefix = format!("{list}/");
            let found = store.read(|rows| page.read(rows, &LETTERS, &prefix, |_| true));
            Ok::<Listed<Value>, Problem>(found?.map(|(_, letter)| letter))
        };
        let what = match list {
            "/dead-events" => "replay",
            _ => "redrive",
        };
        let tend = move |State(tended): State<Tended>, Path(id): Path<String>| async move {
            let mut tended = tended.lock().unwrap_or_else(PoisonError::into_inner);
            *tended.entry(format!("{list}/{id}")).or_default() += 1;
            (StatusCode::ACCEPTED, Json(Value::Null))
        };
        router = router
            .route(list, get(letters))
            .route(&format!("{list}/{{id}}/{what}"), post(tend));
    }
    kit::http::serve(&platform, router.with_state(tended)).await
}

#[test]
fn dead_letters_behind_the_first_page_are_tended_too() {
    let backlog = Backlog::default();
    let outcome = run(&backlog, &Spec::of(&backlog, Seed(0)).calm(), false);
    must_survive(&outcome);
}
