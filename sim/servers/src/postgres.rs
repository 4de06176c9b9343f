//! PostgreSQL as a node.

mod faults;
mod heard;
mod life;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use squall_engine::{Node, Sim, disk::Snapshot, sim::OBSERVER};
use squall_kernel::{Command, prepare_programs};

use crate::{
    binaries,
    checks::Checks,
    image,
    settings::{DATA, arguments},
};
use heard::Heard;
use life::Life;

/// A PostgreSQL server, as a scenario describes it.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Mutex<Described>>);

#[derive(Clone, Debug, Default)]
struct Described {
    name: String,
    database: String,
    schema: String,
    settings: Vec<(String, String)>,
    replica_of: Option<Postgres>,
    /// It may be made the primary.
    takes_over: bool,
    began: bool,
    checks: Checks,
    heard: Heard,
    life: Life,
}

impl Postgres {
    /// What is carried out in its database before the run: tables, roles, first rows. It is carried out once, and what
    /// comes of it kept for all runs that begin the same way.
    pub fn schema(self, sql: impl Into<String>) -> Self {
        self.described().schema = sql.into();
        self
    }

    /// The database that it has, and that is its user `app`'s; `app` if not said.
    ///
    /// # Panics
    /// The name is not one of letters, digits and underscores.
    pub fn database(self, name: impl Into<String>) -> Self {
        let name = name.into();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        assert!(
            !name.is_empty() && name.chars().all(is_plain),
            "a database's name is one of letters, digits and underscores, and not {name:?}"
        );
        self.described().database = name;
        self
    }

    /// A setting, as in `postgresql.conf`.
    pub fn setting(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.described().settings.push((name.into(), value.into()));
        self
    }

    /// It begins as a streaming replica of another server, and shows what that has told it so far.
    pub fn replica_of(self, primary: &Postgres) -> Self {
        let Described {
            database, schema, ..
        } = primary.described().clone();
        {
            let mut own = self.described();
            (own.database, own.schema) = (database, schema);
            own.replica_of = Some(primary.clone());
        }
        self
    }

    /// A replica that takes over: storms have a fault `fail-over`. The primary is switched off for good, the replica is
    /// promoted, and the primary's name leads to it from then on. What the primary has acknowledged and not yet told the
    /// replica is lost then, unless the primary's settings `synchronous_standby_names` (the replica's name) and
    /// `synchronous_commit` say that it waits.
    pub fn takes_over(self) -> Self {
        self.described().takes_over = true;
        self
    }

    pub(crate) fn name(&self) -> String {
        self.described().name.clone()
    }

    /// What is looked at in its rows; the client that looks has to be added with the first of them.
    pub(crate) fn checks(&self) -> Checks {
        self.described().checks.clone()
    }

    /// Its database.
    pub(crate) fn database_name(&self) -> String {
        self.described().database.clone()
    }

    fn described(&self) -> MutexGuard<'_, Described> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn add(sim: &Sim, name: &str) -> Postgres {
    let folder = binaries::postgres().unwrap_or_else(|absent| panic!("{name}: {absent}"));
    prepare_programs().expect("a process for programs can be made");
    let postgres = Postgres(Arc::new(Mutex::new(Described {
        name: name.to_owned(),
        database: "app".to_owned(),
        ..Described::default()
    })));
    let described = postgres.clone();
    sim.node(name, move |node: Node| {
        let (folder, described) = (folder.clone(), described.clone());
        async move { run(&folder, &described, node).await }
    });
    let described = postgres.clone();
    sim.once_complete(move |sim| faults::bring(sim, &described));
    postgres
}

async fn run(folder: &Path, postgres: &Postgres, node: Node) -> Result<(), String> {
    let described = {
        let mut described = postgres.described();
        let before = described.clone();
        described.began = true;
        before
    };
    if !described.began {
        node.disk().begin_with(&described.begins_with(folder)?);
    }
    let (arguments, life) = (described.arguments(), described.life.clone());
    let server = Command::new(folder.join("postgres"))
        .arguments(arguments)
        .heard_by(move |peer, sent| described.hear(peer, sent))
        .run(node);
    life.of(server).await
}

impl Described {
    /// What it sends to those who use it: what the harness asks is no use.
    fn hear(&self, peer: &str, sent: &[u8]) {
        if peer.starts_with(OBSERVER) {
            return;
        }
        self.heard.hear(sent);
        self.checks.hear(sent);
        if let Some(primary) = &self.replica_of {
            primary.checks().hear(sent);
        }
    }

    fn begins_with(&self, folder: &Path) -> Result<Snapshot, String> {
        let image = image::Wanted {
            folder: folder.to_owned(),
            database: self.database.clone(),
            schema: self.schema.clone(),
        };
        let mut snapshot = image.snapshot()?;
        if self.replica_of.is_some() {
            snapshot
                .put(&format!("{DATA}/standby.signal"), b"", 0o600)
                .map_err(|error| error.to_string())?;
        }
        Ok(snapshot)
    }

    fn arguments(&self) -> Vec<String> {
        let mut own = Vec::new();
        if let Some(primary) = &self.replica_of {
            let info = format!(
                "host={} user=postgres application_name={}",
                primary.name(),
                self.name
            );
            own.push(("primary_conninfo".to_owned(), info));
        }
        own.extend(self.settings.clone());
        arguments(&own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_server_comes_last_among_its_arguments() {
        let named = |name: &str| Described {
            name: name.into(),
            ..Described::default()
        };
        let described = Described {
            settings: vec![("fsync".into(), "off".into())],
            replica_of: Some(Postgres(Arc::new(Mutex::new(named("a"))))),
            ..named("b")
        };
        let arguments = described.arguments();
        assert_eq!(arguments.last().map(String::as_str), Some("fsync=off"));
        let info = "primary_conninfo=host=a user=postgres application_name=b";
        assert!(arguments.iter().any(|argument| argument == info));
    }
}
