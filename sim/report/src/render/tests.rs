//! What a page shows of events made by hand.

use std::{
    collections::{BTreeMap, BTreeSet},
    slice,
    time::Duration,
};

use serde_json::{Value, json};

use squall_fixtures as fake;

use super::{
    campaign::{Report, Seen},
    page, perfetto, *,
};

use squall_core::{
    fault::{Crash, Isolate},
    seed::{Seed, Seeds},
};
use squall_engine::{
    check::{Class, Violation},
    run::Verdict,
    storm::{Action, Fault, FaultReport, Plan},
};
use squall_explore::{
    campaign::{Campaign as Runs, Coverage, Totals},
    strategy::sweep::Matrix,
};

use crate::trace::testing::*;

const SAGA: &str = "SAGA-7F3A09C1";
const ORDER: &str = "ORD-1679485B";
const HOSTILE: &str = "</script><img src=x onerror=alert(1)><!--";

fn spec() -> Spec {
    Spec {
        shape: "hardened".to_owned(),
        plant: Some("forgets".to_owned()),
        seed: Seed(6),
        plan: Plan::calm(),
    }
}

fn outcome(script: &Script, violations: Vec<Violation>, faults: Vec<FaultReport>) -> Outcome {
    Outcome {
        verdict: if violations.is_empty() {
            Verdict::Survived
        } else {
            Verdict::Violated
        },
        violations,
        invariants: Default::default(),
        hash: 7,
        plan: Plan::calm(),
        faults,
        counts: BTreeMap::from([("completed".to_owned(), 3)]),
        ended: VirtualTime(60_000_000_000),
        trace: Some(script.trace()),
        ..Outcome::harness_failed(Plan::calm(), String::new())
    }
}

fn html(outcome: &Outcome) -> String {
    page::html(&subject(&spec(), outcome))
}

fn subject<'a>(spec: &'a Spec, outcome: &'a Outcome) -> Subject<'a> {
    Subject {
        scenario: "bank",
        spec,
        outcome,
        sentence: Some("the vault loses power; back 2 s later"),
        replay: "squall replay bank --seed 6",
    }
}

/// The data that the page's script reads.
fn data(outcome: &Outcome) -> Value {
    let page = html(outcome);
    let start = page.find("id=\"data\">").expect("it has data") + "id=\"data\">".len();
    let end = page[start..].find("</script>").expect("the element ends");
    serde_json::from_str(&page[start..start + end]).expect("it is JSON")
}

fn fault(action: Action, fired: Option<u64>) -> FaultReport {
    FaultReport {
        fault: Fault::at_ms(1, action),
        fired: fired.map(VirtualTime),
        site: None,
        effective: fired.is_some(),
    }
}

fn crash(node: &str) -> Action {
    Action::Crash(Crash::new(node, 5))
}

fn violation(entities: &[&str]) -> Violation {
    Violation {
        class: Class::Damage,
        invariant: "no lost refund".to_owned(),
        tag: "money kept".to_owned(),
        at: VirtualTime(0),
        entities: entities.iter().map(|&e| e.to_owned()).collect(),
        expected: "0 taken".to_owned(),
        found: "12000 taken".to_owned(),
    }
}

/// Ann orders; inventory dies while it works on her order.
fn ordering() -> Script {
    let mut script = Script::default();
    let place = request("POST", "/orders", "t1", "ann-1", "");
    let reserve = request("POST", "/reservations", "t1", "ann-1/reserve", SAGA);
    script.node("order", Life::Boots, "");
    script.node("inventory", Life::Boots, "");
    script.client("ann", "ann-1", Phase::Invoked, "POST /orders");
    script.connection("ann", "order", 0, ConnectionEvent::Connect);
    script.message("ann", "order", 0, &place);
    script.on_behalf("t1", "ann-1", SAGA);
    script.commit(
        "order",
        &[row("orders", ORDER, Some(json!({"status": "Pending"})))],
    );
    script.log("order", Level::Info, "saga starts", "kind=order");
    script.message("order", "inventory", 0, &reserve);
    script.on_behalf("t1", "ann-1/reserve", SAGA);
    script.commit(
        "inventory",
        &[row(
            "products",
            "lamp",
            Some(json!({"lock": {"owner": SAGA, "state": "Reserved"}})),
        )],
    );
    script.disk("inventory", DiskEvent::WriteFailed);
    script.fault("storm", FaultEvent::Begins, crash("inventory"));
    script.node("inventory", Life::Crashes, "");
    script.node("inventory", Life::Boots, "");
    script.on_behalf("t1", "ann-1", SAGA);
    script.log("order", Level::Warn, "no answer", &format!("order={ORDER}"));
    script.message("order", "ann", 0, &answer("503 Service Unavailable", "{}"));
    script.client("ann", "ann-1", Phase::Failed, "503");
    script.violation("no lost refund", "12000 taken");
    script
}

