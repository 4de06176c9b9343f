//! Beginning a completion, and telling its client how it ended.

use tokio::time::timeout;

use super::{
    Challenges,
    model::{CompletionEvent, CompletionStatus, Refusal},
    reward::{self, RewardData},
    store::{CHALLENGES, COMPLETIONS, Challenge, Completion, completion_key},
};
use crate::kit::{
    Code, Context, Problem, StoreError, Writer,
    idempotency::{StoredAnswer, Told},
    saga::{self, SagaRecord},
};

/// What a client is told.
pub(super) type Completed = Told<Completion>;

/// Why no saga was started.
enum Instead {
    /// The request was answered before.
    Repeat(StoredAnswer),
    /// An earlier life of the process began the saga of this very request.
    Await(String),
    Refuse(Problem),
}

impl From<StoreError> for Instead {
    fn from(error: StoreError) -> Self {
        Instead::Refuse(error.into())
    }
}

impl From<Problem> for Instead {
    fn from(problem: Problem) -> Self {
        Instead::Refuse(problem)
    }
}

impl Challenges {
    /// Completes a challenge for a user, and awaits the end, within limits.
    pub(super) async fn complete(
        &self,
        context: &Context,
        key: String,
        challenge: String,
        user: String,
    ) -> Result<Completed, Problem> {
        let row_key = completion_key(&challenge, &user);
        // The reward is what the challenge promises at the commit that begins the saga.
        let data = RewardData {
            challenge,
            user,
            sku: String::new(),
            quantity: 0,
            order_id: None,
            key,
        };
        let boot_id = self.platform.process.boot_id();
        let now_ms = self.platform.clock.now_ms();
        let started = self.sagas.start(context, data, move |tx, saga| {
            begin(tx, saga, boot_id, now_ms)
        });
        let saga_id = match started.await {
            Ok((saga_id, ())) | Err(Instead::Await(saga_id)) => saga_id,
            Err(Instead::Repeat(answer)) => return Ok(Completed::Ended(answer)),
            Err(Instead::Refuse(problem)) => return Err(problem),
        };
        let ended = match timeout(self.answer_within, self.sagas.wait(&saga_id)).await {
            Ok(saga) => saga?.as_ref().and_then(reward::answer),
            Err(_) => None,
        };
        match ended {
            Some(answer) => answer.map(Completed::Ended),
            None => self
                .completion(&row_key)?
                .map(Completed::UnderWay)
                .ok_or_else(|| {
                    Code::Internal.because("a saga without its completion; tell support")
                }),
        }
    }

    pub(super) fn completion(&self, row_key: &str) -> Result<Option<Completion>, StoreError> {
        self.store.read(|rows| rows.get(&COMPLETIONS, row_key))
    }
}

/// The saga's first commit: the key's mark and the pending completion.
fn begin(
    tx: &mut Writer<'_>,
    saga: &mut SagaRecord<RewardData>,
    boot_id: u64,
    now_ms: u64,
) -> Result<(), Instead> {
    let RewardData {
        challenge,
        user,
        key,
        ..
    } = &saga.data;
    if let Some(answer) = saga.data.request().begin(tx, boot_id, now_ms)? {
        return Err(Instead::Repeat(answer));
    }
    let Some(Challenge { sku, quantity, .. }) = tx.get(&CHALLENGES, challenge)? else {
        return Err(unknown_challenge(challenge).into());
    };
    let row_key = completion_key(challenge, user);
    let before: Option<Completion> = tx.get(&COMPLETIONS, &row_key)?;
    let status = before.as_ref().map(|before| before.status);
    let status = match CompletionStatus::after(status, CompletionEvent::Begin) {
        Ok(status) => status,
        Err(refusal) => return Err(refuse(tx, refusal, before, key)?),
    };
    let completion = Completion {
        challenge: challenge.clone(),
        user: user.clone(),
        status,
        saga_id: saga.id.clone(),
        order_id: None,
        at_ms: now_ms,
    };
    tx.put(&COMPLETIONS, &row_key, &completion)?;
    saga.data.sku = sku;
    saga.data.quantity = quantity;
    Ok(())
}

fn refuse(
    tx: &Writer<'_>,
    refusal: Refusal,
    before: Option<Completion>,
    key: &str,
) -> Result<Instead, StoreError> {
    if let (Refusal::UnderWay, Some(before)) = (refusal, before) {
        let saga = tx.get(&saga::table::<RewardData>(), &before.saga_id)?;
        if saga.is_some_and(|saga| saga.data.key == key) {
            return Ok(Instead::Await(before.saga_id));
        }
    }
    let code = match refusal {
        Refusal::UnderWay => Code::SagaInProgress,
        Refusal::AlreadyCompleted | Refusal::NotUnderWay => Code::InvalidState,
    };
    Ok(Instead::Refuse(code.because(refusal.to_string())))
}

pub(super) fn unknown_challenge(id: &str) -> Problem {
    Code::NotFound.because(format!(
        "there is no challenge {id}; create it with PUT /challenges/{id}"
    ))
}
