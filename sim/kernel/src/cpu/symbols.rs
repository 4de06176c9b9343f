//! Functions of libc that programs call often, or that libc would not ask the kernel for.
//!
//! Whoever runs no program gets what libc would do. Each definition takes its arguments apart and nothing more.

mod allocation;
mod resolution;
mod threads;

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_uint, c_void, off_t, size_t, ssize_t};

use super::call;

pub use resolution::Resolve;
pub use threads::{Attributes, make_thread};

/// An answer as libc's functions give it: `errno` apart.
fn result(answer: isize) -> isize {
    if (-4095..0).contains(&answer) {
        // SAFETY: each thread has an `errno`.
        unsafe { *libc::__errno_location() = -answer as c_int };
        return -1;
    }
    answer
}

macro_rules! functions {
    ($($name:ident($($argument:ident: $type:ty),*) -> $result:ty = $number:ident;)*) => {$(
        /// As libc's function of this name.
        ///
        /// # Safety
        /// The arguments are what the function asks for.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            #[allow(unused_mut)]
            let mut arguments = [0; 6];
            let given: &[usize] = &[$($argument as usize),*];
            arguments[..given.len()].copy_from_slice(given);
            result(call(libc::$number, arguments)) as $result
        }
    )*};
}

functions! {
    read(fd: c_int, buffer: *mut c_void, len: size_t) -> ssize_t = SYS_read;
    write(fd: c_int, buffer: *const c_void, len: size_t) -> ssize_t = SYS_write;
    readv(fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t = SYS_readv;
    writev(fd: c_int, parts: *const libc::iovec, count: c_int) -> ssize_t = SYS_writev;
    pread64(fd: c_int, buffer: *mut c_void, len: size_t, offset: off_t) -> ssize_t = SYS_pread64;
    pwrite64(fd: c_int, buffer: *const c_void, len: size_t, offset: off_t) -> ssize_t = SYS_pwrite64;
    close(fd: c_int) -> c_int = SYS_close;
    fsync(fd: c_int) -> c_int = SYS_fsync;
    fdatasync(fd: c_int) -> c_int = SYS_fdatasync;
    lseek64(fd: c_int, offset: off_t, whence: c_int) -> off_t = SYS_lseek;
    ftruncate64(fd: c_int, len: off_t) -> c_int = SYS_ftruncate;
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int = SYS_socket;
    bind(fd: c_int, address: *const c_void, len: c_uint) -> c_int = SYS_bind;
    listen(fd: c_int, backlog: c_int) -> c_int = SYS_listen;
    connect(fd: c_int, address: *const c_void, len: c_uint) -> c_int = SYS_connect;
    accept4(fd: c_int, address: *mut c_void, len: *mut c_uint, flags: c_int) -> c_int = SYS_accept4;
    shutdown(fd: c_int, how: c_int) -> c_int = SYS_shutdown;
    getsockname(fd: c_int, address: *mut c_void, len: *mut c_uint) -> c_int = SYS_getsockname;
    getpeername(fd: c_int, address: *mut c_void, len: *mut c_uint) -> c_int = SYS_getpeername;
    getsockopt(fd: c_int, level: c_int, name: c_int, value: *mut c_void, len: *mut c_uint) -> c_int = SYS_getsockopt;
    setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: c_uint) -> c_int = SYS_setsockopt;
    recvfrom(fd: c_int, buffer: *mut c_void, len: size_t, flags: c_int, address: *mut c_void, size: *mut c_uint) -> ssize_t = SYS_recvfrom;
    sendto(fd: c_int, buffer: *const c_void, len: size_t, flags: c_int, address: *const c_void, size: c_uint) -> ssize_t = SYS_sendto;
    recvmsg(fd: c_int, message: *mut c_void, flags: c_int) -> ssize_t = SYS_recvmsg;
    sendmsg(fd: c_int, message: *const c_void, flags: c_int) -> ssize_t = SYS_sendmsg;
    epoll_create1(flags: c_int) -> c_int = SYS_epoll_create1;
    epoll_ctl(epoll: c_int, operation: c_int, fd: c_int, event: *mut c_void) -> c_int = SYS_epoll_ctl;
    epoll_wait(epoll: c_int, events: *mut c_void, max: c_int, timeout: c_int) -> c_int = SYS_epoll_wait;
    poll(descriptors: *mut c_void, count: libc::c_ulong, timeout: c_int) -> c_int = SYS_poll;
    eventfd(initial: c_uint, flags: c_int) -> c_int = SYS_eventfd2;
    nanosleep(wanted: *const libc::timespec, left: *mut libc::timespec) -> c_int = SYS_nanosleep;
    sched_yield() -> c_int = SYS_sched_yield;
    ioctl(fd: c_int, request: libc::c_ulong, argument: usize) -> c_int = SYS_ioctl;
    fcntl(fd: c_int, command: c_int, argument: usize) -> c_int = SYS_fcntl;
    fcntl64(fd: c_int, command: c_int, argument: usize) -> c_int = SYS_fcntl;
    socketpair(domain: c_int, kind: c_int, protocol: c_int, ends: *mut c_int) -> c_int = SYS_socketpair;
    statx(folder: c_int, path: *const c_char, flags: c_int, mask: c_uint, place: *mut c_void) -> c_int = SYS_statx;
    flock(fd: c_int, operation: c_int) -> c_int = SYS_flock;
    gettid() -> c_int = SYS_gettid;
    getpid() -> c_int = SYS_getpid;
    sigaltstack(new: *const c_void, old: *mut c_void) -> c_int = SYS_sigaltstack;
    prctl(option: c_int, a: usize, b: usize, c: usize, d: usize) -> c_int = SYS_prctl;
}

