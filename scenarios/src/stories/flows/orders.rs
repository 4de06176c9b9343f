//! Orders that are paid.

use std::time::Duration;

use squall::fault::{Crash, DelayBurst, LoseBurst, PowerLoss};
use squall::storm::{Action, Fault};
use squall_services::{
    orchestration::orders::{Execution, PaymentMode},
    planted_bug::{Bug, Bugs},
};

use super::{Flow, LAMP, System, at_event, at_send, people::Deed};

const TWO_STEP: System = System::Orders(PaymentMode::TwoStep);
const ONE_STEP: System = System::Orders(PaymentMode::OneStep);

fn flow(name: &'static str, about: &'static str) -> Flow {
    Flow::new(name, about, TWO_STEP, Deed::buy("ann", LAMP, 1, "visa"))
}

/// All of them.
pub fn all() -> Vec<Flow> {
    vec![
        completed(),
        out_of_stock(),
        card_declined(),
        capture_refused(),
        crash_after_authorization(),
        crash_without_journal(),
        lost_answer(),
        cancelled_with_void(),
        cancelled_with_refund(),
        late_reserve(),
        workflow_crash_after_authorization(),
        workflow_crash_while_undoing(),
    ]
}

/// Nothing goes wrong.
pub fn completed() -> Flow {
    flow(
        "order-completed",
        "Stock is reserved, money held and captured, stock confirmed, in this order.",
    )
}

/// More is wanted than there is.
pub fn out_of_stock() -> Flow {
    Flow {
        stock: 1,
        deed: Deed::buy("ann", LAMP, 2, "visa"),
        ..flow(
            "order-out-of-stock",
            "Two lamps are wanted and one is left: refused at the first step, so there is nothing to undo.",
        )
    }
}

/// The bank refuses the hold.
pub fn card_declined() -> Flow {
    Flow {
        deed: Deed::buy("ann", LAMP, 1, "declined"),
        ..flow(
            "order-card-declined",
            "The card is declined: the lamp goes back on the shelf and the order is cancelled.",
        )
    }
}

/// The bank refuses the capture.
pub fn capture_refused() -> Flow {
    Flow {
        deed: Deed::buy("ann", LAMP, 1, "capture-declined"),
        ..flow(
            "order-capture-refused",
            "The money is held but cannot be taken: the hold is voided, then the lamp released, in reverse order.",
        )
    }
}

/// The orchestrator dies between the authorization's answer and its note of it.
pub fn crash_after_authorization() -> Flow {
    Flow {
        storm: vec![at_event(
            "order",
            "step done",
            "ann-1/payment-authorize",
            crash("order"),
        )],
        ..flow(
            "order-crash-after-authorization",
            "Order crashes when the hold is made but not yet noted. After its restart the journal says \"intended\": it asks \
             again under the same key, learns that it was done, and goes on. The customer asks again and is told the same.",
        )
    }
}

/// The same crash, where the saga is a workflow.
pub fn workflow_crash_after_authorization() -> Flow {
    Flow {
        name: "workflow-crash-after-authorization",
        about: "Durable execution: order crashes when the hold is made but not yet noted. The function is run again from its \
                beginning; its journal answers for the reservation, and it asks for the hold again, under the same key.",
        execution: Execution::Workflow,
        ..crash_after_authorization()
    }
}

/// A workflow dies while its stack is being undone.
pub fn workflow_crash_while_undoing() -> Flow {
    Flow {
        name: "workflow-crash-while-undoing",
        about: "Durable execution: the capture is refused, and order crashes when the hold is given up but that is not yet \
                noted. The function is run again up to where it stopped, which puts the same undos on its stack, and \
                the one under way is asked again.",
        execution: Execution::Workflow,
        storm: vec![at_event(
            "order",
            "step undone",
            "ann-1/payment-cancel",
            crash("order"),
        )],
        ..capture_refused()
    }
}

/// The same without a journal.
pub fn crash_without_journal() -> Flow {
    Flow {
        system: ONE_STEP,
        bugs: Bugs::NONE.with(Bug::NoJournal),
        storm: vec![at_event(
            "order",
            "step done",
            "ann-1/payment-charge",
            crash("order"),
        )],
        ..flow(
            "order-crash-without-journal",
            "As documented: the saga's steps are kept in memory only, and order crashes after the charge. Nobody remembers: \
             the money is gone, the order never confirmed, nothing refunded.",
        )
    }
}

/// The answer to the reservation is lost.
pub fn lost_answer() -> Flow {
    Flow {
        storm: vec![at_send(
            "inventory",
            "order",
            "ann-1/inventory-reserve",
            1,
            LoseBurst {},
        )],
        ..flow(
            "order-lost-answer-to-reserve",
            "The lamp is reserved but the answer is lost. The repeat under the same key is given the first answer: one lamp \
             is set aside, not two.",
        )
    }
}

/// The customer loses patience while the money is being held.
pub fn cancelled_with_void() -> Flow {
    Flow {
        deed: changed_mind(),
        storm: vec![at_send(
            "pg",
            "payment",
            "ann-1/payment-authorize",
            1,
            DelayBurst { by_ms: 1_500 },
        )],
        ..flow(
            "order-cancelled-with-void",
            "Two-step payment: a cancel comes while the hold is being made. The hold is voided: at once, for free.",
        )
    }
}

/// The customer loses patience while the money is being taken.
pub fn cancelled_with_refund() -> Flow {
    Flow {
        system: ONE_STEP,
        deed: changed_mind(),
        storm: vec![at_send(
            "pg",
            "payment",
            "ann-1/payment-charge",
            1,
            DelayBurst { by_ms: 1_500 },
        )],
        ..flow(
            "order-cancelled-with-refund",
            "One-step payment: a cancel comes while the money is being taken. It is gone, so it \
             has to be refunded.",
        )
    }
}

/// A reservation that was given up arrives after its cancel.
pub fn late_reserve() -> Flow {
    let reserve =
        |nth, action| at_send("order", "inventory", "ann-1/inventory-reserve", nth, action);
    Flow {
        deed: Deed::buy("ann", LAMP, 1, "visa").or_cancel(Duration::from_millis(1_500)),
        storm: vec![
            reserve(1, Action::DelayBurst(DelayBurst { by_ms: 6_000 })),
            Fault::at_ms(
                200,
                PowerLoss {
                    node: "order".to_owned(),
                    down_ms: 300,
                },
            ),
            reserve(2, Action::LoseBurst(LoseBurst {})),
        ],
        ..flow(
            "order-late-reserve",
            "The reservation is held up in the network, order loses power, the repeat is lost, and the customer cancels. The \
             release overtakes the reservation and leaves a tombstone, which refuses it when it comes at last.",
        )
    }
}

fn changed_mind() -> Deed {
    Deed::buy("ann", LAMP, 1, "visa").or_cancel(Duration::from_millis(500))
}

fn crash(node: &str) -> Action {
    Action::Crash(Crash {
        node: node.to_owned(),
        down_ms: 2_000,
    })
}
