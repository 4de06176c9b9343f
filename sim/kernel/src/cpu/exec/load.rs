//! Loading an executable into this process, as `execve` does: its segments, those of its interpreter (the dynamic
//! loader), and a first stack.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::{fd::AsRawFd, unix::ffi::OsStrExt, unix::fs::FileExt},
    path::{Path, PathBuf},
};

use libc::{Elf64_Ehdr, Elf64_Phdr};

use super::super::context::real;

/// Where executables that can lie anywhere are put, their interpreters, mappings that they leave to the kernel, and the
/// end of the first stack: far from everything of the harness's own.
const PROGRAM: usize = 0x3000_0000_0000;
const INTERPRETER: usize = 0x3100_0000_0000;
pub const MAPPINGS: usize = 0x3200_0000_0000;
const STACK_END: usize = 0x3f00_0000_0000;
const STACK_LEN: usize = 8 << 20;
const PAGE: usize = 4096;
/// Which entry tells how much room a signal handler needs.
const AT_MINSIGSTKSZ: u64 = 51;

/// How an executable is started.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executable {
    /// The executable, a file of the real machine.
    pub file: PathBuf,
    /// Its arguments, the first its own name.
    pub arguments: Vec<Vec<u8>>,
    /// Its environment: `NAME=value`.
    pub environment: Vec<Vec<u8>>,
    /// What it finds at `AT_RANDOM`.
    pub random: [u8; 16],
    /// The user and group that it runs as.
    pub user: u32,
    /// Files and folders of the real machine that it sees beside the usual.
    pub installed: Vec<PathBuf>,
}

/// Where an executable begins.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    /// Its first instruction.
    pub entry: usize,
    /// Its stack pointer.
    pub stack: usize,
    /// Where its `brk` area begins.
    pub brk: usize,
}

struct Elf {
    file: File,
    header: Elf64_Ehdr,
    segments: Vec<Elf64_Phdr>,
}

/// Reads a plain struct of a file.
///
/// # Safety
/// Any bytes are a value of the type.
unsafe fn read_struct<T>(file: &File, at: u64) -> io::Result<T> {
    let mut value = std::mem::MaybeUninit::<T>::zeroed();
    // SAFETY: the struct has so many bytes, and the caller says that any of them will do.
    unsafe {
        let bytes = std::slice::from_raw_parts_mut(value.as_mut_ptr().cast::<u8>(), size_of::<T>());
        file.read_exact_at(bytes, at)?;
        Ok(value.assume_init())
    }
}

impl Elf {
    fn open(path: &Path) -> io::Result<Elf> {
        let file = File::open(path)?;
        // SAFETY: headers are plain numbers.
        let header: Elf64_Ehdr = unsafe { read_struct(&file, 0) }
            .map_err(|_| io::Error::from_raw_os_error(libc::ENOEXEC))?;
        let is_known = header.e_ident.starts_with(b"\x7fELF")
            && header.e_ident[4] == libc::ELFCLASS64
            && header.e_machine == libc::EM_X86_64
            && matches!(header.e_type, libc::ET_EXEC | libc::ET_DYN)
            && header.e_phentsize as usize == size_of::<Elf64_Phdr>();
        if !is_known {
            return Err(io::Error::from_raw_os_error(libc::ENOEXEC));
        }
        let at =
            |ordinal: u16| header.e_phoff + u64::from(ordinal) * size_of::<Elf64_Phdr>() as u64;
        let segments = (0..header.e_phnum)
            // SAFETY: as above.
            .map(|ordinal| unsafe { read_struct(&file, at(ordinal)) })
            .collect::<io::Result<_>>()?;
        Ok(Elf {
            file,
            header,
            segments,
        })
    }

    fn interpreter(&self) -> io::Result<Option<PathBuf>> {
        let Some(segment) = self.segments.iter().find(|s| s.p_type == libc::PT_INTERP) else {
            return Ok(None);
        };
        let mut path = vec![0; (segment.p_filesz as usize).min(PAGE)];
        self.file.read_exact_at(&mut path, segment.p_offset)?;
        while path.last() == Some(&0) {
            path.pop();
        }
        Ok(Some(OsStr::from_bytes(&path).into()))
    }

    fn loaded(&self) -> impl Iterator<Item = &Elf64_Phdr> {
        self.segments.iter().filter(|s| s.p_type == libc::PT_LOAD)
    }

    fn end(&self) -> usize {
        let ends = self.loaded().map(|s| (s.p_vaddr + s.p_memsz) as usize);
        ends.max().unwrap_or(0).next_multiple_of(PAGE)
    }

