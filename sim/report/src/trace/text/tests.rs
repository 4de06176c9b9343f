use serde_json::json;
use squall_core::fault::PowerLoss;

use super::{super::testing::*, *};

const SAGA: &str = "SAGA-0000000B";

fn script() -> Script {
    let mut script = Script::default();
    script.node("inventory", Life::Boots, "");
    script.connection("order", "inventory", 0, ConnectionEvent::Connect);
    script.on_behalf("t1", "alice-1-place/reserve", SAGA);
    script.message(
        "order",
        "inventory",
        0,
        &request("POST", "/reservations", "t1", "alice-1-place/reserve", SAGA),
    );
    script.commit(
        "inventory",
        &[
            row("products", "SKU-1", Some(json!({"on_hand": 3}))),
            row("reservations", SAGA, Some(json!({"status": "Reserved"}))),
        ],
    );
    script.log("inventory", Level::Info, "stock reserved", "sku=SKU-1");
    script.message(
        "inventory",
        "order",
        0,
        &answer("409 Conflict", r#"{"code":"OUT_OF_STOCK"}"#),
    );
    script.burst(
        "order",
        "inventory",
        0,
        &request(
            "DELETE",
            "/reservations/1",
            "t1",
            "alice-1-place/cancel",
            SAGA,
        ),
        Fate::Lost,
    );
    script.on_behalf("t2", "bob-1", "");
    script.commit(
        "inventory",
        &[row("products", "SKU-1", Some(json!({"on_hand": 2})))],
    );
    script.log("order", Level::Error, "alert", "reason=two\nlines");
    script.node("inventory", Life::LosesPower, "for 2s");
    script.disk("inventory", DiskEvent::PowerLost { lost: 3, torn: 1 });
    script.fault("", FaultEvent::Fires, PowerLoss::new("inventory", 2_000));
    script.client("alice", "alice-1-place", Phase::Unknown, "");
    script.violation("stock-conserved", "SKU-1: expected 3, found 2");
    script
}

fn lines(options: &Options) -> Vec<String> {
    render(&script().trace(), options)
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_trace_reads_line_by_line_in_columns() {
    let text = format!("\n{}", render(&script().trace(), &Options::default()));
    assert_eq!(
        text,
        r"
    0.000000  inventory  ○ boots
    0.001000  order      ◦ connect inventory #0
    0.002000  order      → inventory POST /reservations (500µs)                              [alice-1-place/reserve] SAGA-0000000B
    0.003000  inventory  ← order POST /reservations                                          [alice-1-place/reserve] SAGA-0000000B
    0.004000  inventory  ▪ products/SKU-1 on_hand 3; reservations/SAGA-0000000B Reserved     [alice-1-place/reserve] SAGA-0000000B
    0.005000  inventory  · stock reserved sku=SKU-1                                          [alice-1-place/reserve] SAGA-0000000B
    0.006000  inventory  → order POST /reservations → 409 Conflict OUT_OF_STOCK (500µs)      [alice-1-place/reserve] SAGA-0000000B
    0.007000  order      ← inventory POST /reservations → 409 Conflict OUT_OF_STOCK          [alice-1-place/reserve] SAGA-0000000B
    0.008000  order      ✗ inventory DELETE /reservations/1 (lost)                           [alice-1-place/cancel] SAGA-0000000B
    0.009000  inventory  ▪ products/SKU-1 on_hand 3→2                                        [bob-1]
    0.010000  order      · ERROR alert reason=two\nlines                                     [bob-1]
    0.011000  inventory  ⚡ loses power: for 2s
    0.012000  inventory  ⚡ disk: power lost: 3 sectors lost, 1 torn
    0.013000             ⚡ fault 0 fires: inventory loses power; back 2 s later
    0.014000  alice      ▸ alice-1-place unknown
    0.015000             ✗ stock-conserved: SKU-1: expected 3, found 2
"
    );
}

#[test]
fn colours_wrap_whole_lines_and_only_when_asked_for() {
    let plain = lines(&Options::default());
    let coloured = lines(&Options {
        colour: true,
        ..Options::default()
    });
    assert!(plain.iter().all(|line| !line.contains('\x1b')));
    let mut alarms = 0;
    for (plain, coloured) in plain.iter().zip(&coloured) {
        let bare = coloured
            .trim_end_matches("\x1b[0m")
            .trim_start_matches("\x1b[2m")
            .trim_start_matches("\x1b[33m")
            .trim_start_matches("\x1b[1;31m");
        assert_eq!(plain, bare);
        alarms += usize::from(coloured.starts_with("\x1b[1;31m"));
    }
    assert_eq!(alarms, 3, "the lost burst, the error and the violation");
}

#[test]
fn lines_can_be_chosen_by_node_saga_and_from_the_end() {
    let all = lines(&Options::default());
    let of_order = lines(&Options {
        nodes: vec!["order".into()],
        ..Options::default()
    });
    assert_eq!(of_order.len(), 5);
    assert!(of_order.iter().all(|line| line[14..].starts_with("order")));

    let of_saga = lines(&Options {
        saga: Some(SAGA.into()),
        ..Options::default()
    });
    assert!(!of_saga.is_empty() && of_saga.len() < all.len());
    assert!(of_saga.iter().all(|line| !line.contains("bob")));

    let last = lines(&Options {
        last: Some(2),
        ..Options::default()
    });
    let tail: Vec<_> = last
        .iter()
        .map(|line| line.split_whitespace().last())
        .collect();
    let expected: Vec<_> = all[all.len() - 2..]
        .iter()
        .map(|line| line.split_whitespace().last())
        .collect();
    assert_eq!(tail, expected);
}

#[test]
fn rows_are_compared_with_commits_that_are_not_shown() {
    let shown = lines(&Options {
        last: Some(7),
        ..Options::default()
    });
    assert!(
        shown[0].contains("products/SKU-1 on_hand 3→2"),
        "{}",
        shown[0]
    );
}
