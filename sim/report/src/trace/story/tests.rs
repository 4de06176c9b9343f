use proptest::prelude::*;
use serde_json::json;
use squall_core::fault::{Crash, Cut, Latency};

use super::{super::testing::*, *};

const SAGA: &str = "SAGA-7F3A09C1";
const ORDER: &str = "ORD-12345678";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// Alice's order, beside Bob's; inventory crashes once in between.
fn script() -> Script {
    let mut script = Script::default();
    let place = |saga| request("POST", "/orders", TRACE, "alice-1-place", saga);
    let reserve = request(
        "POST",
        "/reservations",
        TRACE,
        "alice-1-place/reserve",
        SAGA,
    );
    let pay = request("POST", "/payments", TRACE, "alice-1-place/pay", SAGA);
    let bobs = request("POST", "/orders", "ffff", "bob-1-place", "");
    let order = |status: &str| {
        row(
            "orders",
            ORDER,
            Some(json!({"status": status, "created_ms": 1_700_000_000_123_u64})),
        )
    };
    let product = |on_hand: u32| {
        row(
            "products",
            "SKU-1",
            Some(json!({"on_hand": on_hand, "version": 1})),
        )
    };

    script.node("order", Life::Boots, "");
    script.on_behalf("0", "seed", "");
    script.commit("inventory", &[product(3)]);
    script.client("alice", "alice-1-place", Phase::Invoked, "1 × SKU-1");
    script.connection("alice", "order", 0, ConnectionEvent::Connect);
    script.message("alice", "order", 0, &place(""));
    script.message("bob", "order", 0, &bobs);
    script.on_behalf(TRACE, "alice-1-place", SAGA);
    script.commit("order", &[order("Pending")]);
    script.log("order", Level::Info, "saga starts", "kind=order took_ms=12");
    script.log("order", Level::Debug, "a detail", "");
    script.message("order", "inventory", 0, &reserve);
    script.node("inventory", Life::Crashes, "after 3ms");
    script.connection("order", "inventory", 0, ConnectionEvent::Reset);
    script.log(
        "order",
        Level::Warn,
        "step unknown",
        "reason=connection reset",
    );
    script.node("inventory", Life::Boots, "");
    script.message("order", "inventory", 1, &reserve);
    script.on_behalf(TRACE, "alice-1-place/reserve", SAGA);
    script.commit(
        "inventory",
        &[
            product(2),
            row(
                "reservations",
                SAGA,
                Some(json!({"status": "Reserved", "by": SAGA})),
            ),
        ],
    );
    script.message("inventory", "order", 1, &answer("201 Created", "{}"));
    script.on_behalf("ffff", "bob-1-place", "SAGA-0B0B0B0B");
    script.commit(
        "order",
        &[row(
            "orders",
            "ORD-0B0B0B0B",
            Some(json!({"status": "Pending"})),
        )],
    );
    script.log("order", Level::Info, "saga starts", "kind=order");
    script.burst("order", "payment", 0, &pay, Fate::Lost);
    script.burst("order", "payment", 1, &pay, Fate::Sent);
    script.on_behalf("aaaa", "sweep", "");
    script.commit(
        "inventory",
        &[
            row("reservations", SAGA, None),
            row("reservations", "SAGA-0B0B0B0B", None),
        ],
    );
    script.on_behalf(TRACE, "alice-1-place", SAGA);
    script.commit("order", &[order("Cancelled")]);
    script.message(
        "order",
        "alice",
        0,
        &answer(
            "503 Service Unavailable",
            r#"{"code":"SERVICE_UNAVAILABLE"}"#,
        ),
    );
    script.client("alice", "alice-1-place", Phase::Failed, "503");
    script.node("payment", Life::Crashes, "");
    script.violation("stock-conserved", &format!("{ORDER} holds nothing"));
    script.violation("other", "ORD-0B0B0B0B is lost");
    script
}

