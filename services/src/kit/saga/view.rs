//! A saga as told to others.

use serde::{Deserialize, Serialize};

use super::{SagaRecord, Status, StepRecord};
use crate::kit::Problem;

/// A saga of an order as told to others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SagaView {
    /// `SAGA-XXXXXXXX`.
    pub id: String,
    /// What kind of saga it is.
    pub kind: String,
    /// Where it is: `Completed` and `Compensated` are its ends.
    pub status: Status,
    /// Its order.
    pub order_id: String,
    /// The trace that it belongs to.
    pub trace_id: String,
    /// The steps that were intended, in order.
    pub steps: Vec<StepRecord>,
    /// Why it turned back.
    pub refusal: Option<Problem>,
    /// When it began; wall clock.
    pub created_ms: u64,
    /// When it ended; wall clock.
    pub ended_ms: Option<u64>,
}

impl SagaView {
    /// The view of a saga over this order.
    pub fn of<D>(saga: SagaRecord<D>, order_id: impl FnOnce(D) -> String) -> Self {
        SagaView {
            id: saga.id,
            kind: saga.kind,
            status: saga.status,
            order_id: order_id(saga.data),
            trace_id: saga.context.trace_id,
            steps: saga.steps,
            refusal: saga.refusal,
            created_ms: saga.created_ms,
            ended_ms: saga.ended_ms,
        }
    }
}
