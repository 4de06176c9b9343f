//! A server that may be switched off for good.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use futures_util::future::{Either, select};
use tokio::sync::Notify;

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
        match select(pin!(self.0.ends.notified()), pin!(server)).await {
            Either::Left(_) => Err("it is switched off for good".to_owned()),
            Either::Right((ended, _)) => ended,
        }
    }
}
