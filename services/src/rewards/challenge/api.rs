//! The challenge service's routes.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{
    Challenges,
    complete::{Completed, unknown_challenge},
    store::{CHALLENGES, Challenge, Completion, Product, Sync, completion_key},
    sync::{Mode, Transport},
};
use crate::{
    kit::{
        Code, Context, Listed, Page, Problem,
        http::{Body, IdempotencyKey},
        input::{ID_MAX, QUANTITY, plain_id, within},
        saga::api as dead_letters,
    },
    shared::catalog::store::Change,
};

/// The body of `PUT /challenges/{id}`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Put {
    /// What is to be done.
    pub title: String,
    /// The product that is the reward.
    pub sku: String,
    /// Units of it, 1..=1000.
    pub quantity: u64,
}

/// The body of `POST /challenges/{id}/completions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Complete {
    /// Who completed it.
    pub user: String,
}

/// The body of `PUT /sync`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// How copies of products are kept from now on.
    pub mode: Mode,
    /// How notices come in the mode `events`; by webhook if not said.
    #[serde(default)]
    pub transport: Transport,
}

/// Longest title, in bytes.
const TITLE_MAX: usize = 200;
/// Two of these and a colon make an id.
const HALF_ID_MAX: usize = (ID_MAX - 1) / 2;

type App = State<Arc<Challenges>>;

pub(super) fn router(challenges: Arc<Challenges>) -> Router {
    Router::new()
        .route("/challenges", get(list))
        .route("/challenges/{id}", get(show).put(put))
        .route("/challenges/{id}/completions", post(complete))
        .route("/challenges/{id}/completions/{user}", get(completion))
        .route("/sync", get(sync).put(switch))
        .route("/webhooks/products", post(hear))
        .with_state(Arc::clone(&challenges))
        // On its own port only: behind the gateway, /dead-letters are the orders'.
        .merge(dead_letters::router(challenges.sagas.clone()))
}

async fn list(State(challenges): App, page: Page) -> Result<Listed<Challenge>, Problem> {
    Ok(challenges.store.read(|rows| page.of(rows, &CHALLENGES))?)
}

/// The challenge and its reward as the sync mode shows it; `null` if the catalog has no such product.
async fn show(
    State(challenges): App,
    context: Context,
    Path(id): Path<String>,
) -> Result<Json<Value>, Problem> {
    let challenge: Option<Challenge> = challenges.store.read(|rows| rows.get(&CHALLENGES, &id))?;
    let challenge = challenge.ok_or_else(|| unknown_challenge(&id))?;
    let product = challenges.view.show(&context, &challenge.sku).await?;
    let Challenge {
        id,
        title,
        sku,
        quantity,
    } = challenge;
    Ok(Json(json!({
        "id": id, "title": title, "sku": sku, "quantity": quantity, "product": product,
    })))
}

async fn put(
    State(challenges): App,
    Path(id): Path<String>,
    Body(put): Body<Put>,
) -> Result<Json<Challenge>, Problem> {
    half_id("id", &id)?;
    plain_id("sku", &put.sku)?;
    within("quantity", put.quantity, QUANTITY)?;
    if !(1..=TITLE_MAX).contains(&put.title.len()) {
        return Err(
            Code::InvalidRequest.because(format!("title must be 1 to {TITLE_MAX} bytes long"))
        );
    }
    let challenge = Challenge {
        id,
        title: put.title,
        sku: put.sku,
        quantity: put.quantity,
    };
    let row = challenge.clone();
    challenges
        .store
        .write(move |tx| Ok::<_, Problem>(tx.put(&CHALLENGES, &row.id, &row)?))
        .await?;
    Ok(Json(challenge))
}

async fn complete(
    State(challenges): App,
    context: Context,
    IdempotencyKey(key): IdempotencyKey,
    Path(id): Path<String>,
    Body(Complete { user }): Body<Complete>,
) -> Result<Response, Problem> {
    half_id("user", &user)?;
    let told = challenges.complete(&context, key, id, user).await?;
    Ok(match told {
        Completed::Ended(answer) => answer.into_response(),
        Completed::UnderWay(completion) => {
            let Completion {
                challenge, user, ..
            } = &completion;
            let location = format!("/challenges/{challenge}/completions/{user}");
            let location = [(header::LOCATION, location)];
            (StatusCode::ACCEPTED, location, Json(completion)).into_response()
        }
    })
}

async fn completion(
    State(challenges): App,
    Path((id, user)): Path<(String, String)>,
) -> Result<Json<Completion>, Problem> {
    let key = completion_key(&id, &user);
    challenges.completion(&key)?.map(Json).ok_or_else(|| {
        Code::NotFound.because(format!("{user} has not begun to complete challenge {id}"))
    })
}

async fn sync(State(challenges): App) -> Result<Json<Sync>, Problem> {
    Ok(Json(challenges.view.sync()?))
}

async fn switch(
    State(challenges): App,
    Body(Switch { mode, transport }): Body<Switch>,
) -> Result<Json<Sync>, Problem> {
    challenges.view.switch(mode, transport).await.map(Json)
}

async fn hear(
    State(challenges): App,
    context: Context,
    Body(change): Body<Change>,
) -> Result<Json<Value>, Problem> {
    plain_id("sku", &change.sku)?;
    let told = Product::from(change);
    challenges
        .view
        .hear(&context, told, Transport::Webhook)
        .await?;
    Ok(Json(json!({})))
}

/// Half of a completion's id: [`completion_key`].
fn half_id(field: &str, id: &str) -> Result<(), Problem> {
    plain_id(field, id)?;
    if id.len() <= HALF_ID_MAX && !id.contains(':') {
        return Ok(());
    }
    Err(Code::InvalidRequest.because(format!(
        "{field} must be 1 to {HALF_ID_MAX} letters, digits or -_."
    )))
}
