//! PostgreSQL as a node.

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use squall_engine::{Node, Sim, disk::Snapshot};
use squall_kernel::{Command, prepare_programs};

use crate::{
    binaries,
    checks::Checks,
    image,
    settings::{DATA, arguments},
};

/// A PostgreSQL server, as a scenario describes it.
#[derive(Clone, Debug)]
pub struct Postgres(Arc<Mutex<Described>>);

#[derive(Clone, Debug)]
struct Described {
    name: String,
    database: String,
    schema: String,
    settings: Vec<(String, String)>,
    replica_of: Option<String>,
    began: bool,
    checks: Checks,
}

impl Postgres {
    /// What is carried out in its database before the run: tables, roles, first rows. It is carried out once, and what
    /// comes of it kept for all runs that begin the same way.
    pub fn schema(self, sql: impl Into<String>) -> Self {
        self.described().schema = sql.into();
        self
    }

    /// The database that it has, and that is its user `app`'s; `app` if not said.
    pub fn database(self, name: impl Into<String>) -> Self {
        self.described().database = name.into();
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
            name,
            database,
            schema,
            ..
        } = primary.described().clone();
        {
            let mut own = self.described();
            (own.database, own.schema) = (database, schema);
            own.replica_of = Some(name);
        }
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
        schema: String::new(),
        settings: Vec::new(),
        replica_of: None,
        began: false,
        checks: Checks::default(),
    })));
    let described = postgres.clone();
    sim.node(name, move |node: Node| {
        let (folder, described) = (folder.clone(), described.clone());
        async move { run(&folder, &described, node).await }
    });
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
    let checks = described.checks.clone();
    Command::new(folder.join("postgres"))
        .arguments(described.arguments())
        .heard_by(move |peer, sent| checks.hear(peer, sent))
        .run(node)
        .await
}

impl Described {
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
                "host={primary} user=postgres application_name={}",
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
        let described = Described {
            name: "b".into(),
            database: "app".into(),
            schema: String::new(),
            settings: vec![("fsync".into(), "off".into())],
            replica_of: Some("a".into()),
            began: false,
            checks: Checks::default(),
        };
        let arguments = described.arguments();
        assert_eq!(arguments.last().map(String::as_str), Some("fsync=off"));
        let info = "primary_conninfo=host=a user=postgres application_name=b";
        assert!(arguments.iter().any(|argument| argument == info));
    }
}
