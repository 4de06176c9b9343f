//! A file in which services tell their commits, for whoever judges them from outside.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde_json::{Value, json};

/// One service's end of the file. Each line is written in one piece, before whoever wrote the rows learns of their commit:
/// what follows from a commit is told after it, whoever tells it.
pub(super) struct Told {
    service: String,
    file: File,
}

impl Told {
    pub fn new(service: &str, file: &Path) -> io::Result<Self> {
        let file = File::options().create(true).append(true).open(file)?;
        Ok(Told {
            service: service.to_owned(),
            file,
        })
    }

    /// Tells rows: the table, the key, and the row if there is one.
    pub fn tell<'a>(
        &self,
        what: &str,
        rows: impl Iterator<Item = (&'a str, &'a str, Option<&'a [u8]>)>,
    ) {
        let row = |(table, key, row): (_, _, Option<&[u8]>)| {
            let row = row.map(|row| String::from_utf8_lossy(row));
            json!([table, key, row])
        };
        let rows: Vec<Value> = rows.map(row).collect();
        let mut line = json!({ "service": self.service, "what": what, "rows": rows }).to_string();
        line.push('\n');
        if let Err(error) = (&self.file).write_all(line.as_bytes()) {
            tracing::error!(%error, "a commit could not be told");
        }
    }
}
