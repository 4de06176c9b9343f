//! Timers of processes, which send signals.

use super::{
    Answer, Errno, Kernel, MONOTONIC_BEGIN,
    signals::{Signal, Target},
};
use crate::cpu::{Call, Tid};

const NS: u64 = 1_000_000_000;
/// The timer of `alarm` and `setitimer` among those of a process.
const REAL: i32 = -1;

/// Whose timer it is, and its number.
pub(super) type Key = (Tid, i32);

/// A timer of a process.
#[derive(Clone, Copy, Debug)]
pub(super) struct Alarm {
    is_wall: bool,
    /// When it runs out next, in virtual time.
    next: Option<u64>,
    interval: u64,
    /// What it sends then, and whom.
    sends: Option<(Target, Signal)>,
}

impl Alarm {
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    fn left(&self, now: u64) -> u64 {
        self.next.map_or(0, |next| next.saturating_sub(now).max(1))
    }
}

impl Kernel {
    /// Timers that have run out send their signals.
    pub(super) fn ring_alarms(&mut self) {
        let now = self.now();
        let is_due = |alarm: &Alarm| alarm.next.is_some_and(|next| next <= now);
        let due: Vec<Key> = self
            .alarms
            .iter()
            .filter_map(|(key, alarm)| is_due(alarm).then_some(*key))
            .collect();
        for key in due {
            let Some(alarm) = self.alarms.get_mut(&key) else {
                continue;
            };
            let next = alarm.next.unwrap_or(now);
            alarm.next = (alarm.interval > 0).then(|| {
                let missed = (now - next) / alarm.interval;
                next + (missed + 1) * alarm.interval
            });
            if let Some((target, signal)) = alarm.sends {
                self.raise(target, signal);
            }
        }
    }

    /// Sets the timer of `alarm` and `setitimer`: what was left of it, and its interval.
    fn set_real(&mut self, left: u64, interval: u64) -> (u64, u64) {
        let now = self.now();
        let pid = self.process.pid;
        let next = (left > 0).then(|| now + self.ahead() + left);
        let alarm = Alarm {
            is_wall: false,
            next,
            interval,
            sends: Some((Target::Process(pid), Signal::of_kernel(libc::SIGALRM))),
        };
        let before = match next {
            Some(_) => self.alarms.insert((pid, REAL), alarm),
            None => self.alarms.remove(&(pid, REAL)),
        };
        before.map_or((0, 0), |one| (one.left(now), one.interval))
    }

    pub(super) fn alarm(&mut self, seconds: u32) -> Answer {
        let (left, _) = self.set_real(u64::from(seconds) * NS, 0);
        Answer::Done(left.div_ceil(NS) as isize)
    }

    pub(super) fn setitimer(&mut self, which: i32, new: usize, old: usize) -> Answer {
        match which {
            libc::ITIMER_REAL => {}
            // Those of CPU time: no program's is measured.
            libc::ITIMER_VIRTUAL | libc::ITIMER_PROF => return Answer::Done(0),
            _ => return Err(Errno(libc::EINVAL)).into(),
        }
        let asked = match new {
            0 => [0; 4],
            new => [0, 8, 16, 24].map(|at| self.memory.read_u64(new + at)),
        };
        let [interval, interval_us, left, left_us] = asked;
        if interval_us >= 1_000_000 || left_us >= 1_000_000 {
            return Err(Errno(libc::EINVAL)).into();
        }
        let before = self.set_real(
            left.saturating_mul(NS).saturating_add(left_us * 1_000),
            interval
                .saturating_mul(NS)
                .saturating_add(interval_us * 1_000),
        );
        self.put_itimer(old, before);
        Answer::Done(0)
    }

    pub(super) fn getitimer(&mut self, which: i32, at: usize) -> Answer {
        if !(libc::ITIMER_REAL..=libc::ITIMER_PROF).contains(&which) {
            return Err(Errno(libc::EINVAL)).into();
        }
        let real = self.alarms.get(&(self.process.pid, REAL));
        let shown = match real {
            Some(alarm) if which == libc::ITIMER_REAL => (alarm.left(self.now()), alarm.interval),
            _ => (0, 0),
        };
        self.put_itimer(at, shown);
        Answer::Done(0)
    }

