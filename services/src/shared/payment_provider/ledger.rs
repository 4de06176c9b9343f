//! What the gateway knows about money: one entry per authorization or charge. This is the ground truth that every
//! other record of money is compared with.
//!
//! The gateway does what it is told: it allows *over-capture* ("multi-capture") and refunds beyond what was captured,
//! as some real gateways do. A second capture under another idempotency key takes the money twice. Sending each
//! order only once is the caller's duty.

use serde::{Deserialize, Serialize};

use crate::kit::{Code, Problem, Table};

/// The ledger: key [`Entry::id`], which begins with `{reference}.`.
pub const LEDGER: Table<Entry> = Table::new("ledger");

/// How long a hold lasts that is neither captured nor voided: 7 days, as card schemes have it.
pub const HOLD_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// How the money was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A hold first, captured later.
    Authorization,
    /// Taken at once.
    Charge,
}

/// One authorization or charge and all that became of it. Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `{reference}.{n}`, n counting from 1 within the reference.
    pub id: String,
    /// What the caller names its purchase: an order.
    pub reference: String,
    /// How the money was asked for.
    pub kind: Kind,
    /// What was authorized or charged.
    pub amount: i64,
    /// The card's token.
    pub card: String,
    /// Sum of all captures (a charge is captured at once).
    pub captured: i64,
    /// How often it was captured.
    pub captures: u32,
    /// Sum of all refunds.
    pub refunded: i64,
    /// How often it was refunded.
    pub refunds: u32,
    /// What the gateway charged the merchant for refunds.
    pub fee: i64,
    /// Whether the hold was given up.
    pub voided: bool,
    /// When it was made, by the gateway's clock: milliseconds since the Unix epoch.
    pub at: u64,
}

impl Entry {
    /// A new authorization or charge, or the bank's refusal. Cards whose token begins with `declined` are declined;
    /// `capture-declined` may be authorized, but no money can be taken from it.
    pub fn new(
        id: String,
        kind: Kind,
        order: &super::requests::Order,
        at: u64,
    ) -> Result<Self, Problem> {
        let taken_now = kind == Kind::Charge;
        if order.card.starts_with("declined")
            || (taken_now && order.card.starts_with("capture-declined"))
        {
            return Err(declined("the bank declined the card; use another one"));
        }
        Ok(Entry {
            id,
            reference: order.reference.clone(),
            kind,
            amount: order.amount,
            card: order.card.clone(),
            captured: if taken_now { order.amount } else { 0 },
            captures: taken_now.into(),
            refunded: 0,
            refunds: 0,
            fee: 0,
            voided: false,
            at,
        })
    }

    /// Takes the authorized amount, once per call.
    pub fn capture(&mut self, now: u64) -> Result<(), Problem> {
        if self.kind == Kind::Charge {
            return Err(refused(
                "a charge has been captured already; there is nothing to capture",
            ));
        }
        if self.voided {
            return Err(declined("the authorization was voided; authorize anew"));
        }
        if self.lapsed(now) {
            return Err(declined("the hold lapsed after 7 days; authorize anew"));
        }
        if self.card.starts_with("capture-declined") {
            return Err(declined(
                "the bank refused the capture; void the authorization",
            ));
        }
        self.captured += self.amount;
        self.captures += 1;
        Ok(())
    }

    /// Gives up the hold. Voiding what is voided or lapsed changes nothing.
    pub fn void(&mut self) -> Result<(), Problem> {
        if self.captures > 0 {
            return Err(refused(
                "the payment was captured and cannot be voided; refund it",
            ));
        }
        self.voided = true;
        Ok(())
    }

    /// Pays `amount` back, once per call, for a fee.
    pub fn refund(&mut self, amount: i64, fee: i64) -> Result<(), Problem> {
        if self.captures == 0 {
            return Err(refused(
                "nothing was captured, so nothing can be refunded; void it",
            ));
        }
        self.refunded += amount;
        self.refunds += 1;
        self.fee += fee;
        Ok(())
    }

    /// Captures minus refunds: what the merchant holds of the customer's money.
    pub fn net(&self) -> i64 {
        self.captured - self.refunded
    }

    /// What is held on the card without having been taken.
    pub fn hold(&self, now: u64) -> i64 {
        let open = self.kind == Kind::Authorization
            && self.captures == 0
            && !self.voided
            && !self.lapsed(now);
        if open { self.amount } else { 0 }
    }

    fn lapsed(&self, now: u64) -> bool {
        self.captures == 0 && now >= self.at.saturating_add(HOLD_MS)
    }
}

fn declined(detail: &str) -> Problem {
    Code::PaymentDeclined.because(detail)
}

fn refused(detail: &str) -> Problem {
    Code::InvalidState.because(detail)
}
