//! A server that may be switched off for good.

use std::{
    future::{Future, pending},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use crate::operator::until;

/// Whether a server may run.
#[derive(Clone, Debug, Default)]
pub struct Life(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_over: AtomicBool,
    ends: Notify,
}

impl Life {
    /// It ends now, and does not begin again.
    pub fn end(&self) {
        self.0.is_over.store(true, Relaxed);
        self.0.ends.notify_one();
    }

    /// Runs the server for as long as it may.
    pub async fn of(&self, server: impl Future<Output = Result<(), String>>) -> Result<(), String> {
        if self.0.is_over.load(Relaxed) {
            // The machine is off.
            return pending().await;
        }
        let ended = until(self.0.ends.notified(), server).await;
        ended.unwrap_or_else(|| Err("it is switched off for good".to_owned()))
    }
}
