//! What befalls a PostgreSQL server beside what befalls any program.

use std::{future::pending, io, time::Duration};

use squall_engine::{Client, Sim};

use super::{Postgres, heard::Answers};
use crate::{
    client::{Connection, NAME},
    operator::{Operator, Order, Touched, again, until_done},
};

/// How often a server's state is looked at: less and less.
const LOOKS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_millis(500));
/// Nothing is done more often.
const LEAST_MS: u64 = 10;
/// Tables, in an order that does not depend on how they came to be.
const TABLES: &str = "SELECT format('%I.%I', nspname, relname)
    FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE relkind IN ('r', 'p') AND nspname <> 'information_schema' AND nspname NOT LIKE 'pg\\_%'
    ORDER BY nspname COLLATE \"C\", relname COLLATE \"C\"";
/// Who waits for this session: neither the harness's own nor PostgreSQL's.
const WAITING: &str = "SELECT FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid))
    AND backend_type = 'client backend' AND application_name <> 'squall'";
const PAUSE: &str = "SELECT pg_wal_replay_pause() WHERE pg_is_in_recovery()";
const RESUME: &str = "SELECT pg_wal_replay_resume() WHERE pg_is_in_recovery()";
const PROMOTE: &str = "SELECT pg_promote() WHERE pg_is_in_recovery()";
const BEHIND: &str = "SELECT WHERE pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()";

/// The faults of a server, once all is said of it.
pub fn bring(sim: &Sim, db: &Postgres) {
    let described = db.described().clone();
    let (name, heard) = (&*described.name, &described.heard);
    let mut operator = Operator::of(sim, name);

    let sessions = format!(
        "FROM pg_stat_activity WHERE backend_type = 'client backend' AND application_name <> '{NAME}'"
    );
    let ends = format!("SELECT pg_terminate_backend(pid) {sessions}");
    let cancels = format!("SELECT pg_cancel_backend(pid) {sessions} AND state = 'active'");
    for (fault, every_ms, touched, sql) in [
        ("end-sessions", (200, 2_000), &heard.ended, ends),
        ("cancel-statements", (20, 500), &heard.cancelled, cancels),
    ] {
        let db = db.clone();
        operator.brings((fault, name), every_ms, touched, move |order| {
            again_and_again(db.clone(), order, sql.clone())
        });
    }
    match &described.replica_of {
        None => of_primary(&mut operator, db),
        Some(primary) => of_replica(&mut operator, db, &primary.name()),
    }
    operator.takes_up_work();
}

fn of_primary(operator: &mut Operator<'_>, db: &Postgres) {
    let described = db.described().clone();
    let (name, heard) = (&*described.name, &described.heard);
    let read_only = |is| {
        format!("ALTER SYSTEM SET default_transaction_read_only {is}; SELECT pg_reload_conf()")
    };
    let limit = |slots| {
        let database = &described.database;
        format!("ALTER DATABASE \"{database}\" CONNECTION LIMIT {slots}")
    };
    for (fault, touched, on, off) in [
        (
            "read-only",
            &heard.read_only,
            read_only("= on"),
            read_only("TO DEFAULT"),
        ),
        ("no-connections", &heard.no_slot, limit("0"), limit("-1")),
    ] {
        let db = db.clone();
        operator.brings((fault, name), (0, 0), touched, move |order| {
            switched(db.clone(), order, on.clone(), off.clone())
        });
    }
    let (db, waits) = (db.clone(), Touched::default());
    let felt = waits.clone();
    operator.brings(("long-lock", name), (1, 64), &waits, move |order| {
        locked(db.clone(), order, felt.clone())
    });
}

fn of_replica(operator: &mut Operator<'_>, db: &Postgres, primary: &str) {
    let described = db.described().clone();
    let (own, stale) = (db.clone(), &described.heard.stale.times);
    let fault = ("lag", &*described.name);
    operator.brings(fault, (0, 0), stale, move |order| lags(own.clone(), order));
    if described.takes_over {
        let (own, in_place) = (db.clone(), &described.heard.in_place.times);
        let fault = ("fail-over", primary);
        operator.brings(fault, (0, 0), in_place, move |order| {
            fails_over(own.clone(), order)
        });
    }
}

