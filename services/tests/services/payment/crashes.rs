//! The process dies after every commit in turn, and whoever asks again finds money and records in agreement.

use std::time::Duration;

use squall_services::shared::payment_provider::KeyStyle;

use super::town::{AMOUNT, SAGA, Town, answered, settle_down};

/// Runs the flow, killing the service after its `commits`th commit, and again to its end. Whether it was killed.
async fn survive(commits: usize, style: KeyStyle, flow: &[&str]) -> bool {
    let town = Town::with_keys(style).await;
    town.reboot(commits).await;
    let mut killed = false;
    for step in flow {
        let first = tokio::time::timeout(Duration::from_secs(30), ask(&town, step)).await;
        if first.is_err() {
            assert!(town.is_frozen() && !killed, "{step} hangs for no reason");
            killed = true;
            town.reboot(usize::MAX).await;
            ask(&town, step).await;
        }
        assert!(ask(&town, step).await, "{step} repeats its answer");
    }
    settle_down().await;
    let entries = town.ledger(SAGA).await;
    assert_eq!(entries.len(), 1, "{flow:?} after {commits} commits");
    let captures = entries[0].captures;
    assert!(captures <= 1 && entries[0].refunds <= captures);
    let expected = match *flow.last().expect("a flow has steps") {
        "authorize" => (0, AMOUNT),
        "charge" | "capture" => (AMOUNT, 0),
        _ => (0, 0),
    };
    let money = town.money(SAGA).await;
    assert_eq!(money, expected, "{flow:?} after {commits} commits");
    killed
}

/// Whether the step was answered with success.
async fn ask(town: &Town, step: &str) -> bool {
    let reply = match step {
        "authorize" => town.create(SAGA, "two-step").await,
        "charge" => town.create(SAGA, "one-step").await,
        "capture" => town.capture(SAGA).await,
        _ => town.cancel(SAGA).await,
    };
    reply.is_ok_and(|reply| reply.is_success())
}

#[tokio::test]
async fn every_crash_after_a_commit_is_survived() {
    let flows: [(&[&str], usize); 5] = [
        (&["authorize"], 2),
        (&["authorize", "capture"], 4),
        (&["authorize", "cancel"], 4),
        (&["authorize", "capture", "cancel"], 6),
        (&["charge", "cancel"], 4),
    ];
    for style in [KeyStyle::StoreAll, KeyStyle::StoreSuccesses] {
        for (flow, commits) in flows {
            for last in 1..=commits {
                let killed = survive(last, style, flow).await;
                assert!(killed, "{flow:?} has {last} commits");
            }
            let killed = survive(commits + 1, style, flow).await;
            assert!(!killed, "{flow:?} costs {commits} commits and no more");
        }
    }
}

#[tokio::test]
async fn what_a_crash_left_open_is_settled_at_boot_without_anybody_asking() {
    let town = Town::hardened().await;
    answered(town.create(SAGA, "two-step").await, 201);
    town.reboot(1).await;
    let hung = tokio::time::timeout(Duration::from_secs(30), town.capture(SAGA)).await;
    let frozen = hung.is_err() && town.is_frozen();
    assert!(frozen, "killed between intent and question");
    assert_eq!(town.money(SAGA).await, (0, AMOUNT));
    town.reboot(usize::MAX).await;
    assert_eq!(town.status(SAGA).await, "captured");
    assert_eq!(town.money(SAGA).await, (AMOUNT, 0));
}
