//! What is looked at in a database after each commit, and how a commit is heard.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::wire::Messages;

/// What is looked at after each commit.
#[derive(Clone, Debug, Default)]
pub struct Checks(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    queries: Mutex<Vec<Query>>,
    committed: Notify,
}

/// A query that gives what is wrong.
#[derive(Clone, Debug)]
pub struct Query {
    /// What must hold.
    pub name: String,
    /// The query.
    pub sql: String,
    /// Whether it is asked after each commit; or else only once all is settled.
    pub always: bool,
    /// What it has given already.
    pub told: Vec<Vec<String>>,
}

/// What a server says of what writes nothing (`CommandComplete`): the beginning of its tag.
const HARMLESS: [&[u8]; 6] = [b"BEGIN", b"START", b"ROLLBACK", b"SET", b"SHOW", b"SELECT"];
/// That a server is ready, and no transaction goes on: a long answer ends with this, wherever its parts begin.
const READY: &[u8] = b"Z\0\0\0\x05I";

impl Query {
    pub fn new(name: &str, sql: &str, always: bool) -> Self {
        Query {
            name: name.to_owned(),
            sql: sql.to_owned(),
            always,
            told: Vec::new(),
        }
    }
}

impl Checks {
    /// Hears what the server sends: whether something was committed.
    pub fn hear(&self, sent: &[u8]) {
        if self.queries().iter().any(|query| query.always) && is_committed(sent) {
            self.0.committed.notify_one();
        }
    }

    /// Waits for the next commit, or for one that nobody has waited for.
    pub async fn committed(&self) {
        self.0.committed.notified().await;
    }

    /// All queries.
    pub fn queries(&self) -> MutexGuard<'_, Vec<Query>> {
        self.0
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether messages of the server end a transaction that may have written. They need not begin with a whole one.
fn is_committed(sent: &[u8]) -> bool {
    let mut writes = false;
    let mut messages = Messages(sent);
    for (kind, body) in messages.by_ref() {
        match kind {
            b'C' => writes |= !HARMLESS.iter().any(|tag| body.starts_with(tag)),
            b'Z' if body == b"I" && writes => return true,
            _ => {}
        }
    }
    !messages.0.is_empty() && messages.0.ends_with(READY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_heard_where_something_may_have_been_written() {
        assert!(is_committed(b"C\0\0\0\x0fINSERT 0 1\0Z\0\0\0\x05I"));
        assert!(is_committed(b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I"));
        assert!(!is_committed(b"C\0\0\0\x0fINSERT 0 1\0Z\0\0\0\x05T"));
        assert!(!is_committed(b"C\0\0\0\x0aBEGIN\0Z\0\0\0\x05T"));
        assert!(!is_committed(b"C\0\0\0\x0dROLLBACK\0Z\0\0\0\x05I"));
        assert!(is_committed(b"C\0\0\0\x0bCOPY 3\0Z\0\0\0\x05I"));
        assert!(is_committed(b"the end of a long rowZ\0\0\0\x05I"));
        assert!(!is_committed(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I"));
        assert!(!is_committed(b"half of a message"));
    }
}
