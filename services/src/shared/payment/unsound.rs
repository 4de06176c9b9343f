//! A queue of captures that are never withdrawn. Only for the planted bug `capture-after-void`.
//!
//! A gateway refuses the capture of a voided hold, but grants a new hold to any merchant who has the card's token: that
//! is how a capture can follow a void although no gateway lets it.

use std::time::Duration;

use tracing::Instrument;

use super::{
    gateway::Gateway,
    model::{Action, Told},
    store::Payment,
};
use crate::kit::{Context, Problem};

/// How long a capture waits for its turn.
const TURN: Duration = Duration::from_secs(3);

impl Gateway {
    /// Captures the payment as it is now, in a while.
    pub(super) fn capture_later(&self, context: &Context, payment: &Payment) {
        let (gateway, context, payment) = (self.clone(), context.clone(), payment.clone());
        let span = context.span();
        let capture = async move {
            tokio::time::sleep(TURN).await;
            if let Err(problem) = gateway.capture_somehow(&context, payment).await {
                tracing::info!(%problem, "late capture failed");
            }
        };
        self.platform
            .spawn("late-capture", capture.instrument(span));
    }

    async fn capture_somehow(
        &self,
        context: &Context,
        mut payment: Payment,
    ) -> Result<(), Problem> {
        let told = self.ask_soundly(context, &payment, Action::Capture, None);
        if !matches!(told.await?, Told::Refused { .. }) {
            return Ok(());
        }
        for action in [Action::Authorize, Action::Capture] {
            let next = payment.attempt(action) + 1;
            payment.attempts.insert(action, next);
        }
        let told = self.ask_soundly(context, &payment, Action::Authorize, None);
        if let Told::Done { id } = told.await? {
            payment.gateway_id = Some(id);
            self.ask_soundly(context, &payment, Action::Capture, None)
                .await?;
        }
        Ok(())
    }
}
