//! What tests of servers have in common: whether a server is there, and who asks it.

use squall::{run::Outcome, trace::text};
use squall_servers::Absent;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_real as tokio;

pub fn is_there(installed: Result<(), Absent>) -> bool {
    let Err(absent) = installed else { return true };
    assert!(
        std::env::var_os("SQUALL_SERVERS").is_none(),
        "{absent} (SQUALL_SERVERS is set)"
    );
    eprintln!("NOT RUN: {absent}");
    false
}

pub fn trace(outcome: &Outcome) -> String {
    let Some(trace) = outcome.trace.as_ref() else {
        panic!("the run failed: {:?}", outcome.verdict);
    };
    text::render(trace, &text::Options::default())
}

/// Sends a command as text, and reads what is answered.
pub async fn ask(stream: &mut TcpStream, command: &str) -> std::io::Result<String> {
    stream
        .write_all(format!("{command}\r\n").as_bytes())
        .await?;
    let mut answer = [0; 512];
    let len = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..len]).into_owned())
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
