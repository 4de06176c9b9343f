//! Each flow of `squall_scenarios::stories::flows` is played, must go as its plan has it, and its story must be the reviewed one.

use squall::{
    fault::Latency,
    run::{Outcome, Verdict},
    seed::Seed,
    storm::Fault,
};
use squall_scenarios::{
    invariants::leases::FENCED,
    stories::{
        StoryScenario, checkout as checkouts,
        flows::{Flow, orders, rewards},
        item_purchase as purchases, order_choreography as choreography, order_replicas as leases,
    },
};

const SEED: Seed = Seed(1);
/// Two screens.
const LINES_MAX: usize = 60;

/// Plays what must survive, and compares its story with the reviewed one.
fn review(story_scenario: &impl StoryScenario) {
    review_as(story_scenario, Verdict::Survived);
}

fn review_as(story_scenario: &impl StoryScenario, verdict: Verdict) {
    let outcome = story_scenario.play(SEED);
    assert_eq!(outcome.verdict, verdict, "{:?}", outcome.violations);
    compare(story_scenario, &outcome);
}

fn compare(story_scenario: &impl StoryScenario, outcome: &Outcome) {
    for report in &outcome.faults {
        assert!(report.fired.is_some(), "never fired: {}", report.fault);
        assert!(report.effective, "touched nothing: {}", report.fault);
    }
    let story = story_scenario.story(outcome);
    assert!(
        story.lines().count() <= LINES_MAX,
        "too long for a reader:\n{story}"
    );
    let storm: Vec<String> = story_scenario
        .storm()
        .iter()
        .map(Fault::to_string)
        .collect();
    let storm = match storm.is_empty() {
        true => String::new(),
        false => format!(" Storm: {}.", storm.join("; ")),
    };
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("../stories");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(format!("{}{storm}", story_scenario.about()));
    settings.bind(|| insta::assert_snapshot!(story_scenario.name(), story));
}

#[test]
fn an_order_is_completed() {
    review(&orders::completed());
}

#[test]
fn an_order_of_more_than_there_is_has_nothing_to_undo() {
    review(&orders::out_of_stock());
}

#[test]
fn a_declined_card_puts_the_goods_back() {
    review(&orders::card_declined());
}

#[test]
fn a_refused_capture_is_undone_in_reverse() {
    review(&orders::capture_refused());
}

#[test]
fn a_crash_after_the_authorization_is_recovered_from() {
    review(&orders::crash_after_authorization());
}

#[test]
fn a_workflow_is_replayed_after_a_crash() {
    review(&orders::workflow_crash_after_authorization());
}

#[test]
fn a_workflow_is_replayed_up_to_where_it_stopped_and_undone_from_there() {
    review(&orders::workflow_crash_while_undoing());
}

#[test]
fn a_lost_answer_is_asked_for_again_and_changes_nothing() {
    review(&orders::lost_answer());
}

#[test]
fn a_cancelled_hold_is_voided() {
    review(&orders::cancelled_with_void());
}

#[test]
fn a_cancelled_charge_is_refunded() {
    review(&orders::cancelled_with_refund());
}

#[test]
fn a_late_reserve_meets_a_tombstone() {
    review(&orders::late_reserve());
}

#[test]
fn without_a_journal_a_crash_loses_the_money() {
    let flow = orders::crash_without_journal();
    let outcome = flow.play(SEED);
    assert_eq!(outcome.verdict, Verdict::Violated);
    let kept =
        |v: &&squall::check::Violation| v.invariant == "no lost refund" && v.tag == "money kept";
    assert!(
        outcome.violations.iter().find(kept).is_some(),
        "{:?}",
        outcome.violations
    );
    compare(&flow, &outcome);
}

#[test]
fn a_completed_challenge_is_rewarded() {
    review(&rewards::rewarded());
}

#[test]
fn a_reward_that_may_not_be_is_taken_back() {
    review(&rewards::rolled_back());
}

