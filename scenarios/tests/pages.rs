//! The pages, opened in a headless Chromium: no errors, and what a person does with them works.
//!
//! Without Chromium these tests are skipped, unless `SQUALL_BROWSER=required` says that it has to be there.

use std::{
    borrow::Cow,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use squall::{
    campaign::{Campaign, Coverage, Seeds},
    check::{Class, Violation},
    explore::sweep::{Cell, CellResult, Column, Length, Matrix, Row},
    fault::Crash,
    render::{
        Subject,
        campaign::{Report, Seen},
        page,
    },
    run::{self, Outcome, Spec, Verdict},
    seed::Seed,
    site::{Kind, Site},
    time::VirtualTime,
    trace::{
        ConnectionEvent, DiskEvent, Fate, FaultEvent, Level, Life, Mode, Phase, Recorder, Scope,
        What,
    },
};
use squall_scenarios::scenarios::order_saga::OrderSaga;

/// Chromium, if it is installed.
fn chromium() -> Option<PathBuf> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path)
        .flat_map(|directory| names.map(|name| directory.join(name)))
        .find(|program| program.is_file());
    if found.is_none() {
        let required = env::var("SQUALL_BROWSER").is_ok_and(|value| value == "required");
        assert!(
            !required,
            "SQUALL_BROWSER=required, and there is none of {names:?}"
        );
        eprintln!("SKIPPED: there is none of {names:?}: install Debian's package chromium");
    }
    found
}

/// An empty directory of this test's own.
fn directory(name: &str) -> PathBuf {
    let directory =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("pages-{}-{name}", std::process::id()));
    let _ = fs::remove_dir_all(&directory);
    fs::create_dir_all(&directory).expect("the target directory can be written to");
    directory
}

/// Opens a page, uses it, and gives what the probe has written down.
fn probe(name: &str, html: &str) -> Option<Value> {
    let dom = open(name, html, include_str!("pages/probe.js"))?;
    let (_, rest) = dom
        .split_once("<pre id=\"probed\">")
        .expect("the probe came to its end");
    let (report, _) = rest.split_once("</pre>").expect("the element ends");
    let report = report
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&");
    let report: Value = serde_json::from_str(&report).expect("the probe writes JSON");
    assert_eq!(report["errors"], json!([]), "{report:#}");
    Some(report)
}

/// The document after its scripts and `probe` have run. Whatever is written to the console as an error fails the test.
fn open(name: &str, html: &str, probe: &str) -> Option<String> {
    let chromium = chromium()?;
    let directory = directory(name);
    // Frames come with the clock: a browser without a screen has none of its own while its time is virtual.
    let watch = "<script>const probeErrors = [];
        window.requestAnimationFrame = (draw) => setTimeout(() => draw(performance.now()), 16);
        addEventListener('error', (event) => probeErrors.push(event.message));
        addEventListener('unhandledrejection', (event) => probeErrors.push(String(event.reason)));
        addEventListener('securitypolicyviolation', (event) => probeErrors.push(event.violatedDirective));</script>";
    let html = html.replacen("<head>", &format!("<head>{watch}"), 1);
    let end = html.rfind("</body>").expect("a page has a body");
    let html = format!("{}<script>{probe}</script>{}", &html[..end], &html[end..]);
    let file = directory.join("page.html");
    fs::write(&file, html).expect("the directory can be written to");
    let output = Command::new(chromium)
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
        ])
        .args([
            "--window-size=1280,900",
            "--virtual-time-budget=20000",
            "--enable-logging=stderr",
        ])
        .arg(format!(
            "--user-data-dir={}",
            directory.join("profile").display()
        ))
        .arg("--dump-dom")
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("chromium can be run");
    let log = String::from_utf8_lossy(&output.stderr);
    let errors: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("CONSOLE"))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}");
    let dom = String::from_utf8(output.stdout).expect("a document is text");
    assert!(
        output.status.success() && dom.contains("</html>"),
        "chromium failed:\n{log}"
    );
    fs::remove_dir_all(&directory).expect("the directory is this test's own");
    Some(dom)
}

