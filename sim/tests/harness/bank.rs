//! A bank that every kind of fault can hurt: two clients, a front, and a vault with a database.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use redb::{
    Builder, Database, Durability, ReadableDatabase, ReadableTable, StorageBackend,
    TableDefinition, TableHandle,
};
use squall::{
    Client, Node, Sim,
    run::{Outcome, Spec, run},
    scenario::{Bug, Scenario, Setup},
    seed::Seed,
    storm::{CustomFault, Profile},
    trace::Row,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::little::Asking;

/// See the module.
pub struct Bank;

pub const NODES: [&str; 4] = ["front", "vault", "alice", "bob"];
const DEPOSITS: TableDefinition<&str, &str> = TableDefinition::new("deposits");
const FILE: &str = "vault.redb";
const UNFINISHED: &str = "vault.redb.new";
const PATIENCE: Duration = Duration::from_secs(2);
const DOUBT: CustomFault = CustomFault {
    name: "doubt",
    node: "vault",
    amount: (1, 5),
};

impl Scenario for Bank {
    fn name(&self) -> &str {
        "bank"
    }

    fn about(&self) -> &str {
        "clients repeat each deposit until it is confirmed"
    }

    fn bugs(&self) -> Vec<Bug> {
        vec![
            Bug {
                name: "commit-without-sync",
                about: "the vault does not sync its commits",
            },
            Bug {
                name: "ack-before-commit",
                about: "the vault confirms first and commits then",
            },
        ]
    }

    fn profile(&self) -> Profile {
        let links = [("alice", "front"), ("bob", "front"), ("front", "vault")];
        Profile {
            custom: vec![DOUBT],
            commits: 10,
            events: vec![("vault", "stored"), ("front", "asked")],
            upgrades: vec!["vault"],
            overlaps: vec!["front"],
            ..Profile::new(&["front", "vault"], &links)
        }
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        sim.read_stores_with(read);
        let bug: Arc<str> = setup.plant.clone().unwrap_or_default().into();
        let doubts = Doubts::default();
        let (turned, raised) = (doubts.clone(), doubts.clone());
        sim.own_fault(
            DOUBT,
            move |_, begins| turned.on.store(begins, Relaxed),
            move || raised.raised.load(Relaxed),
        );
        sim.node("front", front);
        sim.node("vault", move |node| {
            vault(node, bug.clone(), doubts.clone())
        });

        let confirmed: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        for name in ["alice", "bob"] {
            let confirmed = confirmed.clone();
            sim.client(name, move |client| saves(client, confirmed));
        }
        sim.after_storm("prober", probes);
        sim.finally(
            "confirmed deposits are kept",
            Duration::from_secs(30),
            move |truth, findings| {
                for deposit in confirmed.lock().unwrap().iter() {
                    if truth.row("vault", "deposits", deposit).is_none() {
                        findings.broken("lost", &[deposit], "a row", "none");
                    }
                }
            },
        );
        sim.at_end(|truth| {
            let deposits = truth.rows("vault", "deposits");
            let probes = deposits
                .filter(|(key, _)| key.starts_with("prober"))
                .count();
            vec![
                ("deposits", truth.rows("vault", "deposits").count() as u64),
                ("probes", probes as u64),
            ]
        });
    }
}

/// The scenario's own fault: the vault doubts every deposit.
#[derive(Clone, Default)]
struct Doubts {
    on: Arc<AtomicBool>,
    raised: Arc<AtomicU64>,
}

async fn saves(client: Client, confirmed: Arc<Mutex<BTreeSet<String>>>) {
    let mut front = Asking::default();
    for n in 1..=5 {
        let (pause, amount) =
            client.draw(|stream| (stream.between(50, 800), stream.between(1, 99)));
        client.node().sleep(Duration::from_millis(pause)).await;
        let deposit = format!("{}-{n}", client.name());
        if !client.does(&deposit) {
            continue;
        }
        client.invoked(&deposit, &amount.to_string());
        let line = format!("{deposit} {amount}");
        while front.insist(client.node(), "front", &line).await != "ok" {
            client.node().sleep(Duration::from_millis(100)).await;
        }
        client.ok(&deposit, "confirmed");
        confirmed.lock().unwrap().insert(deposit);
    }
}

/// After the storm each deposit succeeds at once.
async fn probes(client: Client) {
    client.node().sleep(Duration::from_secs(1)).await;
    for n in 1..=3 {
        let deposit = format!("prober-{n} 1");
        let answer = Asking::default()
            .ask(client.node(), "front", &deposit)
            .await;
        if answer.as_deref() != Some("ok") {
            let found = answer.unwrap_or_else(|| "no answer".to_owned());
            client.broken("all is healed", "unserved", &[&deposit], "ok", found);
        }
    }
}

/// Reads a line; none when the other side is silent for too long, or gone.
async fn line_of(stream: &mut BufReader<squall::net::Stream>) -> Option<String> {
    let mut line = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_line(&mut line)).await;
    matches!(read, Ok(Ok(1..))).then(|| line.trim_end().to_owned())
}

async fn answer(stream: &mut BufReader<squall::net::Stream>, line: &str) -> bool {
    let sent = async {
        stream.write_all(line.as_bytes()).await?;
        stream.flush().await
    };
    sent.await.is_ok()
}

