//! Environment variables, of which each process has its own.

use std::ffi::CStr;

use libc::{c_char, c_int};

use super::of_libc;

/// As libc's; each process has variables of its own.
///
/// # Safety
/// `name` is a text that ends with a zero.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getenv(name: *const c_char) -> *mut c_char {
    // SAFETY: the caller's promise; the processor is there as long as the thread that runs.
    unsafe {
        let guest = crate::cpu::GUEST.get();
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
        let guest = crate::cpu::GUEST.get();
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