fn canary() -> (Spec, Outcome) {
    let spec = Spec {
        plant: Some("no-journal".to_owned()),
        ..Spec::of(&OrderSaga, Seed(6))
    };
    let outcome = run::run(&OrderSaga, &spec, true);
    (spec, outcome)
}

fn html(spec: &Spec, outcome: &Outcome) -> String {
    page::html(&Subject {
        scenario: "order-saga",
        spec,
        outcome,
        sentence: Some("order's disk fails a write right after it committed ben's second order"),
        replay: &spec.replay_command(&OrderSaga),
    })
}

/// What every page with a violation, several nodes and sagas must do.
fn check(probed: &Value) {
    let number = |name: &str| {
        probed[name]
            .as_u64()
            .unwrap_or_else(|| panic!("{name}: {probed:#}"))
    };
    let events = number("events");
    assert_eq!(
        number("inPicture"),
        events,
        "all events are drawn: {probed:#}"
    );
    assert!(
        number("rows") < 80,
        "only the rows in sight exist: {probed:#}"
    );
    assert_eq!(number("afterSteps"), 1, "{probed:#}");
    assert_eq!(probed["rowOfStep"], "event-1");
    assert_eq!(probed["active"], "event-1");
    assert_eq!(probed["violation"], "violation");
    assert!(number("sagaEvents") < events);
    assert!(number("sagaShown") >= number("sagaEvents"));
    assert!(
        number("sagaShown") <= number("sagaEvents") + 2,
        "{probed:#}"
    );
    assert!(["arrival", "send"].contains(&probed["followed"].as_str().unwrap()));
    assert_eq!(probed["commitsShown"], probed["commits"]);
    assert_eq!(number("withoutFirstNode"), number("ofOtherNodes"));
    assert!(number("found") > 0 && number("found") < events);
    assert!(number("concerned") > 0 && number("concerned") < events);
    for done in [
        "spoken",
        "stepsInSaga",
        "sagaInAddress",
        "afterEscape",
        "zoomed",
        "fitted",
        "rescaled",
        "tips",
        "help",
    ] {
        assert_eq!(probed[done], true, "{done}: {probed:#}");
    }
    assert_ne!(probed["theme"], probed["otherTheme"]);
    assert_eq!(probed["images"], 0, "text became an element");
}

#[test]
fn a_failures_page_opens_filters_and_steps_in_a_browser() {
    let (spec, outcome) = canary();
    assert_eq!(outcome.verdict, Verdict::Violated);
    if let Some(probed) = probe("failure", &html(&spec, &outcome)) {
        check(&probed);
    }
}

#[test]
fn a_page_of_5000_events_of_every_kind_and_hostile_texts_works_too() {
    let (spec, mut outcome) = canary();
    let broken = long(&mut outcome, 5_000);
    outcome.violations = vec![broken];
    if let Some(probed) = probe("long", &html(&spec, &outcome)) {
        assert_eq!(probed["events"], 5_000);
        check(&probed);
    }
}

#[test]
fn two_runs_of_a_seed_give_the_same_page() {
    let ((spec, one), (_, other)) = (canary(), canary());
    assert_eq!(html(&spec, &one), html(&spec, &other));
}

#[test]
fn a_campaigns_report_opens_in_a_browser() {
    let mut campaign = Campaign::over(&OrderSaga, "4..8".parse::<Seeds>().expect("a range"));
    campaign.plant = Some("no-journal".to_owned());
    let mut totals = campaign.run(&mut |_| ());
    totals.coverage = (0..40)
        .map(|n| Coverage {
            runs: n * 25,
            features: 900 - 900 / (n + 1),
        })
        .collect();
    let matrix = sweep();
    let all = [totals];
    let report = Report {
        seen: vec![Seen {
            sentence: Some("order's disk fails a write".to_owned()),
            replay: campaign.replay_command(all[0].failures[0].seed),
            page: Some("report-1.html".to_owned()),
        }],
        sweep: Some(&matrix),
        ..Report::of("sweep order-saga", &all, Duration::from_secs(12))
    };
    let probe = "document.getElementById('theme').click();
        const report = document.createElement('pre');
        report.id = 'probed';
        report.textContent = `${document.querySelectorAll('td.cell.violated').length} ${probeErrors.length}`;
        document.body.append(report);";
    if let Some(dom) = open("report", &report.html(), probe) {
        assert!(dom.contains("<pre id=\"probed\">4 0</pre>"), "{dom}");
        assert!(dom.contains("href=\"report-1.html\""));
    }
}

