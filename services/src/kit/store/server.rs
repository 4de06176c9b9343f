//! Transactions over a database on a server.
//!
//! Whatever a transaction changes is kept here and sent with its commit. If another one came in between, all of it is
//! done again.

use std::{
    future::pending,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{sync::broadcast, time::sleep};

use super::{
    Commit, Dump, FEED_COMMITS_MAX, Reader, StoreError, Work, Writer, remote_rows::Rows,
    run_in_storage,
};
use crate::{
    kit::lock,
    ports::{Database, Platform, Server, ServerError},
};

/// How often a transaction is tried in all, before its caller is told that the database is too busy.
const TRIES_MAX: u32 = 20;

/// The longest wait between two tries, times the number of the try.
const PAUSE_MAX: Duration = Duration::from_millis(5);

/// A service's database on a server.
pub(super) struct Served {
    database: Arc<dyn Database>,
    file: String,
    platform: Platform,
    pub feed: broadcast::Sender<Commit>,
    /// Held from before a commit until it was told, while somebody wants to know, so that commits are told in order.
    telling: Mutex<()>,
}

/// How one try ended.
enum Tried<T, E> {
    Answered(Result<T, E>),
    Panicked(Box<dyn std::any::Any + Send>),
    Failed(ServerError),
}

impl Served {
    pub async fn open(
        platform: &Platform,
        server: Arc<dyn Server>,
        file: &str,
    ) -> Result<Arc<Self>, StoreError> {
        let name = file.to_owned();
        let database = run_in_storage(platform, move || server.open(&name)).await?;
        Ok(Arc::new(Served {
            database,
            file: file.to_owned(),
            platform: platform.clone(),
            feed: broadcast::Sender::new(FEED_COMMITS_MAX),
            telling: Mutex::new(()),
        }))
    }

    pub fn is_shared(&self) -> bool {
        self.database.is_shared()
    }

    pub fn read<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Reader) -> Result<T, E>,
    ) -> Result<T, E> {
        let transaction = self.database.begin(true).map_err(StoreError::from)?;
        work(&Reader::there(Rows::new(transaction)))
    }

    pub async fn transact<T, E>(self: &Arc<Self>, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        for tries in 1.. {
            let (served, again) = (self.clone(), work.again());
            match run_in_storage(&self.platform, move || served.try_now(again)).await {
                Tried::Answered(result) => return result,
                Tried::Panicked(panic) => resume_unwind(panic),
                Tried::Failed(ServerError::Conflict) if tries < TRIES_MAX => {
                    let most = PAUSE_MAX.as_micros() as u64 * u64::from(tries);
                    let pause = self.platform.random.next_u64() % most;
                    sleep(Duration::from_micros(pause)).await;
                }
                // Whoever owns its database alone finds out when it is opened again, as with a file.
                Tried::Failed(ServerError::Unknown(why)) if !self.is_shared() => {
                    let reason = format!(
                        "{}: the outcome of a transaction is not known: {why}",
                        self.file
                    );
                    self.platform.process.fail(&reason);
                    pending::<()>().await;
                }
                Tried::Failed(error) => return Err(StoreError::from(error).into()),
            }
        }
        unreachable!("the last try returns")
    }

    fn try_now<T, E>(&self, work: Work<T, E>) -> Tried<T, E> {
        let transaction = match self.database.begin(false) {
            Ok(transaction) => transaction,
            Err(error) => return Tried::Failed(error),
        };
        let mut writer = Writer::there(Rows::new(transaction));
        let result = catch_unwind(AssertUnwindSafe(|| work.run(&mut writer)));
        let Some((rows, changes)) = writer.into_there() else {
            unreachable!("it was begun there");
        };
        if let Some(error) = rows.failed.into_inner() {
            return Tried::Failed(error);
        }
        let result = match result {
            Ok(result) => result,
            Err(panic) => return Tried::Panicked(panic),
        };
        // One that was refused commits as well: what it was refused for, it has read.
        let changes = match result {
            Ok(_) => changes,
            Err(_) => Vec::new(),
        };
        let storage = &self.platform.storage;
        let heard = self.feed.receiver_count() > 0 || storage.is_followed();
        let _telling = heard.then(|| lock(&self.telling));
        if let Err(error) = rows.transaction.into_inner().commit(&changes) {
            return Tried::Failed(error);
        }
        if !changes.is_empty() {
            storage.committed(&self.file, &changes);
            let _ = self.feed.send(changes.into());
        }
        Tried::Answered(result)
    }

    pub fn dump(&self) -> Result<Dump, StoreError> {
        let mut transaction = self.database.begin(true)?;
        Ok(transaction.all()?)
    }
}