#[test]
fn a_saga_reads_like_a_story() {
    let text = format!("\n{}", render(&script().trace(), SAGA));
    assert_eq!(
        text,
        r"
  alice              alice-1-place invoked: 1 × SKU-1
  alice → order      POST /orders [alice-1-place]
  order              commits orders/ORD-1 Pending
  order              · saga starts kind=order
  order → inventory  POST /reservations [reserve]
⚡ inventory          crashes
  inventory          boots again
  order              · WARN step unknown reason=connection reset
  order → inventory  POST /reservations [reserve] #2
  inventory          commits products/SKU-1 on_hand 3→2; reservations/SAGA-1 Reserved
  inventory → order  201 Created [reserve]
⚡ order → payment    POST /payments [pay] (lost)
  order → payment    POST /payments [pay] #2 (never arrives)
  order              commits orders/ORD-1 Pending→Cancelled
  order → alice      503 Service Unavailable SERVICE_UNAVAILABLE [alice-1-place]
  alice              alice-1-place failed: 503
  inventory          commits -reservations/SAGA-1
✗ stock-conserved    ORD-1 holds nothing
"
    );
}

#[test]
fn the_trace_id_tells_the_same_story_where_it_serves_one_saga() {
    let trace = script().trace();
    let by_trace = render(&trace, TRACE);
    let by_saga = render(&trace, SAGA);
    for line in by_trace.lines() {
        assert!(by_saga.contains(line), "{line}");
    }
    assert!(by_trace.lines().count() + 1 >= by_saga.lines().count());
}

#[test]
fn two_sagas_are_told_as_one_story_with_nothing_of_either_left_out() {
    let (trace, bobs) = (script().trace(), "SAGA-0B0B0B0B");
    let both = retell(&trace, &[SAGA, bobs], &Untold::default());
    for told in [render(&trace, SAGA), render(&trace, bobs)] {
        let of_one = |line: &&str| line.contains(" → ") || line.contains(" · ");
        for line in told.lines().filter(of_one) {
            // Columns are wider where more nodes are told of.
            let same = |other: &str| other.split_whitespace().eq(line.split_whitespace());
            assert!(both.lines().any(same), "{line}\n{both}");
        }
    }
    assert!(
        both.contains("-reservations/SAGA-1; -reservations/SAGA-2"),
        "{both}"
    );
    assert!(both.contains("ORD-2 is lost"), "{both}");
}

#[test]
fn nobody_has_no_story() {
    let trace = script().trace();
    assert_eq!(render(&trace, "SAGA-00000000"), "");
    assert_eq!(render(&trace, ""), "");
}

#[test]
fn ids_that_differ_from_run_to_run_do_not_show() {
    let mut other = script();
    let json = serde_json::to_string(&other.events).unwrap();
    let json = json
        .replace(ORDER, "ORD-FFFFFFFF")
        .replace(SAGA, "SAGA-00000001");
    other.events = serde_json::from_str(&json).unwrap();
    assert_eq!(
        render(&script().trace(), SAGA),
        render(&other.trace(), "SAGA-00000001")
    );
}

/// Two branches at once: order asks inventory and balance, and waits for both. Bob is served by the same nodes.
fn branching() -> Script {
    let mut script = Script::default();
    script.on_behalf("ffff", "bob-1", "SAGA-0B0B0B0B");
    for peer in ["inventory", "balance"] {
        script.message(
            "order",
            peer,
            7,
            &request("POST", "/take", "ffff", "bob-1", "SAGA-0B0B0B0B"),
        );
        script.commit(peer, &[row("taken", "SAGA-0B0B0B0B", Some(json!({})))]);
        script.message(peer, "order", 7, &answer("200 OK", ""));
    }
    script.on_behalf(TRACE, "alice-1", SAGA);
    script.log("order", Level::Info, "both at once", "");
    for (peer, step) in [("inventory", "alice-1/stock"), ("balance", "alice-1/money")] {
        script.message(
            "order",
            peer,
            0,
            &request("POST", "/take", TRACE, step, SAGA),
        );
        script.on_behalf(TRACE, step, SAGA);
        script.commit(
            peer,
            &[row("taken", SAGA, Some(json!({"status": "Taken"})))],
        );
        script.burst(peer, "order", 0, &answer("200 OK", ""), Fate::Sent);
    }
    for peer in ["inventory", "balance"] {
        script.arrival("order", peer, 0, answer("200 OK", "").len());
    }
    script.on_behalf(TRACE, "alice-1", SAGA);
    script.log("order", Level::Info, "both done", "");
    script
}

