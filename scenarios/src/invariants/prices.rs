//! Prices: the version that an order names was the catalog's at some time between the request and the order's commit.

use std::{collections::BTreeMap, time::Duration};

use squall::{
    check::{Commit, Findings},
    time::VirtualTime,
};
use squall_services::shared::catalog::store::{VERSIONS, Version, version_key};

use crate::{person::Asked, table_view::TableView};

/// The versions of products in the catalog's books, and since when each is there.
pub struct Prices {
    versions: TableView<Version>,
    since: BTreeMap<String, VirtualTime>,
    asked: Asked,
}

impl Prices {
    /// Nothing is known of the node `"catalog"` yet. Operations that are not among those `asked` are not judged by time.
    pub fn new(asked: &Asked) -> Self {
        Prices {
            versions: TableView::new("catalog", VERSIONS),
            since: BTreeMap::new(),
            asked: asked.clone(),
        }
    }

    /// Takes a commit over.
    pub fn follow(&mut self, commit: &Commit<'_>, now: VirtualTime) {
        for change in self.versions.follow(commit) {
            self.since.entry(change.key.to_owned()).or_insert(now);
        }
    }

    /// What the version offered; `None` if the catalog never had it.
    pub fn version(&self, sku: &str, version: u64) -> Option<&Version> {
        self.versions.get(&version_key(sku, version))
    }

    /// Whether the version came after `op` was first asked for.
    pub fn is_newer(&self, (sku, version): (&str, u64), op: &str) -> bool {
        let (since, asked) = (
            self.since.get(&version_key(sku, version)),
            self.asked.first(op),
        );
        matches!((since, asked), (Some(since), Some(asked)) if *since > asked)
    }

    /// Reports as `invariant` (`tag`) that the order `id`, committed now for `op`, names a version that had been replaced
    /// before the order was asked for.
    pub fn judge_time(
        &self,
        (invariant, tag): (&'static str, &'static str),
        id: &str,
        (sku, version): (&str, u64),
        op: &str,
        findings: &mut Findings,
    ) {
        if let Some(late) = self.outdated(sku, version, op) {
            findings.broken_as(
                invariant,
                tag,
                &[id],
                "a version that was valid when it was asked for, or later",
                format!("version {version}, outdated {late:?} before"),
            );
        }
    }

    /// How long before the first request for `op` the version was replaced, if it was.
    fn outdated(&self, sku: &str, version: u64, op: &str) -> Option<Duration> {
        let replaced = *self.since.get(&version_key(sku, version + 1))?;
        let asked = self.asked.first(op)?;
        (replaced < asked).then(|| asked.since(replaced))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use squall::{
        check::Commit,
        time::VirtualTime,
        trace::{Row, Scope},
    };
    use squall_services::shared::catalog::store::{VERSIONS, Version, version_key};

    use super::{Asked, Prices};

    const LAMP: &str = "lamp";

    fn at(second: u64) -> VirtualTime {
        VirtualTime::from_start(Duration::from_secs(second))
    }

    /// A catalog that commits version 1 of the lamp at 0 s, version 2 at 10 s.
    fn books(asked: &Asked) -> Prices {
        let mut prices = Prices::new(asked);
        for (version, since) in [(1, at(0)), (2, at(10))] {
            let offered = Version {
                price: 1_000 * version,
                on_sale: true,
                from_ms: 0,
            };
            let row = Row::new(
                VERSIONS.name,
                version_key(LAMP, version),
                Some(serde_json::to_vec(&offered).unwrap()),
            );
            let commit = Commit {
                node: "catalog",
                file: "catalog.redb",
                rows: &[row],
                scope: &Scope::NONE,
                acknowledged: true,
            };
            prices.follow(&commit, since);
        }
        prices
    }

    #[test]
    fn a_service_that_keeps_version_1_for_ever_is_caught_by_the_first_order_after_version_2() {
        let asked = Asked::default();
        let prices = books(&asked);
        asked.note("ann-1", at(9));
        asked.note("ann-2", at(13));
        assert_eq!(prices.version(LAMP, 1).unwrap().price, 1_000);
        assert_eq!(prices.outdated(LAMP, 1, "ann-1"), None);
        let late = Some(Duration::from_secs(3));
        assert_eq!(prices.outdated(LAMP, 1, "ann-2"), late);
        assert_eq!(prices.outdated(LAMP, 1, "ann-2/order-create"), late);
        assert_eq!(prices.outdated(LAMP, 2, "ann-2"), None);
    }

    #[test]
    fn whoever_asks_again_may_be_charged_the_price_of_the_first_request() {
        let asked = Asked::default();
        let prices = books(&asked);
        asked.note("ann-1", at(9));
        asked.note("ann-1", at(30));
        assert_eq!(prices.outdated(LAMP, 1, "ann-1"), None);
        assert_eq!(prices.outdated(LAMP, 2, "ann-1"), None);
    }
}
