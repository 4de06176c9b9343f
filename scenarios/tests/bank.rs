//! Every bug of the bank is found by random storms, and what is reported is the damage that it does.

use std::collections::BTreeSet;

use squall::{
    campaign::{Campaign, Seeds},
    check::Violation,
    run::{Spec, Verdict, run},
    scenario::Scenario,
    seed::Seed,
    testing,
};
use squall_scenarios::{
    catalogue, challenge_reward::ChallengeReward, checkout::Checkout, item_purchase::ItemPurchase,
    order_choreography::OrderChoreography, order_cluster::OrderCluster,
    order_replicas::OrderReplicas, order_saga::OrderSaga, order_workflow::OrderWorkflow,
    stock_room::StockRoom, sync_windows::scenario::ProductSync,
};

static PRODUCT_SYNC: ProductSync = ProductSync { course: None };

/// Storms in which a bug has to show.
const SEEDS: u64 = 2_000;

/// A test for each line: this scenario with this bug planted breaks one of these invariants. Where a seed stands after
/// the bug it is tried before the search from seed 0 begins, so that bugs that take hundreds of storms are quick to
/// test; a seed that draws something else by now costs one storm.
macro_rules! bank {
    ($($test:ident: $scenario:ident + $bug:literal $(at $seed:literal)? => $($damage:literal)|+;)*) => {
        $(
            #[test]
            fn $test() {
                is_found(&$scenario, $bug, None$(.or(Some(Seed($seed))))?, &[$($damage),+]);
            }
        )*

        const BANK: &[(&dyn Scenario, &str)] = &[$((&$scenario, $bug)),*];
    };
}

