//! The coupon service: coupons are issued first come, first served, never more than there are and never two to one user,
//! and used at most once.
//!
//! A rush for coupons is kept apart from everything else by a bounded executor: whoever comes when it is full is told
//! to come again.

mod api;
mod desk;
pub mod model;
pub mod store;

use std::{io, sync::Arc};

use axum::http::StatusCode;

use crate::{
    gap::{Gap, Gaps},
    kit::{
        self, Code, Problem, Store, Writer,
        executor::{Executor, Load, Size},
        http::IdempotencyKey,
        idempotency::{self, StoredAnswer, fingerprint},
        once::Once,
        reservation::forgets_releases,
    },
    ports::Platform,
    service::Service,
};
use desk::{Desk, Remembered};
use store::{CAMPAIGNS, COUPONS, Campaign};

pub use api::{Create, Issue, Release};
pub use desk::Reserve;

/// The service, as topologies list it.
pub const SERVICE: Service = Service {
    name: "coupon",
    paths: &["/campaigns", "/coupons"],
    run: |platform| Box::pin(run(platform, Config::default())),
    demo: &[],
};

/// How the service is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// The weaknesses of the shape.
    pub gaps: Gaps,
    /// The size of the executor that issues coupons.
    pub issue: Size,
    /// What the executor comes to.
    pub load: Load,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            gaps: Gaps::NONE,
            issue: Size::COUPON_ISSUE,
            load: Load::default(),
        }
    }
}

/// Serves until the process ends.
///
/// # Errors
/// The database or the service's address cannot be used.
pub async fn run(platform: Platform, config: Config) -> io::Result<()> {
    let store = Store::open(&platform, store::FILE)
        .await
        .map_err(io::Error::other)?
        .with(config.gaps);
    platform.spawn(
        "key-sweeper",
        idempotency::keep_sweeping(platform.clone(), store.clone()),
    );
    let Config { gaps, issue, load } = config;
    let coupons = Coupons {
        issuing: Executor::new(&platform, "coupon-issue", issue, gaps, &load),
        platform: platform.clone(),
        store,
        gaps,
    };
    kit::http::serve(&platform, api::router(Arc::new(coupons))).await
}

/// The service's state.
struct Coupons {
    platform: Platform,
    store: Store,
    gaps: Gaps,
    issuing: Executor,
}

impl Coupons {
    async fn create(&self, id: String, discount: u64, limit: u64) -> Result<Campaign, Problem> {
        let (gaps, now_ms) = (self.gaps, self.platform.clock.now_ms());
        let work = move |tx: &mut Writer<'_>| {
            let mut desk = Desk {
                tx,
                gaps,
                now_ms,
                remembered: Remembered::default(),
            };
            desk.create(&id, discount, limit)
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
            let issued = match coupons.gaps.has(Gap::CouponOverIssued) {
                true => coupons.issued(&campaign)?,
                false => None,
            };
            let remembered = Remembered {
                issued,
                ..Remembered::default()
            };
            let platform = coupons.platform.clone();
            let request = (
                "issue",
                StatusCode::CREATED,
                fingerprint(&(&campaign, &user)),
            );
            let work = move |desk: &mut Desk<'_, '_>| desk.issue(&platform, &campaign, &user);
            coupons.once(Some(key), request, remembered, work).await
        };
        let full =
            |full: kit::executor::Full| Problem::new(Code::TooManyRequests, full.to_string());
        self.issuing
            .run("coupon-issue", issue)
            .await
            .map_err(full)?
    }

    fn issued(&self, campaign: &str) -> Result<Option<u64>, Problem> {
        let campaign = self.store.read(|rows| rows.get(&CAMPAIGNS, campaign))?;
        Ok(campaign.map(|campaign| campaign.issued))
    }

    async fn reserve(&self, key: IdempotencyKey, ask: Reserve) -> Result<StoredAnswer, Problem> {
        let state = match self.gaps.has(Gap::CouponCheckThenUse) {
            true => {
                let coupon = self.store.read(|rows| rows.get(&COUPONS, &ask.coupon))?;
                coupon.map(|coupon| coupon.state)
            }
            false => None,
        };
        let remembered = Remembered {
            state,
            ..Remembered::default()
        };
        let keeps_keys = !forgets_releases(self.gaps);
        let request = ("reserve", StatusCode::CREATED, fingerprint(&ask));
        let key = keeps_keys.then_some(key);
        self.once(key, request, remembered, move |desk| desk.reserve(&ask))
            .await
    }

    async fn use_up(&self, key: IdempotencyKey, saga_id: String) -> Result<StoredAnswer, Problem> {
        let request = ("use", StatusCode::OK, fingerprint(&saga_id));
        let work = move |desk: &mut Desk<'_, '_>| desk.use_up(&saga_id);
        self.once(Some(key), request, Remembered::default(), work)
            .await
    }

    async fn release(
        &self,
        key: IdempotencyKey,
        saga_id: String,
        coupon: Option<String>,
    ) -> Result<StoredAnswer, Problem> {
        let request = ("release", StatusCode::OK, fingerprint(&saga_id));
        let work = move |desk: &mut Desk<'_, '_>| desk.release(&saga_id, coupon.as_deref());
        self.once(Some(key), request, Remembered::default(), work)
            .await
    }

    async fn once<T: serde::Serialize>(
        &self,
        key: Option<IdempotencyKey>,
        (operation, success, fingerprint): (&'static str, StatusCode, u64),
        remembered: Remembered,
        work: impl FnOnce(&mut Desk<'_, '_>) -> Result<T, Problem> + Send + 'static,
    ) -> Result<StoredAnswer, Problem> {
        let gaps = self.gaps;
        let once = Once {
            key,
            operation,
            fingerprint,
            success,
        };
        let work = move |tx: &mut Writer<'_>, now_ms| {
            work(&mut Desk {
                tx,
                gaps,
                now_ms,
                remembered,
            })
        };
        once.run((&self.platform, &self.store, gaps), work).await
    }
}
