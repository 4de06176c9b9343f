//! Clients that sell until a server has acknowledged enough, and hold it to what it has acknowledged.

use std::time::Duration;

use squall::{Client, unmodified};
use squall_servers::Servers;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_real as tokio;

/// Sends a command as text, and reads what is answered.
async fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    let mut answer = [0; 512];
    let len = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
}

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

/// A message of PostgreSQL's protocol: its kind and what follows.
async fn message(stream: &mut TcpStream) -> std::io::Result<(u8, Vec<u8>)> {
    let kind = stream.read_u8().await?;
    let len = stream.read_u32().await? as usize;
    let mut body = vec![0; len - 4];
    stream.read_exact(&mut body).await?;
    Ok((kind, body))
}

pub async fn connect(server: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(server).await?;
    let words = b"user\0app\0database\0app\0\0";
    stream.write_u32(8 + words.len() as u32).await?;
    stream.write_u32(196_608).await?;
    stream.write_all(words).await?;
    loop {
        match message(&mut stream).await? {
            (b'Z', _) => return Ok(stream),
            (b'E', why) => {
                return Err(std::io::Error::other(
                    String::from_utf8_lossy(&why).into_owned(),
                ));
            }
            _ => {}
        }
    }
}

/// Runs a statement; its first value, if there is one.
pub async fn query(stream: &mut TcpStream, sql: &str) -> std::io::Result<String> {
    stream.write_u8(b'Q').await?;
    stream.write_u32(5 + sql.len() as u32).await?;
    stream.write_all(sql.as_bytes()).await?;
    stream.write_u8(0).await?;
    let (mut value, mut failed) = (String::new(), None);
    loop {
        match message(stream).await? {
            (b'Z', _) => return failed.map_or(Ok(value), |why| Err(std::io::Error::other(why))),
            (b'D', row) => value = String::from_utf8_lossy(&row[6..]).into_owned(),
            (b'E', why) => failed = Some(String::from_utf8_lossy(&why).into_owned()),
            _ => {}
        }
    }
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
