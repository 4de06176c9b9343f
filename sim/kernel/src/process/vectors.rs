//! `preadv`, `pwritev`, and what the flags of their second forms ask for.

use squall_files::Operation;

use super::{Answer, Errno, Kernel, object::Kind};
use crate::cpu::{Call, Tid};

/// It stands for the file's own offset, in the second forms.
const OWN: i64 = -1;

impl Kernel {
    pub(super) fn vectored(&mut self, tid: Tid, call: &Call) -> Answer {
        let [fd, at, count, offset, _, flags] = call.arguments;
        let (fd, offset) = (fd as i32, offset as i64);
        let (writes, is_second) = match call.number {
            libc::SYS_preadv => (false, false),
            libc::SYS_preadv2 => (false, true),
            libc::SYS_pwritev => (true, false),
            _ => (true, true),
        };
        let flags = if is_second { flags as i32 } else { 0 };
        if offset < 0 && !(is_second && offset == OWN) {
            return Err(Errno(libc::EINVAL)).into();
        }
        let parts = self.parts(at, count);
        let is_file = match self.by_fd(fd) {
            Ok((_, object)) => matches!(object.kind, Kind::File(_)),
            Err(error) => return Err(error).into(),
        };
        let served = match is_file && writes {
            true => libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC | libc::RWF_APPEND,
            false => libc::RWF_HIPRI | libc::RWF_DSYNC | libc::RWF_SYNC,
        };
        if flags & !served != 0 {
            return Err(Errno(libc::EOPNOTSUPP)).into();
        }
        match (is_file, writes) {
            (false, _) if offset != OWN => Err(Errno(libc::ESPIPE)).into(),
            (false, true) => self.write(tid, fd, &parts),
            (false, false) => self.read(tid, fd, &parts),
            (true, true) => self.write_as(tid, fd, &parts, offset, flags),
            (true, false) => self.read_at(fd, &parts, offset).into(),
        }
    }

    fn write_as(
        &mut self,
        tid: Tid,
        fd: i32,
        parts: &[(usize, usize)],
        offset: i64,
        flags: i32,
    ) -> Answer {
        let file = match self.file(fd) {
            Ok(file) => file,
            Err(error) => return Err(error).into(),
        };
        let syncs = flags & (libc::RWF_DSYNC | libc::RWF_SYNC) != 0;
        if syncs && let Some(wait) = self.disk_takes(tid, &file, Operation::Sync) {
            return Answer::Wait(wait);
        }
        let before = file.flags();
        if flags & libc::RWF_APPEND != 0 {
            file.set_flags(before | libc::O_APPEND);
        }
        let answer = self.write_at(tid, fd, parts, offset);
        file.set_flags(before);
        match answer {
            Answer::Done(1..) if syncs => match file.sync(flags & libc::RWF_SYNC == 0) {
                Ok(()) => answer,
                Err(error) => Err(Errno::from(error)).into(),
            },
            answer => answer,
        }
    }
}
