//! Asking the payment gateway: permits, keys, and what its answers mean.
//!
//! The gateway's client tells three things apart that must never be confused: *done*, *certainly not done*, and *not
//! known*. The last is an error here, and nobody may act on it but by asking again with the same key. That is sound for
//! as long as the gateway keeps its keys: an outage of more than [`payment_provider::KEPT_MS`] needs a person.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Beyond, Config,
    model::{Action, Told},
    store::Payment,
};
use crate::{
    kit::{
        CallError, Code, Context, Peer, PeerPolicy, Problem, Reply,
        bulkhead::{Permit, Permits},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    shared::payment_provider::{self, KeyStyle},
};

/// Calls to the gateway at once: its published limit for a merchant.
pub const CALLS_MAX: usize = 10;

/// How long a request waits for one of them.
pub const PERMIT_WAIT: Duration = Duration::from_secs(5);

/// The way to the gateway.
#[derive(Clone)]
pub(super) struct Gateway {
    pub(super) platform: Platform,
    peer: Peer,
    /// The same gateway, for look-ups, with a breaker of its own: an error that the gateway has stored opens the other
    /// one at every repeat, and must not keep us from learning that it is stored.
    records: Peer,
    permits: Permits,
    beyond: Beyond,
    style: KeyStyle,
    bugs: Bugs,
}

impl Gateway {
    pub fn new(platform: &Platform, config: &Config) -> Self {
        let bugs = config.bugs;
        let keyless = [
            Bug::NoKey,
            Bug::CaptureWithoutKey,
            Bug::RefundWithoutKey,
            Bug::RetryOfNonIdempotent,
        ];
        let keyless = keyless.into_iter().any(|bug| bugs.has(bug));
        let policy = PeerPolicy {
            // The attempts of one call share its key, which would hide that the next call has another.
            attempts: if keyless { 1 } else { 3 },
            timeout: Duration::from_secs(2),
            backoff: Duration::from_millis(200),
            breaker_threshold: 0.4,
            breaker_window: 10,
            breaker_open: Duration::from_secs(30),
            breaker_lets_all_through: bugs.has(Bug::BreakerLetsAllThrough),
        };
        Gateway {
            platform: platform.clone(),
            records: Peer::new(platform, &config.gateway, policy.clone()),
            peer: Peer::new(platform, &config.gateway, policy),
            permits: config.permits.clone(),
            beyond: match config.beyond {
                Beyond::LinesUp(_) if bugs.has(Bug::QueueUnbounded) => Beyond::LinesUp(usize::MAX),
                beyond => beyond,
            },
            style: config.gateway_style,
            bugs,
        }
    }

    /// A permit to call, or `PG_THROTTLED`: after [`PERMIT_WAIT`], or because too many stand in line.
    pub async fn permit(&self) -> Result<Permit, Problem> {
        if self.bugs.has(Bug::NoBulkhead) {
            return Ok(Permit::forged());
        }
        let permit = match self.beyond {
            Beyond::Waits => self.permits.acquire(PERMIT_WAIT).await,
            Beyond::LinesUp(places) => self.permits.line_up(places).await,
        };
        permit.ok_or_else(|| {
            throttled("too many payments at once; nothing was done, ask again with the same key")
        })
    }

    /// Asks the payment's question, with a permit that the caller has or one of its own.
    pub async fn ask(
        &self,
        context: &Context,
        payment: &Payment,
        action: Action,
        permit: Option<Permit>,
    ) -> Result<Told, Problem> {
        if self.bugs.has(Bug::HoldNeverVoided) && action == Action::Void {
            let id = payment.gateway_id.clone().unwrap_or_default();
            return Ok(Told::Done { id });
        }
        let told = self.ask_soundly(context, payment, action, permit).await;
        if self.bugs.has(Bug::RefundMarkedNotAsked) && action.is_undo() && told.is_err() {
            let id = payment.gateway_id.clone().unwrap_or_default();
            return Ok(Told::Done { id });
        }
        if self.bugs.has(Bug::CaptureAfterVoid) && action == Action::Capture && told.is_err() {
            self.capture_later(context, payment);
            let detail = "the gateway did not answer".to_owned();
            return Ok(Told::Refused { detail });
        }
        told
    }

    pub(super) async fn ask_soundly(
        &self,
        context: &Context,
        payment: &Payment,
        action: Action,
        permit: Option<Permit>,
    ) -> Result<Told, Problem> {
        let permit = match permit {
            Some(permit) => permit,
            None => self.permit().await?,
        };
        let _call = self.permits.at_it();
        let known_key = self.key(payment, action);
        let fresh_key = || self.platform.short_id("NOKEY");
        let key = known_key.clone().unwrap_or_else(fresh_key);
        let answer = self
            .peer
            .call(
                context,
                "POST",
                action.path(),
                Some(&key),
                &body(payment, action)?,
            )
            .await;
        let _held_to_the_end = match self.bugs.has(Bug::PermitLeaked) && answer.is_err() {
            true => permit.leak(),
            false => Some(permit),
        };
        match answer {
            Ok(reply) => self.read(action, reply.status, &reply.body),
            Err(CallError::Unknown { .. }) if self.bugs.has(Bug::TimeoutMeansNo) => {
                Ok(Told::Refused {
                    detail: "the gateway did not answer".to_owned(),
                })
            }
            Err(error @ CallError::Unknown { .. }) if self.style == KeyStyle::StoreAll => {
                match known_key {
                    Some(key) => self.look_up(context, action, &key).await?,
                    None => None,
                }
                .ok_or_else(|| error.into())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// What the gateway stored under the key, if anything: an error that it repeats is final.
    async fn look_up(
        &self,
        context: &Context,
        action: Action,
        key: &str,
    ) -> Result<Option<Told>, Problem> {
        let path = format!("/requests/{key}");
        let reply = self.records.call(context, "GET", &path, None, &()).await?;
        if reply.status == 404 {
            return Ok(None);
        }
        let answer: payment_provider::Answer = reply.ok()?;
        if answer.status >= 500 {
            return Ok(Some(Told::Failed));
        }
        self.read(action, answer.status, &answer.body).map(Some)
    }

    fn read(&self, action: Action, status: u16, body: &Value) -> Result<Told, Problem> {
        if (200..300).contains(&status) {
            return match body["id"].as_str() {
                Some(id) => Ok(Told::Done { id: id.to_owned() }),
                None => Err(self.unreadable(action, status, "no `id`")),
            };
        }
        if status == 429 {
            return Err(throttled(
                "the payment gateway is throttling; ask again with the same key",
            ));
        }
        let problem = Reply {
            status,
            body: body.clone(),
            next: None,
        }
        .problem();
        match problem.code {
            Code::InvalidState if action == Action::Void => Ok(Told::FoundCaptured),
            Code::PaymentDeclined | Code::InvalidState => Ok(Told::Refused {
                detail: problem.detail,
            }),
            Code::IdempotencyInFlight => Err(not_known(
                "the payment gateway is still working on it; ask again with the same key",
            )),
            _ => Err(self.unreadable(action, status, &problem.detail)),
        }
    }

    fn unreadable(&self, action: Action, status: u16, detail: &str) -> Problem {
        tracing::error!(
            alert = true,
            action = action.name(),
            status,
            detail,
            "gateway not understood"
        );
        not_known("the payment gateway's answer was not understood; a person has been called")
    }

    /// `{payment}-payment-{action}-{attempt}`: the same question has the same key for ever. `None` where a bug is open
    /// that asks under a new key each time.
    fn key(&self, payment: &Payment, action: Action) -> Option<String> {
        let keyless = match action {
            Action::Charge | Action::Capture => self.bugs.has(Bug::CaptureWithoutKey),
            Action::Refund => self.bugs.has(Bug::RefundWithoutKey),
            Action::Authorize => self.bugs.has(Bug::RetryOfNonIdempotent),
            Action::Void => false,
        };
        let (id, name) = (&payment.id, action.name());
        (!keyless && !self.bugs.has(Bug::NoKey))
            .then(|| format!("{id}-payment-{name}-{}", payment.attempt(action)))
    }
}

fn body(payment: &Payment, action: Action) -> Result<Value, Problem> {
    let id = || {
        payment
            .gateway_id
            .as_deref()
            .ok_or_else(|| Code::Internal.because("the payment has no id at the gateway"))
    };
    Ok(match action {
        Action::Authorize | Action::Charge => json!(payment_provider::requests::Order {
            reference: payment.order_id.clone(),
            amount: payment.amount,
            card: payment.card.clone(),
        }),
        Action::Capture | Action::Void => json!(payment_provider::requests::Hold {
            authorization: id()?.to_owned(),
        }),
        Action::Refund => json!(payment_provider::requests::Refund {
            payment: id()?.to_owned(),
            amount: payment.refund.unwrap_or(payment.amount),
        }),
    })
}

fn throttled(detail: &str) -> Problem {
    Code::PgThrottled.because(detail)
}

fn not_known(detail: &str) -> Problem {
    Code::ServiceUnavailable.because(detail)
}