/// The same events at other times: any order that agrees with the causes. Work for Alice and work for Bob on one node wait for
/// each other no more than nodes do.
fn retimed(script: &Script, choices: &[usize]) -> Script {
    let links = Links::of(&script.events);
    let mut waiting: Vec<usize> = (0..script.events.len()).collect();
    let mut retimed = Script::default();
    let mut choices = choices.iter().cycle();
    while !waiting.is_empty() {
        let possible: Vec<usize> = waiting
            .iter()
            .enumerate()
            .filter(|(n, place)| {
                let task = |p: usize| (&script.events[p].node, &links.scopes[p].trace_id);
                let next = waiting[..*n].iter().all(|p| task(*p) != task(**place));
                next && links.sent[**place].is_none_or(|sent| !waiting.contains(&sent))
            })
            .map(|(n, _)| n)
            .collect();
        let chosen = possible[choices.next().unwrap() % possible.len()];
        let event = &script.events[waiting.remove(chosen)];
        retimed.tell(&event.node, event.scope.clone(), event.what.clone());
    }
    retimed
}

proptest! {
    #[test]
    fn the_story_is_the_same_however_long_things_take(
        choices in proptest::collection::vec(any::<usize>(), 32),
    ) {
        let script = branching();
        let other = retimed(&script, &choices);
        prop_assert_eq!(render(&script.trace(), SAGA), render(&other.trace(), SAGA));
    }
}

#[test]
fn things_can_take_another_time_in_the_test_above() {
    let times = |script: &Script| -> Vec<String> {
        script
            .events
            .iter()
            .map(|event| event.node.clone())
            .collect()
    };
    let script = branching();
    assert_ne!(times(&script), times(&retimed(&script, &[0, 3, 1, 2])));
}

/// Alice asks about her order and asks for it again, under traces of their own; Bob does the same with his.
fn asking_again() -> Script {
    let mut script = Script::default();
    for (client, op, saga, order) in [
        ("alice", "alice-1", SAGA, ORDER),
        ("bob", "bob-1", "SAGA-0B0B0B0B", "ORD-0B0B0B0B"),
    ] {
        let (first, second, third) = (
            format!("{client}1"),
            format!("{client}2"),
            format!("{client}3"),
        );
        script.message(
            client,
            "order",
            0,
            &request("POST", "/orders", &first, op, ""),
        );
        script.on_behalf(&first, op, saga);
        script.commit(
            "order",
            &[row("orders", order, Some(json!({"status": "Pending"})))],
        );
        let look = request("GET", &format!("/orders/{order}"), &second, "look", "");
        script.message(client, "order", 1, &look);
        script.message("order", client, 1, &answer("200 OK", ""));
        script.message(
            client,
            "order",
            2,
            &request("POST", "/orders", &third, op, ""),
        );
        script.message("order", client, 2, &answer("201 Created", ""));
    }
    script
}

#[test]
fn what_is_asked_about_a_saga_belongs_to_its_story() {
    assert_eq!(
        format!("\n{}", render(&asking_again().trace(), SAGA)),
        r"
  alice → order  POST /orders [alice-1]
  order          commits orders/ORD-1 Pending
  alice → order  GET /orders/ORD-1 [look]
  order → alice  200 OK [look]
  alice → order  POST /orders [alice-1] #2
  order → alice  201 Created [alice-1]
"
    );
}

/// The gateway tells payment something; `news` is whether payment did not know it.
fn notice(news: bool) -> String {
    let mut script = Script::default();
    script.on_behalf(TRACE, "alice-1", SAGA);
    script.commit(
        "payment",
        &[row("payments", SAGA, Some(json!({"status": "Open"})))],
    );
    script.message(
        "pg",
        "payment",
        0,
        &request("POST", "/notices", TRACE, "alice-1/notice", SAGA),
    );
    if news {
        script.on_behalf(TRACE, "alice-1/notice", SAGA);
        script.commit(
            "payment",
            &[row("payments", SAGA, Some(json!({"status": "Paid"})))],
        );
    }
    script.message("payment", "pg", 0, &answer("204 No Content", ""));
    render(&script.trace(), SAGA)
}

#[test]
fn a_notice_is_told_only_if_it_was_news() {
    assert!(!notice(false).contains("/notices"));
    assert!(!notice(false).contains("204"));
    assert!(notice(true).contains("POST /notices"));
    assert!(notice(true).contains("204 No Content"));
}

