//! `epoll`, `poll` and `select`: which descriptors are ready.

use std::{collections::BTreeMap, ops::RangeInclusive};

use super::{
    Answer, Errno, Kernel, Wait,
    object::{Kind, ObjectId, events},
};
use crate::cpu::{Call, Tid};

/// A descriptor that an epoll watches: Linux tells entries apart by number and object.
type Key = (ObjectId, i32);

/// The keys of an object.
fn of(object: ObjectId) -> RangeInclusive<Key> {
    (object, 0)..=(object, i32::MAX)
}

#[derive(Clone, Copy, Debug)]
struct Interest {
    events: u32,
    data: u64,
    /// Reported already, and to be modified before it is reported again (`EPOLLONESHOT`).
    is_spent: bool,
}

/// An epoll.
#[derive(Debug, Default)]
pub(crate) struct Epoll {
    interests: BTreeMap<Key, Interest>,
    /// What may be ready, in the order in which it became so.
    ready: Vec<Key>,
}

impl Epoll {
    /// Something that it may watch has news. Whether it wants to know.
    pub fn news(&mut self, object: ObjectId, news: u32) -> bool {
        let mut wanted = false;
        for (key, interest) in self.interests.range(of(object)) {
            let events = interest.events | events::ERR | events::HUP;
            if !interest.is_spent && events & news != 0 {
                wanted = true;
                if !self.ready.contains(key) {
                    self.ready.push(*key);
                }
            }
        }
        wanted
    }

    /// Something that it may watch is no more.
    pub fn forget(&mut self, object: ObjectId) {
        while let Some((&key, _)) = self.interests.range(of(object)).next() {
            self.interests.remove(&key);
        }
        self.ready.retain(|key| key.0 != object);
    }

    /// What may be ready, and what is wanted of it.
    pub fn candidates(&self) -> Vec<(ObjectId, u32)> {
        let ready = self.ready.iter().filter_map(|key| {
            let interest = self.interests.get(key).filter(|one| !one.is_spent)?;
            Some((key.0, interest.events | events::ERR | events::HUP))
        });
        ready.collect()
    }
}

/// The size of an `epoll_event`, which is packed on x86-64.
const EVENT_LEN: usize = 12;

impl Kernel {
    fn epoll(&mut self, fd: i32) -> Result<(ObjectId, &mut Epoll), Errno> {
        let (id, object) = self.by_fd(fd)?;
        match &mut object.kind {
            Kind::Epoll(epoll) => Ok((id, epoll)),
            _ => Err(Errno(libc::EINVAL)),
        }
    }

    /// Whether an epoll watches an object, be it through others.
    fn watches(&self, epoll: ObjectId, object: ObjectId) -> bool {
        match self.objects.get(epoll).map(|object| &object.kind) {
            Some(Kind::Epoll(epoll)) => {
                let mut watched = epoll.interests.keys();
                watched.any(|(id, _)| *id == object || self.watches(*id, object))
            }
            _ => false,
        }
    }

    pub(super) fn epoll_ctl(&mut self, call: &Call) -> Result<isize, Errno> {
        let [epoll_fd, operation, fd, event, ..] = call.arguments;
        let (epoll_fd, fd) = (epoll_fd as i32, fd as i32);
        let object = self.object(fd)?;
        let (id, _) = self.epoll(epoll_fd)?;
        if id == object {
            return Err(Errno(libc::EINVAL));
        }
        match self.objects.get(object).map(|object| &object.kind) {
            Some(Kind::File(_)) => return Err(Errno(libc::EPERM)),
            Some(Kind::Epoll(_)) if self.watches(object, id) => return Err(Errno(libc::ELOOP)),
            _ => {}
        }
        let key = (object, fd);
        let wanted = match operation as i32 {
            libc::EPOLL_CTL_DEL => None,
            _ => Some(Interest {
                events: self.memory.read_u32(event),
                data: self.memory.read_u64(event + 4),
                is_spent: false,
            }),
        };
        let (_, epoll) = self.epoll(epoll_fd)?;
        let known = epoll.interests.contains_key(&key);
        match (operation as i32, wanted) {
            (libc::EPOLL_CTL_ADD, Some(_)) if known => return Err(Errno(libc::EEXIST)),
            (libc::EPOLL_CTL_ADD, Some(interest)) => {
                epoll.interests.insert(key, interest);
            }
            (libc::EPOLL_CTL_MOD | libc::EPOLL_CTL_DEL, _) if !known => {
                return Err(Errno(libc::ENOENT));
            }
            (libc::EPOLL_CTL_MOD, Some(interest)) => {
                epoll.interests.insert(key, interest);
            }
            (libc::EPOLL_CTL_DEL, _) => {
                epoll.interests.remove(&key);
                epoll.ready.retain(|ready| *ready != key);
                let still = epoll.interests.range(of(object)).next().is_some();
                if let (Some(object), false) = (self.objects.get_mut(object), still) {
                    object.watchers.retain(|watcher| *watcher != id);
                }
                return Ok(0);
            }
            _ => return Err(Errno(libc::EINVAL)),
        }
        if let Some(object) = self.objects.get_mut(object)
            && !object.watchers.contains(&id)
        {
            object.watchers.push(id);
        }
        let mask = self.mask(object);
        if let Some(Kind::Epoll(epoll)) = self.objects.get_mut(id).map(|o| &mut o.kind)
            && epoll.news(object, mask)
        {
            self.notify(id, events::IN);
        }
        Ok(0)
    }

