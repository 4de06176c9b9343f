//! What a loop in the background makes of a store that fails it.

use std::{future::pending, time::Duration};

use super::StoreError;
use crate::ports::Platform;

/// Wait before a database is asked again that could not be reached.
const AWAY: Duration = Duration::from_secs(1);

impl StoreError {
    /// Waits a while if the database is only away, or a row cannot be read at present, so that the caller may begin anew.
    /// What a damaged database or disk refuses now it refuses later too: then the process ends, rather than live on without `what`, and this never returns.
    pub(crate) async fn endure(self, platform: &Platform, what: &str) {
        match self {
            StoreError::Unreadable(_) | StoreError::Unreachable(_) | StoreError::Unknown(_) => {
                tracing::debug!(error = %self, what, "the database is away");
                tokio::time::sleep(AWAY).await;
            }
            StoreError::Corrupt(_) | StoreError::Io(_) | StoreError::Refused(_) => {
                tracing::error!(error = %self, what, "cannot go on");
                platform.process.fail(&format!("{what}: {self}"));
                pending().await
            }
        }
    }
}
