//! Names of machines.

use std::net::{IpAddr, Ipv4Addr};

use super::{Answer, Kernel, Wait, address};
use crate::cpu::{Call, Memory, Resolve, Tid};

impl Kernel {
    /// `getaddrinfo`.
    pub(super) fn resolve(&mut self, tid: Tid, call: &Call) -> Answer {
        let begun = self
            .threads
            .get(&tid)
            .is_some_and(|thread| thread.until.is_some());
        if !begun {
            match self.node.resolving_takes() {
                None => return Answer::Done(libc::EAI_AGAIN as isize),
                Some(time) if !time.is_zero() => {
                    let until = self.until(tid, Some(time.as_nanos() as u64));
                    return Answer::Wait(Wait {
                        until,
                        is_deaf: true,
                        ..Wait::default()
                    });
                }
                Some(_) => {}
            }
        }
        let place = call.arguments[0];
        let mut question = Resolve::read(&self.memory, place);
        let address = match question.name {
            0 if question.passive => Some(Ipv4Addr::UNSPECIFIED),
            0 => Some(Ipv4Addr::LOCALHOST),
            name => self.address_of(&String::from_utf8_lossy(&self.memory.text(name))),
        };
        let Some(address) = address else {
            return Answer::Done(libc::EAI_NONAME as isize);
        };
        question.addresses[0] = u32::from_ne_bytes(address.octets());
        question.count = 1;
        question.write(&self.memory, place);
        Answer::Done(0)
    }

    fn address_of(&self, name: &str) -> Option<Ipv4Addr> {
        let bare = name.trim_end_matches('.');
        if bare.eq_ignore_ascii_case("localhost") {
            return Some(Ipv4Addr::LOCALHOST);
        }
        if let Ok(IpAddr::V4(address)) = bare.parse() {
            return Some(address);
        }
        self.node.resolved(bare).map(address::of_node)
    }
}

impl Resolve {
    fn read(memory: &Memory, at: usize) -> Self {
        let word = |n: usize| memory.read_u64(at + n);
        Resolve {
            name: word(std::mem::offset_of!(Resolve, name)) as usize,
            port: 0,
            passive: memory.slice(at + std::mem::offset_of!(Resolve, passive), 1)[0] != 0,
            addresses: [0; 4],
            count: 0,
        }
    }

    fn write(&self, memory: &Memory, at: usize) {
        let list = at + std::mem::offset_of!(Resolve, addresses);
        for (ordinal, address) in self.addresses.iter().enumerate() {
            memory.write_u32(list + 4 * ordinal, *address);
        }
        memory.write_u64(at + std::mem::offset_of!(Resolve, count), self.count as u64);
    }
}
