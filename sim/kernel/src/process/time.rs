//! Time: waiting for it, and timers.

use super::{
    Answer, Errno, Kernel, MONOTONIC_BEGIN, Wait,
    object::{Kind, events},
};
use crate::cpu::{Call, Tid};

const NS: u64 = 1_000_000_000;

/// A `timerfd`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timer {
    is_wall: bool,
    /// When it runs out next, in virtual time.
    next: Option<u64>,
    interval: u64,
    /// Whoever waits for it has been told that it ran out.
    rung: bool,
}

impl Timer {
    /// When it will run out, of which nobody has been told yet.
    pub fn next(&self) -> Option<u64> {
        self.next.filter(|_| !self.rung)
    }

    /// Whether it has run out by now, and nobody has been told yet; from now on somebody has.
    pub fn ring(&mut self, now: u64) -> bool {
        let rings = self.next().is_some_and(|next| next <= now);
        self.rung |= rings;
        rings
    }

    pub fn mask(&self, now: u64) -> u32 {
        match self.next {
            Some(next) if next <= now => events::IN,
            _ => 0,
        }
    }

    /// How often it has run out since it was last asked.
    pub fn expirations(&mut self, now: u64) -> u64 {
        let Some(next) = self.next.filter(|next| *next <= now) else {
            return 0;
        };
        self.rung = false;
        if self.interval == 0 {
            self.next = None;
            return 1;
        }
        let count = (now - next) / self.interval + 1;
        self.next = Some(next + count * self.interval);
        count
    }
}

impl Kernel {
    /// A `timespec`, in nanoseconds; none if there is none.
    pub(super) fn timespec(&self, at: usize) -> Result<Option<u64>, Errno> {
        if at == 0 {
            return Ok(None);
        }
        let (seconds, ns) = (self.memory.read_u64(at), self.memory.read_u64(at + 8));
        if (seconds as i64) < 0 || ns >= NS {
            return Err(Errno(libc::EINVAL));
        }
        Ok(Some(seconds.saturating_mul(NS).saturating_add(ns)))
    }

    /// Answers a call that waits for at most a `timespec`.
    pub(super) fn timed(
        &mut self,
        at: usize,
        serve: impl FnOnce(&mut Self, Option<u64>) -> Answer,
    ) -> Answer {
        match self.timespec(at) {
            Ok(timeout) => serve(self, timeout),
            Err(error) => Err(error).into(),
        }
    }

    pub(super) fn put_timespec(&self, at: usize, ns: u64) {
        self.memory.write_u64(at, ns / NS);
        self.memory.write_u64(at + 8, ns % NS);
    }

    /// What a clock shows the process.
    pub(super) fn clock(&self, clock: i32) -> u64 {
        match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE | libc::CLOCK_TAI => {
                self.node.clock_was_read();
                self.node.wall_ns() + self.ahead()
            }
            _ => MONOTONIC_BEGIN + self.now() + self.ahead(),
        }
    }

    pub(super) fn clock_gettime(&mut self, clock: i32, at: usize) -> Result<isize, Errno> {
        let shown = match clock {
            // CPU time, also by a clock of one process or thread: all of the time is the program's.
            ..0 | libc::CLOCK_PROCESS_CPUTIME_ID | libc::CLOCK_THREAD_CPUTIME_ID => self.now(),
            0..=11 => self.clock(clock),
            _ => return Err(Errno(libc::EINVAL)),
        };
        self.put_timespec(at, shown);
        Ok(0)
    }

    /// `nanosleep` and `clock_nanosleep`.
    pub(super) fn nanosleep(&mut self, tid: Tid, clock: i32, flags: i32, wanted: usize) -> Answer {
        let wanted = match self.timespec(wanted) {
            Ok(Some(wanted)) if (0..=11).contains(&clock) => wanted,
            Ok(None) => return Err(Errno(libc::EFAULT)).into(),
            _ => return Err(Errno(libc::EINVAL)).into(),
        };
        let known = self
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.until.is_some());
        let timeout = match flags & libc::TIMER_ABSTIME {
            _ if known => 0,
            0 => wanted,
            _ => wanted.saturating_sub(self.clock(clock)),
        };
        let until = self.until(tid, Some(timeout));
        if until.is_none_or(|until| until <= self.now()) {
            return Answer::Done(0);
        }
        Answer::Wait(Wait {
            until,
            ..Wait::default()
        })
    }

    /// The thread lets others go on, and a little time pass.
    pub(super) fn pass_time(&mut self, tid: Tid, ns: u64) -> Answer {
        let until = self.until(tid, Some(ns));
        if until.is_none_or(|until| until <= self.now()) {
            return Answer::Done(0);
        }
        Answer::Wait(Wait {
            until,
            is_deaf: true,
            ..Wait::default()
        })
    }

    pub(super) fn timer_settime(&mut self, call: &Call) -> Result<isize, Errno> {
        let [fd, flags, new, old, ..] = call.arguments;
        let now = self.now();
        let interval = self.timespec(new)?.unwrap_or(0);
        let wanted = self.timespec(new + 16)?.unwrap_or(0);
        let ahead = self.ahead();
        let wall = self.node.wall_ns();
        let (id, object) = self.by_fd(fd as i32)?;
        let Kind::Timer(timer) = &mut object.kind else {
            return Err(Errno(libc::EINVAL));
        };
        let before = *timer;
        timer.interval = interval;
        timer.rung = false;
        timer.next = match (wanted, flags as i32 & libc::TFD_TIMER_ABSTIME) {
            (0, _) => None,
            (wanted, 0) => Some(now + ahead + wanted),
            (wanted, _) if timer.is_wall => Some(now + wanted.saturating_sub(wall)),
            (wanted, _) => Some(wanted.saturating_sub(MONOTONIC_BEGIN).max(now)),
        };
        if old != 0 {
            self.put_timespec(old, before.interval);
            self.put_timespec(
                old + 16,
                before.next.map_or(0, |next| next.saturating_sub(now)),
            );
        }
        self.retry_waiters(id);
        Ok(0)
    }

    /// `timerfd_gettime`.
    pub(super) fn timer_gettime(&mut self, fd: i32, place: usize) -> Result<isize, Errno> {
        let now = self.now() + self.ahead();
        let Kind::Timer(timer) = &self.by_fd(fd)?.1.kind else {
            return Err(Errno(libc::EINVAL));
        };
        let timer = *timer;
        self.put_timespec(place, timer.interval);
        let left = timer.next.map_or(0, |next| next.saturating_sub(now));
        self.put_timespec(place + 16, left);
        Ok(0)
    }

    pub(super) fn timer_create(&mut self, clock: i32, flags: i32) -> Result<isize, Errno> {
        let known = [
            libc::CLOCK_REALTIME,
            libc::CLOCK_MONOTONIC,
            libc::CLOCK_BOOTTIME,
        ];
        if !known.contains(&clock) || flags & !(libc::O_NONBLOCK | libc::O_CLOEXEC) != 0 {
            return Err(Errno(libc::EINVAL));
        }
        let timer = Timer {
            is_wall: clock == libc::CLOCK_REALTIME,
            ..Timer::default()
        };
        self.open_object(Kind::Timer(timer), flags)
    }

    /// Timers that have run out are news.
    pub(super) fn ring_timers(&mut self) {
        for id in self.objects.ring_timers(self.now()) {
            self.notify(id, events::IN);
        }
    }
}
