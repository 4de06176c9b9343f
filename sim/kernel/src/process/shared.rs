//! Memory that processes share: anonymous, of files in `/dev/shm`, and of System V.

use std::collections::{BTreeMap, BTreeSet};

use squall_files::OpenFile;

use super::{Answer, Errno, Kernel};
use crate::cpu::{Mapping, Tid, release_region, shared_region};

/// Where a region begins in all that is shared.
type Place = u64;

/// What several processes can map.
struct Region {
    len: usize,
    /// How often it is mapped.
    mappings: usize,
    /// The file whose bytes it is.
    file: Option<OpenFile>,
    segment: Option<Segment>,
}

/// What System V tells of a region.
#[derive(Clone, Copy, Debug)]
struct Segment {
    id: i32,
    key: i32,
    mode: u32,
    /// It has been removed, and is no more when nobody maps it any longer.
    is_removed: bool,
    maker: Tid,
    owner: (u32, u32),
}

impl Region {
    fn is_needed(&self) -> bool {
        let has_name = |file: &OpenFile| file.stat().is_ok_and(|stat| stat.nlink > 0);
        self.mappings > 0
            || self.file.as_ref().is_some_and(has_name)
            || self.segment.is_some_and(|segment| !segment.is_removed)
    }
}

/// The regions of a node.
#[derive(Default)]
pub(super) struct Regions {
    all: BTreeMap<Place, Region>,
    /// Inodes in `/dev/shm`, and nameless ones in memory.
    files: BTreeSet<u64>,
    next_segment: i32,
}

impl Regions {
    fn add(&mut self, len: usize, file: Option<OpenFile>) -> Result<Place, Errno> {
        self.sweep();
        let place = shared_region(len)?;
        let region = Region {
            len,
            mappings: 0,
            file,
            segment: None,
        };
        self.all.insert(place, region);
        Ok(place)
    }

    /// The region that this place is in.
    fn at(&mut self, place: Place) -> Option<(Place, &mut Region)> {
        let (start, region) = self.all.range_mut(..=place).next_back()?;
        Some((*start, region))
    }

    fn of_file(&self, ino: u64) -> Option<(Place, usize)> {
        let is_it = |file: &OpenFile| file.stat().is_ok_and(|stat| stat.ino == ino);
        let mut all = self.all.iter();
        let found = all.find(|(_, region)| region.file.as_ref().is_some_and(is_it));
        found.map(|(place, region)| (*place, region.len))
    }

    fn segment(&mut self, id: i32) -> Result<(Place, &mut Region, Segment), Errno> {
        let mut all = self.all.iter_mut();
        let found = all.find_map(|(place, region)| {
            let segment = region.segment.filter(|segment| segment.id == id)?;
            Some((*place, region, segment))
        });
        found.ok_or(Errno(libc::EINVAL))
    }

    /// Gives back what nobody needs.
    fn sweep(&mut self) {
        self.all.retain(|place, region| {
            let stays = region.is_needed();
            if !stays {
                release_region(*place, region.len);
            }
            stays
        });
    }
}

impl Drop for Regions {
    fn drop(&mut self) {
        for (place, region) in &self.all {
            release_region(*place, region.len);
        }
    }
}

impl Kernel {
    /// A file was opened in `/dev/shm`: it can be shared.
    pub(super) fn opens_shared(&mut self, file: &OpenFile) {
        if let Ok(stat) = file.stat() {
            self.regions.files.insert(stat.ino);
        }
    }

    /// `memfd_create`.
    pub(super) fn memfd(&mut self, flags: u32) -> Result<isize, Errno> {
        let how = libc::O_TMPFILE | libc::O_RDWR;
        let file = self.process.files.open(None, b"/dev/shm", how, 0o600)?;
        self.opens_shared(&file);
        let id = self.objects.add(super::object::Kind::File(file), false);
        let close_on_exec = match flags & libc::MFD_CLOEXEC {
            0 => 0,
            _ => libc::O_CLOEXEC,
        };
        self.install(id, close_on_exec)
    }

    /// Maps memory that is to be shared.
    pub(super) fn map_shared(
        &mut self,
        mut mapping: Mapping,
        file: Option<&OpenFile>,
    ) -> Result<isize, Errno> {
        let from = mapping.offset;
        mapping.path = None;
        let Some(file) = file else {
            let place = self.regions.add(mapping.len, None)?;
            mapping.offset = place;
            return self.map_region(&mapping);
        };
        let stat = file.stat()?;
        if !self.regions.files.contains(&stat.ino) {
            self.refuse("shared mappings of files");
            return Err(Errno(libc::ENODEV));
        }
        let needed = stat.size.max(from + mapping.len as u64) as usize;
        match self.regions.of_file(stat.ino) {
            Some((_, len)) if len < needed => {
                self.refuse("shared mappings of files that grow");
                Err(Errno(libc::ENOMEM))
            }
            Some((place, _)) => {
                mapping.offset = place + from;
                self.map_region(&mapping)
            }
            None => {
                let mut bytes = vec![0; stat.size as usize];
                let len = file.pread(&mut bytes, 0)?;
                let place = self.regions.add(needed, Some(file.clone()))?;
                mapping.offset = place + from;
                let at = self.map_region(&mapping)?;
                if let Some(seen) = bytes[..len].get(from as usize..) {
                    let seen = &seen[..seen.len().min(mapping.len)];
                    self.memory.write(at as usize, seen);
                }
                Ok(at)
            }
        }
    }

