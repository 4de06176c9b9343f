//! Functions of libc that programs call often, or that libc would not ask the kernel for.
//!
//! Whoever runs no program gets what libc would do. Each definition takes its arguments apart and nothing more.

use std::ffi::CStr;

use libc::{c_char, c_int, c_long, c_uint, c_void, off_t, size_t, ssize_t};

use super::{call, heap, own};

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
    call(libc::SYS_exit_group, [status as usize, 0, 0, 0, 0, 0]);
    std::process::abort()
}

/// As libc's; each process has variables of its own.
///
/// # Safety
/// `name` is a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller's promise; the processor is there as long as the thread that runs.
    unsafe {
        let guest = super::GUEST.get();
        if guest.is_null() {
            let original: Option<unsafe extern "C" fn(*const c_char) -> *mut c_char> =
                of_libc(c"getenv");
            return original.map_or(std::ptr::null_mut(), |original| original(name));
        }
        let all = &(*(*guest).processor).environment;
        let value = all.get(CStr::from_ptr(name));
        value.map_or(std::ptr::null_mut(), |value| value.as_ptr().cast_mut())
    }
}

/// As libc's; each process has variables of its own.
///
/// # Safety
/// Both are texts that end with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn setenv(
    name: *const c_char,
    value: *const c_char,
    overwrite: c_int,
) -> c_int {
    // SAFETY: the caller's promise; nobody else reads the variables while the thread runs.
    unsafe {
        let guest = super::GUEST.get();
        if guest.is_null() {
            let original: Option<
                unsafe extern "C" fn(*const c_char, *const c_char, c_int) -> c_int,
            > = of_libc(c"setenv");
            return original.map_or(-1, |original| original(name, value, overwrite));
        }
        let all = &mut (*(*guest).processor).environment;
        let (name, value) = (CStr::from_ptr(name), CStr::from_ptr(value));
        if overwrite != 0 || !all.contains_key(name) {
            // Whoever has read the old value may keep its address.
            if let Some(old) = all.insert(name.to_owned(), value.to_owned()) {
                std::mem::forget(old);
            }
        }
        0
    }
}

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
        if super::GUEST.get().is_null() {
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
        if super::GUEST.get().is_null() {
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

/// Attributes of a thread: a stack that lies where the program's memory does.
pub struct Attributes(libc::pthread_attr_t);

impl Attributes {
    /// For a stack of this length.
    ///
    /// # Errors
    /// There is no room.
    pub fn with_stack(space: *mut u8, len: usize) -> std::io::Result<Self> {
        // SAFETY: plain data, set up by libc's own function before its use; the stack is fresh memory.
        unsafe {
            let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
            // The harness's runtime forbids threads by defining this one.
            if let Some(init) = of_libc::<unsafe extern "C" fn(*mut libc::pthread_attr_t) -> c_int>(
                c"pthread_attr_init",
            ) {
                init(&raw mut attributes);
            }
            let len = len.next_multiple_of(4096);
            let protection = (libc::PROT_READ | libc::PROT_WRITE) as usize;
            let flags =
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
            let arguments = [0, len, protection, flags as usize, usize::MAX, 0];
            let stack = super::memory::own(space, libc::SYS_mmap, &arguments).unwrap_or(-1);
            if (-4095..0).contains(&stack) {
                return Err(std::io::Error::from_raw_os_error(-stack as i32));
            }
            // The page below stays out of bounds: nothing else is mapped there.
            libc::pthread_attr_setstack(&raw mut attributes, stack as *mut c_void, len);
            Ok(Attributes(attributes))
        }
    }

    /// For `pthread_create`.
    pub fn as_ptr(&self) -> *const libc::pthread_attr_t {
        &raw const self.0
    }
}

type Create = unsafe extern "C" fn(
    *mut libc::pthread_t,
    *const libc::pthread_attr_t,
    extern "C" fn(*mut c_void) -> *mut c_void,
    *mut c_void,
) -> c_int;

/// libc's `pthread_create`.
///
/// # Safety
/// The arguments are what it asks for.
pub unsafe fn make_thread(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    begin: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        match of_libc::<Create>(c"pthread_create") {
            Some(create) => create(thread, attributes, begin, argument),
            None => libc::EAGAIN,
        }
    }
}

/// As libc's; a program's threads have stacks where the rest of its memory is.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_create(
    thread: *mut libc::pthread_t,
    attributes: *const libc::pthread_attr_t,
    begin: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    const USUAL_STACK: usize = 2 << 20;
    // SAFETY: the caller's promise; the processor is there as long as the thread that runs.
    unsafe {
        let guest = super::GUEST.get();
        if guest.is_null() {
            return make_thread(thread, attributes, begin, argument);
        }
        let mut wanted = USUAL_STACK;
        let mut detached = libc::PTHREAD_CREATE_JOINABLE;
        if !attributes.is_null() {
            libc::pthread_attr_getstacksize(attributes, &raw mut wanted);
            pthread_attr_getdetachstate(attributes, &raw mut detached);
        }
        let space = (*(*guest).processor).space;
        let Ok(mut own) = Attributes::with_stack(space, wanted) else {
            return libc::EAGAIN;
        };
        libc::pthread_attr_setdetachstate(&raw mut own.0, detached);
        let (begin, argument) = super::voice::heard(begin, argument);
        make_thread(thread, own.as_ptr(), begin, argument)
    }
}

