//! The coupon service: coupons are issued first come, first served, never more than there are and never two to one user,
//! and used at most once.
//!
//! A rush for coupons is kept apart from everything else by a bounded executor: whoever comes when it is full is told
//! to come again.

mod api;
mod commands;
pub mod model;
pub mod store;

use std::{io, sync::Arc};

use axum::http::StatusCode;

use crate::{
    kit::{
        self, Code, Problem, Store, Writer,
        executor::{Executor, Load, Size},
        http::IdempotencyKey,
        idempotency::{self, Request, StoredAnswer},
        reservation::{Reserving, forgets_releases},
    },
    planted_bug::{Bug, Bugs},
    ports::Platform,
    service::{Service, service},
};
use commands::{Commands, Remembered};
use store::{CAMPAIGNS, COUPONS, Campaign, Held};

pub use api::{Create, Issue, Release};
pub use commands::Reserve;

/// The service, as topologies list it.
pub const SERVICE: Service = service!("coupon", ["/campaigns", "/coupons"]);

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The planted bugs that are on.
    pub bugs: Bugs,
    /// The size of the executor that issues coupons.
    pub issue: Size,
    /// What the executor comes to.
    pub load: Load,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            bugs: Bugs::NONE,
            issue: Size::COUPON_ISSUE,
            load: Load::default(),
        }
    }
}

/// Serves until the process ends.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE).await?.with(config.bugs);
    idempotency::spawn_sweeper(&platform, &store);
    let Config { bugs, issue, load } = config;
    let coupons = Coupons {
        issuing: Executor::new(&platform, "coupon-issue", issue, bugs, &load),
        platform: platform.clone(),
        store,
        bugs,
    };
    kit::http::serve(&platform, api::router(Arc::new(coupons))).await
}

/// The service's state.
struct Coupons {
    platform: Platform,
    store: Store,
    bugs: Bugs,
    issuing: Executor,
}

impl Coupons {
    async fn create(&self, id: String, discount: u64, limit: u64) -> Result<Campaign, Problem> {
        let (bugs, now_ms) = (self.bugs, self.platform.clock.now_ms());
        let work = move |tx: &mut Writer<'_>| {
            let remembered = Remembered::default();
            let mut commands = Commands {
                tx,
                bugs,
                now_ms,
                remembered,
            };
            commands.create(&id, discount, limit)
        };
        self.store.write(work).await
    }

    /// Issues a coupon within the executor.
    ///
    /// # Errors
    /// `TOO_MANY_REQUESTS` if it is full; `NOT_FOUND`, `COUPONS_GONE`, `INVALID_STATE` for a user who has one.
    async fn issue(
        self: &Arc<Self>,
        key: IdempotencyKey,
        campaign: String,
        user: String,
    ) -> Result<StoredAnswer, Problem> {
        let coupons = Arc::clone(self);
        let issue = async move {
            let mut remembered = Remembered::default();
            if coupons.bugs.has(Bug::CouponOverIssued) {
                remembered.issued = coupons.issued(&campaign)?;
            }
            let platform = coupons.platform.clone();
            let request = Request::new("issue", key, &(&campaign, &user));
            let work = move |tx: &mut Commands<'_, '_>| tx.issue(&platform, &campaign, &user);
            coupons
                .once(request, StatusCode::CREATED, remembered, work)
                .await
        };
        let issued = self.issuing.run("coupon-issue", issue).await;
        issued.map_err(|full| Code::TooManyRequests.because(full.to_string()))?
    }

    fn issued(&self, campaign: &str) -> Result<Option<u64>, Problem> {
        let campaign = self.store.read(|rows| rows.get(&CAMPAIGNS, campaign))?;
        Ok(campaign.map(|campaign| campaign.issued))
    }

    async fn reserve(&self, key: IdempotencyKey, ask: Reserve) -> Result<StoredAnswer, Problem> {
        let mut remembered = Remembered::default();
        if self.bugs.has(Bug::CouponCheckThenUse) {
            let coupon = self.store.read(|rows| rows.get(&COUPONS, &ask.coupon))?;
            remembered.state = coupon.map(|coupon| coupon.state);
        }
        let key = Some(key).filter(|_| !forgets_releases(self.bugs));
        let request = Request::new("reserve", key, &ask);
        let work = move |tx: &mut Commands<'_, '_>| tx.reserve(&ask);
        self.once(request, StatusCode::CREATED, remembered, work)
            .await
    }

    async fn use_up(&self, key: IdempotencyKey, saga_id: String) -> Result<StoredAnswer, Problem> {
        let request = Request::new("use", key, &saga_id);
        let work = move |tx: &mut Commands<'_, '_>| tx.confirm(&saga_id);
        self.once(request, StatusCode::OK, Remembered::default(), work)
            .await
    }

    async fn release(
        &self,
        key: IdempotencyKey,
        saga_id: String,
        coupon: Option<String>,
    ) -> Result<StoredAnswer, Problem> {
        let request = Request::new("release", key, &saga_id);
        let nothing = Held {
            coupon: coupon.unwrap_or_default(),
            discount: 0,
        };
        let work = move |tx: &mut Commands<'_, '_>| tx.release(&saga_id, nothing);
        self.once(request, StatusCode::OK, Remembered::default(), work)
            .await
    }

    async fn once<T: serde::Serialize>(
        &self,
        request: Request,
        success: StatusCode,
        remembered: Remembered,
        work: impl FnOnce(&mut Commands<'_, '_>) -> Result<T, Problem> + Clone + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let bugs = self.bugs;
        let work = move |tx: &mut Writer<'_>, now_ms| {
            work(&mut Commands {
                tx,
                bugs,
                now_ms,
                remembered,
            })
        };
        let place = (&self.platform, &self.store, bugs);
        request.once(place, success, work).await
    }
}
