//! One database for several replicas of a service.
//!
//! The database is a process of its own, which fails on its own: [`host`] runs it. A replica's transaction is carried
//! there, runs there in one piece, and its word comes back: over the network in both directions, so each may be late,
//! or lost. Then nobody knows whether it was committed ([`StoreError::Unknown`]), and a repeat has to bear its key.
//!
//! What is carried is a closure, so both ends are in one operating system process: in a simulation they are different
//! machines of it, live they are different services of one program, and no network lies between them. Reads see the
//! database as it is, and take no time; they are refused while it is down.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tracing::Instrument;

use super::{Inner, Store, StoreError};
use crate::{
    kit::lock,
    ports::{BoxFuture, Connection, Platform},
};

/// A transaction on its way.
pub(super) type Job = Box<dyn FnOnce(Arc<Inner>) -> BoxFuture<'static, ()> + Send>;

/// Where a database and those who share it meet. Cheap to clone.
#[derive(Clone, Default)]
pub struct Seat(Arc<Mutex<Meeting>>);

#[derive(Default)]
struct Meeting {
    /// The open database; gone when its process is.
    database: Weak<Inner>,
    /// Transactions that were sent and have not arrived, by number.
    sent: BTreeMap<u64, Job>,
    last: u64,
}

/// A database elsewhere.
#[derive(Clone)]
pub struct Shared {
    /// Where it is met.
    pub seat: Seat,
    /// The name of its process on the network; `None` if it is at hand.
    pub peer: Option<String>,
    /// How long a transaction may take, there and back.
    pub within: Duration,
}

impl Seat {
    /// Makes a database the one that is met here, for as long as somebody keeps it open.
    ///
    /// # Errors
    /// It is shared already, and its process is down.
    pub fn take(&self, store: &Store) -> Result<(), StoreError> {
        let database = store.at_hand()?;
        lock(&self.0).database = Arc::downgrade(&database);
        self.forget();
        Ok(())
    }

    /// Forgets what was sent: the connections that it was sent over broke with the database's process. A job keeps its
    /// sender alive, and that this seat.
    fn forget(&self) {
        let sent = std::mem::take(&mut lock(&self.0).sent);
        drop(sent);
    }

    /// The database, unless it is down.
    pub(super) fn database(&self) -> Result<Arc<Inner>, StoreError> {
        let database = lock(&self.0).database.upgrade();
        database.ok_or_else(|| StoreError::Unreachable("it is down".to_owned()))
    }

    fn send(&self, job: Job) -> u64 {
        let mut meeting = lock(&self.0);
        meeting.last += 1;
        let number = meeting.last;
        meeting.sent.insert(number, job);
        number
    }

    fn receive(&self, number: u64) -> Option<Job> {
        lock(&self.0).sent.remove(&number)
    }
}

impl Shared {
    /// Has a job done where the database is.
    pub(super) async fn carry(&self, platform: &Platform, job: Job) -> Result<(), StoreError> {
        let Some(peer) = &self.peer else {
            job(self.seat.database()?).await;
            return Ok(());
        };
        let number = self.seat.send(job);
        let _sent = Sent(&self.seat, number);
        let carried = timeout(self.within, self.exchange(platform, peer, number)).await;
        carried.unwrap_or_else(|_| {
            Err(StoreError::Unknown(format!(
                "no word within {:?}",
                self.within
            )))
        })
    }

    async fn exchange(
        &self,
        platform: &Platform,
        peer: &str,
        number: u64,
    ) -> Result<(), StoreError> {
        let mut connection = match platform.net.connect(peer).await {
            Ok(connection) => connection,
            Err(error) => {
                self.seat.receive(number);
                return Err(StoreError::Unreachable(error.to_string()));
            }
        };
        let unknown = |error: io::Error| StoreError::Unknown(error.to_string());
        connection
            .write_all(&number.to_be_bytes())
            .await
            .map_err(unknown)?;
        connection.flush().await.map_err(unknown)?;
        let mut word = [0];
        connection.read_exact(&mut word).await.map_err(unknown)?;
        Ok(())
    }
}

/// A job that was sent. Once its sender waits no longer it may still arrive, unless the database is down.
struct Sent<'a>(&'a Seat, u64);

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if self.0.database().is_err() {
            self.0.receive(self.1);
        }
    }
}

/// The database's process, as long as it lives.
struct Host(Seat);

impl Drop for Host {
    fn drop(&mut self) {
        self.0.forget();
    }
}

/// Runs the database `file` for those who share it, until the process ends.
pub async fn host(platform: Platform, file: &'static str, seat: Seat) -> io::Result<()> {
    let store = Store::open(&platform, file).await?;
    seat.take(&store)?;
    let database = store.at_hand()?;
    let _host = Host(seat.clone());
    let mut listener = platform.net.listen().await?;
    loop {
        let connection = listener.accept().await?;
        let (database, seat) = (database.clone(), seat.clone());
        platform.spawn("transaction", async move {
            // A replica that hangs up is told nothing; its transaction is not undone.
            let _ = transact(database, seat, connection).await;
        });
    }
}

async fn transact(database: Arc<Inner>, seat: Seat, mut connection: Connection) -> io::Result<()> {
    let mut number = [0; 8];
    connection.read_exact(&mut number).await?;
    if let Some(job) = seat.receive(u64::from_be_bytes(number)) {
        job(database).await;
        connection.write_all(&[1]).await?;
        connection.flush().await?;
    }
    Ok(())
}

/// A job that runs in the caller's span.
pub(super) fn spanned(
    job: impl FnOnce(Arc<Inner>) -> BoxFuture<'static, ()> + Send + 'static,
) -> Job {
    let span = tracing::Span::current();
    Box::new(move |database| Box::pin(job(database).instrument(span)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(seat: &Seat) -> (u64, Weak<()>) {
        let sender = Arc::new(());
        let alive = Arc::downgrade(&sender);
        let number = seat.send(Box::new(move |_| {
            drop(sender);
            Box::pin(async {})
        }));
        (number, alive)
    }

    #[test]
    fn a_transaction_that_never_arrives_does_not_outlive_the_database_and_its_sender() {
        let seat = Seat::default();
        let (_, lost) = sent(&seat);
        assert!(lost.upgrade().is_some(), "it may still arrive");
        drop(Host(seat.clone()));
        assert!(lost.upgrade().is_none());

        let (number, late) = sent(&seat);
        drop(Sent(&seat, number));
        assert!(late.upgrade().is_none(), "there is nobody to arrive at");
    }
}
