//! Sagas: every one ends.

use std::time::Duration;

use serde::de::DeserializeOwned;
use squall::check::{Findings, Truth};
use squall_services::kit::{
    Table,
    saga::{SagaRecord, Status},
};

use crate::mirror::Mirror;

/// A saga retries its undos for some three minutes, then a person redrives it; two minutes for that.
pub const SAGAS_END: Duration = Duration::from_secs(5 * 60);

/// What a saga that does not end has done to money and stock speaks first; the journal has this much longer.
pub const JOURNAL_ENDS: Duration = Duration::from_secs(6 * 60);

/// Reports every saga that has not ended.
pub fn judge_ended<D: DeserializeOwned + Clone>(
    sagas: &Mirror<SagaRecord<D>>,
    findings: &mut Findings,
) {
    for saga in sagas.values().filter(|saga| !saga.status.is_ended()) {
        let tag = match saga.status {
            Status::Running => "running",
            Status::Compensating => "compensating",
            _ => "needs attention",
        };
        findings.broken(
            tag,
            &[&saga.id],
            "Completed or Compensated",
            format!("{:?}", saga.status),
        );
    }
}

/// How many sagas of a node ended how.
pub fn saga_counts<D: DeserializeOwned>(
    truth: &Truth,
    node: &str,
    table: &Table<SagaRecord<D>>,
) -> Vec<(&'static str, u64)> {
    let sagas: Vec<_> = truth
        .rows(node, table.name)
        .filter_map(|(_, row)| table.decode(row).ok())
        .collect();
    let count = |status| sagas.iter().filter(|saga| saga.status == status).count() as u64;
    vec![
        ("completed", count(Status::Completed)),
        ("compensated", count(Status::Compensated)),
    ]
}
