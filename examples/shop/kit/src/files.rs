//! Work with files, away from the tasks of the runtime.

use axum::http::StatusCode;
use tokio::{sync::watch, task::spawn_blocking};

use crate::Refusal;

/// Whether the service's file can still be relied on. Databases do not go on after an I/O error: what is in memory may
/// not be what is on the disk. The process ends then, and the next one opens the file anew.
#[derive(Clone, Debug, Default)]
pub struct Health(watch::Sender<bool>);

impl Health {
    /// Does work that blocks. If it fails with an internal error, the file is lost.
    ///
    /// # Errors
    ///
    /// What `work` fails with.
    pub async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let done = spawn_blocking(work).await.unwrap_or_else(|e| Err(e.into()));
        if let Err(Refusal(StatusCode::INTERNAL_SERVER_ERROR, _)) = done {
            self.0.send_replace(true);
        }
        done
    }

    /// Comes when the file is lost.
    pub async fn lost(self) {
        // It can't be closed: there is a sender here.
        let _ = self.0.subscribe().wait_for(|lost| *lost).await;
    }
}
