//! Carrying a request out: look for the key's answer, work on the ledger, store the answer, all in one commit.

use std::{sync::Arc, time::Duration};

use serde::Serialize;
use serde_json::json;
use tokio::sync::oneshot;
use tracing::Instrument;

use super::{
    ANSWERS, Answer, Behaviour, Config, Entry, Fault, KeyStyle, Kind, LEDGER, Operation,
    requests::{Hold, Order, Refund},
    webhooks::{Notice, Webhooks},
};
use crate::{
    kit::{Code, Context, Problem, Store, Writer, idempotency::Marks, input::AMOUNT_MAX},
    ports::Platform,
};

/// What can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    Authorize(Order),
    Charge(Order),
    Capture(Hold),
    Void(Hold),
    Refund(Refund),
}

impl Request {
    pub fn operation(&self) -> Operation {
        match self {
            Request::Authorize(_) => Operation::Authorize,
            Request::Charge(_) => Operation::Charge,
            Request::Capture(_) => Operation::Capture,
            Request::Void(_) => Operation::Void,
            Request::Refund(_) => Operation::Refund,
        }
    }

    fn check(&self) -> Result<(), Problem> {
        let amount = |amount: i64| {
            if (1..=AMOUNT_MAX).contains(&amount) {
                Ok(())
            } else {
                Err(invalid(format!(
                    "`amount` must be 1 to {AMOUNT_MAX} minor units, not {amount}"
                )))
            }
        };
        match self {
            Request::Authorize(order) | Request::Charge(order) => {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
                if !(1..=64).contains(&order.reference.len()) || !order.reference.bytes().all(plain)
                {
                    return Err(invalid(
                        "`reference` must be 1 to 64 letters, digits, `-` or `_`",
                    ));
                }
                if !(1..=64).contains(&order.card.len()) {
                    return Err(invalid("`card` must be a token of 1 to 64 bytes"));
                }
                amount(order.amount)
            }
            Request::Refund(refund) => amount(refund.amount),
            Request::Capture(_) | Request::Void(_) => Ok(()),
        }
    }
}

/// The provider: everything that serving a request needs.
pub(super) struct Provider {
    platform: Platform,
    store: Store,
    config: Config,
    in_flight: Marks,
    webhooks: Option<Webhooks>,
}

impl Provider {
    pub fn new(platform: Platform, store: Store, config: Config) -> Self {
        let webhooks = config
            .webhooks
            .as_deref()
            .map(|peer| Webhooks::new(&platform, peer));
        Provider {
            platform,
            store,
            config,
            in_flight: Marks::default(),
            webhooks,
        }
    }

    pub fn behaviour(&self) -> &Behaviour {
        &self.config.behaviour
    }

