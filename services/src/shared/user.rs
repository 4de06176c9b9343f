//! The user service: who may buy, balances, and what sagas have set aside of them.
//!
//! Everything that one request does happens in one transaction. A balance changes by amounts only, so what several
//! sagas do to it commutes: no release restores a remembered balance.

mod api;
pub mod commands;
pub mod model;
pub mod store;

use std::{io, sync::Arc};

use axum::{Router, http::StatusCode};

use crate::{
    kit::{
        self, Code, Problem, Store, Writer,
        http::IdempotencyKey,
        idempotency::{self, Request, StoredAnswer},
        reservation::forgets_releases,
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Demo, Service, service},
};
use commands::{Commands, Reserve};
use store::{RESERVATIONS, USERS};

pub use api::{Create, Credit, Patch, Release};

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    demo: &[Demo {
        list: "/users",
        puts: &[("/users/1", r#"{"name":"Kim","balance":10000000}"#)],
    }],
    ..service!("user", ["/users", "/user/{id}/balance"])
};

/// How the service is set up.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let (_, router) = open(&platform, config).await?;
    kit::http::serve(&platform, router).await
}

/// The service's database and its routes, for a service that does more with them.
pub(crate) async fn open(platform: &Platform, config: Config) -> io::Result<(Store, Router)> {
    let store = Store::open(platform, store::FILE).await?.with(config.bugs);
    idempotency::spawn_sweeper(platform, &store);
    let users = Users {
        platform: platform.clone(),
        store: store.clone(),
        bugs: config.bugs,
    };
    Ok((store, api::router(Arc::new(users))))
}

/// The service's state.
struct Users {
    platform: Platform,
    store: Store,
    bugs: Bugs,
}

impl Users {
    async fn reserve(&self, key: IdempotencyKey, ask: Reserve) -> Result<StoredAnswer, Problem> {
        let key = Some(key).filter(|_| !forgets_releases(self.bugs));
        let request = Request::new("reserve", key, &ask);
        self.once(request, StatusCode::CREATED, move |users| {
            users.reserve(&ask)
        })
        .await
    }

    async fn release(
        &self,
        key: IdempotencyKey,
        saga_id: String,
        user: Option<String>,
    ) -> Result<StoredAnswer, Problem> {
        let request = Request::new("release", key, &saga_id);
        let seen = match self.bugs.has(Bug::ConflictInCompensationGivesUp) {
            true => self.version_of(&saga_id)?,
            false => None,
        };
        self.once(request, StatusCode::OK, move |users| {
            if let Some((user, version)) = &seen
                && let Some(now) = users.tx.get(&USERS, user)?
                && now.version != *version
            {
                let detail = format!("the balance of {user} changed meanwhile; ask again");
                return Err(Code::VersionConflict.because(detail));
            }
            users.give_back(&saga_id, user)
        })
        .await
    }

    /// The user of a saga's reservation, and the version of their row.
    fn version_of(&self, saga_id: &str) -> Result<Option<(String, u64)>, Problem> {
        self.store.read(|rows| {
            let Some(reservation) = rows.get(&RESERVATIONS, saga_id)? else {
                return Ok(None);
            };
            let user = rows.get(&USERS, &reservation.user)?;
            Ok(user.map(|user| (user.id, user.version)))
        })
    }

    async fn once<T: serde::Serialize>(
        &self,
        request: Request,
        success: StatusCode,
        work: impl FnOnce(&mut Commands<'_, '_>) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let bugs = self.bugs;
        let work = move |tx: &mut Writer<'_>, now_ms| work(&mut Commands { tx, bugs, now_ms });
        let place = (&self.platform, &self.store, bugs);
        request.once(place, success, work).await
    }

    /// Runs `work` in a transaction, as often as it is asked.
    async fn change<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Commands<'_, '_>) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<T, Problem> {
        let (bugs, now_ms) = (self.bugs, self.platform.clock.now_ms());
        let work = move |tx: &mut Writer<'_>| work(&mut Commands { tx, bugs, now_ms });
        self.store.write(work).await
    }
}
