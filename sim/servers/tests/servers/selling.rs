//! Clients that sell until a server has acknowledged enough, and hold it to what it has acknowledged.

use std::time::Duration;

use squall::{Client, unmodified};
use squall_servers::Servers;
use tokio::net::TcpStream;
use tokio_real as tokio;

use crate::clients::{ask, connect, query};

pub fn redis(sim: &squall::Sim) {
    sim.redis("cache");
    sim.client(
        "client",
        unmodified(async |client: Client| {
            let mut told = 0;
            while told < 100 {
                let sold = async {
                    let mut stream = TcpStream::connect("cache:6379").await?;
                    loop {
                        let answer = ask(&mut stream, "INCR sold").await?;
                        let Some(number) = answer.strip_prefix(':') else {
                            // It reads its files.
                            return Ok(());
                        };
                        let number: u32 = number.trim().parse().expect("a number");
                        assert!(
                            number > told,
                            "{number} after {told}: a write was taken back"
                        );
                        told = number;
                        if told >= 100 {
                            return std::io::Result::Ok(());
                        }
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                if tokio::time::timeout(Duration::from_secs(5), sold)
                    .await
                    .is_err()
                {
                    client.failed("sell", "no answer");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            client.ok("sell", "100 were sold");
        }),
    );
}

pub fn postgres(sim: &squall::Sim) {
    sim.postgres("db")
        .schema("CREATE TABLE sold (id bigserial PRIMARY KEY, what text NOT NULL);");
    sim.client(
        "client",
        unmodified(async |client: Client| {
            let (mut told, mut tried) = (0, 0);
            while told < 30 {
                let sold = async {
                    let mut stream = connect("db:5432").await?;
                    let there: u64 = query(&mut stream, "SELECT count(*) FROM sold")
                        .await?
                        .parse()
                        .expect("a number");
                    assert!(
                        there >= told && there <= tried,
                        "{there} rows: {told} told, {tried} tried"
                    );
                    while told < 30 {
                        tried += 1;
                        query(&mut stream, "INSERT INTO sold (what) VALUES ('tea')").await?;
                        told += 1;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                    std::io::Result::Ok(())
                };
                match tokio::time::timeout(Duration::from_secs(5), sold).await {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => client.failed("sell", &error.to_string()),
                    Err(_) => client.failed("sell", "no answer"),
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            client.ok("sell", "30 were sold");
        }),
    );
}