bank! {
    a_journal_in_memory_is_found: OrderSaga + "no-journal" at 4 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    a_timeout_taken_for_a_no_is_found: OrderSaga + "timeout-means-no" at 19 =>
        "no lost refund" | "ledger and payment records agree" | "no leaked reservation" | "no leaked semantic lock"
        | "no oversell";
    a_reserve_that_is_overtaken_by_its_cancel_is_found: OrderSaga + "late-reserve-after-cancel" at 40 =>
        "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    a_compensation_that_is_tried_once_is_found: OrderSaga + "compensation-not-retried" =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    a_refund_that_was_never_asked_for_is_found: OrderSaga + "refund-marked-not-asked" at 211 =>
        "no lost refund" | "ledger and payment records agree";
    a_refund_without_a_key_is_found: OrderSaga + "refund-without-key" at 62 =>
        "no double charge, no double refund";
    a_capture_without_a_key_is_found: OrderSaga + "capture-without-key" at 13 =>
        "no double charge, no double refund";
    an_answer_before_the_commit_is_found: OrderSaga + "ack-before-commit" at 91 =>
        "acknowledged is durable";
    a_commit_without_sync_is_found: OrderSaga + "commit-without-sync" =>
        "acknowledged is durable";
    a_semantic_lock_that_heeds_reserving_only_is_found: OrderSaga + "semantic-lock-reserving-only" =>
        "a semantic lock has one owner";
    a_semantic_lock_that_is_never_swept_is_found: OrderSaga + "semantic-lock-never-swept" at 210 =>
        "no leaked semantic lock";
    stock_that_is_checked_and_then_taken_is_found: OrderSaga + "check-then-act-stock" at 54 =>
        "stock adds up" | "no oversell";
    a_missing_version_check_is_found: OrderSaga + "no-version-check" at 35 =>
        "stock adds up" | "no oversell";
    calls_without_keys_are_found: OrderSaga + "no-key" at 6 =>
        "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    a_key_stored_after_the_effect_is_found: OrderSaga + "key-stored-after-effect" at 8 =>
        "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    a_listing_from_an_old_copy_is_found: OrderSaga + "stale-read" at 12 =>
        "a user's orders keep session order";
    a_recovery_that_races_the_owner_is_found: OrderSaga + "recovery-races-owner" at 27 =>
        "every saga ends" | "an order goes its way" | "no double charge, no double refund" | "no lost refund"
        | "stock adds up" | "acknowledged is durable" | "a saga takes its steps in order"
        | "compensation runs in reverse"
        | "inside the sagas: each life of a process takes one up once";
    a_cancel_after_the_pivot_is_found: OrderSaga + "compensate-after-pivot" at 16 =>
        "a saga turns back before its pivot only";
    an_order_that_is_cancelled_once_is_found: OrderSaga + "order-cancel-not-retried" at 287 =>
        "every order ends" | "every saga ends";
    a_cancel_after_completion_is_found: OrderSaga + "cancel-after-completed" =>
        "an order goes its way";
    a_hold_that_is_never_voided_is_found: OrderSaga + "hold-never-voided" =>
        "no lost refund";
    a_capture_after_the_void_is_found: OrderSaga + "capture-after-void" at 46 =>
        "what was refused for good never happens" | "no lost refund";
    a_permit_that_leaks_is_found: OrderSaga + "permit-leaked" at 5 =>
        "permits all returned" | "ledger and payment records agree";
    a_conflict_taken_for_done_is_found: OrderSaga + "conflict-taken-for-done" =>
        "no lost refund" | "every saga ends" | "stock adds up" | "no oversell";
    a_hold_that_is_asked_for_twice_is_found: OrderSaga + "retry-of-non-idempotent" at 46 =>
        "no double charge, no double refund" | "no lost refund";
    a_key_that_expires_too_soon_is_found: OrderSaga + "key-expires-too-soon" =>
        "whoever asks again is answered, promptly and alike" | "one key, one effect";
    a_repeat_that_is_not_refused_in_flight_is_found: OrderSaga + "in-flight-not-refused" at 5 =>
        "one key, one effect";
    a_transient_failure_that_is_kept_is_found: OrderSaga + "transient-failure-cached" at 4 =>
        "whoever asks again is answered, promptly and alike" | "one key, one effect";
    a_breaker_that_stays_open_is_found: OrderSaga + "breaker-never-half-opens" at 16 =>
        "whoever asks again is answered, promptly and alike" | "every saga ends" | "no lost refund"
        | "no leaked reservation" | "no leaked semantic lock";
    a_trace_id_that_leaks_is_found: OrderSaga + "trace-id-leaks" =>
        "one trace id per saga";

    a_cancel_that_gives_up_without_its_lease_is_found:
        OrderReplicas + "lock-failure-in-compensation-gives-up" at 170 =>
        "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    a_lease_that_is_released_before_the_commit_is_found: OrderReplicas + "release-before-commit" =>
        "stock adds up" | "a semantic lock has one owner";
    a_lease_without_fencing_is_found: OrderReplicas + "lease-without-fencing" =>
        "two holders of a lease never both write" | "stock adds up" | "a semantic lock has one owner"
        | "no oversell";
    a_release_by_another_than_the_owner_is_found: OrderReplicas + "release-not-owner" =>
        "a lock is promised to one owner at a time" | "a lease is released by its owner only";
    a_lease_without_a_watchdog_is_found: OrderReplicas + "no-watchdog" =>
        "stock adds up" | "two holders of a lease never both write" | "a semantic lock has one owner";
    a_watchdog_without_a_limit_is_found: OrderReplicas + "watchdog-without-limit" at 179 =>
        "no leaked lease lock" | "every saga ends" | "no lost refund";
    a_sweeper_that_does_not_ask_is_found: OrderReplicas + "sweeper-frees-the-living" at 8 =>
        "no lost refund" | "every saga ends" | "a semantic lock has one owner" | "no oversell";
    a_refund_at_the_current_price_is_found: OrderReplicas + "refund-at-current-price" at 35 =>
        "no lost refund" | "every saga ends" | "no double charge, no double refund"
        | "ledger and payment records agree";
    a_recovery_that_races_another_replica_is_found: OrderCluster + "recovery-races-owner" at 5 =>
        "what was refused for good never happens" | "no oversell" | "no lost refund" | "every saga ends"
        | "an order goes its way" | "stock adds up" | "a saga takes its steps in order"
        | "compensation runs in reverse" | "acknowledged is durable" | "no leaked reservation"
        | "one key, one effect";
    a_cluster_whose_recovery_looks_at_what_failed_only_is_found: OrderCluster + "recovery-only-failed" at 6 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation";
    a_cluster_that_forgets_what_compensates_is_found: OrderCluster + "recovery-forgets-compensating" =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation";
    a_replica_that_begins_anew_what_another_has_under_way_is_found: OrderCluster + "in-flight-not-refused" at 4 =>
        "one key, one effect";
    a_cluster_whose_lock_fails_open_is_found: OrderCluster + "lock-fails-open" at 8 =>
        "a saga reserves only what it was granted the lock of";
    a_cluster_that_turns_back_after_the_pivot_is_found: OrderCluster + "compensate-after-pivot" at 16 =>
        "a saga turns back before its pivot only" | "an order goes its way" | "acknowledged is durable";
    a_key_that_ignores_the_body_is_found: OrderReplicas + "key-ignores-body" =>
        "one key, one effect";
    a_key_that_users_share_is_found: OrderReplicas + "key-shared-across-users" =>
        "one key, one effect";

    an_order_that_is_undone_only_on_an_answered_no_is_found: OrderSaga + "undo-only-on-answered-no" =>
        "no lost refund" | "no leaked reservation" | "no leaked semantic lock" | "no oversell"
        | "compensation runs in reverse" | "ledger and payment records agree";
    an_order_whose_recovery_looks_at_what_failed_only_is_found: OrderSaga + "recovery-only-failed" at 4 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock" | "no oversell";
    an_order_whose_recovery_forgets_compensations_is_found: OrderSaga + "recovery-forgets-compensating" at 91 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    an_order_that_is_compensated_in_order_is_found: OrderSaga + "compensate-in-order" =>
        "compensation runs in reverse";
    an_order_whose_compensation_stops_at_an_error_is_found: OrderSaga + "stop-at-first-compensation-error" =>
        "no lost refund" | "no leaked reservation" | "no leaked semantic lock";

    calls_to_the_gateway_without_permits_are_found: OrderSaga + "no-bulkhead" at 5 =>
        "calls to the gateway are bounded";

    a_workflow_whose_journal_is_in_memory_is_found: OrderWorkflow + "no-journal" at 4 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    a_workflow_that_is_journalled_after_the_call_is_found: OrderWorkflow + "journal-after-call" at 137 =>
        "no lost refund" | "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    a_workflow_that_is_not_deterministic_is_found: OrderWorkflow + "workflow-not-deterministic" at 130 =>
        "every saga ends" | "no lost refund" | "no leaked reservation" | "no leaked semantic lock";
    a_workflow_whose_timeout_is_taken_for_a_no_is_found: OrderWorkflow + "timeout-means-no" at 19 =>
        "no lost refund" | "ledger and payment records agree" | "no leaked reservation" | "no leaked semantic lock"
        | "no oversell";
    a_workflow_that_is_undone_once_is_found: OrderWorkflow + "compensation-not-retried" =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    a_workflow_that_turns_back_after_the_pivot_is_found: OrderWorkflow + "compensate-after-pivot" =>
        "a saga turns back before its pivot only";
    a_running_workflow_that_is_never_replayed_is_found: OrderWorkflow + "recovery-only-failed" at 29 =>
        "every saga ends" | "no lost refund" | "no leaked reservation" | "no leaked semantic lock" | "no oversell";
    a_compensating_workflow_that_is_never_replayed_is_found: OrderWorkflow + "recovery-forgets-compensating" at 91 =>
        "every order ends" | "every saga ends" | "no lost refund" | "no leaked reservation"
        | "no leaked semantic lock";
    a_workflow_without_keys_is_found: OrderWorkflow + "no-key" at 8 =>
        "no double charge, no double refund" | "one key, one effect" | "stock adds up" | "no lost refund";
    a_workflow_without_locks_is_found: OrderWorkflow + "semantic-lock-reserving-only" =>
        "a semantic lock has one owner";
    a_workflow_without_versions_is_found: OrderWorkflow + "no-version-check" at 35 =>
        "stock adds up" | "no oversell";
    a_workflow_without_a_limit_on_calls_is_found: OrderWorkflow + "no-bulkhead" at 5 =>
        "calls to the gateway are bounded";

    a_reward_whose_journal_is_in_memory_is_found: ChallengeReward + "no-journal" at 4 =>
        "completion ⇔ exactly one live reward order" | "every saga ends";
    a_reward_whose_timeout_is_taken_for_a_no_is_found: ChallengeReward + "timeout-means-no" at 12 =>
        "completion ⇔ exactly one live reward order" | "one key, one effect" | "no leaked reservation"
        | "no oversell";
    a_reward_that_is_taken_back_once_is_found: ChallengeReward + "compensation-not-retried" at 24 =>
        "completion ⇔ exactly one live reward order" | "every saga ends";
    a_completion_told_before_the_commit_is_found: ChallengeReward + "ack-before-commit" at 40 =>
        "acknowledged is durable";
    a_completion_without_sync_is_found: ChallengeReward + "commit-without-sync" =>
        "acknowledged is durable";
    a_reward_that_is_not_for_sale_is_found: ChallengeReward + "reward-for-unsold-product" =>
        "never a reward for an unsold product";
    a_notice_that_skips_a_version_and_is_dropped_is_found: ChallengeReward + "events-without-resync" at 52 =>
        "copies agree with the catalog in the end" | "never a reward for an unsold product";
    a_copy_that_never_expires_is_found: ChallengeReward + "cache-never-expires" =>
        "inconsistency windows stay within the mode's bound";

    a_shown_copy_that_never_expires_is_found: PRODUCT_SYNC + "cache-never-expires" at 4 =>
        "inconsistency windows stay within the mode's bound";
    a_gap_that_is_not_resolved_is_found: PRODUCT_SYNC + "events-without-resync" =>
        "inconsistency windows stay within the mode's bound";
    a_notice_without_a_version_is_found: PRODUCT_SYNC + "events-without-version" at 5 =>
        "inconsistency windows stay within the mode's bound" | "copies are never older than before";
    a_channel_that_forgets_is_found: PRODUCT_SYNC + "pubsub-only" at 72 =>
        "inconsistency windows stay within the mode's bound";

    a_late_reserve_is_noticed_from_outside: StockRoom + "late-reserve-after-cancel" at 61 =>
        "operations on a product are linearizable";
    a_commit_without_sync_is_noticed_from_outside: StockRoom + "commit-without-sync" =>
        "operations on a product are linearizable" | "acknowledged is durable";
    a_lock_that_heeds_reserving_only_is_noticed_from_outside: StockRoom + "semantic-lock-reserving-only" at 4 =>
        "operations on a product are linearizable";
    stock_that_is_checked_and_then_taken_is_noticed_from_outside: StockRoom + "check-then-act-stock" =>
        "operations on a product are linearizable";
    a_missing_version_check_is_noticed_from_outside: StockRoom + "no-version-check" =>
        "operations on a product are linearizable";
    requests_without_keys_are_noticed_from_outside: StockRoom + "no-key" =>
        "operations on a product are linearizable";
    a_key_stored_after_the_effect_is_noticed_from_outside: StockRoom + "key-stored-after-effect" =>
        "operations on a product are linearizable";
    a_look_at_an_old_copy_is_noticed_from_outside: StockRoom + "stale-read" =>
        "operations on a product are linearizable";

    an_event_acknowledged_before_it_is_handled_is_found: ItemPurchase + "ack-before-handled" at 27 =>
        "inside the inbox: every event is noted or dead-lettered" | "a purchase is everything or nothing"
        | "every consumer's effect happens once per event";
    a_consumer_without_an_inbox_is_found: ItemPurchase + "no-inbox" =>
        "every consumer's effect happens once per event";
    an_inbox_that_forgets_too_soon_is_found: ItemPurchase + "inbox-pruned-too-soon" at 123 =>
        "every consumer's effect happens once per event";
    events_kept_in_memory_only_are_found: ItemPurchase + "events-only-in-memory" =>
        "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    an_outbox_row_that_stays_claimed_is_found: ItemPurchase + "outbox-stuck-processing" =>
        "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_row_that_is_forgotten_is_found: ItemPurchase + "outbox-pending-forgotten" at 4 =>
        "every consumer's effect happens once per event"
        | "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_row_that_is_claimed_twice_is_found: ItemPurchase + "outbox-claimed-twice" =>
        "inside the outbox: every committed row is sent or dead-lettered" | "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    poison_that_blocks_the_outbox_is_found: ItemPurchase + "outbox-poison-blocks" =>
        "a purchase is everything or nothing" | "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_that_reorders_a_key_is_found: ItemPurchase + "outbox-reorders-a-key" at 4 =>
        "inside the outbox: events of a key are told in their order" | "inside the outbox: rows of a key leave in their order";
    a_dead_letter_that_is_dropped_is_found: ItemPurchase + "dead-letter-dropped" =>
        "inside the outbox: every committed row is sent or dead-lettered";
    events_by_publish_subscribe_only_are_found: ItemPurchase + "pubsub-only" =>
        "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    a_dual_write_is_found: ItemPurchase + "dual-write" at 4 =>
        "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    an_event_published_before_the_commit_is_found: ItemPurchase + "publish-before-commit" =>
        "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    a_remembered_balance_that_is_restored_is_found: ItemPurchase + "restore-remembered-balance" =>
        "balances, slots and stock add up";
    rollback_data_in_the_memory_of_the_bus_is_found: ItemPurchase + "rollback-data-in-bus-memory" =>
        "a purchase is everything or nothing" | "every consumer's effect happens once per event";
    a_purchase_without_a_deadline_is_found: ItemPurchase + "no-purchase-timeout" =>
        "every purchase ends";

    a_trace_id_that_leaks_into_another_purchase_is_found: ItemPurchase + "trace-id-leaks" =>
        "one trace id per saga";

    a_checkout_whose_journal_is_in_memory_is_found: Checkout + "no-journal" at 29 =>
        "every order ends" | "every saga ends" | "completed or fully undone" | "no leaked semantic lock" | "acknowledged is durable";
    a_checkout_whose_timeout_is_taken_for_a_no_is_found: Checkout + "timeout-means-no" =>
        "completed or fully undone" | "no leaked reservation" | "no leaked semantic lock";
    a_checkout_that_is_taken_back_once_is_found: Checkout + "compensation-not-retried" =>
        "every order ends" | "every saga ends" | "completed or fully undone";
    a_checkout_told_before_the_commit_is_found: Checkout + "ack-before-commit" at 28 =>
        "acknowledged is durable";
    a_checkout_that_is_undone_only_on_an_answered_no_is_found: Checkout + "undo-only-on-answered-no" =>
        "completed or fully undone" | "compensation runs in reverse";
    a_checkout_whose_recovery_looks_at_what_failed_only_is_found: Checkout + "recovery-only-failed" at 29 =>
        "every order ends" | "every saga ends" | "completed or fully undone";
    a_checkout_whose_recovery_forgets_compensations_is_found: Checkout + "recovery-forgets-compensating" at 440 =>
        "every order ends" | "every saga ends" | "completed or fully undone";
    a_checkout_without_a_deadline_is_found: Checkout + "no-saga-deadline" =>
        "a saga that is late turns back";
    a_checkout_that_journals_after_the_call_is_found: Checkout + "journal-after-call" at 56 =>
        "completed or fully undone";
    a_checkout_that_is_compensated_in_order_is_found: Checkout + "compensate-in-order" =>
        "compensation runs in reverse";
    a_checkout_whose_compensation_stops_at_an_error_is_found: Checkout + "stop-at-first-compensation-error" at 34 =>
        "completed or fully undone";
    a_conflict_in_a_compensation_that_is_not_asked_again_is_found:
        Checkout + "conflict-in-compensation-gives-up" at 90 =>
        "completed or fully undone";
    a_rollback_that_overtakes_a_late_success_is_found: Checkout + "rollback-overtakes-late-success" at 64 =>
        "completed or fully undone";
    a_remembered_balance_is_found: Checkout + "restore-remembered-balance" =>
        "balances add up";
    a_coupon_that_is_checked_and_then_used_is_found: Checkout + "coupon-check-then-use" at 301 =>
        "coupons are issued and used at most once";
    coupons_that_are_counted_and_then_issued_are_found: Checkout + "coupon-over-issued" at 16 =>
        "coupons are issued and used at most once";
    subscribers_inside_the_transaction_are_found: Checkout + "subscriber-inside-transaction" =>
        "subscribers hear of what is committed";
    events_in_memory_are_found: Checkout + "events-only-in-memory" at 20 =>
        "subscribers hear of what is committed";
    a_missing_bulkhead_is_found: Checkout + "no-bulkhead" at 5 =>
        "queues are bounded";
    a_shared_executor_is_found: Checkout + "shared-executor" =>
        "a slow subscriber starves no other";
    an_unbounded_queue_is_found: Checkout + "queue-unbounded" at 1407 =>
        "queues are bounded";
    a_price_of_the_clients_is_found: Checkout + "client-price-trusted" =>
        "price charged = unit price × quantity − discount";
    a_price_of_another_instant_is_found: Checkout + "price-not-snapshotted" =>
        "price charged = unit price × quantity − discount";
    a_default_user_is_found: OrderChoreography + "fallback-default-user" at 130 =>
        "only users order";
    an_order_deaf_to_failed_payments_is_found: OrderChoreography + "payment-failed-keeps-order" at 6 =>
        "every order ends";
    a_payment_deaf_to_failed_deliveries_is_found: OrderChoreography + "delivery-failure-keeps-money" =>
        "no lost refund";
    a_price_of_the_clients_is_found_in_choreography: OrderChoreography + "client-price-trusted" =>
        "price charged = unit price × quantity";
    stock_that_is_checked_and_then_taken_is_found_in_choreography: OrderChoreography + "check-then-act-stock" at 12 =>
        "stock adds up";
    a_missing_inbox_is_found_in_choreography: OrderChoreography + "no-inbox" at 6 =>
        "an order is everything or nothing" | "every consumer's effect happens once per event";
    a_lease_without_fencing_is_found_in_choreography: OrderChoreography + "lease-without-fencing" at 364 =>
        "two holders of a lease never both write" | "stock adds up";
    an_event_published_before_the_commit_is_found_in_choreography: OrderChoreography + "publish-before-commit" at 9 =>
        "an order is everything or nothing" | "every order ends" | "no lost refund"
        | "every consumer's effect happens once per event";
    an_event_acknowledged_before_it_is_handled_is_found_in_choreography: OrderChoreography + "ack-before-handled" =>
        "inside the inbox: every event is noted or dead-lettered" | "every order ends"
        | "an order is everything or nothing" | "no lost refund" | "every consumer's effect happens once per event";
    an_inbox_that_forgets_too_soon_is_found_in_choreography: OrderChoreography + "inbox-pruned-too-soon" at 6 =>
        "an order is everything or nothing" | "every consumer's effect happens once per event";
    events_in_memory_are_found_in_choreography: OrderChoreography + "events-only-in-memory" at 214 =>
        "every order ends" | "every consumer's effect happens once per event" | "an order is everything or nothing"
        | "no lost refund";
    events_by_publish_subscribe_only_are_found_in_choreography: OrderChoreography + "pubsub-only" =>
        "every order ends" | "every consumer's effect happens once per event" | "an order is everything or nothing"
        | "no lost refund";
    an_outbox_row_that_stays_claimed_is_found_in_choreography: OrderChoreography + "outbox-stuck-processing" at 4 =>
        "every order ends" | "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_row_that_is_forgotten_is_found_in_choreography: OrderChoreography + "outbox-pending-forgotten" at 9 =>
        "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_row_that_is_claimed_twice_is_found_in_choreography: OrderChoreography + "outbox-claimed-twice" =>
        "inside the outbox: every committed row is sent or dead-lettered" | "inside the outbox: events of a key are told in their order"
        | "inside the outbox: rows of a key leave in their order";
    poison_that_blocks_the_outbox_is_found_in_choreography: OrderChoreography + "outbox-poison-blocks" at 26 =>
        "inside the outbox: every committed row is sent or dead-lettered";
    an_outbox_that_reorders_a_key_is_found_in_choreography: OrderChoreography + "outbox-reorders-a-key" at 9 =>
        "inside the outbox: events of a key are told in their order" | "inside the outbox: rows of a key leave in their order";
    a_dead_letter_that_is_dropped_is_found_in_choreography: OrderChoreography + "dead-letter-dropped" at 26 =>
        "every order ends" | "inside the outbox: every committed row is sent or dead-lettered";
    a_trace_id_that_leaks_is_found_in_choreography: OrderChoreography + "trace-id-leaks" =>
        "one trace id per saga";
    two_writes_are_found_in_choreography: OrderChoreography + "dual-write" at 26 =>
        "every order ends" | "every consumer's effect happens once per event" | "an order is everything or nothing"
        | "no lost refund";

    an_order_under_way_that_is_told_as_refused_is_found_in_order_saga: OrderSaga + "accepted-told-as-refused" =>
        "whoever asks again is answered, promptly and alike";
    a_key_that_is_settled_after_the_end_is_found_in_order_saga: OrderSaga + "key-settled-after-the-end" at 4 =>
        "whoever asks again is answered, promptly and alike";
    a_breaker_that_counts_refusals_is_found_in_order_saga: OrderSaga + "breaker-lets-all-through" at 24 =>
        "in the calm nothing is refused but for business reasons";
    colliding_ids_of_sagas_are_found_in_order_saga: OrderSaga + "saga-ids-collide" at 25 =>
        "one key, one effect";
    a_dead_letter_that_can_be_redriven_twice_is_found_in_order_saga: OrderSaga + "letter-redriven-twice" at 149 =>
        "a dead letter is sent on its way once";
    an_unreadable_row_taken_for_absent_is_found_in_order_saga: OrderSaga + "unreadable-is-absent" at 25 =>
        "acknowledged is durable";
    an_intent_known_by_its_key_only_is_found_in_order_saga: OrderSaga + "intent-by-key-only" =>
        "one intent, one effect";
    a_lease_that_ends_by_the_wall_clock_is_found_in_order_replicas:
        OrderReplicas + "lease-ends-by-wall-clock" at 472 =>
        "a lock is promised to one owner at a time";
    a_lease_from_a_stale_clock_is_found_in_order_replicas: OrderReplicas + "lease-from-a-stale-clock" =>
        "stock adds up";
    a_renewal_that_stops_at_its_first_error_is_found_in_order_replicas:
        OrderReplicas + "renewal-stops-at-first-error" =>
        "stock adds up";
    a_lost_update_that_is_ignored_is_found_in_order_replicas: OrderReplicas + "lost-update-ignored" =>
        "stock adds up";
    a_breaker_that_counts_refusals_is_found_in_order_replicas: OrderReplicas + "breaker-lets-all-through" at 9 =>
        "in the calm nothing is refused but for business reasons";
    an_intent_known_by_its_key_only_is_found_in_order_replicas: OrderReplicas + "intent-by-key-only" =>
        "one intent, one effect";
    an_order_under_way_that_is_told_as_refused_is_found_in_order_cluster:
        OrderCluster + "accepted-told-as-refused" at 5 =>
        "what was refused for good never happens";
    an_unknown_commit_told_as_a_no_is_found_in_order_cluster: OrderCluster + "unknown-commit-told-as-no" at 27 =>
        "what was refused for good never happens";
    a_key_that_is_settled_after_the_end_is_found_in_order_cluster: OrderCluster + "key-settled-after-the-end" at 4 =>
        "whoever asks again is answered, promptly and alike";
    a_replica_that_says_not_there_is_found_in_order_cluster: OrderCluster + "replica-says-not-there" at 233 =>
        "what was refused for good never happens" | "a refusal is true when it is said";
    a_commit_by_a_former_owner_is_found_in_order_cluster: OrderCluster + "owner-not-checked" at 432 =>
        "no lost refund" | "no oversell" | "what was refused for good never happens"
        | "whoever asks again is answered, promptly and alike";
    ids_that_two_processes_of_a_replica_count_are_found_in_order_cluster:
        OrderCluster + "ids-counted-by-name" at 35 =>
        "one key, one effect" | "every order ends" | "no lost refund" | "no oversell" | "stock adds up"
        | "acknowledged is durable" | "no leaked reservation" | "what was refused for good never happens";
    a_dead_letter_that_can_be_redriven_twice_is_found_in_order_cluster:
        OrderCluster + "letter-redriven-twice" at 574 =>
        "a dead letter is sent on its way once";
    colliding_ids_of_sagas_are_found_in_order_cluster: OrderCluster + "saga-ids-collide" at 11 =>
        "in the calm nothing is refused but for business reasons";
    a_lease_that_ends_by_the_wall_clock_is_found_in_order_cluster: OrderCluster + "lease-ends-by-wall-clock" at 694 =>
        "a lock is promised to one owner at a time";
    a_lease_from_a_stale_clock_is_found_in_order_cluster: OrderCluster + "lease-from-a-stale-clock" at 20 =>
        "a lock is promised to one owner at a time";
    an_intent_known_by_its_key_only_is_found_in_order_cluster: OrderCluster + "intent-by-key-only" =>
        "one intent, one effect";
    a_rebuild_in_two_commits_is_found_in_order_workflow: OrderWorkflow + "rebuild-in-two-commits" at 13 =>
        "a workflow is what its journal tells";
    a_dead_letter_that_can_be_redriven_twice_is_found_in_order_workflow:
        OrderWorkflow + "letter-redriven-twice" at 135 =>
        "a dead letter is sent on its way once";
    an_order_under_way_that_is_told_as_refused_is_found_in_order_workflow:
        OrderWorkflow + "accepted-told-as-refused" =>
        "whoever asks again is answered, promptly and alike";
    a_key_that_is_settled_after_the_end_is_found_in_order_workflow:
        OrderWorkflow + "key-settled-after-the-end" at 4 =>
        "whoever asks again is answered, promptly and alike";
    an_unreadable_row_taken_for_absent_is_found_in_order_workflow: OrderWorkflow + "unreadable-is-absent" at 8 =>
        "a workflow is what its journal tells";
    an_intent_known_by_its_key_only_is_found_in_order_workflow: OrderWorkflow + "intent-by-key-only" =>
        "one intent, one effect";
    a_dead_letter_that_can_be_redriven_twice_is_found_in_challenge_reward:
        ChallengeReward + "letter-redriven-twice" at 298 =>
        "one key, one effect";
    a_renewal_that_stops_at_its_first_error_is_found_in_order_cluster:
        OrderCluster + "renewal-stops-at-first-error" at 1813 =>
        "whoever works under a lease holds it then";
    colliding_ids_of_sagas_are_found_in_challenge_reward: ChallengeReward + "saga-ids-collide" =>
        "one trace id per saga";
    an_unreadable_row_taken_for_absent_is_found_in_challenge_reward: ChallengeReward + "unreadable-is-absent" at 28 =>
        "completion ⇔ exactly one live reward order";
    an_unreadable_row_taken_for_absent_is_found_in_stock_room: StockRoom + "unreadable-is-absent" at 25 =>
        "operations on a product are linearizable";
    a_row_that_is_marked_before_it_is_sent_is_found_in_item_purchase: ItemPurchase + "row-marked-before-sent" =>
        "inside the outbox: what is marked published is on the stream";
    a_retry_schedule_for_each_poller_is_found_in_item_purchase: ItemPurchase + "retry-schedule-per-poller" at 4 =>
        "a dead letter comes no sooner than its schedule";
    a_timer_that_acts_after_the_end_is_found_in_item_purchase: ItemPurchase + "late-timer-acts" at 32 =>
        "a purchase is everything or nothing";
    a_row_that_is_marked_before_it_is_sent_is_found_in_order_choreography:
        OrderChoreography + "row-marked-before-sent" =>
        "inside the outbox: what is marked published is on the stream";
    a_retry_schedule_for_each_poller_is_found_in_order_choreography:
        OrderChoreography + "retry-schedule-per-poller" at 26 =>
        "a dead letter comes no sooner than its schedule";
    a_lease_from_a_stale_clock_is_found_in_order_choreography:
        OrderChoreography + "lease-from-a-stale-clock" at 364 =>
        "stock adds up";
    a_lost_update_that_is_ignored_is_found_in_order_choreography: OrderChoreography + "lost-update-ignored" at 364 =>
        "every order ends";
    an_order_under_way_that_is_told_as_refused_is_found_in_checkout: Checkout + "accepted-told-as-refused" at 25 =>
        "a refusal is final";
    a_key_that_is_settled_after_the_end_is_found_in_checkout: Checkout + "key-settled-after-the-end" at 802 =>
        "who asks in the calm is answered";
    a_rebuild_in_two_commits_is_found_in_checkout: Checkout + "rebuild-in-two-commits" at 21 =>
        "an order goes its way";
    colliding_ids_of_sagas_are_found_in_checkout: Checkout + "saga-ids-collide" at 32 =>
        "a saga takes its steps in order";
    a_coupon_that_serves_all_orders_of_its_owner_is_found_in_checkout: Checkout + "coupon-owned-is-enough" at 27 =>
        "coupons are issued and used at most once";
    a_row_that_is_marked_before_it_is_sent_is_found_in_checkout: Checkout + "row-marked-before-sent" at 109 =>
        "subscribers hear of what is committed";
    an_unreadable_row_taken_for_absent_is_found_in_checkout: Checkout + "unreadable-is-absent" at 8 =>
        "acknowledged is durable";

    a_build_that_drops_what_it_does_not_know_is_found_in_order_saga:
        OrderSaga + "unknown-fields-dropped" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_takes_a_default_is_found_in_order_saga:
        OrderSaga + "old-reader-takes-default" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_drops_what_it_does_not_know_is_found_in_order_cluster:
        OrderCluster + "unknown-fields-dropped" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_takes_a_default_is_found_in_order_cluster:
        OrderCluster + "old-reader-takes-default" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_drops_what_it_does_not_know_is_found_in_order_replicas:
        OrderReplicas + "unknown-fields-dropped" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_takes_a_default_is_found_in_order_replicas:
        OrderReplicas + "old-reader-takes-default" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_drops_what_it_does_not_know_is_found_in_checkout:
        Checkout + "unknown-fields-dropped" =>
        "an order costs what was promised" | "price charged = unit price × quantity − discount" | "completed or fully undone";
    a_build_that_takes_a_default_is_found_in_checkout:
        Checkout + "old-reader-takes-default" =>
        "an order costs what was promised" | "price charged = unit price × quantity − discount" | "completed or fully undone";
    a_build_that_drops_what_it_does_not_know_is_found_in_order_choreography:
        OrderChoreography + "unknown-fields-dropped" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_takes_a_default_is_found_in_order_choreography:
        OrderChoreography + "old-reader-takes-default" =>
        "an order costs what was promised" | "no lost refund";
    a_build_that_drops_what_it_does_not_know_is_found_in_item_purchase:
        ItemPurchase + "unknown-fields-dropped" =>
        "an order costs what was promised" | "a purchase is everything or nothing";
    a_build_that_takes_a_default_is_found_in_item_purchase:
        ItemPurchase + "old-reader-takes-default" =>
        "an order costs what was promised" | "a purchase is everything or nothing";

    an_event_that_is_redelivered_at_once_is_found: OrderChoreography + "redelivered-at-once" at 2 =>
        "a dead letter comes no sooner than its schedule";
    an_event_that_is_redelivered_at_once_is_found_in_item_purchase: ItemPurchase + "redelivered-at-once" at 110 =>
        "a dead letter comes no sooner than its schedule";
    tries_that_are_added_up_are_found: OrderSaga + "tries-added-up" at 90 =>
        "a dead letter comes no sooner than its schedule";
    tries_that_are_added_up_are_found_in_workflows: OrderWorkflow + "tries-added-up" at 90 =>
        "a dead letter comes no sooner than its schedule";
    tries_that_are_added_up_are_found_in_a_cluster: OrderCluster + "tries-added-up" at 120 =>
        "a dead letter comes no sooner than its schedule";
    tries_that_are_added_up_are_found_in_checkout: Checkout + "tries-added-up" at 91 =>
        "a dead letter comes no sooner than its schedule";
}