    /// `epoll_wait` and its kin, with a timeout in nanoseconds.
    pub(super) fn epoll_wait(&mut self, tid: Tid, call: &Call, timeout: Option<u64>) -> Answer {
        let [fd, place, max, ..] = call.arguments;
        let max = max as i32;
        if max <= 0 {
            return Err(Errno(libc::EINVAL)).into();
        }
        let id = match self.epoll(fd as i32) {
            Ok((id, _)) => id,
            Err(error) => return Err(error).into(),
        };
        let until = self.until(tid, timeout);
        let reported = self.report(id, place, max as usize);
        if reported > 0 {
            return Answer::Done(reported as isize);
        }
        if until.is_some_and(|until| until <= self.now()) {
            return Answer::Done(0);
        }
        Answer::Wait(Wait {
            on: vec![id],
            until,
            ..Wait::default()
        })
    }

    /// Reports what is ready; which of several comes first, and how many at once, is drawn.
    fn report(&mut self, id: ObjectId, place: usize, max: usize) -> usize {
        let ready = match self.objects.get_mut(id).map(|object| &mut object.kind) {
            Some(Kind::Epoll(epoll)) => std::mem::take(&mut epoll.ready),
            _ => return 0,
        };
        let mut ready: Vec<(Key, u32)> = ready
            .into_iter()
            .map(|key| (key, self.mask(key.0)))
            .collect();
        let Some(Kind::Epoll(epoll)) = self.objects.get_mut(id).map(|object| &mut object.kind)
        else {
            return 0;
        };
        ready.retain_mut(|(key, mask)| match epoll.interests.get(key) {
            Some(interest) if !interest.is_spent => {
                *mask &= interest.events | events::ERR | events::HUP;
                *mask != 0
            }
            _ => false,
        });
        let mut max = max.min(ready.len());
        if ready.len() > 1 {
            for i in (1..ready.len()).rev() {
                ready.swap(i, self.order.below(i as u64 + 1) as usize);
            }
            if self.order.chance(0.25) {
                max = max.min(1 + self.order.below(ready.len() as u64) as usize);
            }
        }
        for (ordinal, (key, mask)) in ready[..max].iter().enumerate() {
            let Some(interest) = epoll.interests.get_mut(key) else {
                continue;
            };
            let at = place + ordinal * EVENT_LEN;
            self.memory.write_u32(at, *mask);
            self.memory.write_u64(at + 4, interest.data);
            if interest.events & events::ONESHOT != 0 {
                interest.is_spent = true;
            } else if interest.events & events::EDGE == 0 {
                epoll.ready.push(*key);
            }
        }
        epoll.ready.extend(ready[max..].iter().map(|(key, _)| *key));
        max
    }

    /// `poll`, with a timeout in nanoseconds.
    pub(super) fn poll_fds(&mut self, tid: Tid, call: &Call, timeout: Option<u64>) -> Answer {
        let [place, count, ..] = call.arguments;
        let until = self.until(tid, timeout);
        let (mut ready, mut on) = (0, Vec::new());
        for at in (0..count).map(|ordinal| place + 8 * ordinal) {
            let (fd, wanted) = (
                self.memory.read_u32(at) as i32,
                self.memory.read_u32(at + 4) & 0xffff,
            );
            let found = match self.object(fd) {
                _ if fd < 0 => 0,
                Ok(id) => {
                    on.push(id);
                    self.mask(id) & (wanted | events::ERR | events::HUP)
                }
                Err(_) => u32::from(libc::POLLNVAL as u16),
            };
            self.memory.write(at + 6, &(found as u16).to_ne_bytes());
            ready += isize::from(found != 0);
        }
        if ready > 0 || until.is_some_and(|until| until <= self.now()) {
            return Answer::Done(ready);
        }
        Answer::Wait(Wait {
            on,
            until,
            ..Wait::default()
        })
    }

    /// `select`, with a timeout in nanoseconds.
    pub(super) fn select(&mut self, tid: Tid, call: &Call, timeout: Option<u64>) -> Answer {
        let [count, reads, writes, errors, ..] = call.arguments;
        let until = self.until(tid, timeout);
        let sets = [
            (reads, events::IN | events::HUP | events::ERR),
            (writes, events::OUT | events::ERR),
            (errors, events::PRI),
        ];
        let (mut found, mut on) = (Vec::new(), Vec::new());
        for (set, (address, wanted)) in sets.into_iter().enumerate().filter(|(_, (at, _))| *at != 0)
        {
            let wants = self.memory.read(address, count.div_ceil(8));
            for fd in 0..count {
                if wants[fd / 8] >> (fd % 8) & 1 == 0 {
                    continue;
                }
                let id = match self.object(fd as i32) {
                    Ok(id) => id,
                    Err(error) => return Err(error).into(),
                };
                on.push(id);
                if self.mask(id) & wanted != 0 {
                    found.push((set, fd));
                }
            }
        }
        if found.is_empty() && until.is_none_or(|until| until > self.now()) {
            return Answer::Wait(Wait {
                on,
                until,
                ..Wait::default()
            });
        }
        for (set, (address, _)) in sets.into_iter().enumerate().filter(|(_, (at, _))| *at != 0) {
            let mut bits = vec![0; count.div_ceil(64) * 8];
            for (_, fd) in found.iter().filter(|(of, _)| *of == set) {
                bits[fd / 8] |= 1 << (fd % 8);
            }
            self.memory.write(address, &bits);
        }
        Answer::Done(found.len() as isize)
    }
}
