//! Polling and change data capture send the same, and pay for it differently. Run with `--nocapture` for the table.

mod tables;

use squall::seed::Seed;
use squall_scenarios::experiments::outbox_modes::{Bus, measure, table};
use squall_services::kit::outbox::Mode;

#[test]
fn a_captured_row_costs_one_commit_and_a_polled_row_two() {
    for seed in 0..3 {
        let polled = measure(Seed(seed), Mode::Polling, Bus::Prompt);
        let captured = measure(Seed(seed), Mode::Cdc, Bus::Prompt);
        let sent = polled.delays.len() as u64;
        assert_eq!((sent, captured.delays.len()), (600, 600), "seed {seed}");
        assert_eq!((polled.dead, captured.dead), (0, 0), "seed {seed}");
        assert_eq!((polled.commits, captured.commits), (2 * sent, sent));
        assert!(captured.delay(50) < polled.delay(50), "seed {seed}");
        assert_eq!(captured.scans.0, 2, "its boot reads the outbox twice");
        assert!(polled.scans.0 > sent, "seed {seed}");
    }
}

#[test]
fn an_idle_tail_reads_nothing_and_idle_pollers_look_once_a_minute() {
    let idle = |mode| measure(Seed(0), mode, Bus::Prompt).idle_scans;
    assert_eq!(idle(Mode::Cdc), 0);
    assert_eq!(idle(Mode::Polling), 20, "two pollers, ten minutes");
}

#[test]
fn a_slow_bus_and_an_outage_cost_no_row() {
    for mode in [Mode::Polling, Mode::Cdc] {
        for bus in [Bus::Slow, Bus::Away] {
            let measured = measure(Seed(0), mode, bus);
            assert_eq!((measured.delays.len(), measured.dead), (600, 0));
        }
    }
}

#[test]
fn what_polling_and_capture_cost_is_measured() {
    let table = table(Seed(1));
    tables::review(
        "outbox-modes",
        "What an outbox's rows wait, and what they cost: polled, and captured from the feed of commits.",
        &table,
    );
}
