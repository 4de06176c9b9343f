//! The little of PostgreSQL's protocol that it takes to ask a question
//! (<https://www.postgresql.org/docs/current/protocol-flow.html>): a connection, and queries without parameters, prepared or not.

use std::io;

use squall_engine::{Client, net::Stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::wire::error;

/// A connection as superuser.
pub struct Connection(Stream);

/// The values of a row.
pub type Row = Vec<String>;

/// What it calls itself.
pub const NAME: &str = "squall";
/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;

impl Connection {
    /// Connects to a server's database.
    pub async fn open(client: &Client, server: &str, database: &str) -> io::Result<Self> {
        let stream = client.connect(&format!("{server}:5432")).await?;
        let mut connection = Connection(stream);
        // What it does is to be done whatever the server is told meanwhile.
        let words = format!(
            "user\0postgres\0database\0{database}\0application_name\0{NAME}\0options\0-c \
             default_transaction_read_only=off\0\0"
        );
        let mut hello = (8 + words.len() as u32).to_be_bytes().to_vec();
        hello.extend(VERSION.to_be_bytes());
        hello.extend(words.as_bytes());
        connection.0.write_all(&hello).await?;
        match connection.until_ready(|_, _| ()).await? {
            None => Ok(connection),
            Some(why) => Err(io::Error::other(why)),
        }
    }

    /// The rows that a query gives, each with its values as text.
    pub async fn rows(&mut self, sql: &str) -> io::Result<Vec<Row>> {
        let mut query = Vec::new();
        say(&mut query, b'Q', &[sql.as_bytes(), b"\0"]);
        self.0.write_all(&query).await?;
        self.answer().await?.map_err(io::Error::other)
    }

    /// Has a query understood and planned, once for each time that it will be asked under this number. What is wrong with
    /// it, if something is.
    pub async fn prepare(&mut self, number: usize, sql: &str) -> io::Result<Result<(), String>> {
        let mut messages = Vec::new();
        let name = format!("{number}\0");
        let parts = [name.as_bytes(), sql.as_bytes(), &[0; 3]];
        say(&mut messages, b'P', &parts);
        say(&mut messages, b'S', &[]);
        self.0.write_all(&messages).await?;
        Ok(self.answer().await?.map(drop))
    }

    /// What each of these queries gives, which were prepared and are asked at once: rows, or an error that concerns it alone.
    pub async fn ask(&mut self, numbers: &[usize]) -> io::Result<Vec<Result<Vec<Row>, String>>> {
        let mut messages = Vec::new();
        for number in numbers {
            let name = format!("\0{number}\0");
            say(&mut messages, b'B', &[name.as_bytes(), &[0; 6]]);
            say(&mut messages, b'E', &[&[0; 5]]);
            say(&mut messages, b'S', &[]);
        }
        self.0.write_all(&messages).await?;
        let mut answers = Vec::new();
        for _ in numbers {
            answers.push(self.answer().await?);
        }
        Ok(answers)
    }

    /// The rows, or the error, that come before the server is ready again.
    async fn answer(&mut self) -> io::Result<Result<Vec<Row>, String>> {
        let mut rows = Vec::new();
        let hear = |kind, body: &[u8]| {
            if kind == b'D' {
                rows.push(values(body));
            }
        };
        let failed = self.until_ready(hear).await?;
        Ok(failed.map_or(Ok(rows), Err))
    }

    /// Hears messages until the server is ready for a query. The error that it tells of, if it does.
    async fn until_ready(&mut self, mut hear: impl FnMut(u8, &[u8])) -> io::Result<Option<String>> {
        let mut failed = None;
        loop {
            let kind = self.0.read_u8().await?;
            let len = self.0.read_u32().await?.saturating_sub(4) as usize;
            let mut body = vec![0; len];
            self.0.read_exact(&mut body).await?;
            match kind {
                b'Z' => return Ok(failed),
                b'E' => {
                    let fatal = error(&body);
                    // A refused connection is closed after this.
                    if fatal.starts_with("FATAL") {
                        return Err(io::Error::other(fatal));
                    }
                    failed = Some(fatal);
                }
                kind => hear(kind, &body),
            }
        }
    }
}

/// Adds a message of this kind.
fn say(messages: &mut Vec<u8>, kind: u8, parts: &[&[u8]]) {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    messages.push(kind);
    messages.extend((4 + len as u32).to_be_bytes());
    messages.extend(parts.iter().copied().flatten());
}

/// The values of a row.
fn values(mut body: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    let Some((_, rest)) = body.split_first_chunk::<2>() else {
        return values;
    };
    body = rest;
    while let Some((len, rest)) = body.split_first_chunk::<4>() {
        let len = i32::from_be_bytes(*len);
        let (value, rest) = match usize::try_from(len) {
            Ok(len) => rest.split_at(len.min(rest.len())),
            Err(_) => (&b"NULL"[..], rest),
        };
        values.push(String::from_utf8_lossy(value).into_owned());
        body = rest;
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_value_by_value() {
        let row = b"\0\x03\0\0\0\x02ab\xff\xff\xff\xff\0\0\0\0";
        assert_eq!(values(row), ["ab", "NULL", ""]);
    }
}
