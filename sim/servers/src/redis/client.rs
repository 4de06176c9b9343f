//! The little of Redis's protocol that it takes to tell a server something
//! (<https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::io;

use squall_engine::Client;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};

/// What a command gives that is no list: a text, a number, or nothing. It goes over a connection of its own. An error that
/// the server tells is one.
pub async fn tell(client: &Client, server: &str, command: &str) -> io::Result<String> {
    let stream = client.connect(&format!("{server}:6379")).await?;
    let mut stream = BufReader::new(stream);
    let line = format!("{command}\r\n");
    stream.get_mut().write_all(line.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_line(&mut answer).await?;
    let (kind, said) = answer.trim_end().split_at_checked(1).unwrap_or_default();
    match (kind, said) {
        ("", _) => Err(io::ErrorKind::UnexpectedEof.into()),
        ("-", error) => Err(io::Error::other(error.to_owned())),
        ("$", "-1") => Ok(String::new()),
        ("$", len) => {
            let mut text = vec![0; len.parse().map_err(io::Error::other)?];
            stream.read_exact(&mut text).await?;
            Ok(String::from_utf8_lossy(&text).into_owned())
        }
        (_, said) => Ok(said.to_owned()),
    }
}
