//! The vDSO: functions that Linux maps into every process so that reading a clock needs no system call. None would be
//! stopped, so their entries are overwritten with jumps to ours, which read the program's clock, or else ask the real
//! kernel.

use std::{ffi::CStr, sync::atomic::AtomicU64, sync::atomic::Ordering::SeqCst};

use super::{call, context::real, read_clock};

const NS: u64 = 1_000_000_000;

extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> i32 {
    match read_clock(clock) {
        Some(ns) => {
            // SAFETY: whoever calls this hands a valid pointer.
            unsafe {
                time.write(libc::timespec {
                    tv_sec: (ns / NS) as i64,
                    tv_nsec: (ns % NS) as i64,
                });
            }
            0
        }
        // A clock that is not told here: a program asks the world.
        None => {
            let arguments = [clock as usize, time as usize, 0, 0, 0, 0];
            call(libc::SYS_clock_gettime, arguments) as i32
        }
    }
}

extern "C" fn gettimeofday(time: *mut libc::timeval, zone: usize) -> i32 {
    match read_clock(libc::CLOCK_REALTIME) {
        Some(ns) if !time.is_null() => {
            // SAFETY: whoever calls this hands a valid pointer.
            unsafe {
                time.write(libc::timeval {
                    tv_sec: (ns / NS) as i64,
                    tv_usec: (ns % NS / 1_000) as i64,
                });
            }
            0
        }
        Some(_) => 0,
        // SAFETY: the caller's arguments.
        None => unsafe { real(libc::SYS_gettimeofday, [time as usize, zone, 0, 0, 0, 0]) as i32 },
    }
}

extern "C" fn time(out: *mut libc::time_t) -> libc::time_t {
    match read_clock(libc::CLOCK_REALTIME) {
        Some(ns) => {
            let seconds = (ns / NS) as libc::time_t;
            if !out.is_null() {
                // SAFETY: whoever calls this hands a valid pointer, or none.
                unsafe { out.write(seconds) };
            }
            seconds
        }
        // SAFETY: the caller's arguments.
        None => unsafe { real(libc::SYS_time, [out as usize, 0, 0, 0, 0, 0]) as libc::time_t },
    }
}

extern "C" fn clock_getres(clock: libc::clockid_t, time: *mut libc::timespec) -> i32 {
    // SAFETY: the caller's arguments. The answer is the same everywhere.
    unsafe {
        real(
            libc::SYS_clock_getres,
            [clock as usize, time as usize, 0, 0, 0, 0],
        ) as i32
    }
}

extern "C" fn getcpu(cpu: *mut u32, node: *mut u32, _: usize) -> i32 {
    // SAFETY: whoever calls this hands valid pointers, or none.
    unsafe {
        if !cpu.is_null() {
            cpu.write(0);
        }
        if !node.is_null() {
            node.write(0);
        }
    }
    0
}

extern "C" fn unsupported() -> i32 {
    -libc::ENOSYS
}

fn ours(name: &str) -> Option<usize> {
    Some(match name.trim_start_matches("__vdso_") {
        "clock_gettime" => clock_gettime as *const () as usize,
        "gettimeofday" => gettimeofday as *const () as usize,
        "time" => time as *const () as usize,
        "clock_getres" => clock_getres as *const () as usize,
        "getcpu" => getcpu as *const () as usize,
        "getrandom" => unsupported as *const () as usize,
        _ => return None,
    })
}