/// Does something every so many milliseconds.
async fn again_and_again(db: Postgres, mut order: Order, sql: String) {
    let hand = Hand::of(db, &order);
    let every = Duration::from_millis(order.amount.max(LEAST_MS));
    let lasting = again(&hand.client, || hand.every(every, &sql));
    order.while_it_lasts(lasting).await;
}

/// Switches something on, and then off, by these statements.
async fn switched(db: Postgres, mut order: Order, on: String, off: String) {
    let hand = Hand::of(db, &order);
    let begins = async {
        until_done(&hand.client, || hand.carry_out(&on)).await;
        pending().await
    };
    order.while_it_lasts(begins).await;
    until_done(&hand.client, || hand.carry_out(&off)).await;
}

/// Holds a table as a migration does that rewrites it: nobody else may even read.
async fn locked(db: Postgres, mut order: Order, waits: Touched) {
    let hand = Hand::of(db, &order);
    let nth = order.amount as usize;
    let lasting = again(&hand.client, || hand.hold(nth, &waits));
    order.while_it_lasts(lasting).await;
}

/// A replica that shows nothing new, though it hears of it.
async fn lags(db: Postgres, mut order: Order) {
    let stale = db.described().heard.stale.clone();
    let hand = Hand::of(db, &order);
    let lasting = again(&hand.client, || hand.hold_back(&stale));
    order.while_it_lasts(lasting).await;
    stale.count(false);
    until_done(&hand.client, || hand.carry_out(RESUME)).await;
}

/// A replica takes its primary's place, for good.
async fn fails_over(db: Postgres, order: Order) {
    let described = db.described().clone();
    let Some(primary) = described.replica_of else {
        return;
    };
    primary.described().life.end();
    let hand = Hand::of(db, &order);
    until_done(&hand.client, || hand.carry_out(PROMOTE)).await;
    let machine = hand.client.node();
    machine.lead(&primary.name(), &described.name);
    described.heard.in_place.count(true);
}

/// Who does something to a server, as superuser.
struct Hand {
    db: Postgres,
    client: Client,
}

impl Hand {
    fn of(db: Postgres, order: &Order) -> Self {
        let client = order.client.clone();
        Hand { db, client }
    }

    async fn connect(&self) -> io::Result<Connection> {
        Connection::open(&self.client, &self.db.name(), &self.db.database_name()).await
    }

    /// Carries out statements that are separated by semicolons, each by itself.
    async fn carry_out(&self, sql: &str) -> io::Result<()> {
        let mut connection = self.connect().await?;
        for statement in sql.split(';') {
            connection.rows(statement).await?;
        }
        Ok(())
    }

    async fn every(&self, every: Duration, sql: &str) -> io::Result<()> {
        let mut connection = self.connect().await?;
        loop {
            connection.rows(sql).await?;
            self.client.sleep(every).await;
        }
    }

    /// Holds the n-th table, if there is any.
    async fn hold(&self, nth: usize, waits: &Touched) -> io::Result<()> {
        let mut connection = self.connect().await?;
        let tables = connection.rows(TABLES).await?;
        let Some(nth) = nth.checked_rem(tables.len()) else {
            return Ok(());
        };
        let table = &tables[nth][0];
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        connection.rows(&lock).await?;
        for pause in pauses() {
            waits.add(connection.rows(WAITING).await?.len() as u64);
            self.client.sleep(pause).await;
        }
        Ok(())
    }

    /// Holds back what a replica is to show.
    async fn hold_back(&self, stale: &Answers) -> io::Result<()> {
        stale.count(false);
        let mut connection = self.connect().await?;
        connection.rows(PAUSE).await?;
        for pause in pauses() {
            stale.count(!connection.rows(BEHIND).await?.is_empty());
            self.client.sleep(pause).await;
        }
        Ok(())
    }
}

/// How long to wait before one looks again, without end.
fn pauses() -> impl Iterator<Item = Duration> {
    let (first, longest) = LOOKS;
    std::iter::successors(Some(first), move |pause| Some(longest.min(*pause * 5 / 4)))
}
