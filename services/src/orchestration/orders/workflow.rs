//! What an order's saga does, written as a function from top to bottom: the same steps as those of its
//! [plan](super::model::Flow::steps), under the same keys.

use super::{
    model::{
        AUTHORIZE, CAPTURE, CHARGE, COMPLETE, CONFIRM, CREATE, Flow, RESERVE, SHIP, TAKE_BACK,
    },
    store::OrderData,
};
use crate::kit::saga::{Saga, Stopped, Workflow};

/// Carries out a flow, or stops; what it has come to by then is undone in reverse.
pub(super) async fn carry_out<S>(order: &mut Workflow<'_, S>) -> Result<(), Stopped>
where
    S: Saga<Data = OrderData>,
{
    let flow = order.data().flow;
    if flow == Flow::RewardCancel {
        return order.step(TAKE_BACK).await;
    }
    order.step(CREATE).await?;
    order.step(RESERVE).await?;
    match flow {
        Flow::TwoStep => {
            order.step(AUTHORIZE).await?;
            order.step(CAPTURE).await?;
        }
        Flow::OneStep => {
            order.step(CHARGE).await?;
            order.step(CONFIRM).await?;
        }
        Flow::Reward | Flow::RewardCancel => order.step(CONFIRM).await?,
    }
    order.step(SHIP).await?;
    match flow {
        Flow::TwoStep | Flow::OneStep => order.step(COMPLETE).await,
        // It stays confirmed: it is live.
        Flow::Reward | Flow::RewardCancel => Ok(()),
    }
}
