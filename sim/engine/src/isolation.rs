//! Work that is kept apart from this process: what it leaves behind, or dies of, ends with it.

use std::{io, sync::OnceLock, time::Duration};

/// Carries work out in another process, which begins as a copy of this one, and waits for its end.
///
/// # Errors
/// No such process can be had.
pub type Isolation = fn(work: &dyn Fn() -> Vec<u8>) -> io::Result<Child>;

/// A process that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Child {
    /// How.
    pub end: End,
    /// The CPU time that it took.
    pub cpu: Duration,
    /// The last turn of a program in it, if there was one.
    pub last_turn: Option<Turn>,
    /// What it told its [witness](witnessed_by).
    pub told: Vec<u8>,
}

static WITNESS: OnceLock<fn(&[u8])> = OnceLock::new();

/// From now on a whole trace is told as it comes about, event by event, to somebody who outlives this process.
pub fn witnessed_by(witness: fn(&[u8])) {
    WITNESS.get_or_init(|| witness);
}

pub(crate) fn witness() -> Option<fn(&[u8])> {
    WITNESS.get().copied()
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// With what the work has given.
    Returned(Vec<u8>),
    /// By a signal.
    Signal(i32),
    /// By a stack that was used up.
    StackOverflow,
    /// It exited by itself before the work was done.
    Exit(i32),
    /// It was killed: a program kept its turn for so much CPU time.
    Hang(Duration),
    /// It was killed: it stood still, and so did others in its place.
    Stalled,
}

/// A program's turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// The node.
    pub node: String,
    /// When it began, in nanoseconds of virtual time.
    pub at: u64,
    /// Whether it was still going on.
    pub goes_on: bool,
}