/// Overwrites the entries of the vDSO.
pub fn replace() -> Result<(), String> {
    // SAFETY: the vDSO is a well-formed ELF image that Linux made; its pages are only changed here, before any program
    // runs.
    unsafe {
        let image = libc::getauxval(libc::AT_SYSINFO_EHDR) as usize;
        if image == 0 {
            return Ok(());
        }
        let functions = functions(image);
        let pages = 4 * 4096;
        let all = libc::PROT_READ | libc::PROT_WRITE | libc::PROT_EXEC;
        let mut end = image + pages;
        while end > image
            && real(
                libc::SYS_mprotect,
                [image, end - image, all as usize, 0, 0, 0],
            ) < 0
        {
            end -= 4096;
        }
        if end == image {
            return Err(
                "unmodified programs need the vDSO's pages to be writable: mprotect refuses".into(),
            );
        }
        for (name, address) in functions {
            let Some(ours) = ours(&name) else { continue };
            // mov rax, ours; jmp rax
            let mut code = [
                0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0, 0x90, 0x90, 0x90, 0x90,
            ];
            code[2..10].copy_from_slice(&ours.to_ne_bytes());
            let (head, tail) = code.split_at(8);
            // The tail first: other threads may be entering meanwhile, and the head is written in one go.
            std::ptr::copy_nonoverlapping(tail.as_ptr(), (address + 8) as *mut u8, 4);
            let head = u64::from_ne_bytes(head.try_into().unwrap_or_default());
            if address % 8 == 0 {
                AtomicU64::from_ptr(address as *mut u64).store(head, SeqCst);
            } else {
                (address as *mut u64).write_unaligned(head);
            }
        }
        let read = libc::PROT_READ | libc::PROT_EXEC;
        real(
            libc::SYS_mprotect,
            [image, end - image, read as usize, 0, 0, 0],
        );
    }
    Ok(())
}

/// The functions of an ELF image in memory, by name.
unsafe fn functions(image: usize) -> Vec<(String, usize)> {
    // SAFETY: the caller's promise: tables are where the headers say.
    unsafe {
        let header = image as *const libc::Elf64_Ehdr;
        let segments = (image + (*header).e_phoff as usize) as *const libc::Elf64_Phdr;
        let segments = std::slice::from_raw_parts(segments, (*header).e_phnum.into());
        let Some(load) = segments.iter().find(|s| s.p_type == libc::PT_LOAD) else {
            return Vec::new();
        };
        let base = image - load.p_vaddr as usize;
        let Some(dynamic) = segments.iter().find(|s| s.p_type == libc::PT_DYNAMIC) else {
            return Vec::new();
        };
        let (mut symbols, mut names, mut hash, mut gnu) = (0, 0, 0, 0);
        let mut entry = (base + dynamic.p_vaddr as usize) as *const [usize; 2];
        while (*entry)[0] != 0 {
            let [tag, value] = *entry;
            match tag {
                4 => hash = base + value,
                5 => names = base + value,
                6 => symbols = base + value,
                0x6fff_fef5 => gnu = base + value,
                _ => {}
            }
            entry = entry.add(1);
        }
        let count = match (hash, gnu) {
            (0, 0) => 0,
            (0, gnu) => gnu_count(gnu as *const u32),
            (hash, _) => *(hash as *const u32).add(1) as usize,
        };
        let symbols = std::slice::from_raw_parts(symbols as *const libc::Elf64_Sym, count);
        let defined = symbols.iter().filter(|symbol| symbol.st_value != 0);
        defined
            .map(|symbol| {
                let name = CStr::from_ptr((names + symbol.st_name as usize) as *const libc::c_char);
                let name = name.to_string_lossy().into_owned();
                (name, base + symbol.st_value as usize)
            })
            .collect()
    }
}

/// How many symbols a GNU hash table covers.
unsafe fn gnu_count(table: *const u32) -> usize {
    // SAFETY: the caller's promise: a well-formed table.
    unsafe {
        let (buckets, first, bloom) = (*table, *table.add(1), *table.add(2));
        let bucket = table.add(4 + 2 * bloom as usize);
        let chain = bucket.add(buckets as usize);
        let last = (0..buckets as usize)
            .map(|i| *bucket.add(i))
            .max()
            .unwrap_or(0);
        if last < first {
            return first as usize;
        }
        let mut at = last;
        while *chain.add((at - first) as usize) & 1 == 0 {
            at += 1;
        }
        at as usize + 1
    }
}
