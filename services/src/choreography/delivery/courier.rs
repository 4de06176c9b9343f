//! The courier: takes a shipment to the door, as often as it is worth it.
//!
//! How long a try takes is counted from when this process first saw the shipment or tried it last, so no jump of the
//! wall clock moves it.

use std::{collections::BTreeMap, convert::Infallible, sync::Arc};

use tokio::time::Instant;
use tracing::Instrument;

use super::{
    Deliveries,
    model::{State, Try},
    store::{OPEN, SHIPMENTS, Shipment},
};
use crate::{
    choreography::{DELIVERY_COMPLETED, DELIVERY_FAILED},
    kit::{StoreError, timer::within},
};

/// Works for ever.
pub(super) async fn work(deliveries: Arc<Deliveries>) {
    loop {
        let Err(error) = deliveries.deliver_all().await;
        error
            .endure(deliveries.member.platform(), "the courier")
            .await;
    }
}

impl Deliveries {
    async fn deliver_all(&self) -> Result<Infallible, StoreError> {
        let takes = self.config.takes;
        let mut set_out: BTreeMap<String, Instant> = BTreeMap::new();
        loop {
            let open = self.member.store().read(|rows| rows.scan(&OPEN, ""))?;
            let (before, now) = (std::mem::take(&mut set_out), Instant::now());
            for (id, _) in open {
                let since = before.get(&id).copied().unwrap_or(now);
                if now.duration_since(since) < takes {
                    set_out.insert(id, since);
                } else if self.hand_over(&id).await? == State::Started {
                    set_out.insert(id, Instant::now());
                }
            }
            match set_out.values().min() {
                Some(first) => {
                    let wait = (*first + takes).saturating_duration_since(Instant::now());
                    within(wait, self.accepted.notified()).await;
                }
                None => self.accepted.notified().await,
            }
        }
    }

    /// Tries once to hand a shipment over; where it is then.
    async fn hand_over(&self, id: &str) -> Result<State, StoreError> {
        let store = self.member.store();
        let Some(shipment) = store.read(|rows| rows.get(&SHIPMENTS, id))? else {
            return Err(StoreError::Corrupt(format!("no shipment of order {id}")));
        };
        let tried = self.ring(&shipment);
        let (state, tries) = (shipment.state.after(tried), shipment.tries + 1);
        let span = shipment.context.span();
        let noted = self.note(Shipment {
            state,
            tries,
            at_ms: self.member.platform().clock.now_ms(),
            ..shipment
        });
        noted.instrument(span).await?;
        Ok(state)
    }

    /// Whether someone opens the door.
    fn ring(&self, shipment: &Shipment) -> Try {
        let drawn = self.member.platform().random.next_u64();
        match drawn.is_multiple_of(self.config.misses_one_in.max(1)) {
            false => Try::HandedOver,
            true if shipment.tries + 1 < self.config.tries_max => Try::Missed,
            true => Try::MissedForGood,
        }
    }

    async fn note(&self, shipment: Shipment) -> Result<(), StoreError> {
        let noted = self.member.write(move |tx, says| {
            let (placed, context) = (&shipment.placed, &shipment.context);
            let key = &placed.order_id;
            tx.put(&SHIPMENTS, key, &shipment)?;
            match shipment.state {
                State::Started => return Ok(()),
                State::Completed => says.say(DELIVERY_COMPLETED, key, context, placed),
                State::Failed => {
                    tracing::info!(tries = shipment.tries, "delivery given up");
                    let failed = placed.failed("it could not be delivered");
                    says.say(DELIVERY_FAILED, key, context, &failed);
                }
            }
            tx.delete(&OPEN, key)
        });
        noted.await
    }
}
