//! Redis as a node.

mod client;
mod faults;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use squall_engine::{Node, Sim};
use squall_kernel::{Command, prepare_programs};

use crate::binaries;

/// When Redis writes its append-only file through to the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fsync {
    /// Before each answer: what is acknowledged is there after a power loss.
    #[default]
    Always,
    /// Once a second.
    EverySecond,
    /// Never by itself.
    Never,
}

/// A Redis server, as a scenario describes it. It keeps an append-only file with [`Fsync::Always`], if nothing else is said.
#[derive(Clone, Debug)]
pub struct Redis(Arc<Mutex<Described>>);

#[derive(Clone, Debug, Default)]
struct Described {
    /// None: no append-only file.
    append_only: Option<Fsync>,
    settings: Vec<(String, String)>,
    replica_of: Option<String>,
    forgets: bool,
    evicts: bool,
}

impl Redis {
    /// It keeps an append-only file, and writes it through so often.
    pub fn append_only(self, fsync: Fsync) -> Self {
        self.described().append_only = Some(fsync);
        self
    }

    /// It keeps nothing: after each restart it is empty.
    pub fn in_memory(self) -> Self {
        self.described().append_only = None;
        self
    }

    /// A setting, as in `redis.conf`.
    pub fn setting(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.described().settings.push((name.into(), value.into()));
        self
    }

    /// It begins as a replica of the server on this node.
    pub fn replica_of(self, node: impl Into<String>) -> Self {
        self.described().replica_of = Some(node.into());
        self
    }

    /// It may forget everything: storms have a fault `forget`, as when an empty replica takes over.
    pub fn forgets(self) -> Self {
        self.described().forgets = true;
        self
    }

    /// It may forget some keys: storms have a fault `evict`, as when memory runs short.
    pub fn evicts(self) -> Self {
        self.described().evicts = true;
        self
    }

    fn described(&self) -> MutexGuard<'_, Described> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub fn add(sim: &Sim, name: &str) -> Redis {
    let executable = binaries::redis().unwrap_or_else(|absent| panic!("{name}: {absent}"));
    prepare_programs().expect("a process for programs can be made");
    let redis = Redis(Arc::new(Mutex::new(Described {
        append_only: Some(Fsync::Always),
        ..Described::default()
    })));
    let described = redis.clone();
    sim.node(name, move |node: Node| {
        let arguments = described.described().arguments();
        let began = node
            .disk()
            .files()
            .iter()
            .any(|file| file.contains("appendonlydir"));
        let command = match began {
            false => Command::new(&executable).arguments(arguments),
            true => repaired(&executable, arguments),
        };
        command.run(node)
    });
    let (name, described) = (name.to_owned(), redis.clone());
    sim.once_complete(move |sim| faults::bring(sim, &name, &described));
    redis
}

/// Redis refuses to start on an append-only file whose end was torn by a power loss, until somebody has cut it off. That
/// takes nothing which was synced.
fn repaired(executable: &Path, arguments: Vec<String>) -> Command {
    const REPAIR: &str = "for file in appendonlydir/*.manifest; do
    [ -e \"$file\" ] && echo y | \"${0%redis-server}redis-check-aof\" --fix \"$file\" >/dev/null
done
exec \"$0\" \"$@\"";
    let executable = executable.display().to_string();
    let own = ["-c".to_owned(), REPAIR.to_owned(), executable];
    Command::new("sh").arguments(own.into_iter().chain(arguments))
}

impl Described {
    fn arguments(&self) -> Vec<String> {
        let mut settings: Vec<(&str, String)> = vec![
            ("bind", "0.0.0.0".into()),
            ("protected-mode", "no".into()),
            ("save", String::new()),
        ];
        match self.append_only {
            None => settings.push(("appendonly", "no".into())),
            Some(fsync) => {
                let fsync = match fsync {
                    Fsync::Always => "always",
                    Fsync::EverySecond => "everysec",
                    Fsync::Never => "no",
                };
                settings.extend([("appendonly", "yes".into()), ("appendfsync", fsync.into())]);
            }
        }
        if let Some(node) = &self.replica_of {
            settings.push(("replicaof", format!("{node} 6379")));
        }
        let own = self
            .settings
            .iter()
            .map(|(name, value)| (&**name, value.clone()));
        let all = settings.into_iter().chain(own);
        let argument = |(name, value): (&str, String)| [format!("--{name}"), value];
        all.flat_map(argument).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_of_a_server_becomes_its_arguments() {
        let described = Described {
            append_only: Some(Fsync::EverySecond),
            settings: vec![("maxmemory".into(), "1mb".into())],
            replica_of: Some("cache".into()),
            ..Described::default()
        };
        let arguments = described.arguments().join(" ");
        assert!(arguments.contains("--appendonly yes --appendfsync everysec"));
        assert!(arguments.contains("--replicaof cache 6379 --maxmemory 1mb"));
    }
}
