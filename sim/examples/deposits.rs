//! A complete scenario of one's own: two nodes, one invariant, one bug.

use std::{collections::BTreeSet, io, process::ExitCode, time::Duration};

use squall::{
    Client, Node, Sim,
    scenario::{Bug, Catalogue, Scenario, Setup},
    storm::Profile,
    trace::Row,
};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

/// A teller tells a vault of deposits and repeats each until the vault says "ok".
pub struct Deposits;

impl Scenario for Deposits {
    fn name(&self) -> &str {
        "deposits"
    }

    fn about(&self) -> &str {
        "a teller repeats each deposit until the vault has confirmed it"
    }

    fn bugs(&self) -> Vec<Bug> {
        vec![Bug {
            name: "counts-twice",
            about: "the vault does not notice a repeated deposit",
        }]
    }

    fn profile(&self) -> Profile {
        Profile::new(&["vault"], &[("teller", "vault")])
    }

    fn build(&self, sim: &Sim, setup: &Setup) {
        let notices_repeats = setup.plant.is_none();
        sim.node("vault", move |node| vault(node, notices_repeats));
        sim.client("teller", teller);

        let mut seen = BTreeSet::new();
        sim.always("each deposit counts once", move |commit, findings| {
            for row in commit.rows {
                let deposit =
                    String::from_utf8_lossy(row.value.as_deref().unwrap_or_default()).into_owned();
                if !seen.insert(deposit.clone()) {
                    findings.broken("twice", &[&deposit], "one entry", "another one");
                }
            }
        });
    }
}

/// How long either side waits for the other: a dead connection says nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Writes each deposit into the next block of a file, syncs it, and answers "ok".
async fn vault(node: Node, notices_repeats: bool) -> io::Result<()> {
    use redb::StorageBackend;
    const BLOCK: u64 = 4096;
    let file = node.disk().open("deposits")?;
    let mut entries = BTreeSet::new();
    for at in 0..file.len()? / BLOCK {
        let mut entry = [0; 8];
        file.read(at * BLOCK, &mut entry)?;
        entries.insert(entry);
    }
    let mut listener = node.listen()?;
    loop {
        let mut teller = BufReader::new(listener.accept().await?);
        let mut line = String::new();
        while let Ok(Ok(1..)) = tokio::time::timeout(PATIENCE, teller.read_line(&mut line)).await {
            let mut entry = [b' '; 8];
            let text = line.trim().as_bytes();
            entry[..text.len()].copy_from_slice(text);
            if !(notices_repeats && entries.contains(&entry)) {
                let at = file.len()?;
                file.set_len(at + BLOCK)?;
                file.write(at, &entry)?;
                file.sync_data()?;
                entries.insert(entry);
                let row = Row::new("deposits", at.to_string(), Some(text.to_vec()));
                node.committed("deposits", vec![row]);
            }
            if teller.write_all(b"ok\n").await.is_err() || teller.flush().await.is_err() {
                break;
            }
            line.clear();
        }
    }
}

/// Makes five deposits, each as often as it takes.
async fn teller(client: Client) {
    for n in 1..=5 {
        client.node().sleep(Duration::from_millis(500)).await;
        let deposit = format!("d{n}");
        if !client.does(&deposit) {
            continue;
        }
        client.invoked(&deposit, "deposit");
        while tokio::time::timeout(PATIENCE, deposit_once(&client, &deposit))
            .await
            .is_err()
        {}
        client.ok(&deposit, "confirmed");
    }
}

/// Waits for ever if anything goes wrong: the caller has a timeout.
async fn deposit_once(client: &Client, deposit: &str) {
    let attempt = async {
        let mut vault = BufReader::new(client.node().connect("vault").await?);
        vault.write_all(format!("{deposit}\n").as_bytes()).await?;
        vault.flush().await?;
        let mut answer = String::new();
        vault.read_line(&mut answer).await?;
        Ok::<_, io::Error>(answer)
    };
    if !attempt.await.is_ok_and(|answer| answer == "ok\n") {
        std::future::pending::<()>().await;
    }
}

/// The whole command line: `run`, `replay`, `list`, and a campaign when called without arguments.
fn main() -> ExitCode {
    squall::cli::main(Catalogue {
        scenarios: vec![Box::new(Deposits)],
        canary: Some(("deposits", "counts-twice")),
    })
}
