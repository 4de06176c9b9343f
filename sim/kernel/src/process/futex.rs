//! Futexes: where threads wait until a word of memory changes.

use super::{Answer, Errno, Kernel, State, Wait};
use crate::cpu::{Call, Tid};

const CLOCK_REALTIME_FLAG: i32 = 256;
const PRIVATE: i32 = 128;
const WAIT: i32 = 0;
const WAKE: i32 = 1;
const REQUEUE: i32 = 3;
const CMP_REQUEUE: i32 = 4;
const WAKE_OP: i32 = 5;
const WAIT_BITSET: i32 = 9;
const WAKE_BITSET: i32 = 10;

/// The word at which threads wait: of a process (0 stands for what processes share), and where it is there.
pub(super) type Key = (Tid, u64);

/// A thread that was woken finds this in place of its wait.
const WOKEN: isize = 0;

impl Kernel {
    pub(super) fn futex(&mut self, tid: Tid, call: &Call) -> Answer {
        let [address, operation, value, timeout, second, third] = call.arguments;
        let operation = operation as i32;
        let is_private = operation & PRIVATE != 0;
        let key = self.futex_key(address, is_private);
        match operation & !(PRIVATE | CLOCK_REALTIME_FLAG) {
            WAIT => self.timed(timeout, |process, timeout| {
                process.futex_wait(tid, (key, address), value as u32, u32::MAX, timeout)
            }),
            WAIT_BITSET | WAKE_BITSET if third as u32 == 0 => Err(Errno(libc::EINVAL)).into(),
            WAIT_BITSET => {
                let now = match operation & CLOCK_REALTIME_FLAG {
                    0 => self.clock(libc::CLOCK_MONOTONIC),
                    _ => self.clock(libc::CLOCK_REALTIME),
                };
                self.timed(timeout, |process, timeout| {
                    let timeout = timeout.map(|at| at.saturating_sub(now));
                    process.futex_wait(tid, (key, address), value as u32, third as u32, timeout)
                })
            }
            WAKE => Answer::Done(self.futex_wake(key, value as i32, u32::MAX)),
            WAKE_BITSET => Answer::Done(self.futex_wake(key, value as i32, third as u32)),
            REQUEUE => {
                let to = self.futex_key(second, is_private);
                Answer::Done(self.futex_requeue(key, value as i32, to, timeout as i32))
            }
            CMP_REQUEUE if self.memory.read_u32(address) != third as u32 => {
                Err(Errno(libc::EAGAIN)).into()
            }
            CMP_REQUEUE => {
                let to = self.futex_key(second, is_private);
                Answer::Done(self.futex_requeue(key, value as i32, to, timeout as i32))
            }
            WAKE_OP => {
                let both = self.wake_op(second, third as u32);
                let mut woken = self.futex_wake(key, value as i32, u32::MAX);
                if both {
                    let second = self.futex_key(second, is_private);
                    woken += self.futex_wake(second, timeout as i32, u32::MAX);
                }
                Answer::Done(woken)
            }
            other => Err(self.refuse(&format!("futex operation {other}"))).into(),
        }
    }

    /// Processes that share a word of memory wait for the same one.
    pub(super) fn futex_key(&self, address: usize, is_private: bool) -> Key {
        let shared = match is_private {
            true => None,
            false => self.memory.shared_key(address),
        };
        shared.map_or((self.process.pid, address as u64), |place| (0, place))
    }

    fn futex_wait(
        &mut self,
        tid: Tid,
        (key, address): (Key, usize),
        expected: u32,
        bits: u32,
        timeout: Option<u64>,
    ) -> Answer {
        let until = self.until(tid, timeout);
        if until.is_some_and(|until| until <= self.now()) {
            return Err(Errno(libc::ETIMEDOUT)).into();
        }
        let is_equal = self.memory.read_u32(address) == expected;
        let Some(thread) = self.threads.get_mut(&tid) else {
            return Answer::Gone;
        };
        // One that looks again has not left: it is still to be woken, whatever the word is by now.
        if thread.futex.is_none() {
            if !is_equal {
                return Err(Errno(libc::EAGAIN)).into();
            }
            thread.futex = Some((key, bits));
        }
        Answer::Wait(Wait {
            until,
            ..Wait::default()
        })
    }

    /// Wakes up to `count` of the threads that wait at an address, by lot: how many it was.
    pub(super) fn futex_wake(&mut self, key: Key, count: i32, bits: u32) -> isize {
        let mut waiters: Vec<Tid> = Vec::new();
        for (tid, thread) in &self.threads {
            if let Some((at, own)) = &thread.futex
                && *at == key
                && own & bits != 0
                && !matches!(thread.state, State::Ready(_))
            {
                waiters.push(*tid);
            }
        }
        let mut woken = 0;
        while woken < count.max(0) && !waiters.is_empty() {
            let chosen = match waiters.len() {
                1 => 0,
                len => self.order.below(len as u64) as usize,
            };
            if let Some(thread) = self.threads.get_mut(&waiters.swap_remove(chosen)) {
                thread.state = State::Ready(WOKEN);
                woken += 1;
            }
        }
        woken as isize
    }

    fn futex_requeue(&mut self, key: Key, wake: i32, to: Key, move_: i32) -> isize {
        let woken = self.futex_wake(key, wake, u32::MAX);
        let mut moved = 0;
        for thread in self.threads.values_mut() {
            if let Some((at, _)) = &mut thread.futex
                && *at == key
                && !matches!(thread.state, State::Ready(_))
                && moved < move_
            {
                *at = to;
                moved += 1;
            }
        }
        woken + moved as isize
    }

    /// Changes a word as asked, and tells whether what it was says that its waiters are woken too.
    fn wake_op(&mut self, address: usize, how: u32) -> bool {
        let old = self.memory.read_u32(address);
        let (operation, compare) = (how >> 28 & 15, how >> 24 & 15);
        let (mut operand, against) = (how >> 12 & 0xfff, how & 0xfff);
        if operation & 8 != 0 {
            operand = 1 << (operand & 31);
        }
        let new = match operation & 7 {
            0 => operand,
            1 => old.wrapping_add(operand),
            2 => old | operand,
            3 => old & !operand,
            _ => old ^ operand,
        };
        self.memory.write_u32(address, new);
        match compare {
            0 => old == against,
            1 => old != against,
            2 => (old as i32) < against as i32,
            3 => (old as i32) <= against as i32,
            4 => old as i32 > against as i32,
            _ => old as i32 >= against as i32,
        }
    }
}