#[test]
fn every_bug_that_can_be_planted_is_in_the_bank() {
    let banked: BTreeSet<(&str, &str)> = BANK.iter().map(|(s, bug)| (s.name(), *bug)).collect();
    assert_eq!(banked.len(), BANK.len(), "a line stands there twice");
    for scenario in catalogue().scenarios {
        for bug in scenario.bugs() {
            assert!(
                banked.contains(&(scenario.name(), bug.name)),
                "nothing shows that {} is found in {}",
                bug.name,
                scenario.name()
            );
        }
    }
}

#[test]
fn the_canary_of_the_catalogue_is_found() {
    let catalogue = catalogue();
    let (scenario, bug) = catalogue.canary.expect("silence needs a witness");
    let scenario = catalogue.get(scenario).expect("it is in the catalogue");
    let found = testing::finds(scenario, bug, SEEDS);
    assert!(found.violation.is_some(), "{found:?}");
}

#[test]
fn a_bug_that_a_scenario_lacks_cannot_be_planted() {
    let campaign = Campaign::over(&ChallengeReward, Seeds::up_to(1));
    let refused = campaign.with_planted("refund-without-key").err();
    let told = refused.expect("no money moves in it").to_string();
    assert!(
        told.starts_with(
            "challenge-reward has no bug 'refund-without-key'; there are: no-journal,"
        ),
        "{told}"
    );
}

