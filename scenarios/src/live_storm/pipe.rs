//! A connection to a process, from the side of the node that stands for it.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc::{self, Receiver, Sender},
    },
};

use crate::lock;

/// A connection to a process: bytes there, and back.
pub(super) struct Pipe {
    pub there: Sender<Vec<u8>>,
    pub back: Mutex<Back>,
    /// How many connections there are on which an answer is waited for.
    asked: Arc<AtomicUsize>,
}

#[derive(Default)]
pub(super) struct Back {
    pub bytes: VecDeque<Vec<u8>>,
    pub ended: bool,
    asked: bool,
}

impl Pipe {
    /// The connection, and what is to be sent there; an empty piece is its end.
    pub fn new(asked: &Arc<AtomicUsize>) -> (Arc<Pipe>, Receiver<Vec<u8>>) {
        let (there, sent) = mpsc::channel();
        let pipe = Pipe {
            there,
            back: Mutex::default(),
            asked: asked.clone(),
        };
        (Arc::new(pipe), sent)
    }

    pub fn sends(&self, bytes: &[u8]) {
        self.waits(true);
        let _ = self.there.send(bytes.to_vec());
    }

    pub fn receives(&self, bytes: &[u8]) {
        lock(&self.back).bytes.push_back(bytes.to_vec());
        self.waits(false);
    }

    pub fn ends(&self) {
        lock(&self.back).ended = true;
        self.waits(false);
    }

    pub fn waits(&self, asked: bool) {
        let mut back = lock(&self.back);
        match (back.asked, asked && !back.ended) {
            (false, true) => self.asked.fetch_add(1, Relaxed),
            (true, false) => self.asked.fetch_sub(1, Relaxed),
            _ => return,
        };
        back.asked = asked;
    }
}
