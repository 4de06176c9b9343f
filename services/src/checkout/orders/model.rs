//! What a checkout does, in which order, and how its order stands meanwhile.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{
    kit::saga::{SagaRecord, Status as SagaStatus, Step, StepStatus, facts::Fact},
    orchestration::orders::model::Status,
};

/// Which steps a checkout has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// Stock and balance are reserved at once, by one step.
    pub parallel: bool,
    /// There is a coupon.
    pub coupon: bool,
    /// Subscribers are told before the order is confirmed: unsound.
    pub tells_first: bool,
}

/// The steps of every course, by its index.
static STEPS: LazyLock<Vec<Vec<Step>>> = LazyLock::new(|| {
    let courses = (0..8).map(|bits| Course {
        parallel: bits & 1 != 0,
        coupon: bits & 2 != 0,
        tells_first: bits & 4 != 0,
    });
    courses.map(Course::list).collect()
});

impl Course {
    /// The name of the saga's kind.
    pub const fn name(self) -> &'static str {
        match self.parallel {
            true => "checkout-parallel",
            false => "checkout",
        }
    }

    /// The steps in their order.
    pub fn steps(self) -> &'static [Step] {
        let index = usize::from(self.parallel)
            + 2 * usize::from(self.coupon)
            + 4 * usize::from(self.tells_first);
        &STEPS[index]
    }

    fn list(self) -> Vec<Step> {
        let mut steps = vec![Step::compensatable("order-create", "order-cancel").local()];
        if self.parallel {
            steps.push(Step::compensatable(
                "stock-and-balance-reserve",
                "stock-and-balance-release",
            ));
        } else {
            steps.push(Step::compensatable("inventory-reserve", "inventory-cancel"));
            steps.push(Step::compensatable("user-reserve", "user-release"));
        }
        if self.coupon {
            steps.push(Step::compensatable("coupon-reserve", "coupon-release"));
        }
        if self.tells_first {
            steps.push(Step::compensatable(
                "subscribers-tell",
                "subscribers-forget",
            ));
        }
        steps.push(Step::pivot("order-confirm").local());
        if self.coupon {
            steps.push(Step::retriable("coupon-use"));
        }
        steps.push(Step::retriable("user-confirm"));
        steps.push(Step::retriable("inventory-confirm"));
        steps.push(Step::retriable("order-complete").local());
        steps
    }
}

/// Where an order belongs when its saga is there.
pub fn order_status<D>(saga: &SagaRecord<D>) -> Status {
    match saga.status {
        SagaStatus::Completed => Status::Completed,
        SagaStatus::Compensated => Status::Cancelled,
        _ if saga.refusal.is_some() => Status::Cancelling,
        _ if saga.step("order-confirm") == Some(StepStatus::Done) => Status::Confirmed,
        _ => Status::Pending,
    }
}

/// What a fact is called in the business's words.
pub fn fact_name<D>(fact: &Fact<D>) -> String {
    let name = match fact {
        Fact::Began { .. } => "OrderCreated",
        Fact::Learned { .. } => "OrderAmended",
        Fact::TurnedBack { .. } => "OrderRefused",
        Fact::Noted { .. } => return fact.name(),
        Fact::Came { to, .. } => match to {
            SagaStatus::Running => "OrderResumed",
            SagaStatus::Compensating => "OrderCancelling",
            SagaStatus::Completed => "OrderCompleted",
            SagaStatus::Compensated => "OrderCancelled",
            SagaStatus::NeedsAttention => "OrderNeedsAttention",
        },
        Fact::Step { step, status, .. } => return step_name(step, *status),
    };
    name.to_owned()
}

fn step_name(step: &str, status: StepStatus) -> String {
    let (done, undone) = match step {
        "inventory-reserve" => ("StockDeduction", "StockRestoration"),
        "user-reserve" => ("BalanceDeduction", "BalanceRestoration"),
        "stock-and-balance-reserve" => ("StockAndBalanceDeduction", "StockAndBalanceRestoration"),
        "coupon-reserve" => ("CouponReservation", "CouponRelease"),
        "coupon-use" => ("CouponUse", "CouponRelease"),
        "user-confirm" => ("BalanceSettlement", "BalanceRestoration"),
        "inventory-confirm" => ("StockSettlement", "StockRestoration"),
        "subscribers-tell" => ("SubscriberNotice", "SubscriberRetraction"),
        "order-create" => ("OrderRecord", "OrderRemoval"),
        "order-confirm" => ("OrderConfirmation", "OrderRemoval"),
        _ => ("OrderCompletion", "OrderRemoval"),
    };
    match status {
        StepStatus::Intended => format!("{done}Requested"),
        StepStatus::Done => format!("{done}Succeeded"),
        StepStatus::Failed => format!("{done}Failed"),
        StepStatus::Unknown => format!("{done}Unknown"),
        StepStatus::CompensationIntended => format!("{undone}Requested"),
        StepStatus::Compensated => format!("{undone}Succeeded"),
    }
}
