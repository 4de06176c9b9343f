//! The order's state machine, and what an order's saga makes of it.

use serde::{Deserialize, Serialize};

use crate::kit::saga::{SagaRecord, Status as SagaStatus, Step, StepStatus};

/// Where an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Its saga has not come to its pivot.
    Pending,
    /// It will be completed. A reward order stays here: it is live.
    Confirmed,
    /// Everything is done; what comes after is a return, which is another flow.
    Completed,
    /// What was done for it is being undone.
    Cancelling,
    /// Nothing of it is left.
    Cancelled,
}

/// The order cannot go there from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an order that is {from:?} cannot become {to:?}")]
pub struct Forbidden {
    /// Where it is.
    pub from: Status,
    /// Where it was sent.
    pub to: Status,
}

impl Status {
    /// The states one transition away.
    pub const fn next(self) -> &'static [Status] {
        match self {
            Status::Pending => &[Status::Confirmed, Status::Cancelling],
            Status::Confirmed => &[Status::Completed, Status::Cancelling],
            Status::Cancelling => &[Status::Cancelled],
            Status::Completed | Status::Cancelled => &[],
        }
    }

    /// The order after the transitions that lead to `to`; several may happen in one commit, and none if it is there.
    pub fn toward(self, to: Status) -> Result<Status, Forbidden> {
        if self == to || self.next().iter().any(|next| next.toward(to).is_ok()) {
            return Ok(to);
        }
        Err(Forbidden { from: self, to })
    }
}

/// What a saga does for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Flow {
    /// Buys with a hold that is captured at the pivot.
    TwoStep,
    /// Buys with a charge that is refunded if need be.
    OneStep,
    /// Hands out a reward: stock, no money.
    Reward,
    /// Takes a live reward order back.
    RewardCancel,
}

/// The order's own row, made in the saga's first commit.
pub(super) const CREATE: Step = Step::compensatable("order-create", "order-cancel").local();
/// Stock is set aside.
pub(super) const RESERVE: Step = Step::compensatable("inventory-reserve", "inventory-cancel");
/// Money is held.
pub(super) const AUTHORIZE: Step = Step::compensatable("payment-authorize", "payment-cancel");
/// Money is taken, and can be given back.
pub(super) const CHARGE: Step = Step::compensatable("payment-charge", "payment-cancel");
/// What was held is taken.
pub(super) const CAPTURE: Step = Step::pivot("payment-capture");
/// The go, where nothing is left to be captured.
pub(super) const CONFIRM: Step = Step::pivot("order-confirm").local();
/// Stock leaves.
pub(super) const SHIP: Step = Step::retriable("inventory-confirm");
/// The order's own row, in the saga's last commit.
pub(super) const COMPLETE: Step = Step::retriable("order-complete").local();
/// Stock of a live reward comes back.
pub(super) const TAKE_BACK: Step = Step::retriable("inventory-cancel");

const TWO_STEP: [Step; 6] = [CREATE, RESERVE, AUTHORIZE, CAPTURE, SHIP, COMPLETE];
const ONE_STEP: [Step; 6] = [CREATE, RESERVE, CHARGE, CONFIRM, SHIP, COMPLETE];
const REWARD: [Step; 4] = [CREATE, RESERVE, CONFIRM, SHIP];
const REWARD_CANCEL: [Step; 1] = [TAKE_BACK];

impl Flow {
    /// The name of the saga's kind.
    pub const fn name(self) -> &'static str {
        match self {
            Flow::TwoStep => "order-two-step",
            Flow::OneStep => "order-one-step",
            Flow::Reward => "reward",
            Flow::RewardCancel => "reward-cancel",
        }
    }

    /// The steps in their order.
    pub const fn steps(self) -> &'static [Step] {
        match self {
            Flow::TwoStep => &TWO_STEP,
            Flow::OneStep => &ONE_STEP,
            Flow::Reward => &REWARD,
            Flow::RewardCancel => &REWARD_CANCEL,
        }
    }

    /// The step whose being done confirms the order.
    const fn confirming(self) -> &'static str {
        match self {
            Flow::TwoStep => "payment-capture",
            _ => "order-confirm",
        }
    }

    /// Where the order belongs when its saga is there.
    pub fn order_status<D>(self, saga: &SagaRecord<D>) -> Status {
        let turned_back = saga.refusal.is_some();
        match (self, saga.status) {
            (Flow::RewardCancel, SagaStatus::Completed) => Status::Cancelled,
            (Flow::RewardCancel, _) => Status::Cancelling,
            (Flow::Reward, SagaStatus::Completed) => Status::Confirmed,
            (_, SagaStatus::Completed) => Status::Completed,
            (_, SagaStatus::Compensated) => Status::Cancelled,
            _ if turned_back => Status::Cancelling,
            _ if saga.step(self.confirming()) == Some(StepStatus::Done) => Status::Confirmed,
            _ => Status::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kit::{Code, Context, saga::Event};

    const ALL: [Status; 5] = [
        Status::Pending,
        Status::Confirmed,
        Status::Completed,
        Status::Cancelling,
        Status::Cancelled,
    ];

    #[test]
    fn an_order_goes_where_its_transitions_lead_and_nowhere_else() {
        use Status::*;
        let forbidden: Vec<_> = ALL
            .iter()
            .flat_map(|from| ALL.iter().filter_map(|to| from.toward(*to).err()))
            .map(|refused| (refused.from, refused.to))
            .collect();
        let expected = [
            (Confirmed, Pending),
            (Completed, Pending),
            (Completed, Confirmed),
            (Completed, Cancelling),
            (Completed, Cancelled),
            (Cancelling, Pending),
            (Cancelling, Confirmed),
            (Cancelling, Completed),
            (Cancelled, Pending),
            (Cancelled, Confirmed),
            (Cancelled, Completed),
            (Cancelled, Cancelling),
        ];
        assert_eq!(forbidden, expected);
    }

    fn events() -> impl Strategy<Value = Event> {
        let why = || Code::OutOfStock.because("none left");
        prop_oneof![
            4 => Just(Event::Done),
            1 => Just(Event::DoneButTurnBack(why())),
            1 => Just(Event::Refused(why())),
            1 => Just(Event::Abandoned(why())),
            3 => Just(Event::Undone),
            1 => Just(Event::Spent),
            1 => Just(Event::Redriven),
        ]
    }

    proptest! {
        #[test]
        fn an_order_can_follow_its_saga_wherever_it_goes(
            flow in prop_oneof![Just(Flow::TwoStep), Just(Flow::OneStep), Just(Flow::Reward), Just(Flow::RewardCancel)],
            events in proptest::collection::vec(events(), 0..30),
        ) {
            let id = ("SAGA-00000001".to_owned(), flow.name());
            let mut saga = SagaRecord::begin(id, Context::default(), (), flow.steps(), 1, 9);
            let mut order = match flow {
                Flow::RewardCancel => Status::Confirmed,
                _ => Status::Pending,
            };
            for event in events {
                let _ = saga.apply(flow.steps(), event, 2);
                order = order.toward(flow.order_status(&saga)).unwrap();
                let settled = order.next().is_empty() || flow == Flow::Reward && order == Status::Confirmed;
                prop_assert!(!saga.status.is_ended() || settled);
            }
        }
    }
}
