//! Where the executable itself lies: at the same address each time it is started.
//!
//! Linux moves it about, for security. Programs that look at addresses of static variables would then behave differently in
//! each process, so an executable with a simulated kernel in it starts itself once more without that, as those of some
//! sanitizers do. Where this is forbidden (a container's seccomp filter may) it goes on as it is, and only programs that
//! look at such addresses notice.

use libc::{c_char, c_int};

#[used]
// SAFETY: the section holds functions of this type, which are called before `main`.
#[unsafe(link_section = ".init_array")]
static START_ANEW: extern "C" fn(c_int, *const *const c_char, *const *const c_char) = start_anew;

extern "C" fn start_anew(
    _: c_int,
    arguments: *const *const c_char,
    environment: *const *const c_char,
) {
    const ASK: libc::c_ulong = 0xffff_ffff;
    // SAFETY: the loader hands over the arguments and environment of the process. If it cannot be started anew, nothing
    // has changed but where its children lie.
    unsafe {
        let now = libc::personality(ASK);
        let fixed = libc::ADDR_NO_RANDOMIZE;
        if now < 0 || now & fixed != 0 || libc::personality((now | fixed) as libc::c_ulong) < 0 {
            return;
        }
        libc::execve(c"/proc/self/exe".as_ptr(), arguments, environment);
    }
}
