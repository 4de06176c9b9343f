//! The reward saga: a completion if and only if exactly one live reward order.
//!
//! The pending completion is the saga's first commit. Then the shop makes the order (undone by cancelling it under
//! the key that made it, which leaves a tombstone where the order has not arrived yet); then the completion is saved.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    model::{CompletionEvent, CompletionStatus},
    store::{COMPLETIONS, Completion, completion_key},
};
use crate::{
    kit::{
        Code, Peer, Problem, StoreError, Writer,
        http::IdempotencyKey,
        idempotency::{Request, StoredAnswer},
        saga::{Act, Call, Saga, SagaRecord, Status, Step, Undo},
    },
    ports::Platform,
};

/// The shop has begun, and how it ends is told to who asks again.
const ACCEPTED: u16 = 202;

const ORDER: &str = "order-create";
const CANCEL: &str = "order-cancel";
const SAVE: &str = "completion-save";

/// What the saga knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RewardData {
    /// The challenge.
    pub challenge: String,
    /// Who completed it.
    pub user: String,
    /// The reward.
    pub sku: String,
    /// Units of it.
    pub quantity: u64,
    /// The reward order, once it is known.
    pub order_id: Option<String>,
    /// The client's idempotency key.
    pub key: String,
}

impl RewardData {
    /// The client's request.
    pub(super) fn request(&self) -> Request {
        let key = IdempotencyKey(self.key.clone());
        Request::new("complete", key, &(&self.challenge, &self.user)).of(&self.user)
    }
}

/// What the steps do.
pub(super) struct Reward {
    pub(super) platform: Platform,
    pub(super) shop: Peer,
    /// Users whose id begins so are refused when their completion is saved.
    pub(super) barred: Option<String>,
}

#[async_trait]
impl Saga for Reward {
    type Data = RewardData;

    fn kind(&self, _: &RewardData) -> &'static str {
        "reward"
    }

    fn steps(&self, _: &RewardData) -> &'static [Step] {
        const { &[Step::compensatable(ORDER, CANCEL), Step::pivot(SAVE)] }
    }

    async fn act(&self, step: &'static str, data: &mut RewardData, call: Call<'_>) -> Act {
        match step {
            ORDER => self.order(data, call).await,
            _ => self.may_save(data),
        }
    }

    async fn undo(&self, _: &'static str, data: &mut RewardData, call: Call<'_>) -> Undo {
        let body = json!({ "key": format!("{}-{ORDER}", call.saga_id), "user": data.user });
        let path = "/api/orders/cancel";
        match self
            .shop
            .call(call.context, "POST", path, Some(call.key), &body)
            .await
        {
            Ok(reply) if reply.status == ACCEPTED => Undo::Retry("it is under way".to_owned()),
            Ok(reply) if reply.is_success() => {
                data.order_id = None;
                Undo::Done
            }
            Ok(reply) => Undo::Retry(reply.problem().to_string()),
            Err(error) => Undo::Retry(error.to_string()),
        }
    }

    fn on_change(
        &self,
        tx: &mut Writer<'_>,
        saga: &SagaRecord<RewardData>,
    ) -> Result<(), StoreError> {
        let event = match saga.status {
            Status::Running | Status::Compensating => return Ok(()),
            Status::Completed => CompletionEvent::Save,
            Status::Compensated => CompletionEvent::RollBack,
            Status::NeedsAttention => CompletionEvent::GiveUp,
        };
        let key = completion_key(&saga.data.challenge, &saga.data.user);
        let completion: Option<Completion> = tx.get(&COMPLETIONS, &key)?;
        // A completion that a later saga began again is that saga's.
        let Some(mut completion) = completion.filter(|mine| mine.saga_id == saga.id) else {
            return Ok(());
        };
        let Ok(status) = CompletionStatus::after(Some(completion.status), event) else {
            return Ok(());
        };
        completion.status = status;
        completion.order_id = match status {
            CompletionStatus::Completed => saga.data.order_id.clone(),
            _ => None,
        };
        completion.at_ms = self.platform.clock.now_ms();
        tx.put(&COMPLETIONS, &key, &completion)?;
        match answer(saga) {
            Some(Ok(answer)) => saga.data.request().finish(tx, &answer, completion.at_ms),
            Some(Err(_)) => saga.data.request().forget(tx),
            None => Ok(()),
        }
    }
}

/// What the client is told of a saga that has ended: an answer to be kept, or a refusal that may not last.
pub(super) fn answer(saga: &SagaRecord<RewardData>) -> Option<Result<StoredAnswer, Problem>> {
    match (saga.status, &saga.refusal) {
        (Status::Completed, _) => Some(Ok(StoredAnswer {
            status: 201,
            body: json!({
                "status": CompletionStatus::Completed,
                "saga_id": saga.id,
                "order_id": saga.data.order_id,
            }),
        })),
        (Status::Compensated, Some(why)) => {
            Some(StoredAnswer::of_problem(why).ok_or_else(|| why.clone()))
        }
        _ => None,
    }
}

impl Reward {
    async fn order(&self, data: &mut RewardData, call: Call<'_>) -> Act {
        let body = json!({
            "user": data.user,
            "sku": data.sku,
            "quantity": data.quantity,
            "challenge_completion": completion_key(&data.challenge, &data.user),
        });
        match self
            .shop
            .call(call.context, "POST", "/api/orders", Some(call.key), &body)
            .await
        {
            Ok(reply) if reply.status == ACCEPTED => Act::Unknown("it is under way".to_owned()),
            Ok(reply) if reply.is_success() => {
                match reply.body.get("id").and_then(|id| id.as_str()) {
                    Some(id) => {
                        data.order_id = Some(id.to_owned());
                        Act::Done
                    }
                    None => Act::Unknown("the shop's answer names no order".to_owned()),
                }
            }
            Ok(reply) => {
                let problem = reply.problem();
                match problem.code {
                    Code::SagaInProgress => Act::Busy(problem),
                    code if code.is_transient() => Act::Unknown(problem.to_string()),
                    _ => Act::Refused(problem),
                }
            }
            Err(error) => Act::Unknown(error.to_string()),
        }
    }

    /// The last look at who is rewarded; the completion itself is saved by the saga's last commit.
    fn may_save(&self, data: &RewardData) -> Act {
        match &self.barred {
            Some(barred) if data.user.starts_with(barred.as_str()) => {
                Act::Refused(Code::InvalidState.because(format!(
                    "{} may not be rewarded; ask support to lift the bar",
                    data.user
                )))
            }
            _ => Act::Done,
        }
    }
}
