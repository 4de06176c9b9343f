//! The data that a PostgreSQL server begins with: made once, by PostgreSQL itself in a run of its own, and kept.
//!
//! Images lie in `SQUALL_IMAGES`, or else in a folder of the user's in the system's one for temporary files. They are `tar`
//! archives, named by a hash of all that they follow from.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use squall_core::seed::{Seed, hash};
use squall_engine::{
    Client, Node, Sim,
    disk::Snapshot,
    run::{Spec, run},
    scenario::{Scenario, Setup},
    storm::Profile,
};
use squall_kernel::{Command, map_file, prepare_first, prepare_programs};

use crate::settings::{DATA, arguments};

/// What images follow from beside what is wanted.
const FORMAT: u32 = 1;

/// An image that is wanted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wanted {
    /// The folder of PostgreSQL's executables.
    pub folder: PathBuf,
    /// Its database.
    pub database: String,
    /// What is carried out in it.
    pub schema: String,
}

impl Wanted {
    /// The image, as what a disk begins with. If it is not there it is made, and the storm begun anew.
    pub fn snapshot(&self) -> Result<Snapshot, String> {
        let place = self.place()?;
        if !place.is_file() {
            let argument = serde_json::to_vec(self).map_err(|error| error.to_string())?;
            match prepare_first(make, &argument) {
                Ok(never) => match never {},
                Err(error) => return Err(format!("the first data of PostgreSQL: {error}")),
            }
        }
        let archive = map_file(&place).map_err(|error| format!("{}: {error}", place.display()))?;
        let broken = |error| format!("{}: {error}; delete it", place.display());
        Snapshot::from_tar(archive).map_err(broken)
    }

    fn place(&self) -> Result<PathBuf, String> {
        let server = self.folder.join("postgres");
        let told = fs::metadata(&server).map_err(|e| format!("{}: {e}", server.display()))?;
        let modified = told
            .modified()
            .ok()
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let follows = format!(
            "{FORMAT} {} {modified:?} {:?} {}",
            told.len(),
            self.schema,
            script(self)
        );
        Ok(folder().join(format!("postgres-{:016x}.tar", hash(follows.as_bytes()))))
    }
}

fn folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("SQUALL_IMAGES") {
        return folder.into();
    }
    let user = std::env::var("USER").unwrap_or_else(|_| "user".into());
    std::env::temp_dir().join(format!("squall-images-{user}"))
}

/// Makes an image, in a process forked for it.
fn make(argument: &[u8]) -> Result<(), String> {
    let wanted: Wanted = serde_json::from_slice(argument).map_err(|error| error.to_string())?;
    let place = wanted.place()?;
    let making = Making {
        wanted,
        result: Arc::default(),
    };
    let outcome = run(&making, &Spec::of(&making, Seed(0)).calm(), true);
    let result = making
        .result
        .lock()
        .map_err(|error| error.to_string())?
        .take();
    let archive = match result {
        Some(Ok(snapshot)) => snapshot.to_tar().map_err(|error| error.to_string())?,
        why => {
            let events = outcome.trace.map(|trace| trace.events).unwrap_or_default();
            let said: Vec<String> = events
                .iter()
                .rev()
                .take(40)
                .rev()
                .map(|event| format!("{:?}", event.what))
                .collect();
            return Err(format!(
                "PostgreSQL does not come to its first data: {why:?}\n{}",
                said.join("\n")
            ));
        }
    };
    write(&place, &archive).map_err(|error| format!("{}: {error}", place.display()))
}

/// Others may write the same at the same time.
fn write(place: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = place.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let own = place.with_extension(std::process::id().to_string());
    fs::write(&own, bytes)?;
    fs::rename(own, place)
}

/// A run in which PostgreSQL makes its first data.
struct Making {
    wanted: Wanted,
    result: Arc<Mutex<Option<Result<Snapshot, String>>>>,
}

impl Scenario for Making {
    fn name(&self) -> &str {
        "first data of PostgreSQL"
    }

    fn about(&self) -> &str {
        "what a server begins with"
    }

    fn profile(&self) -> Profile {
        Profile::new(&[], &[])
    }

    fn build(&self, sim: &Sim, _: &Setup) {
        prepare_programs().expect("a process for programs can be made");
        let (wanted, result) = (self.wanted.clone(), self.result.clone());
        sim.node("server", move |node: Node| {
            let (wanted, result) = (wanted.clone(), result.clone());
            async move {
                let ended = fill(&wanted, &node).await;
                if let Ok(mut result) = result.lock() {
                    *result = Some(ended.map(|()| node.disk().snapshot()));
                }
                std::future::pending::<Result<(), String>>().await
            }
        });
        let result = self.result.clone();
        sim.client("waits", async move |client: Client| {
            let is_there = || result.lock().is_ok_and(|result| result.is_some());
            while !is_there() {
                client.sleep(Duration::from_millis(100)).await;
            }
        });
    }
}

/// What a shell carries out.
fn script(wanted: &Wanted) -> String {
    let folder = wanted.folder.display();
    let server: Vec<String> = arguments(&[])
        .iter()
        .map(|argument| format!("'{argument}'"))
        .collect();
    let (server, database) = (server.join(" "), &wanted.database);
    format!(
        "set -e
'{folder}/initdb' -D {DATA} -U postgres -A trust -E UTF8 --locale=C --wal-segsize=1 --no-sync --no-instructions
echo 'host all all all trust' >> {DATA}/pg_hba.conf
echo 'host replication all all trust' >> {DATA}/pg_hba.conf
'{folder}/postgres' {server} &
until '{folder}/pg_isready' -q -h 127.0.0.1; do sleep 0.05; done
'{folder}/psql' -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -d postgres -U postgres -c 'CREATE ROLE app LOGIN CREATEDB' -c 'CREATE DATABASE \"{database}\" OWNER app'
'{folder}/psql' -X -q -v ON_ERROR_STOP=1 -h 127.0.0.1 -d '{database}' -U app -f /schema.sql
'{folder}/psql' -X -q -h 127.0.0.1 -d postgres -U postgres -c CHECKPOINT
kill -INT $!
wait $!
"
    )
}

async fn fill(wanted: &Wanted, node: &Node) -> Result<(), String> {
    let schema = wanted.schema.clone().into_bytes().leak();
    let files = Snapshot::of_files(&[("schema.sql", schema, 0o644)]);
    node.disk()
        .begin_with(&files.map_err(|error| error.to_string())?);
    Command::new("sh")
        .sees(&wanted.folder.join("initdb"))
        .arguments(["-c".to_owned(), script(wanted)])
        .run(node.clone())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_of_other_schemas_lie_in_other_places() {
        let folder = std::env::temp_dir().join(format!("squall-place-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("it is made");
        let wanted = |schema: &str| Wanted {
            folder: folder.clone(),
            database: "app".into(),
            schema: schema.into(),
        };
        // The place follows from the server's executable too, which has to be there.
        let missing = wanted("a").place().expect_err("there is no such server");
        assert!(missing.contains("postgres"), "{missing}");
        fs::write(folder.join("postgres"), "").expect("it is written");
        let places = ["a", "a", "b"].map(|schema| wanted(schema).place());
        let _ = fs::remove_dir_all(&folder);
        assert_eq!(places[0], places[1]);
        assert_ne!(places[0], places[2]);
    }
}