fn whole() -> Outcome {
    let script = ordering();
    let mut broken = violation(&[ORDER]);
    broken.at = script.events.last().unwrap().at;
    outcome(
        &script,
        vec![broken],
        vec![fault(crash("inventory"), Some(13_000_000))],
    )
}

#[test]
fn every_kind_of_event_has_a_mark_with_words() {
    let outcome = whole();
    let trace = outcome.trace.as_ref().unwrap();
    assert_eq!(
        trace.counts.len(),
        squall_core::event::Kind::ALL.len(),
        "the script misses a kind"
    );
    let data = data(&outcome);
    let marks = data["events"].as_array().unwrap();
    assert_eq!(marks.len(), trace.events.len());
    for mark in marks {
        assert!(!mark["text"].as_str().unwrap().is_empty(), "{mark}");
        assert!(
            !mark["label"]
                .as_str()
                .unwrap_or(mark["text"].as_str().unwrap())
                .is_empty()
        );
    }
    let kinds: BTreeSet<&str> = marks
        .iter()
        .map(|mark| mark["kind"].as_str().unwrap())
        .collect();
    let all = "arrival client commit connection disk fault log node saga send violation";
    assert_eq!(kinds, all.split(' ').collect());
}

#[test]
fn the_head_says_in_words_what_happened() {
    let page = html(&whole());
    for words in [
        "VIOLATED",
        "hardened + forgets",
        "seed 6",
        "no lost refund",
        "money kept",
        "12000 taken",
        "inventory crashes; back 0.005 s later",
        "1 fault, 1 fired, 1 effective",
        "the vault loses power; back 2 s later",
        "squall replay bank --seed 6",
    ] {
        assert!(page.contains(words), "{words}");
    }
}

#[test]
fn whatever_a_run_says_stays_text() {
    let mut script = ordering();
    script.commit(
        "order",
        &[row("orders", HOSTILE, Some(json!({"note": HOSTILE})))],
    );
    script.log("order", Level::Info, HOSTILE, HOSTILE);
    script.client("ann", HOSTILE, Phase::Invoked, HOSTILE);
    script.message("ann", "order", 1, HOSTILE);
    script.node(HOSTILE, Life::Boots, HOSTILE);
    let mut broken = violation(&[HOSTILE]);
    broken.found = HOSTILE.to_owned();
    let outcome = outcome(&script, vec![broken], vec![fault(crash(HOSTILE), None)]);
    let spec = spec();
    let page = page::html(&Subject {
        scenario: HOSTILE,
        sentence: Some(HOSTILE),
        replay: HOSTILE,
        ..subject(&spec, &outcome)
    });
    let elements = page.matches("</script>").count();
    assert_eq!(elements, html(&whole()).matches("</script>").count());
    assert!(!page.contains("<img"), "an element was made of text");
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let (one, other) = (whole(), whole());
    assert_eq!(html(&one), html(&other));
    let spec = spec();
    assert_eq!(
        perfetto::json(&subject(&spec, &one)),
        perfetto::json(&subject(&spec, &other))
    );
}

#[test]
fn a_run_without_a_trace_has_a_head_and_no_events() {
    let mut outcome = whole();
    outcome.trace = None;
    outcome.verdict = Verdict::HarnessFailed("a client panicked".to_owned());
    assert!(html(&outcome).contains("a client panicked"));
    assert_eq!(data(&outcome)["events"], json!([]));
}

#[test]
fn calls_questions_and_work_are_spans_from_their_beginning_to_their_end() {
    let outcome = whole();
    let data = data(&outcome);
    let lane = |span: &Value| {
        let lane = span["lane"].as_u64().unwrap() as usize;
        data["lanes"][lane]["name"].as_str().unwrap().to_owned()
    };
    let told: Vec<(String, &str, &str, u64, u64)> = data["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|span| {
            let ms = |name: &str| span[name].as_u64().unwrap() / 1_000_000;
            (
                lane(span),
                span["kind"].as_str().unwrap(),
                span["outcome"].as_str().unwrap(),
                ms("from"),
                ms("to"),
            )
        })
        .collect();
    let span = |node: &str, kind, outcome, from, to| (node.to_owned(), kind, outcome, from, to);
    assert_eq!(
        told,
        [
            span("ann", "call", "failed", 2, 18),
            span("order", "work", "failed", 5, 16),
            span("order", "ask", "unknown", 8, 60_000),
            // Its node dies.
            span("inventory", "work", "unknown", 9, 13),
        ]
    );
}