    /// Serves a request in a task of its own: a caller who hangs up does not stop work that has begun.
    pub async fn serve(
        self: Arc<Self>,
        context: Context,
        key: String,
        request: Request,
        fault: Option<Fault>,
    ) -> Result<Answer, Problem> {
        request.check()?;
        if !(1..=128).contains(&key.len()) || !key.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(invalid(
                "`Idempotency-Key` must be 1 to 128 printable characters without spaces",
            ));
        }
        let (done, answer) = oneshot::channel();
        let span = context.span();
        let platform = self.platform.clone();
        platform.spawn(
            "pg-request",
            async move {
                // A caller who hung up needs no answer.
                let _ = done.send(self.work(context, key, request, fault).await);
            }
            .instrument(span),
        );
        answer
            .await
            .unwrap_or_else(|_| Err(Code::Internal.because("the gateway is stopping")))
    }

    async fn work(
        self: Arc<Self>,
        context: Context,
        key: String,
        request: Request,
        fault: Option<Fault>,
    ) -> Result<Answer, Problem> {
        let mark = self.in_flight.begin(key.clone()).ok_or_else(|| {
            Code::IdempotencyInFlight
                .because("a request with this Idempotency-Key is being worked on; ask again later")
        })?;
        let text = serde_json::to_string(&request).expect("a request is plain data");
        let known = self.store.read(|rows| rows.get(&ANSWERS, &key))?;
        if let Some(answer) = known.filter(|answer: &Answer| answer.is_fresh(self.now())) {
            return answer.repeat(&text);
        }
        let delay = self.delay(&request, fault);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let (answer, entry) = self.settle(key.clone(), text, request, fault).await?;
        drop(mark);
        if let (Some(entry), Some(webhooks)) = (entry, &self.webhooks) {
            let again = match fault {
                Some(Fault::LateDuplicateWebhook(delay)) => Some(delay),
                _ => None,
            };
            webhooks.send(context, Notice::new(key, &entry), again);
        }
        Ok(answer)
    }

    fn delay(&self, request: &Request, fault: Option<Fault>) -> Duration {
        let slow = match fault {
            Some(Fault::Slow(delay)) => delay,
            _ => Duration::ZERO,
        };
        match request {
            Request::Refund(_) => slow + self.config.refund_takes,
            _ => slow,
        }
    }

    /// Does the work and stores the answer in one commit. The entry is there if it changed.
    async fn settle(
        &self,
        key: String,
        text: String,
        request: Request,
        fault: Option<Fault>,
    ) -> Result<(Answer, Option<Entry>), Problem> {
        let now = self.now();
        let fee = self.config.refund_fee;
        let stores_refusals = self.config.style == KeyStyle::StoreAll;
        self.store
            .write(move |tx| {
                let outcome = match fault {
                    Some(Fault::Error) => Err(broken()),
                    _ => apply(tx, &request, now, fee),
                };
                let (status, body, entry) = match outcome {
                    Ok(entry) => (201, json!(entry), Some(entry)),
                    Err(problem) if stores_refusals => {
                        (problem.code.status(), problem.body(), None)
                    }
                    Err(problem) => return Err(problem),
                };
                let answer = Answer {
                    request: text,
                    status,
                    body,
                    at: now,
                };
                tx.put(&ANSWERS, &key, &answer)?;
                Ok((answer, entry))
            })
            .await
    }

    pub fn entries(&self, reference: &str) -> Result<Vec<Entry>, Problem> {
        let rows = self
            .store
            .read(|rows| rows.scan(&LEDGER, &format!("{reference}.")))?;
        Ok(rows.into_iter().map(|(_, entry)| entry).collect())
    }

    pub fn answer(&self, key: &str) -> Result<Answer, Problem> {
        self.store
            .read(|rows| rows.get(&ANSWERS, key))?
            .filter(|answer| answer.is_fresh(self.now()))
            .ok_or_else(|| {
                Code::NotFound
                    .because("no answer is stored under this key; ask again with the same key")
            })
    }

    fn now(&self) -> u64 {
        self.platform.clock.now_ms()
    }
}

fn apply(tx: &mut Writer, request: &Request, now: u64, fee: i64) -> Result<Entry, Problem> {
    let entry = match request {
        Request::Authorize(order) => open(tx, Kind::Authorization, order, now)?,
        Request::Charge(order) => open(tx, Kind::Charge, order, now)?,
        Request::Capture(hold) => {
            let mut entry = find(tx, &hold.authorization)?;
            entry.capture(now)?;
            entry
        }
        Request::Void(hold) => {
            let mut entry = find(tx, &hold.authorization)?;
            entry.void()?;
            entry
        }
        Request::Refund(refund) => {
            let mut entry = find(tx, &refund.payment)?;
            entry.refund(refund.amount, fee)?;
            entry
        }
    };
    tx.put(&LEDGER, &entry.id, &entry)?;
    Ok(entry)
}

fn open(tx: &Writer, kind: Kind, order: &Order, now: u64) -> Result<Entry, Problem> {
    let before = tx.scan(&LEDGER, &format!("{}.", order.reference))?.len();
    Entry::new(
        format!("{}.{}", order.reference, before + 1),
        kind,
        order,
        now,
    )
}

fn find(tx: &Writer, id: &str) -> Result<Entry, Problem> {
    tx.get(&LEDGER, id)?.ok_or_else(|| {
        Code::NotFound.because(format!("there is no authorization or charge `{id}`"))
    })
}

fn invalid(detail: impl Into<String>) -> Problem {
    Code::InvalidRequest.because(detail)
}

/// The 500 of a gateway that is told to fail.
pub(super) fn broken() -> Problem {
    Code::Internal.because("the gateway failed before doing any work")
}