async fn front(node: Node) -> std::io::Result<()> {
    let mut listener = node.listen()?;
    loop {
        let mut caller = BufReader::new(listener.accept().await?);
        let own = node.clone();
        node.spawn(async move {
            while let Some(line) = line_of(&mut caller).await {
                tracing::info!("asked");
                let mut vault = Asking::default();
                let told = match vault.ask(&own, "vault", &line).await {
                    Some(told) => format!("{told}\n"),
                    None => "try again\n".to_owned(),
                };
                if !answer(&mut caller, &told).await {
                    break;
                }
            }
        });
    }
}

async fn vault(node: Node, bug: Arc<str>, doubts: Doubts) -> Result<(), String> {
    let database = Arc::new(open(&node)?);
    let mut listener = node.listen().map_err(|e| e.to_string())?;
    loop {
        let mut caller = BufReader::new(listener.accept().await.map_err(|e| e.to_string())?);
        let (own, database, bug, doubts) =
            (node.clone(), database.clone(), bug.clone(), doubts.clone());
        node.spawn(async move {
            while let Some(line) = line_of(&mut caller).await {
                let Some((deposit, amount)) = line.split_once(' ') else {
                    break;
                };
                if doubts.on.load(Relaxed) {
                    doubts.raised.fetch_add(1, Relaxed);
                    answer(&mut caller, "doubtful\n").await;
                    continue;
                }
                if own.readable("deposits", deposit).is_err() {
                    answer(&mut caller, "unreadable\n").await;
                    continue;
                }
                if &*bug == "ack-before-commit" {
                    answer(&mut caller, "ok\n").await;
                }
                let entry = format!("{amount} at {}", own.now_ms());
                let synced = &*bug != "commit-without-sync";
                store(&own, &database, deposit.to_owned(), entry, synced).await;
                tracing::info!("stored");
                if &*bug != "ack-before-commit" && !answer(&mut caller, "ok\n").await {
                    break;
                }
            }
        });
    }
}

/// Opens the database, which is created under another name: a half-made one could never be opened.
pub fn open(node: &Node) -> Result<Database, String> {
    let disk = node.disk();
    let opened = |name| {
        let file = disk.open(name).map_err(|e| e.to_string())?;
        Builder::new()
            .create_with_backend(file)
            .map_err(|e| e.to_string())
    };
    if !disk.exists(FILE) {
        disk.remove(UNFINISHED).map_err(|e| e.to_string())?;
        drop(opened(UNFINISHED)?);
        disk.rename(UNFINISHED, FILE).map_err(|e| e.to_string())?;
    }
    opened(FILE)
}

/// Commits one deposit; the first entry stays. Does not return if the disk fails.
pub async fn store(
    node: &Node,
    database: &Arc<Database>,
    deposit: String,
    entry: String,
    synced: bool,
) {
    let (own, database) = (node.clone(), database.clone());
    node.execute(Box::new(move || {
        let row = Row::new("deposits", deposit.clone(), Some(entry.clone().into()));
        match put(&database, &deposit, &entry, synced, || {
            own.committing(FILE, vec![row])
        }) {
            Ok(true) => own.commit_done(),
            Ok(false) => {}
            Err(error) => own.fail(&error.to_string()),
        }
    }))
    .await;
}

fn put(
    database: &Database,
    deposit: &str,
    entry: &str,
    synced: bool,
    commits: impl FnOnce(),
) -> Result<bool, redb::Error> {
    let mut tx = database.begin_write()?;
    if !synced {
        tx.set_durability(Durability::None)?;
    }
    {
        let mut table = tx.open_table(DEPOSITS)?;
        if table.get(deposit)?.is_some() {
            return Ok(false);
        }
        table.insert(deposit, entry)?;
    }
    commits();
    tx.commit()?;
    Ok(true)
}

/// The deposits as a process of the vault sees them.
pub fn deposits(database: &Database) -> Result<Vec<String>, redb::Error> {
    let tx = database.begin_read()?;
    let Ok(table) = tx.open_table(DEPOSITS) else {
        return Ok(Vec::new());
    };
    let mut keys = Vec::new();
    for row in table.iter()? {
        keys.push(row?.0.value().to_owned());
    }
    Ok(keys)
}

/// How the harness reads the vault's database.
pub fn read(file: Box<dyn StorageBackend>) -> Result<Vec<(String, String, Vec<u8>)>, String> {
    let rows = || -> Result<_, redb::Error> {
        let database = Builder::new().create_with_backend(Boxed(file))?;
        let tx = database.begin_read()?;
        let mut rows = Vec::new();
        for table in tx.list_tables()? {
            assert_eq!(table.name(), DEPOSITS.name());
            for row in tx.open_table(DEPOSITS)?.iter()? {
                let (key, value) = row?;
                let (key, value) = (key.value().to_owned(), value.value().as_bytes().to_vec());
                rows.push(("deposits".to_owned(), key, value));
            }
        }
        Ok(rows)
    };
    rows().map_err(|e| e.to_string())
}

#[derive(Debug)]
struct Boxed(Box<dyn StorageBackend>);

impl StorageBackend for Boxed {
    fn len(&self) -> std::io::Result<u64> {
        self.0.len()
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> std::io::Result<()> {
        self.0.read(offset, out)
    }
    fn set_len(&self, len: u64) -> std::io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> std::io::Result<()> {
        self.0.sync_data()
    }
    fn write(&self, offset: u64, data: &[u8]) -> std::io::Result<()> {
        self.0.write(offset, data)
    }
    fn close(&self) -> std::io::Result<()> {
        self.0.close()
    }
}

/// The storms of random seeds, kept whole.
pub fn stormy(seeds: std::ops::Range<u64>) -> impl Iterator<Item = Outcome> {
    seeds.map(|seed| run(&Bank, &Spec::of(&Bank, Seed(seed)), true))
}