fn sweep() -> Matrix {
    let kinds = [
        "crash",
        "power-loss",
        "lose-burst",
        "delay-burst",
        "duplicate-burst",
        "pause",
    ];
    let cell = |site: usize, (kind, name): (usize, &&str)| {
        let result = match (site * 7 + kind * 3) % 13 {
            // That is four cells.
            0 if site < 8 => CellResult::Violated,
            1 => CellResult::NotFired,
            2 | 3 => CellResult::NotRun,
            4 => return None,
            _ => CellResult::Survived,
        };
        Some(Cell {
            column: (*name).to_owned(),
            result,
            effective: true,
            broke: None,
        })
    };
    let row = |n: usize| Row {
        seed: Seed(4),
        site: Site::new(
            "order",
            Kind::Send("inventory".to_owned()),
            format!("ann-{n}/inventory-reserve"),
            1,
        ),
        at_ms: 1.0,
        stands_for: 1,
        length: Length::default(),
        cells: (kinds.iter().enumerate())
            .filter_map(|kind| cell(n, kind))
            .collect(),
    };
    let column = |name: &str| Column {
        name: name.to_owned(),
        ..Column::default()
    };
    Matrix {
        columns: kinds.map(column).to_vec(),
        rows: (0..40).map(row).collect(),
        ..Matrix::default()
    }
}

