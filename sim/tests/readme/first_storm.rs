use std::{io, time::Duration};

use squall::{Client, Node};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(1);

/// Adds what it is told to a balance, and answers with it.
async fn vault(node: Node) -> io::Result<()> {
    let mut balance = 0;
    let mut listener = node.listen()?;
    loop {
        let mut teller = listener.accept().await?;
        if let Ok(Ok(amount)) = timeout(PATIENCE, teller.read_u32()).await {
            balance += amount;
            let _ = teller.write_u32(balance).await;
            let _ = teller.flush().await;
        }
    }
}

/// Deposits 10, as often as it takes to hear of it.
async fn teller(client: Client) {
    let deposit = async || {
        let mut vault = client.connect("vault").await?;
        vault.write_u32(10).await?;
        vault.flush().await?;
        vault.read_u32().await
    };
    let balance = loop {
        if let Ok(Ok(balance)) = timeout(PATIENCE, deposit()).await {
            break balance;
        }
    };
    assert_eq!(balance, 10, "one deposit, one effect");
}

pub fn a_deposit_counts_once() {
    squall::storms("deposits").seeds(200).run(|sim| {
        sim.node("vault", vault);
        sim.client("teller", teller);
    });
}
