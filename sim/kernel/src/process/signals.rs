//! Signals: handlers that a process has installed, and what happens to one that has none.

use std::collections::BTreeMap;

use super::{Answer, End, Errno, Kernel, State};
use crate::cpu::{Call, Tid};

/// What a process does about signals.
#[derive(Debug)]
pub(crate) struct Signals {
    /// As `rt_sigaction` was given it: handler, flags, restorer, mask.
    actions: BTreeMap<i32, [u64; 4]>,
}

impl Default for Signals {
    fn default() -> Self {
        // As Rust's start-up leaves it.
        let ignored = [libc::SIG_IGN as u64, 0, 0, 0];
        Signals {
            actions: [(libc::SIGPIPE, ignored)].into(),
        }
    }
}

impl Signals {
    /// Whether the process has installed no handler.
    pub fn are_default(&self) -> bool {
        self.actions.keys().all(|signal| *signal == libc::SIGPIPE)
    }
}

/// A signal's name.
pub(super) fn name(signal: i32) -> String {
    let known = [
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGKILL, "SIGKILL"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGQUIT, "SIGQUIT"),
    ];
    let found = known.iter().find(|(number, _)| *number == signal);
    found.map_or_else(
        || format!("signal {signal}"),
        |(_, name)| (*name).to_owned(),
    )
}

impl Kernel {
    pub(super) fn sigaction(&mut self, call: &Call) -> Result<isize, Errno> {
        let [signal, new, old, ..] = call.arguments;
        let signal = signal as i32;
        if !(1..=64).contains(&signal) || signal == libc::SIGKILL || signal == libc::SIGSTOP {
            return Err(Errno(libc::EINVAL));
        }
        let known = self
            .process
            .signals
            .actions
            .get(&signal)
            .copied()
            .unwrap_or_default();
        if old != 0 {
            for (ordinal, word) in known.iter().enumerate() {
                self.memory.write_u64(old + 8 * ordinal, *word);
            }
        }
        if new != 0 {
            let action = [0, 8, 16, 24].map(|offset| self.memory.read_u64(new + offset));
            self.process.signals.actions.insert(signal, action);
        }
        Ok(0)
    }

    /// `kill`, `tkill` and `tgkill`: to this process, or to none.
    pub(super) fn kill(&mut self, from: Tid, to: Tid, signal: i32) -> Answer {
        if to != self.process.pid && to != 0 && !self.threads.contains_key(&to) {
            return Err(Errno(libc::ESRCH)).into();
        }
        if !(0..=64).contains(&signal) {
            return Err(Errno(libc::EINVAL)).into();
        }
        if signal == 0 {
            return Answer::Done(0);
        }
        let target = if self.threads.contains_key(&to) {
            to
        } else {
            from
        };
        if self.deliver(target, signal) {
            return Answer::Gone;
        }
        Answer::Done(0)
    }

    /// A signal reaches a thread. Whether that is the end of the process.
    pub(super) fn deliver(&mut self, target: Tid, signal: i32) -> bool {
        let handler = self
            .process
            .signals
            .actions
            .get(&signal)
            .map_or(0, |action| action[0]);
        match handler as usize {
            libc::SIG_IGN => false,
            libc::SIG_DFL => {
                let harmless = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT];
                if harmless.contains(&signal) {
                    return false;
                }
                self.end = Some(End::Signal(
                    signal,
                    "the process has no handler for it".into(),
                ));
                true
            }
            handler => {
                if let Some(action) = self.process.signals.actions.get_mut(&signal)
                    && action[1] & libc::SA_RESETHAND as u64 != 0
                {
                    action[0] = libc::SIG_DFL as u64;
                }
                self.process.processor.signal(target, handler, signal);
                // A thread that signals itself stands in that very call, to be looked at again.
                if let Some(thread) = self.threads.get_mut(&target)
                    && (matches!(thread.state, State::Waiting(_))
                        || matches!(thread.state, State::Retry) && target != self.last)
                {
                    thread.state = State::Ready(-(libc::EINTR as isize));
                }
                false
            }
        }
    }

    pub(super) fn sigprocmask(&mut self, call: &Call) -> Result<isize, Errno> {
        let [_, _, old, size, ..] = call.arguments;
        if old != 0 {
            self.memory.slice_mut(old, size.min(8)).fill(0);
        }
        Ok(0)
    }
}