/// Replaces the trace by one of so many events: many sagas over eight services, with every kind of event, every fate of
/// a message, and texts that try to be more than text. Gives the violation that it ends with.
fn long(outcome: &mut Outcome, events: u64) -> Violation {
    const HOSTILE: &str = "</script><img src=x onerror=alert(1)>";
    let mut recorder = Recorder::new(Mode::Full);
    let mut stream = Seed(1).stream("a long trace");
    let services = [
        "gateway",
        "order",
        "inventory",
        "payment",
        "ledger",
        "mail",
        "audit",
        "search",
    ];
    let mut now = 0;
    let mut told = 0;
    let mut tell = |now: u64, node: &str, scope: &Scope, what: What<'_>| {
        if told < events - 1 {
            recorder.record(VirtualTime(now), node, scope, what);
            told += 1;
        }
        told < events - 1
    };
    for node in services {
        tell(
            now,
            node,
            &Scope::NONE,
            What::Node {
                event: Life::Boots,
                detail: "".into(),
            },
        );
    }
    let fates = [
        Fate::Delayed,
        Fate::Duplicated,
        Fate::HeldBack,
        Fate::Lost,
        Fate::Reset,
    ];
    let mut saga = 0_u64;
    let mut goes_on = true;
    while goes_on {
        saga += 1;
        now += if saga.is_multiple_of(30) {
            90_000_000_000
        } else {
            stream.between(2_000_000, 40_000_000)
        };
        let scope = Scope {
            trace_id: format!("{saga:032x}"),
            request_id: format!("REQ-{saga:08X}"),
            op: format!("ann-{saga}/step"),
            saga_id: format!("SAGA-{saga:08X}"),
        };
        let client = ["ann", "ben", "cho"][(saga % 3) as usize];
        let call = |phase, detail| What::Client {
            op: format!("{client}-{saga}").into(),
            phase,
            detail,
        };
        tell(
            now,
            client,
            &Scope::NONE,
            call(Phase::Invoked, "POST /orders".into()),
        );
        for step in 0..stream.between(2, 6) {
            let from = services[((saga + step) % 8) as usize];
            let to = services[((saga + step + 1) % 8) as usize];
            let log = What::Log {
                level: Level::Info,
                message: "step intended".into(),
                fields: format!("step={step}").into(),
            };
            tell(now, from, &scope, log);
            let request = format!(
                "POST /things/{step} HTTP/1.1\r\ntraceparent: 00-{}-00f067aa0ba902b7-01\r\nbaggage: op={},saga={}\r\n\r\n{{\"note\":\"{HOSTILE}\"}}",
                scope.trace_id, scope.op, scope.saga_id
            );
            let fate = if stream.chance(0.05) {
                fates[stream.below(5) as usize]
            } else {
                Fate::Sent
            };
            let latency = Duration::from_micros(stream.between(200, 4_000));
            let burst = |to: &str, text: &str, fate| What::Burst {
                to: to.to_owned().into(),
                connection: saga,
                bytes: text.as_bytes().to_vec().into(),
                label: "".into(),
                latency,
                fate,
            };
            tell(now, from, &scope, burst(to, &request, fate));
            if fate.is_dropped() {
                tell(
                    now,
                    from,
                    &scope,
                    What::Connection {
                        connection: saga,
                        peer: to.into(),
                        event: ConnectionEvent::Reset,
                    },
                );
                continue;
            }
            now += latency.as_nanos() as u64;
            let arrival = |from: &str, bytes| What::Arrival {
                from: from.to_owned().into(),
                connection: saga,
                bytes,
            };
            tell(now, to, &scope, arrival(from, request.len()));
            let value = json!({"status": if step == 0 { "Reserved" } else { "Done" }, "lock": {"owner": scope.saga_id}, "note": HOSTILE});
            let rows = vec![squall::trace::Row {
                table: "things".into(),
                key: scope.saga_id.clone(),
                value: (step < 3).then(|| value.to_string().into_bytes()),
            }];
            tell(
                now,
                to,
                &scope,
                What::Commit {
                    file: "things.redb".into(),
                    rows: rows.into(),
                },
            );
            let answer = "HTTP/1.1 200 OK\r\n\r\n{}";
            tell(now, to, &scope, burst(from, answer, Fate::Sent));
            now += latency.as_nanos() as u64;
            goes_on = tell(now, from, &scope, arrival(to, answer.len()));
        }
        let phase = [Phase::Ok, Phase::Failed, Phase::Unknown][(saga % 7).min(2) as usize];
        tell(now, client, &Scope::NONE, call(phase, HOSTILE.into()));
        if saga.is_multiple_of(11) {
            let node = services[(saga % 8) as usize];
            tell(
                now,
                node,
                &Scope::NONE,
                What::Disk {
                    event: DiskEvent::SyncFailed,
                },
            );
            let fault = What::Fault {
                event: FaultEvent::Begins,
                index: 0,
                action: Cow::Owned(Crash::new(HOSTILE, 3).into()),
            };
            tell(now, "storm", &Scope::NONE, fault);
            tell(
                now,
                node,
                &Scope::NONE,
                What::Node {
                    event: Life::Crashes,
                    detail: HOSTILE.into(),
                },
            );
            now += 3_000_000;
            goes_on = tell(
                now,
                node,
                &Scope::NONE,
                What::Node {
                    event: Life::Boots,
                    detail: "".into(),
                },
            );
        }
    }
    let broken = Violation {
        class: Class::Damage,
        invariant: "no leaked semantic lock".to_owned(),
        tag: "leaked".to_owned(),
        at: VirtualTime(now),
        entities: vec!["SAGA-00000007".to_owned()],
        expected: "no lock".to_owned(),
        found: HOSTILE.to_owned(),
    };
    let what = What::Violation {
        invariant: broken.invariant.as_str().into(),
        detail: broken.to_string().into(),
    };
    recorder.record(broken.at, "squall", &Scope::NONE, what);
    let trace = recorder.finish();
    outcome.ended = broken.at;
    outcome.trace = Some(trace);
    broken
}