/// As libc's; below the stacks of a program's threads there is always a page that nobody may touch.
///
/// # Safety
/// The arguments are what the function asks for.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn pthread_attr_getguardsize(
    attributes: *const libc::pthread_attr_t,
    size: *mut size_t,
) -> c_int {
    type Original = unsafe extern "C" fn(*const libc::pthread_attr_t, *mut size_t) -> c_int;
    // SAFETY: the caller's promise.
    unsafe {
        let original: Option<Original> = of_libc(c"pthread_attr_getguardsize");
        let result = original.map_or(libc::ENOSYS, |original| original(attributes, size));
        if result == 0 && *size == 0 && !super::GUEST.get().is_null() {
            *size = 4096;
        }
        result
    }
}

unsafe extern "C" {
    fn pthread_attr_getdetachstate(
        attributes: *const libc::pthread_attr_t,
        state: *mut c_int,
    ) -> c_int;
    fn __libc_malloc(len: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, len: size_t) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, len: size_t) -> *mut c_void;
    fn __libc_memalign(align: size_t, len: size_t) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
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

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc(len: size_t) -> *mut c_void {
    let space = space();
    // SAFETY: the caller's promise; one thread at a time is a program's.
    unsafe {
        match space.is_null() {
            true => __libc_malloc(len),
            false => heap::allocate(space, len, 16).0.cast(),
        }
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn calloc(count: size_t, len: size_t) -> *mut c_void {
    let space = space();
    // SAFETY: the caller's promise; one thread at a time is a program's.
    unsafe {
        if space.is_null() {
            return __libc_calloc(count, len);
        }
        let Some(len) = count.checked_mul(len) else {
            return std::ptr::null_mut();
        };
        let (block, is_zero) = heap::allocate(space, len, 16);
        if !block.is_null() && !is_zero {
            block.write_bytes(0, len);
        }
        block.cast()
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn realloc(block: *mut c_void, len: size_t) -> *mut c_void {
    // SAFETY: the caller's promise; one thread at a time is a program's.
    unsafe {
        if block.is_null() {
            return malloc(len);
        }
        match heap::room(block.cast()) {
            None if space().is_null() => __libc_realloc(block, len),
            Some(room) if len <= room && len >= room / 2 => block,
            room => {
                let room = room.unwrap_or_else(|| malloc_usable_size(block));
                let new = malloc(len);
                if !new.is_null() {
                    std::ptr::copy_nonoverlapping(block.cast::<u8>(), new.cast(), room.min(len));
                    free(block);
                }
                new
            }
        }
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn free(block: *mut c_void) {
    // SAFETY: the caller's promise.
    unsafe {
        // A program leaves blocks of the harness's alone that have come to it: libc would make it an arena of its own.
        if !heap::release(block.cast()) && space().is_null() {
            __libc_free(block);
        }
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memalign(align: size_t, len: size_t) -> *mut c_void {
    let space = space();
    // SAFETY: the caller's promise; one thread at a time is a program's.
    unsafe {
        match space.is_null() {
            true => __libc_memalign(align, len),
            false => heap::allocate(space, len, align.next_power_of_two())
                .0
                .cast(),
        }
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn aligned_alloc(align: size_t, len: size_t) -> *mut c_void {
    // SAFETY: the caller's promise.
    unsafe { memalign(align, len) }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    align: size_t,
    len: size_t,
) -> c_int {
    // SAFETY: the caller's promise.
    unsafe {
        let block = memalign(align, len);
        if block.is_null() {
            return libc::ENOMEM;
        }
        place.write(block);
        0
    }
}

/// As libc's; programs have a heap of their own.
///
/// # Safety
/// As libc's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn malloc_usable_size(block: *mut c_void) -> size_t {
    type Usable = unsafe extern "C" fn(*mut c_void) -> size_t;
    // SAFETY: the caller's promise.
    unsafe {
        if block.is_null() {
            return 0;
        }
        heap::room(block.cast()).unwrap_or_else(|| {
            of_libc::<Usable>(c"malloc_usable_size").map_or(0, |original| original(block))
        })
    }
}

macro_rules! names {
    ($($name:ident)*) => {
        /// The name of a system call.
        pub fn name(number: c_long) -> Option<&'static str> {
            let known = [$((libc::$name, stringify!($name))),*];
            let found = known.iter().find(|(known, _)| *known == number);
            found.map(|(_, name)| name.trim_start_matches("SYS_"))
        }
    };
}

names! {
    SYS_read SYS_write SYS_open SYS_close SYS_stat SYS_fstat SYS_lstat SYS_poll SYS_lseek SYS_mmap SYS_mprotect
    SYS_munmap SYS_brk SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_ioctl SYS_pread64 SYS_pwrite64
    SYS_readv SYS_writev SYS_access SYS_pipe SYS_select SYS_sched_yield SYS_mremap SYS_msync SYS_mincore SYS_madvise
    SYS_shmget SYS_shmat SYS_shmctl SYS_dup SYS_dup2 SYS_pause SYS_nanosleep SYS_getitimer SYS_alarm SYS_setitimer
    SYS_getpid SYS_sendfile SYS_socket SYS_connect SYS_accept SYS_sendto SYS_recvfrom SYS_sendmsg SYS_recvmsg
    SYS_shutdown SYS_bind SYS_listen SYS_getsockname SYS_getpeername SYS_socketpair SYS_setsockopt SYS_getsockopt
    SYS_clone SYS_fork SYS_vfork SYS_execve SYS_exit SYS_wait4 SYS_kill SYS_uname SYS_semget SYS_semop SYS_semctl
    SYS_shmdt SYS_msgget SYS_msgsnd SYS_msgrcv SYS_msgctl SYS_fcntl SYS_flock SYS_fsync SYS_fdatasync SYS_truncate
    SYS_ftruncate SYS_getdents SYS_getcwd SYS_chdir SYS_fchdir SYS_rename SYS_mkdir SYS_rmdir SYS_creat SYS_link
    SYS_unlink SYS_symlink SYS_readlink SYS_chmod SYS_fchmod SYS_chown SYS_fchown SYS_lchown SYS_umask
    SYS_gettimeofday SYS_getrlimit SYS_getrusage SYS_sysinfo SYS_times SYS_ptrace SYS_getuid SYS_syslog SYS_getgid
    SYS_setuid SYS_setgid SYS_geteuid SYS_getegid SYS_setpgid SYS_getppid SYS_getpgrp SYS_setsid SYS_setreuid
    SYS_setregid SYS_getgroups SYS_setgroups SYS_setresuid SYS_getresuid SYS_setresgid SYS_getresgid SYS_getpgid
    SYS_setfsuid SYS_setfsgid SYS_getsid SYS_capget SYS_capset SYS_rt_sigpending SYS_rt_sigtimedwait
    SYS_rt_sigqueueinfo SYS_rt_sigsuspend SYS_sigaltstack SYS_utime SYS_mknod SYS_uselib SYS_personality SYS_ustat
    SYS_statfs SYS_fstatfs SYS_sysfs SYS_getpriority SYS_setpriority SYS_sched_setparam SYS_sched_getparam
    SYS_sched_setscheduler SYS_sched_getscheduler SYS_sched_get_priority_max SYS_sched_get_priority_min
    SYS_sched_rr_get_interval SYS_mlock SYS_munlock SYS_mlockall SYS_munlockall SYS_vhangup SYS_modify_ldt
    SYS_pivot_root SYS__sysctl SYS_prctl SYS_arch_prctl SYS_adjtimex SYS_setrlimit SYS_chroot SYS_sync SYS_acct
    SYS_settimeofday SYS_mount SYS_umount2 SYS_swapon SYS_swapoff SYS_reboot SYS_sethostname SYS_setdomainname
    SYS_iopl SYS_ioperm SYS_init_module SYS_delete_module SYS_quotactl SYS_nfsservctl SYS_getpmsg SYS_putpmsg
    SYS_afs_syscall SYS_tuxcall SYS_security SYS_gettid SYS_readahead SYS_setxattr SYS_lsetxattr SYS_fsetxattr
    SYS_getxattr SYS_lgetxattr SYS_fgetxattr SYS_listxattr SYS_llistxattr SYS_flistxattr SYS_removexattr
    SYS_lremovexattr SYS_fremovexattr SYS_tkill SYS_time SYS_futex SYS_sched_setaffinity SYS_sched_getaffinity
    SYS_set_thread_area SYS_io_setup SYS_io_destroy SYS_io_getevents SYS_io_submit SYS_io_cancel SYS_get_thread_area
    SYS_lookup_dcookie SYS_epoll_create SYS_remap_file_pages SYS_getdents64 SYS_set_tid_address SYS_restart_syscall
    SYS_semtimedop SYS_fadvise64 SYS_timer_create SYS_timer_settime SYS_timer_gettime SYS_timer_getoverrun
    SYS_timer_delete SYS_clock_settime SYS_clock_gettime SYS_clock_getres SYS_clock_nanosleep SYS_exit_group
    SYS_epoll_wait SYS_epoll_ctl SYS_tgkill SYS_utimes SYS_vserver SYS_mbind SYS_set_mempolicy SYS_get_mempolicy
    SYS_mq_open SYS_mq_unlink SYS_mq_timedsend SYS_mq_timedreceive SYS_mq_notify SYS_mq_getsetattr SYS_kexec_load
    SYS_waitid SYS_add_key SYS_request_key SYS_keyctl SYS_ioprio_set SYS_ioprio_get SYS_inotify_init
    SYS_inotify_add_watch SYS_inotify_rm_watch SYS_migrate_pages SYS_openat SYS_mkdirat SYS_mknodat SYS_fchownat
    SYS_futimesat SYS_newfstatat SYS_unlinkat SYS_renameat SYS_linkat SYS_symlinkat SYS_readlinkat SYS_fchmodat
    SYS_faccessat SYS_pselect6 SYS_ppoll SYS_unshare SYS_set_robust_list SYS_get_robust_list SYS_splice SYS_tee
    SYS_sync_file_range SYS_vmsplice SYS_move_pages SYS_utimensat SYS_epoll_pwait SYS_signalfd SYS_timerfd_create
    SYS_eventfd SYS_fallocate SYS_timerfd_settime SYS_timerfd_gettime SYS_accept4 SYS_signalfd4 SYS_eventfd2
    SYS_epoll_create1 SYS_dup3 SYS_pipe2 SYS_inotify_init1 SYS_preadv SYS_pwritev SYS_rt_tgsigqueueinfo
    SYS_perf_event_open SYS_recvmmsg SYS_fanotify_init SYS_fanotify_mark SYS_prlimit64 SYS_name_to_handle_at
    SYS_open_by_handle_at SYS_clock_adjtime SYS_syncfs SYS_sendmmsg SYS_setns SYS_getcpu SYS_process_vm_readv
    SYS_process_vm_writev SYS_kcmp SYS_finit_module SYS_sched_setattr SYS_sched_getattr SYS_renameat2 SYS_seccomp
    SYS_getrandom SYS_memfd_create SYS_kexec_file_load SYS_bpf SYS_execveat SYS_userfaultfd SYS_membarrier SYS_mlock2
    SYS_copy_file_range SYS_preadv2 SYS_pwritev2 SYS_pkey_mprotect SYS_pkey_alloc SYS_pkey_free SYS_statx SYS_rseq
    SYS_pidfd_send_signal SYS_io_uring_setup SYS_io_uring_enter SYS_io_uring_register SYS_open_tree SYS_move_mount
    SYS_fsopen SYS_fsconfig SYS_fsmount SYS_fspick SYS_pidfd_open SYS_clone3 SYS_close_range SYS_openat2
    SYS_pidfd_getfd SYS_faccessat2 SYS_process_madvise SYS_epoll_pwait2 SYS_mount_setattr SYS_quotactl_fd
    SYS_landlock_create_ruleset SYS_landlock_add_rule SYS_landlock_restrict_self SYS_memfd_secret SYS_process_mrelease
    SYS_futex_waitv SYS_set_mempolicy_home_node SYS_fchmodat2 SYS_mseal
}
