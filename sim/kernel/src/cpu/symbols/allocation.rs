//! The heap.

use libc::{c_int, c_void, size_t};

use super::{of_libc, space};
use crate::cpu::heap;

unsafe extern "C" {
    fn __libc_malloc(len: size_t) -> *mut c_void;
    fn __libc_calloc(count: size_t, len: size_t) -> *mut c_void;
    fn __libc_realloc(block: *mut c_void, len: size_t) -> *mut c_void;
    fn __libc_memalign(align: size_t, len: size_t) -> *mut c_void;
    fn __libc_free(block: *mut c_void);
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