    /// Maps its segments, at `base` if they can lie anywhere. What has to be added to their addresses.
    fn map(&self, base: usize) -> io::Result<usize> {
        let bias = if self.header.e_type == libc::ET_DYN {
            base
        } else {
            0
        };
        for segment in self.loaded() {
            let start = bias + segment.p_vaddr as usize;
            let (page, skew) = (start & !(PAGE - 1), start % PAGE);
            let from_file = segment.p_filesz as usize;
            let protection = protection(segment.p_flags);
            if from_file > 0 {
                let offset = segment.p_offset as usize - skew;
                let private = libc::MAP_PRIVATE | libc::MAP_FIXED;
                let fd = self.file.as_raw_fd() as usize;
                map(page, from_file + skew, protection, private, fd, offset)?;
            }
            let file_end = start + from_file;
            let end = (start + segment.p_memsz as usize).next_multiple_of(PAGE);
            let zeros = match from_file {
                0 => page,
                _ => file_end.next_multiple_of(PAGE),
            };
            if end > zeros {
                map(zeros, end - zeros, protection, ANONYMOUS, usize::MAX, 0)?;
            }
            if from_file > 0
                && segment.p_memsz > segment.p_filesz
                && protection & libc::PROT_WRITE != 0
            {
                // SAFETY: what is left of the page that has just been mapped.
                unsafe { std::ptr::write_bytes(file_end as *mut u8, 0, zeros - file_end) };
            }
        }
        Ok(bias)
    }
}

const ANONYMOUS: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;

fn protection(flags: u32) -> i32 {
    let pairs = [
        (libc::PF_R, libc::PROT_READ),
        (libc::PF_W, libc::PROT_WRITE),
        (libc::PF_X, libc::PROT_EXEC),
    ];
    let set = pairs.iter().filter(|(flag, _)| flags & flag != 0);
    set.fold(0, |all, (_, protection)| all | protection)
}

/// Maps memory where nothing of the harness's lies.
pub fn map(
    at: usize,
    len: usize,
    protection: i32,
    flags: i32,
    fd: usize,
    offset: usize,
) -> io::Result<usize> {
    let arguments = [at, len, protection as usize, flags as usize, fd, offset];
    // SAFETY: addresses of the program alone.
    match unsafe { real(libc::SYS_mmap, arguments) } {
        error @ -4095..0 => Err(io::Error::from_raw_os_error(-error as i32)),
        place => Ok(place as usize),
    }
}

impl Executable {
    /// Maps it, and lays out its first stack.
    ///
    /// # Errors
    /// It is no executable for this machine (`ENOEXEC`), or cannot be mapped.
    pub fn load(&self) -> io::Result<Start> {
        let program = Elf::open(&self.file)?;
        let bias = program.map(PROGRAM)?;
        let entry = bias + program.header.e_entry as usize;
        let (first, base) = match program.interpreter()? {
            None => (entry, 0),
            Some(path) => {
                let interpreter = Elf::open(&path)?;
                let base = interpreter.map(INTERPRETER)?;
                (base + interpreter.header.e_entry as usize, base)
            }
        };
        let headers = program
            .segments
            .iter()
            .find(|s| s.p_type == libc::PT_PHDR)
            .map(|s| s.p_vaddr as usize)
            .or_else(|| {
                let holds = |s: &&Elf64_Phdr| s.p_offset == 0;
                let first = program.loaded().find(holds)?;
                Some((first.p_vaddr + program.header.e_phoff) as usize)
            });
        let told = [
            (libc::AT_PHDR, bias + headers.unwrap_or(0)),
            (libc::AT_PHENT, size_of::<Elf64_Phdr>()),
            (libc::AT_PHNUM, program.segments.len()),
            (libc::AT_PAGESZ, PAGE),
            (libc::AT_BASE, base),
            (libc::AT_FLAGS, 0),
            (libc::AT_ENTRY, entry),
            (libc::AT_UID, self.user as usize),
            (libc::AT_EUID, self.user as usize),
            (libc::AT_GID, self.user as usize),
            (libc::AT_EGID, self.user as usize),
            (libc::AT_SECURE, 0),
            (libc::AT_CLKTCK, 100),
            // SAFETY: reads what the kernel said at the start.
            (AT_MINSIGSTKSZ, unsafe { libc::getauxval(AT_MINSIGSTKSZ) }
                as usize),
            // SAFETY: reads what the kernel said at the start.
            (libc::AT_HWCAP, unsafe { libc::getauxval(libc::AT_HWCAP) }
                as usize),
            // SAFETY: as above.
            (libc::AT_HWCAP2, unsafe { libc::getauxval(libc::AT_HWCAP2) }
                as usize),
        ];
        Ok(Start {
            entry: first,
            stack: self.lay_out_stack(&told)?,
            brk: bias + program.end(),
        })
    }

