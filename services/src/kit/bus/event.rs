//! The envelope.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    kit::{Context, Problem, StoreError},
    ports::Platform,
};

/// The version of the envelope that is sent and understood.
pub const ENVELOPE: u32 = 1;

/// Something that happened, told to whom it may concern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The [version of this envelope](ENVELOPE).
    pub version: u32,
    /// `EVT-` and sixteen hexadecimal digits; the same however often it is sent.
    pub id: String,
    /// What happened: `order.created`.
    pub kind: String,
    /// What it happened to: events of one key are delivered in the order of their sending.
    pub key: String,
    /// When; the sender's wall clock, milliseconds since the Unix epoch.
    pub at_ms: u64,
    /// The request or event that it follows from: one trace across all services.
    pub context: Context,
    /// What else there is to say; its form goes with the kind.
    pub body: serde_json::Value,
}

impl Event {
    /// An event that happens now.
    pub fn new(
        platform: &Platform,
        kind: &str,
        key: &str,
        context: &Context,
        body: &impl Serialize,
    ) -> Self {
        Event {
            version: ENVELOPE,
            id: format!("EVT-{:016X}", platform.random.next_u64()),
            kind: kind.to_owned(),
            key: key.to_owned(),
            at_ms: platform.clock.now_ms(),
            context: context.clone(),
            body: serde_json::to_value(body).expect("what is told of an event is plain data"),
        }
    }

    /// The body as `T`. What does not parse never will: it is poison.
    pub fn body<T: DeserializeOwned>(&self) -> Result<T, HandlerError> {
        T::deserialize(&self.body)
            .map_err(|error| HandlerError::Poison(format!("the body of {}: {error}", self.kind)))
    }

    /// The context of the work that handles it.
    pub fn context_of(&self, group: &str) -> Context {
        self.context.step(group)
    }
}

/// Why an event was not handled.
#[derive(Clone, Debug, thiserror::Error)]
pub enum HandlerError {
    /// It may go better another time.
    #[error("{0}")]
    Retry(String),
    /// It never will: this goes to the dead letters at once.
    #[error("{0}")]
    Poison(String),
}

impl From<StoreError> for HandlerError {
    fn from(error: StoreError) -> Self {
        HandlerError::Retry(error.to_string())
    }
}

impl From<Problem> for HandlerError {
    fn from(problem: Problem) -> Self {
        match problem.code.is_transient() {
            true => HandlerError::Retry(problem.to_string()),
            false => HandlerError::Poison(problem.to_string()),
        }
    }
}