#[test]
fn a_node_is_down_until_it_boots_and_paused_until_it_resumes() {
    let mut script = Script::default();
    for (node, turn) in [
        ("a", Life::Boots),
        ("b", Life::Boots),
        ("a", Life::LosesPower),
        ("b", Life::Pauses),
        ("a", Life::Boots),
        ("b", Life::Resumes),
        ("b", Life::Crashes),
    ] {
        script.node(node, turn, "");
    }
    let data = data(&outcome(&script, vec![], vec![]));
    let ms = |value: &Value| value.as_u64().unwrap() / 1_000_000;
    let outages = data["outages"].as_array().unwrap();
    let told: Vec<_> = outages
        .iter()
        .map(|o| {
            (
                o["lane"].as_u64().unwrap(),
                o["how"].as_str().unwrap(),
                ms(&o["from"]),
                ms(&o["to"]),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (0, "down", 2, 4),
            (1, "paused", 3, 5),
            (1, "down", 6, 60_000)
        ]
    );
}

#[test]
fn a_fault_lasts_from_its_beginning_to_its_own_end() {
    let isolate = Action::Isolate(Isolate::new("b", 3));
    let mut script = Script::default();
    script.node("a", Life::Boots, "");
    script.node("b", Life::Boots, "");
    script.fault("storm", FaultEvent::Begins, isolate.clone());
    script.fault("storm", FaultEvent::Ends, isolate.clone());
    script.healing();
    let reports = vec![fault(isolate, Some(2_000_000)), fault(crash("a"), None)];
    let data = data(&outcome(&script, vec![], reports));
    let faults = &data["faults"];
    assert_eq!(
        (&faults[0]["from"], &faults[0]["to"]),
        (&json!(2_000_000), &json!(3_000_000))
    );
    assert_eq!(faults[0]["lanes"], json!([1]));
    assert_eq!(
        (&faults[1]["from"], &faults[1]["event"]),
        (&Value::Null, &Value::Null)
    );
}

#[test]
fn a_violation_concerns_what_names_its_entities_and_their_sagas() {
    let outcome = whole();
    let data = data(&outcome);
    let broken = &data["violations"][0];
    let texts: Vec<&str> = broken["concerns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|place| {
            data["events"][place.as_u64().unwrap() as usize]["text"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        texts,
        [
            &*format!("orders/{ORDER} Pending"),
            &*format!("WARN no answer order={ORDER}")
        ]
    );
    assert_eq!(broken["sagas"], json!([SAGA]));
    assert_eq!(
        broken["event"],
        json!(data["events"].as_array().unwrap().len() - 1)
    );
}

#[test]
fn an_entity_is_a_whole_word_and_a_node_is_not_found_in_every_text() {
    let mut script = Script::default();
    script.node("order", Life::Boots, "");
    script.log("order", Level::Info, "lamps are out", "");
    script.log("order", Level::Info, "a lamp is out", "");
    script.log("order", Level::Info, "the order is out", "");
    let concerns = |entity| {
        let outcome = outcome(&script, vec![violation(&[entity])], vec![]);
        data(&outcome)["violations"][0]["concerns"].clone()
    };
    assert_eq!(concerns("lamp"), json!([2]));
    assert_eq!(concerns("order"), json!([0]));
}

#[test]
fn a_trace_file_keeps_the_rules_of_its_format() {
    let spec = spec();
    let outcome = whole();
    let file: Value = serde_json::from_str(&perfetto::json(&subject(&spec, &outcome))).unwrap();
    let entries = file["traceEvents"].as_array().unwrap();
    let track = |e: &Value| (e["pid"].as_u64().unwrap(), e["tid"].as_u64().unwrap());
    let mut named = BTreeSet::new();
    let mut slices = BTreeMap::<_, Vec<(f64, f64)>>::new();
    let mut flows = BTreeMap::<u64, Vec<&str>>::new();
    for entry in entries {
        let ts = entry["ts"].as_f64();
        match entry["ph"].as_str().unwrap() {
            "M" if entry["name"] == "thread_name" => {
                named.insert(track(entry));
            }
            "M" => {}
            "X" => {
                let (ts, dur) = (ts.unwrap(), entry["dur"].as_f64().unwrap());
                assert!(ts >= 0.0 && dur >= 0.0, "{entry}");
                slices.entry(track(entry)).or_default().push((ts, ts + dur));
            }
            "i" => assert!(
                ["g", "p", "t"].contains(&entry["s"].as_str().unwrap()),
                "{entry}"
            ),
            end @ ("s" | "f") => {
                flows
                    .entry(entry["id"].as_u64().unwrap())
                    .or_default()
                    .push(end);
                assert_eq!(end == "f", entry["bp"] == "e", "{entry}");
            }
            other => panic!("{other} is no phase that is written"),
        }
    }
    for entry in entries.iter().filter(|entry| entry["ph"] != "M") {
        assert!(
            named.contains(&track(entry)),
            "a track without a name: {entry}"
        );
        if let "s" | "f" = entry["ph"].as_str().unwrap() {
            let at = entry["ts"].as_f64().unwrap();
            let holds = slices[&track(entry)]
                .iter()
                .any(|(from, to)| *from <= at && at <= *to);
            assert!(holds, "an arrow that begins or ends nowhere: {entry}");
        }
    }
    for (track, slices) in &mut slices {
        slices.sort_by(|a, b| a.partial_cmp(b).unwrap());
        for pair in slices.windows(2) {
            let [(_, end), (from, to)] = [pair[0], pair[1]];
            assert!(
                from >= end || to <= end,
                "{track:?}: slices overlap: {pair:?}"
            );
        }
    }
    assert!(!flows.is_empty());
    assert!(flows.values().all(|ends| ends == &["s", "f"]), "{flows:?}");
    let names: Vec<&str> = entries.iter().filter_map(|e| e["name"].as_str()).collect();
    for name in [
        "saga starts",
        "down (crashes)",
        "no lost refund",
        "reserve",
        "ann-1",
    ] {
        assert!(names.contains(&name), "{name}: {names:?}");
    }
}

/// What a campaign over a planted bug found, and the commands that replay it.
fn found() -> (Totals, Vec<Seen>) {
    let mut campaign = Runs::over(&fake::BANK, "0..60".parse::<Seeds>().unwrap());
    campaign.plant = Some("forgets".to_owned());
    campaign.jobs = 1;
    let totals = campaign.run_by(&fake::run, &mut |_| ());
    let told = totals.failures.iter().map(|failure| Seen {
        replay: campaign.replay_command(failure.seed),
        ..Seen::default()
    });
    let told = told.collect();
    (totals, told)
}

fn report(title: &str, totals: &Totals, seen: Vec<Seen>, sweep: Option<&Matrix>) -> String {
    let all = slice::from_ref(totals);
    let report = Report::of(title, all, Duration::from_secs(3));
    Report {
        seen,
        sweep,
        ..report
    }
    .html()
}

#[test]
fn a_report_tells_what_was_run_and_what_was_found() {
    let (totals, told) = found();
    let page = report("run", &totals, told, None);
    for words in [
        "FAILURES",
        "20/s",
        "forgets",
        "restart",
        "no money is lost",
        "replay bank --seed 10 --plant forgets",
        "were run twice: 1, with equal hashes",
    ] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains(">Sometimes</h2>"));
    for absent in ["Coverage", "Sweep"] {
        assert!(!page.contains(&format!(">{absent}</h2>")), "{absent}");
    }
}

#[test]
fn what_a_report_is_given_stays_text() {
    let (mut totals, mut told) = found();
    told[0].sentence = Some(HOSTILE.to_owned());
    totals.coverage = [(1, 5), (10, 20)]
        .map(|(runs, features)| Coverage { runs, features })
        .to_vec();
    totals.tally.sometimes.insert(HOSTILE.to_owned(), 0);
    let column = |name: &str| json!({"name": name, "planned": 2, "run": 2, "fired": 2, "effective": 2, "survived": 1});
    let cell =
        |column: &str, result: &str| json!({"column": column, "result": result, "effective": true});
    let row = |node: &str, cells: Vec<Value>| {
        let site = json!({"node": node, "kind": "commit", "label": "a", "attempt": 1});
        json!({"seed": 1, "at_ms": 1.0, "stands_for": 1, "site": site, "cells": cells})
    };
    let matrix = json!({
        "sites_met": 2, "sites_pruned": 0, "storms": 3, "pairs": null,
        "columns": [column("crash"), column("lose-burst")],
        "rows": [row("order", vec![cell("crash", "survived")]),
                 row(HOSTILE, vec![cell("crash", "violated"), cell("lose-burst", "not-run")])],
    });
    let matrix: Matrix = serde_json::from_value(matrix).unwrap();
    let page = report(HOSTILE, &totals, told, Some(&matrix));
    assert!(!page.contains("<img") && page.matches("</script>").count() == 1);
    for words in [">never<", "1/2", "0/0", "20 features after 10 runs"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(page.contains("points=\"76.0,112.5 760.0,0.0\""));
}
