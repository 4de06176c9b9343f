//! One end of a connection.

use std::time::Duration;

use squall_core::{host::NodeIx, time::VirtualTime};

use super::{Aftermath, timer::Waiter};

/// One end of a connection, as its node's kernel and process know it.
#[derive(Debug)]
pub struct End {
    pub node: NodeIx,
    /// The process holds a handle, or the connection waits for it to accept.
    pub held: bool,
    /// The kernel knows the connection; otherwise it answers with a reset.
    pub alive: bool,
    /// Nothing reads here: answers are thrown away (the second connection of a duplicated burst).
    pub phantom: bool,
    /// The peer's FIN has arrived.
    pub end_of_file: bool,
    /// Reported once, by a read or a write.
    pub error: Option<i32>,
    pub reader: Waiter,
    pub writer: Waiter,
    pub user_timeout: Option<Duration>,
    pub keepalive: Option<Keepalive>,
    /// When the last packet arrived.
    pub last_heard: VirtualTime,
}

/// What keeps an idle connection under watch.
#[derive(Clone, Copy, Debug)]
pub struct Keepalive {
    pub idle: Duration,
    pub interval: Duration,
    pub probes: u32,
    /// Probes without an answer.
    pub failed: u32,
    pub due: VirtualTime,
}

impl End {
    /// An end that a process holds.
    pub fn new(node: NodeIx) -> Self {
        End {
            node,
            held: true,
            alive: true,
            phantom: false,
            end_of_file: false,
            error: None,
            reader: Waiter::default(),
            writer: Waiter::default(),
            user_timeout: None,
            keepalive: None,
            last_heard: VirtualTime::ZERO,
        }
    }

    /// The process lets go of the connection.
    pub fn release(&mut self, aftermath: &mut Aftermath) {
        self.held = false;
        self.reader.forget(aftermath);
        self.writer.forget(aftermath);
    }

    /// The kernel has lost the connection.
    pub fn fail(&mut self, code: i32, aftermath: &mut Aftermath) {
        self.alive = false;
        self.error = Some(code);
        self.keepalive = None;
        self.reader.wake(aftermath);
        self.writer.wake(aftermath);
    }
}
