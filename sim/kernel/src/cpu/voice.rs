//! `tracing` events of processes in the world's own address space.
//!
//! They are heard by a subscriber of each thread alone, so that a process may set a global one. A program in a process of
//! its own has its own subscribers, and writes what they make of it.

use std::{ffi::c_void, sync::Arc};

use squall_core::event::Scope;
use squall_engine::trace::{Installed, Sink, install};

use super::{GUEST, call, own};

/// What a process says.
#[derive(Debug)]
pub struct Said<'a> {
    /// On whose behalf.
    pub scope: &'a Scope,
    /// How loud.
    pub level: tracing::Level,
    /// The event's message.
    pub message: &'a str,
    /// Its other fields.
    pub fields: &'a str,
}

struct Voice;

impl Sink for Voice {
    fn event(&self, scope: &Scope, level: tracing::Level, _: &str, message: &str, fields: &str) {
        let said = Said {
            scope,
            level,
            message,
            fields,
        };
        call(own::SAYS, [&raw const said as usize, 0, 0, 0, 0, 0]);
    }
}

impl Said<'_> {
    /// What a thread says that stands in its call: `at` is the call's argument.
    ///
    /// # Safety
    /// The thread has not gone on since.
    pub unsafe fn at<'a>(at: usize) -> &'a Said<'a> {
        // SAFETY: the caller's promise; `event` above wrote the address.
        unsafe { &*(at as *const Said<'a>) }
    }
}

/// From here on the world hears what this thread of a process says. None if the process speaks for itself.
pub fn raise() -> Option<Installed> {
    let guest = GUEST.get();
    // SAFETY: it is the thread that runs, and its processor is there as long as it.
    let is_heard = !guest.is_null() && unsafe { (*(*guest).processor).is_heard };
    is_heard.then(|| install(Arc::new(Voice)))
}

/// How a thread begins.
pub type Begin = extern "C" fn(*mut c_void) -> *mut c_void;

/// The function of a new thread, and its argument.
struct Thread(Begin, *mut c_void);

/// The same thread, heard by the world.
pub fn heard(begin: Begin, argument: *mut c_void) -> (Begin, *mut c_void) {
    (
        begin_heard,
        Box::into_raw(Box::new(Thread(begin, argument))).cast(),
    )
}

extern "C" fn begin_heard(thread: *mut c_void) -> *mut c_void {
    // SAFETY: `heard` made it, and hands it over.
    let Thread(begin, argument) = *unsafe { Box::from_raw(thread.cast::<Thread>()) };
    let _voice = raise();
    begin(argument)
}