    fn map_region(&mut self, mapping: &Mapping) -> Result<isize, Errno> {
        let at = self.process.processor.map(mapping)?;
        if let Some((_, region)) = self.regions.at(mapping.offset) {
            region.mappings += 1;
        }
        Ok(at as isize)
    }

    /// A process that was copied shares what the first one does.
    pub(super) fn share_copied(&mut self, places: &[Place]) {
        for place in places {
            if let Some((_, region)) = self.regions.at(*place) {
                region.mappings += 1;
            }
        }
    }

    /// A part of its memory is a process's no longer.
    pub(super) fn unshare(&mut self, places: &[Place]) {
        for place in places {
            if let Some((_, region)) = self.regions.at(*place) {
                region.mappings = region.mappings.saturating_sub(1);
            }
        }
        if !places.is_empty() {
            self.regions.sweep();
        }
    }

    pub(super) fn shmget(&mut self, key: i32, len: usize, flags: i32) -> Result<isize, Errno> {
        let mut all = self.regions.all.values();
        let known = all.find_map(|region| {
            let is_it = |segment: &Segment| segment.key == key && !segment.is_removed;
            Some((region.len, region.segment.filter(is_it)?.id))
        });
        match known.filter(|_| key != libc::IPC_PRIVATE) {
            Some(_) if flags & libc::IPC_CREAT != 0 && flags & libc::IPC_EXCL != 0 => {
                Err(Errno(libc::EEXIST))
            }
            Some((has, _)) if len > has => Err(Errno(libc::EINVAL)),
            Some((_, id)) => Ok(id as isize),
            None if key != libc::IPC_PRIVATE && flags & libc::IPC_CREAT == 0 => {
                Err(Errno(libc::ENOENT))
            }
            None if len == 0 => Err(Errno(libc::EINVAL)),
            None => {
                let place = self.regions.add(len, None)?;
                let id = self.regions.next_segment;
                self.regions.next_segment += 1;
                if let Some((_, region)) = self.regions.at(place) {
                    region.segment = Some(Segment {
                        id,
                        key,
                        mode: flags as u32 & 0o777,
                        is_removed: false,
                        maker: self.process.pid,
                        owner: self.process.user,
                    });
                }
                Ok(id as isize)
            }
        }
    }

    pub(super) fn shmat(&mut self, id: i32, at: usize, flags: i32) -> Result<isize, Errno> {
        let (place, region, _) = self.regions.segment(id)?;
        let fixed = if at == 0 { 0 } else { libc::MAP_FIXED };
        let writes = match flags & libc::SHM_RDONLY {
            0 => libc::PROT_WRITE,
            _ => 0,
        };
        let mapping = Mapping {
            path: None,
            at: at & !4095,
            len: region.len.next_multiple_of(4096),
            protection: libc::PROT_READ | writes,
            flags: libc::MAP_SHARED | fixed,
            offset: place,
        };
        self.map_region(&mapping)
    }

    /// `shmdt`. What was there cannot be touched any more, and stays taken.
    pub(super) fn shmdt(&mut self, at: usize) -> Result<isize, Errno> {
        let place = self.memory.shared_key(at).ok_or(Errno(libc::EINVAL))?;
        let len = match self.regions.at(place) {
            Some((start, region)) if start == place && region.segment.is_some() => region.len,
            _ => return Err(Errno(libc::EINVAL)),
        };
        let len = len.next_multiple_of(4096);
        let nothing = Mapping {
            path: Some(b"/dev/zero".to_vec()),
            at,
            len,
            protection: libc::PROT_NONE,
            flags: libc::MAP_PRIVATE | libc::MAP_FIXED,
            offset: 0,
        };
        self.process.processor.map(&nothing)?;
        let gone = self.memory.unshare(&(at..at + len));
        self.unshare(&gone);
        Ok(0)
    }

    pub(super) fn shmctl(&mut self, id: i32, command: i32, at: usize) -> Answer {
        let (_, region, segment) = match self.regions.segment(id) {
            Ok(found) => found,
            Err(error) => return Err(error).into(),
        };
        match command {
            libc::IPC_RMID => {
                region.segment = Some(Segment {
                    is_removed: true,
                    key: libc::IPC_PRIVATE,
                    ..segment
                });
                self.regions.sweep();
                Answer::Done(0)
            }
            libc::IPC_STAT => {
                let (len, mappings) = (region.len as u64, region.mappings as u64);
                self.memory.slice_mut(at, 112).fill(0);
                let (user, group) = segment.owner;
                let removed = if segment.is_removed { 0o1000 } else { 0 };
                let words = [
                    (0, segment.key as u32),
                    (4, user),
                    (8, group),
                    (12, user),
                    (16, group),
                    (20, segment.mode | removed),
                    (80, segment.maker as u32),
                    (84, segment.maker as u32),
                ];
                for (offset, word) in words {
                    self.memory.write_u32(at + offset, word);
                }
                self.memory.write_u64(at + 48, len);
                self.memory.write_u64(at + 88, mappings);
                Answer::Done(0)
            }
            _ => Err(Errno(libc::EINVAL)).into(),
        }
    }
}