#[test]
#[should_panic(expected = "order-saga has no bug 'no-jurnal' (did you mean 'no-journal'?)")]
fn a_test_that_misspells_a_bug_fails_at_once() {
    testing::finds(&OrderSaga, "no-jurnal", SEEDS);
}

fn is_found(scenario: &dyn Scenario, bug: &str, likely: Option<Seed>, damage: &[&str]) {
    let (seed, violation) = likely
        .and_then(|seed| broken_by(scenario, bug, seed))
        .unwrap_or_else(|| search(scenario, bug));
    println!("{} + {bug}: seed {seed} found {violation}", scenario.name());
    assert!(
        damage.contains(&violation.invariant.as_str()),
        "{bug} was found by something else than its line names: {violation}"
    );
    let sound = run(scenario, &Spec::of(scenario, seed), false);
    assert_eq!(
        sound.verdict,
        Verdict::Survived,
        "seed {seed} breaks {} without {bug} too",
        scenario.name()
    );
}

/// What this one seed finds, if anything.
fn broken_by(scenario: &dyn Scenario, bug: &str, seed: Seed) -> Option<(Seed, Violation)> {
    let spec = Spec {
        plant: Some(bug.to_owned()),
        ..Spec::of(scenario, seed)
    };
    let found = run(scenario, &spec, false).worst().cloned();
    found.map(|violation| (seed, violation))
}

fn search(scenario: &dyn Scenario, bug: &str) -> (Seed, Violation) {
    let found = testing::finds(scenario, bug, SEEDS);
    let violation = found.violation.clone();
    let violation = violation
        .unwrap_or_else(|| panic!("{bug} only kept a run from coming to its end: {found:?}"));
    (found.seed, violation)
}