    /// The first stack: arguments, environment and what the kernel tells (the auxiliary vector). Its stack pointer.
    fn lay_out_stack(&self, told: &[(u64, usize)]) -> io::Result<usize> {
        let flags = ANONYMOUS | libc::MAP_NORESERVE;
        let usual = libc::PROT_READ | libc::PROT_WRITE;
        map(
            STACK_END - STACK_LEN,
            STACK_LEN,
            usual,
            flags,
            usize::MAX,
            0,
        )?;
        let mut at = STACK_END;
        let mut put = |bytes: &[u8]| {
            at -= bytes.len();
            // SAFETY: the stack has just been mapped, and what is put there is far less.
            unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at as *mut u8, bytes.len()) };
            at
        };
        let mut text = |bytes: &[u8]| {
            let text = CString::new(bytes).unwrap_or_default();
            put(text.as_bytes_with_nul())
        };
        let name = text(self.file.as_os_str().as_bytes());
        let platform = text(b"x86_64");
        let environment: Vec<usize> = self.environment.iter().map(|it| text(it)).collect();
        let arguments: Vec<usize> = self.arguments.iter().map(|it| text(it)).collect();
        let random = put(&self.random);
        let mut words = vec![arguments.len()];
        words.extend(arguments);
        words.push(0);
        words.extend(environment);
        words.push(0);
        let told = told.iter().map(|(what, value)| (*what as usize, *value));
        let places = [
            (libc::AT_RANDOM as usize, random),
            (libc::AT_EXECFN as usize, name),
            (libc::AT_PLATFORM as usize, platform),
            (libc::AT_NULL as usize, 0),
        ];
        for (what, value) in told.chain(places) {
            words.extend([what, value]);
        }
        let stack = (random - words.len() * 8) & !15;
        // SAFETY: as above.
        unsafe { std::ptr::copy_nonoverlapping(words.as_ptr(), stack as *mut usize, words.len()) };
        Ok(stack)
    }

    /// As bytes, to be read again by [`Executable::from_bytes`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut put = |part: &[u8]| {
            bytes.extend((part.len() as u32).to_ne_bytes());
            bytes.extend(part);
        };
        put(self.file.as_os_str().as_bytes());
        put(&self.random);
        put(&self.user.to_ne_bytes());
        put(&(self.arguments.len() as u32).to_ne_bytes());
        self.arguments
            .iter()
            .chain(&self.environment)
            .for_each(|it| put(it));
        bytes
    }

    /// What [`Executable::to_bytes`] wrote.
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        while let Some((len, rest)) = bytes.split_first_chunk() {
            let (part, rest) = rest.split_at_checked(u32::from_ne_bytes(*len) as usize)?;
            parts.push(part.to_vec());
            bytes = rest;
        }
        let mut parts = parts.into_iter();
        let file = parts.next()?;
        let random = parts.next()?.try_into().ok()?;
        let user = u32::from_ne_bytes(parts.next()?.try_into().ok()?);
        let count = u32::from_ne_bytes(parts.next()?.try_into().ok()?) as usize;
        let mut arguments: Vec<Vec<u8>> = parts.collect();
        let environment = arguments.split_off(count.min(arguments.len()));
        Some(Executable {
            file: OsStr::from_bytes(&file).into(),
            arguments,
            environment,
            random,
            user,
            // That is the world's matter.
            installed: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_executable_is_handed_over_as_it_is() {
        let executable = Executable {
            file: "/bin/sh".into(),
            arguments: vec![b"sh".to_vec(), b"".to_vec(), b"-c".to_vec()],
            environment: vec![b"A=1".to_vec()],
            random: [7; 16],
            user: 1000,
            ..Executable::default()
        };
        let read = Executable::from_bytes(&executable.to_bytes());
        assert_eq!(read, Some(executable));
    }

    #[test]
    fn a_file_that_is_no_executable_is_refused() {
        let executable = Executable {
            file: "/etc/passwd".into(),
            ..Executable::default()
        };
        let error = executable.load().expect_err("it is refused");
        assert_eq!(error.raw_os_error(), Some(libc::ENOEXEC));
    }
}
