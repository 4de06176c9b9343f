//! What a change leaves to do once the lock is released.

use std::{sync::Arc, task::Waker};

use squall_core::{
    event::{ConnectionEvent, What},
    host::{Host, NodeIx},
};

/// What is left to do when the lock has been released: tell the host, wake tasks. In order.
#[derive(Default)]
pub struct Aftermath {
    pub notes: Vec<Note>,
    pub wakers: Vec<Waker>,
    /// Wakers to drop: dropping the last handle of a task may drop the task, and with it our streams.
    pub forgotten: Vec<Waker>,
}

/// Something that the host is told.
pub enum Note {
    Arrival {
        node: NodeIx,
        from: Arc<str>,
        connection: u64,
        bytes: usize,
    },
    Connection {
        node: NodeIx,
        peer: Arc<str>,
        connection: u64,
        event: ConnectionEvent,
    },
}

impl Aftermath {
    /// Does it all.
    pub fn run(self, host: &dyn Host) {
        for note in &self.notes {
            match note {
                Note::Arrival {
                    node,
                    from,
                    connection,
                    bytes,
                } => {
                    let what = What::Arrival {
                        from: (&**from).into(),
                        connection: *connection,
                        bytes: *bytes,
                    };
                    host.record(*node, what);
                }
                Note::Connection {
                    node,
                    peer,
                    connection,
                    event,
                } => {
                    let what = What::Connection {
                        connection: *connection,
                        peer: (&**peer).into(),
                        event: *event,
                    };
                    host.record(*node, what);
                }
            }
        }
        for waker in self.wakers {
            waker.wake();
        }
    }
}
