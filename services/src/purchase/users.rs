//! The user service as item purchases have it: it validates who buys and reserves their balance.

use std::{io, sync::Arc};

use async_trait::async_trait;
use axum::{
    Json, Router,
    extract::{Path, State},
    routing::get,
};
use serde_json::{Value, json};

use super::{
    ORDER_CANCELLED, ORDER_COMPLETED, ORDER_CREATED, Purchase, TOPIC, USER_FAILED, USER_RELEASED,
    USER_VALIDATED, keep_rollback_data, knows_rollback_data,
};
use crate::{
    kit::{
        self, Problem, Writer,
        bus::{Event, Handler, HandlerError},
        member::{Member, Settings},
        reservation::Reserving,
    },
    ports::Platform,
    service::{Service, service},
    shared::user::{
        self,
        commands::{Commands, Reserve, unknown_user},
        store::USERS,
    },
};

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    // `POST /setup-test-data` makes the users that it needs.
    demo: &[],
    ..service!(user::SERVICE)
};

/// Serves until the process ends.
pub async fn run(platform: Platform, settings: Settings) -> io::Result<()> {
    let config = user::Config {
        bugs: settings.bugs,
    };
    let (store, router) = user::open(&platform, config).await?;
    let member = Member::join(&platform, &store, TOPIC, &settings).await?;
    let purse = Arc::new(Purse {
        member: member.clone(),
    });
    let kinds = [ORDER_CREATED, ORDER_COMPLETED, ORDER_CANCELLED];
    let events = member.hear(&kinds, purse.clone());
    let balances = Router::new()
        .route("/user/{id}/balance", get(balance))
        .with_state(purse);
    let router = router.merge(balances.merge(events));
    kit::http::serve(&platform, router).await
}

struct Purse {
    member: Member,
}

#[async_trait]
impl Handler for Purse {
    async fn handle(&self, event: &Event) -> Result<(), HandlerError> {
        let purchase = Purchase::of(event)?;
        match event.kind.as_str() {
            ORDER_CREATED => self.reserve(event, purchase).await,
            ORDER_COMPLETED => self.confirm(event, purchase).await,
            ORDER_CANCELLED => self.release(event, purchase).await,
            _ => Ok(()),
        }
    }
}

impl Purse {
    async fn reserve(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let (context, users) = (event.context.clone(), self.commands());
        let reserved = self.member.once(event, move |tx, says| {
            let ask = Reserve {
                saga_id: purchase.order_id.clone(),
                order_id: purchase.order_id.clone(),
                user: purchase.user_id.clone(),
                amount: purchase.more.payable(purchase.amount),
            };
            let key = &purchase.order_id;
            match users(tx).reserve(&ask) {
                Ok(_) => says.say(USER_VALIDATED, key, &context, &purchase),
                Err(problem) if problem.code.is_transient() => return Err(problem.into()),
                Err(problem) => {
                    let failed = purchase.failed(problem.detail);
                    says.say(USER_FAILED, key, &context, &failed);
                }
            }
            Ok(())
        });
        reserved.await?;
        keep_rollback_data(&self.member, event).await;
        Ok(())
    }

    async fn confirm(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        let users = self.commands();
        let confirmed = self.member.once(event, move |tx, _| {
            users(tx).confirm(&purchase.order_id)?;
            Ok(())
        });
        confirmed.await
    }

    async fn release(&self, event: &Event, purchase: Purchase) -> Result<(), HandlerError> {
        if !knows_rollback_data(&self.member, event).await {
            return self.member.once(event, |_, _| Ok(())).await;
        }
        let (context, users) = (event.context.clone(), self.commands());
        let released = self.member.once(event, move |tx, says| {
            let key = &purchase.order_id;
            let released = users(tx).give_back(key, Some(purchase.user_id.clone()))?;
            if released.amount > 0 {
                says.say(USER_RELEASED, key, &context, &purchase);
            }
            Ok(())
        });
        released.await
    }

    /// What makes commands of a transaction.
    fn commands(
        &self,
    ) -> impl for<'a, 't> Fn(&'a mut Writer<'t>) -> Commands<'a, 't> + Clone + use<> {
        let (bugs, now_ms) = (self.member.bugs(), self.member.platform().clock.now_ms());
        move |tx| Commands { tx, bugs, now_ms }
    }
}

async fn balance(
    State(purse): State<Arc<Purse>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let user = purse.member.store().read(|rows| rows.get(&USERS, &id))?;
    let user = user.ok_or_else(|| unknown_user(&id))?;
    Ok(Json(json!({
        "userId": user.id,
        "balance": user.balance.available,
        "reserved": user.balance.reserved,
        "spent": user.balance.spent,
    })))
}
