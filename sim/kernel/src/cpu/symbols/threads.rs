//! Threads, whose stacks lie where the rest of a program's memory does.

use libc::{c_int, c_void, size_t};

use super::of_libc;

unsafe extern "C" {
    fn pthread_attr_getdetachstate(
        attributes: *const libc::pthread_attr_t,
        state: *mut c_int,
    ) -> c_int;
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
            let stack = crate::cpu::memory::own(space, libc::SYS_mmap, &arguments).unwrap_or(-1);
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
        let guest = crate::cpu::GUEST.get();
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
        let (begin, argument) = crate::cpu::voice::heard(begin, argument);
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
        if result == 0 && *size == 0 && !crate::cpu::GUEST.get().is_null() {
            *size = 4096;
        }
        result
    }
}