fn depends_on_no_latency(scenarios: &[impl StoryScenario]) {
    for story_scenario in scenarios {
        let story = story_scenario.story(&story_scenario.play(SEED));
        for seed in 2..6 {
            let other = story_scenario.play(Seed(seed));
            let name = story_scenario.name();
            assert_eq!(
                story,
                story_scenario.story(&other),
                "{name} with seed {seed}"
            );
        }
    }
}

#[test]
fn a_choreographed_order_is_completed() {
    review(&choreography::completed());
}

#[test]
fn a_choreographed_order_that_cannot_be_delivered_is_undone() {
    review(&choreography::undeliverable());
}

#[test]
fn a_failed_delivery_that_payment_does_not_hear_of_keeps_the_money() {
    review_as(&choreography::money_kept(), Verdict::Violated);
}

#[test]
fn a_checkout_is_completed() {
    review(&checkouts::completed());
}

#[test]
fn a_checkout_whose_coupon_is_refused_is_undone_in_reverse() {
    review(&checkouts::compensated());
}

#[test]
fn a_naive_checkout_leaves_behind_what_it_gets_no_answer_about() {
    review_as(&checkouts::unanswered(), Verdict::Violated);
}

#[test]
fn a_parallel_checkout_holds_its_users_lease() {
    review(&checkouts::parallel());
}

#[test]
fn a_lease_that_runs_out_in_a_pause_is_fenced_off() {
    review(&leases::fenced_off());
}

#[test]
fn without_fencing_both_holders_of_a_lease_write() {
    let story_scenario = leases::not_fenced_off();
    let outcome = story_scenario.play(SEED);
    assert_eq!(outcome.verdict, Verdict::Violated);
    let both = |v: &squall::check::Violation| v.invariant == FENCED;
    assert!(
        outcome.violations.iter().any(both),
        "{:?}",
        outcome.violations
    );
    compare(&story_scenario, &outcome);
}

#[test]
fn a_purchase_is_completed() {
    review(&purchases::completed());
}

#[test]
fn a_purchase_whose_payment_fails_gives_everything_back() {
    review(&purchases::payment_failed());
}

#[test]
fn a_purchase_that_nobody_hears_of_waits_for_ever() {
    review_as(&purchases::message_lost(), Verdict::Violated);
}

#[test]
fn the_story_of_a_choreographed_order_does_not_depend_on_latencies() {
    depends_on_no_latency(&choreography::all());
}

#[test]
fn the_story_of_a_lease_does_not_depend_on_latencies() {
    depends_on_no_latency(&leases::all());
}

#[test]
fn the_story_of_a_checkout_does_not_depend_on_latencies() {
    depends_on_no_latency(&checkouts::sequential());
}

fn all() -> Vec<Flow> {
    [orders::all(), rewards::all()].concat()
}

#[test]
fn a_story_does_not_depend_on_latencies() {
    for flow in all() {
        let outcome = flow.play(SEED);
        let story = flow.story(&outcome);
        for seed in 2..8 {
            let other = flow.play(Seed(seed));
            assert_ne!(outcome.hash, other.hash);
            assert_eq!(story, flow.story(&other), "{} with seed {seed}", flow.name);
        }
    }
}

#[test]
fn a_story_does_not_depend_on_what_others_do_over_a_slow_link() {
    for flow in all() {
        let story = flow.story(&flow.play(SEED));
        let mut other = flow.clone();
        other.company = true;
        other.storm.push(Fault::at_ms(
            0,
            Latency {
                from: "ben".to_owned(),
                to: "order".to_owned(),
                extra_ms: 30,
                for_ms: 5_000,
            },
        ));
        let outcome = other.play(SEED);
        assert!(outcome.faults.last().is_some_and(|slow| slow.effective));
        assert_eq!(story, other.story(&outcome), "{}", flow.name);
    }
}