/// As libc's.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let arguments = [fd as usize, buffer as usize, len, flags as usize, 0, 0];
    result(call(libc::SYS_recvfrom, arguments))
}

/// As libc's.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn send(
    fd: c_int,
    buffer: *const c_void,
    len: size_t,
    flags: c_int,
) -> ssize_t {
    let arguments = [fd as usize, buffer as usize, len, flags as usize, 0, 0];
    result(call(libc::SYS_sendto, arguments))
}

/// As libc's: it returns an error number rather than setting `errno`.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_nanosleep(
    clock: libc::clockid_t,
    flags: c_int,
    wanted: *const libc::timespec,
    left: *mut libc::timespec,
) -> c_int {
    let arguments = [
        clock as usize,
        flags as usize,
        wanted as usize,
        left as usize,
        0,
        0,
    ];
    -call(libc::SYS_clock_nanosleep, arguments) as c_int
}

/// As libc's: any system call by its number.
///
/// # Safety
/// The arguments are what the system call asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn syscall(
    number: c_long,
    a: usize,
    b: usize,
    c: usize,
    d: usize,
    e: usize,
    f: usize,
) -> c_long {
    result(call(number, [a, b, c, d, e, f])) as c_long
}

/// As libc's, but that a program's `atexit` handlers, which the harness shares, are left alone.
///
/// # Safety
/// None beyond those of libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn exit(status: c_int) -> ! {
    if super::GUEST.get().is_null() {
        // SAFETY: as libc's own.
        unsafe {
            if let Some(original) = of_libc::<unsafe extern "C" fn(c_int) -> !>(c"exit") {
                original(status)
            }
        }
    }
    if super::heap::is_apart() {
        // SAFETY: what C has buffered is the program's own.
        unsafe { libc::fflush(std::ptr::null_mut()) };
    }
    call(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]);
    std::process::abort()
}

/// The function that libc itself defines.
///
/// # Safety
/// `F` is the type of that function.
unsafe fn of_libc<F: Copy>(name: &CStr) -> Option<F> {
    // SAFETY: the caller's promise.
    unsafe {
        let found = libc::dlsym(libc::RTLD_NEXT, name.as_ptr());
        (!found.is_null()).then(|| std::mem::transmute_copy::<*mut c_void, F>(&found))
    }
}

/// The address space of the program that runs here; null outside of programs.
fn space() -> *mut u8 {
    let guest = super::GUEST.get();
    match guest.is_null() {
        true => std::ptr::null_mut(),
        // SAFETY: it is the thread that runs, and its processor is there as long as it.
        false => unsafe { (*(*guest).processor).space },
    }
}
