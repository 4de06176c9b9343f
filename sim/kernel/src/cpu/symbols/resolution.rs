//! Names of machines: libc would read files and ask servers for them.

use std::ffi::CStr;

use libc::{c_char, c_int};

use super::of_libc;
use crate::cpu::{call, own};

/// A question of `getaddrinfo`, and its answer.
#[repr(C)]
#[derive(Debug)]
pub struct Resolve {
    /// The name, which ends with a zero; 0 stands for this machine.
    pub name: usize,
    /// The port, in the order of the machine.
    pub port: u16,
    /// Whether addresses to listen on are asked for.
    pub passive: bool,
    /// The first four IPv4 addresses.
    pub addresses: [u32; 4],
    /// How many there are.
    pub count: usize,
}

type GetAddrInfo = unsafe extern "C" fn(
    *const c_char,
    *const c_char,
    *const libc::addrinfo,
    *mut *mut libc::addrinfo,
) -> c_int;
type FreeAddrInfo = unsafe extern "C" fn(*mut libc::addrinfo);

/// As libc's, for IPv4 addresses.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getaddrinfo(
    name: *const c_char,
    service: *const c_char,
    hints: *const libc::addrinfo,
    found: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        if crate::cpu::GUEST.get().is_null() {
            return match of_libc::<GetAddrInfo>(c"getaddrinfo") {
                Some(original) => original(name, service, hints, found),
                None => libc::EAI_SYSTEM,
            };
        }
        let port = match service.is_null() {
            true => Some(0),
            false => CStr::from_ptr(service)
                .to_str()
                .ok()
                .and_then(|port| match port {
                    "http" => Some(80),
                    "https" => Some(443),
                    port => port.parse::<u16>().ok(),
                }),
        };
        let Some(port) = port else {
            return libc::EAI_SERVICE;
        };
        let flags = if hints.is_null() {
            0
        } else {
            (*hints).ai_flags
        };
        let mut question = Resolve {
            name: name as usize,
            port,
            passive: flags & libc::AI_PASSIVE != 0,
            addresses: [0; 4],
            count: 0,
        };
        let answer = call(own::RESOLVE, [&raw mut question as usize, 0, 0, 0, 0, 0]);
        if answer != 0 {
            return answer as c_int;
        }
        let (kind, protocol) = match hints.is_null() {
            true => (0, 0),
            false => ((*hints).ai_socktype, (*hints).ai_protocol),
        };
        let mut list = std::ptr::null_mut();
        for address in question.addresses[..question.count.min(4)].iter().rev() {
            let entry = libc::calloc(1, size_of::<libc::addrinfo>() + 16).cast::<libc::addrinfo>();
            if entry.is_null() {
                return libc::EAI_MEMORY;
            }
            let place = entry.add(1).cast::<libc::sockaddr_in>();
            (*place).sin_family = libc::AF_INET as u16;
            (*place).sin_port = port.to_be();
            (*place).sin_addr.s_addr = *address;
            (*entry).ai_family = libc::AF_INET;
            (*entry).ai_socktype = if kind == 0 { libc::SOCK_STREAM } else { kind };
            (*entry).ai_protocol = if protocol == 0 {
                libc::IPPROTO_TCP
            } else {
                protocol
            };
            (*entry).ai_addrlen = 16;
            (*entry).ai_addr = place.cast();
            (*entry).ai_next = list;
            list = entry;
        }
        found.write(list);
        0
    }
}

/// As libc's.
///
/// # Safety
/// `list` comes from `getaddrinfo`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn freeaddrinfo(list: *mut libc::addrinfo) {
    // SAFETY: the caller's promise: a program's list was made above, and the world's by libc.
    unsafe {
        if crate::cpu::GUEST.get().is_null() {
            if let Some(original) = of_libc::<FreeAddrInfo>(c"freeaddrinfo") {
                original(list);
            }
            return;
        }
        let mut next = list;
        while !next.is_null() {
            let entry = next;
            next = (*entry).ai_next;
            libc::free(entry.cast());
        }
    }
}
