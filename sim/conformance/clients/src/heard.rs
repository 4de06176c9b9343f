//! Those who listen.

use anyhow::Result;
use tokio::{sync::watch, time::sleep};

use crate::ROUND;

/// Tells what is heard.
pub type Tells = watch::Sender<String>;

/// The last that was heard.
pub struct Heard(watch::Receiver<String>);

impl Heard {
    pub fn new() -> (Tells, Heard) {
        let (tells, heard) = watch::channel(String::new());
        (tells, Heard(heard))
    }

    /// What `listens` tells; it begins anew when it has ended.
    pub fn from<F>(listens: impl Fn(Tells) -> F + Send + 'static) -> Heard
    where
        F: Future<Output = Result<()>> + Send,
    {
        let (tells, heard) = Heard::new();
        tokio::spawn(async move {
            loop {
                if let Err(error) = listens(tells.clone()).await {
                    eprintln!("listens again: {error:#}");
                }
                sleep(ROUND).await;
            }
        });
        heard
    }

    /// Waits until this is heard.
    pub async fn hears(&self, word: &str) -> Result<()> {
        self.0.clone().wait_for(|heard| heard == word).await?;
        Ok(())
    }
}
