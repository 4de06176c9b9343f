//! Workflows: the journal is what everything else is made of.

use squall::Sim;
use squall_services::{
    kit::saga::facts,
    orchestration::orders::store::{OrderData, SAGAS},
};

use crate::table_view::TableView;

/// Looks into the journal and at what is made of it.
const JOURNAL: &str = "a workflow is what its journal tells";

/// Watches the workflows of the node `"order"`.
pub fn watch(sim: &Sim) {
    let mut journals = TableView::new("order", facts::table::<OrderData>());
    let mut sagas = TableView::new("order", SAGAS);
    sim.inside(JOURNAL);
    sim.always(JOURNAL, move |commit, findings| {
        for change in journals.follow(commit) {
            if let (Some(before), after) = (change.before(), change.after())
                && Some(&before) != after.as_ref()
            {
                let found = after.map_or("nothing".to_owned(), |after| after.name.clone());
                findings.broken("rewritten", &[change.key], before.name.clone(), found);
            }
        }
        for change in sagas.follow(commit) {
            let stream = facts::stream(change.key);
            let told = journals.under(&stream);
            let told = facts::fold(told.map(|(_, row)| row.fact.clone()));
            if told.as_ref() != change.after() {
                let shown = |saga: Option<String>| saga.unwrap_or_else(|| "nothing".to_owned());
                let expected = shown(told.map(|saga| format!("{saga:?}")));
                let found = shown(change.after().map(|saga| format!("{saga:?}")));
                findings.broken("another row", &[change.key], expected, found);
            }
        }
    });
}