    fn put_itimer(&self, at: usize, (left, interval): (u64, u64)) {
        if at == 0 {
            return;
        }
        let words = [
            interval / NS,
            interval % NS / 1_000,
            left / NS,
            left % NS / 1_000,
        ];
        for (ordinal, word) in words.into_iter().enumerate() {
            self.memory.write_u64(at + 8 * ordinal, word);
        }
    }

    /// `timer_create`.
    pub(super) fn make_alarm(&mut self, call: &Call) -> Result<isize, Errno> {
        let [clock, event, place, ..] = call.arguments;
        let known = [
            libc::CLOCK_REALTIME,
            libc::CLOCK_MONOTONIC,
            libc::CLOCK_BOOTTIME,
        ];
        if !known.contains(&(clock as i32)) {
            self.refuse("timers of CPU time");
            return Err(Errno(libc::EINVAL));
        }
        let pid = self.process.pid;
        let own = self.alarms.range((pid, 0)..=(pid, i32::MAX));
        let id = own.last().map_or(0, |((_, id), _)| id + 1);
        let mut signal = Signal {
            number: libc::SIGALRM,
            code: libc::SI_TIMER,
            from: id,
            user: 0,
            value: id as u64,
        };
        let mut target = Some(Target::Process(pid));
        if event != 0 {
            signal.value = self.memory.read_u64(event);
            signal.number = self.memory.read_u32(event + 8) as i32;
            target = match self.memory.read_u32(event + 12) as i32 {
                libc::SIGEV_SIGNAL => target,
                libc::SIGEV_NONE => None,
                libc::SIGEV_THREAD_ID => {
                    Some(Target::Thread(self.memory.read_u32(event + 16) as Tid))
                }
                _ => return Err(Errno(libc::EINVAL)),
            };
            if !(1..=64).contains(&signal.number) && target.is_some() {
                return Err(Errno(libc::EINVAL));
            }
        }
        let alarm = Alarm {
            is_wall: clock as i32 == libc::CLOCK_REALTIME,
            next: None,
            interval: 0,
            sends: target.map(|target| (target, signal)),
        };
        self.alarms.insert((pid, id), alarm);
        self.memory.write_u32(place, id as u32);
        Ok(0)
    }

    /// `timer_settime`.
    pub(super) fn set_alarm(&mut self, call: &Call) -> Result<isize, Errno> {
        let [id, flags, new, old, ..] = call.arguments;
        let now = self.now();
        let (interval, wanted) = (self.timespec(new)?, self.timespec(new + 16)?);
        let (interval, wanted) = (interval.unwrap_or(0), wanted.unwrap_or(0));
        let (ahead, wall) = (self.ahead(), self.node.wall_ns());
        let key = (self.process.pid, id as i32);
        let alarm = self.alarms.get_mut(&key).ok_or(Errno(libc::EINVAL))?;
        let before = *alarm;
        alarm.interval = interval;
        alarm.next = match (wanted, flags as i32 & libc::TIMER_ABSTIME) {
            (0, _) => None,
            (wanted, 0) => Some(now + ahead + wanted),
            (wanted, _) if alarm.is_wall => Some(now + wanted.saturating_sub(wall)),
            (wanted, _) => Some(wanted.saturating_sub(MONOTONIC_BEGIN).max(now)),
        };
        if old != 0 {
            self.put_timespec(old, before.interval);
            self.put_timespec(old + 16, before.left(now));
        }
        Ok(0)
    }

    /// `timer_gettime`.
    pub(super) fn show_alarm(&mut self, id: usize, place: usize) -> Result<isize, Errno> {
        let key = (self.process.pid, id as i32);
        let alarm = *self.alarms.get(&key).ok_or(Errno(libc::EINVAL))?;
        self.put_timespec(place, alarm.interval);
        self.put_timespec(place + 16, alarm.left(self.now()));
        Ok(0)
    }

    /// `timer_delete`.
    pub(super) fn drop_alarm(&mut self, id: usize) -> Result<isize, Errno> {
        let removed = self.alarms.remove(&(self.process.pid, id as i32));
        removed.map(|_| 0).ok_or(Errno(libc::EINVAL))
    }

    /// What is left of a process's timers when it runs another program, or none.
    pub(super) fn drop_alarms(&mut self, pid: Tid, ends: bool) {
        self.alarms
            .retain(|(owner, id), _| *owner != pid || !ends && *id == REAL);
    }
}