#[test]
fn a_late_message_is_told_when_it_leaves_and_when_it_comes() {
    let mut script = Script::default();
    let ask = request("POST", "/take", TRACE, "alice-1/take", SAGA);
    script.burst("order", "inventory", 0, &ask, Fate::Delayed);
    script.on_behalf(TRACE, "alice-1/take", SAGA);
    script.log("order", Level::Info, "no answer", "");
    script.message(
        "order",
        "inventory",
        1,
        &request("POST", "/undo", TRACE, "alice-1/undo", SAGA),
    );
    script.arrival("inventory", "order", 0, ask.len());
    script.log("inventory", Level::Info, "refused", "");
    assert_eq!(
        format!("\n{}", render(&script.trace(), SAGA)),
        r"
⚡ order → inventory  POST /take [take] (delayed)
  order              · no answer [take]
  order → inventory  POST /undo [undo]
  inventory          gets POST /take [take] from order, late
  inventory          · refused [take]
"
    );
}

#[test]
fn faults_are_told_once_and_those_of_a_link_if_both_ends_take_part() {
    let mut script = Script::default();
    script.on_behalf(TRACE, "alice-1", SAGA);
    script.message(
        "order",
        "inventory",
        0,
        &request("POST", "/take", TRACE, "alice-1", SAGA),
    );
    script.message("bob", "order", 0, &request("GET", "/", "ffff", "bob-1", ""));
    script.fault(
        "storm",
        FaultEvent::Begins,
        Latency::new("bob", "order", 30, 5_000),
    );
    script.fault(
        "storm",
        FaultEvent::Begins,
        Cut::new("order", "inventory", false, 2_000),
    );
    script.fault("storm", FaultEvent::Begins, Crash::new("inventory", 2_000));
    let now = script.events.last().unwrap().at;
    script.node("inventory", Life::Crashes, "");
    script.events.last_mut().unwrap().at = now;
    script.disk("inventory", DiskEvent::PowerLost { lost: 3, torn: 1 });
    script.disk("inventory", DiskEvent::SyncFailed);
    script.message("inventory", "order", 0, &answer("200 OK", ""));
    let text = render(&script.trace(), SAGA);
    assert!(text.contains("disk: sync failed"), "{text}");
    assert!(!text.contains("torn"), "{text}");
    assert!(!text.contains("slower"), "{text}");
    assert!(text.contains("begins: order → inventory is cut"), "{text}");
    assert_eq!(text.matches("crashes").count(), 1, "{text}");
}

#[test]
fn bookkeeping_can_be_left_untold_and_a_long_commit_gets_a_line_a_row() {
    let mut script = Script::default();
    script.on_behalf(TRACE, "alice-1", SAGA);
    let long = json!({"status": "x".repeat(30), "note": "x".repeat(30), "version": 7});
    let longer = json!({"total": "y".repeat(30), "note": "y; y", "version": {"of": 7}});
    let rows = [
        row("keys", "k", Some(json!({"a": 1}))),
        row("orders", ORDER, Some(long)),
        row("prices", ORDER, Some(longer.clone())),
        row("values", ORDER, Some(longer)),
    ];
    script.commit("order", &rows);
    script.log("order", Level::Info, "by the way", "");
    script.commit("order", &rows[..1]);
    let untold = Untold {
        tables: &["keys"],
        fields: &["version"],
        logs: &["by the way"],
    };
    let (x, y) = ("x".repeat(30), "y".repeat(30));
    assert_eq!(
        retell(&script.trace(), &[SAGA], &untold),
        format!(
            "  order  commits orders/ORD-1 {x}\n{margin}prices/ORD-1 note y; y, total {y}\n{margin}values/ORD-1 note y; y, total {y}\n",
            margin = " ".repeat("  order  commits ".len()),
        )
    );
}

#[test]
fn a_repeated_line_is_told_once_with_its_count() {
    let mut script = Script::default();
    script.on_behalf(TRACE, "alice-1/reserve", SAGA);
    for _ in 0..3 {
        script.log("order", Level::Warn, "no answer", "");
    }
    assert_eq!(
        render(&script.trace(), SAGA),
        "  order  · WARN no answer [reserve] (×3)\n"
    );
}
