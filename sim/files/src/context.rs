//! Where a process is, and what paths mean there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use libc::{DT_BLK, DT_CHR, DT_DIR, DT_FIFO, DT_LNK, DT_REG, DT_SOCK};
use libc::{EINVAL, EIO, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS};
use squall_engine::disk::ROOT;

use crate::{
    errno::{Result, fail},
    file_system::FileSystem,
    machine::{Program, Seen},
    pseudo::{self, About, Pseudo},
    stat::{Stat, shown, shown_above},
};

/// Bytes of a path, its end included (`PATH_MAX`).
const PATH_MAX: usize = 4096;
/// Bytes of a name (`NAME_MAX`).
const NAME_MAX: usize = 255;
/// Symbolic links on one way.
const LINKS_MAX: usize = 40;

/// Something that a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// An inode of the disk.
    Disk(u64),
    /// What the disk does not hold, by its absolute path: the machine's own files, and those from outside.
    Above(Vec<u8>),
}

/// Whether a link at the end of a path is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Last {
    Followed,
    /// Only if a slash comes after it.
    Kept,
    /// Only if none does: it is that of a file which may have to be made.
    Created,
    /// Never: it is the name that matters.
    Name,
}

/// The end of a path.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// The directory that the last name is of.
    pub parent: Place,
    /// The last name; `.` of a path that has none.
    pub name: Vec<u8>,
    /// What is there, if anything is.
    pub place: Option<Place>,
    /// The path ends with a slash: a directory is meant.
    pub slash: bool,
}

impl Found {
    pub fn existing(self) -> Result<Place> {
        self.place.map_or(fail(ENOENT), Ok)
    }

    /// The directory and the name, for a change of it.
    pub fn name(&self) -> Result<(u64, &[u8])> {
        match (&self.parent, &self.place) {
            (Place::Disk(dir), None | Some(Place::Disk(_))) => Ok((*dir, &self.name)),
            _ => fail(EROFS),
        }
    }

    /// The path ends with `.` or `..`, or is that of the root.
    pub fn is_dots(&self) -> bool {
        self.name == b"." || self.name == b".."
    }
}

pub(crate) struct Context {
    pub fs: Arc<FileSystem>,
    pub program: Arc<dyn Program>,
    /// The life of the node that it belongs to.
    pub generation: u64,
    directory: Mutex<Place>,
}

impl Context {
    pub fn new(fs: Arc<FileSystem>, program: Arc<dyn Program>, directory: Place) -> Arc<Context> {
        Arc::new(Context {
            generation: fs.disk.generation(),
            fs,
            program,
            directory: Mutex::new(directory),
        })
    }

    fn current(&self) -> MutexGuard<'_, Place> {
        self.directory
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    pub fn directory(&self) -> Place {
        self.current().clone()
    }

    pub fn set_directory(&self, place: Place) {
        *self.current() = place;
    }

    /// Fails unless the process is alive.
    pub fn alive(&self) -> Result<()> {
        Ok(self.fs.disk.check_life(self.generation)?)
    }

    fn about(&self) -> About<'_> {
        About {
            machine: &*self.fs.machine,
            program: &*self.program,
            directory: self.path_of(&self.directory()).unwrap_or_default(),
        }
    }

    pub fn pseudo(&self, path: &[u8]) -> Option<Pseudo> {
        pseudo::look(path, &self.about())
    }

    fn seen(&self, path: &[u8]) -> Option<Seen> {
        self.fs.machine.outside()?.look(path)
    }

    /// The path of a directory that has one.
    pub fn path_of(&self, place: &Place) -> Option<Vec<u8>> {
        match place {
            Place::Disk(inode) => self.fs.disk.path_of(*inode),
            Place::Above(path) => Some(path.clone()),
        }
    }

    pub fn stat(&self, place: &Place) -> Result<Stat> {
        let disk = &self.fs.disk;
        match place {
            Place::Disk(inode) => {
                let told = disk.attributes(*inode)?;
                Ok(Stat::of_disk(*inode, &told, self.fs.machine.owner()))
            }
            Place::Above(path) => match self.pseudo(path) {
                Some(pseudo) => Ok(Stat::of_pseudo(path, &pseudo)),
                None => match self.seen(path) {
                    Some(seen) => Ok(Stat::of_outside(path, &seen)),
                    None => fail(ENOENT),
                },
            },
        }
    }

    /// What a symbolic link points to; `EINVAL` of anything else.
    pub fn link_target(&self, place: &Place) -> Result<Vec<u8>> {
        match place {
            Place::Disk(inode) => Ok(self.fs.disk.link_target(*inode)?),
            Place::Above(path) => match (self.pseudo(path), self.seen(path)) {
                (Some(Pseudo::Link(target)), _) | (None, Some(Seen::Link(target))) => Ok(target),
                _ => fail(EINVAL),
            },
        }
    }

    /// Where a name of a directory leads.
    fn step(&self, dir: &Place, name: &[u8]) -> Result<Option<Place>> {
        let disk = &self.fs.disk;
        let above = |path: Vec<u8>| {
            let is_there = self.pseudo(&path).is_some() || self.seen(&path).is_some();
            is_there.then_some(Place::Above(path))
        };
        match (dir, name) {
            (Place::Disk(inode), b"." | b"..") => {
                let parent = disk.parent(*inode)?;
                let inode = if name == b"." { *inode } else { parent };
                Ok(Some(Place::Disk(inode)))
            }
            (Place::Disk(inode), _) => Ok(match disk.lookup(*inode, name)? {
                Some(inode) => Some(Place::Disk(inode)),
                None => disk
                    .path_of(*inode)
                    .and_then(|path| above(joined(&path, name))),
            }),
            (Place::Above(path), _) => {
                if !self.stat(dir)?.is_directory() {
                    return fail(ENOTDIR);
                }
                match name {
                    b"." => Ok(Some(dir.clone())),
                    // The directory around it may be one of the disk.
                    b".." => {
                        let end = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
                        self.resolve(&Place::Disk(ROOT), &path[..end.max(1)], Last::Name)
                            .map(|found| found.place)
                    }
                    _ => Ok(above(joined(path, name))),
                }
            }
        }
    }

    /// Follows a path, from `start` if it is relative. Whether a slash at its end suits what is there is not looked at.
    pub fn resolve(&self, start: &Place, path: &[u8], last: Last) -> Result<Found> {
        if path.is_empty() {
            return fail(ENOENT);
        }
        if path.len() >= PATH_MAX {
            return fail(ENAMETOOLONG);
        }
        let mut at = start.clone();
        // What is left of the way, its next name at the end.
        let mut names: Vec<Vec<u8>> = Vec::new();
        let mut slash = false;
        let mut links = 0;
        let mut way = path.to_vec();
        loop {
            if way.starts_with(b"/") {
                at = Place::Disk(ROOT);
            }
            slash |= names.is_empty() && way.ends_with(b"/");
            let parts = way.split(|byte| *byte == b'/').rev();
            names.extend(parts.filter(|part| !part.is_empty()).map(<[u8]>::to_vec));
            way = loop {
                let Some(name) = names.pop() else {
                    return Ok(Found {
                        parent: at.clone(),
                        name: b".".to_vec(),
                        place: Some(at),
                        slash,
                    });
                };
                if name.len() > NAME_MAX {
                    return fail(ENAMETOOLONG);
                }
                let is_last = names.is_empty();
                let Some(place) = self.step(&at, &name)? else {
                    if !is_last {
                        return fail(ENOENT);
                    }
                    let (parent, place) = (at, None);
                    return Ok(Found {
                        parent,
                        name,
                        place,
                        slash,
                    });
                };
                let follows = match last {
                    Last::Followed => true,
                    Last::Kept => !is_last || slash,
                    Last::Created => !is_last || !slash,
                    Last::Name => !is_last,
                };
                if follows && let Ok(target) = self.link_target(&place) {
                    links += 1;
                    if links > LINKS_MAX {
                        return fail(ELOOP);
                    }
                    break target;
                }
                if is_last {
                    let (parent, place) = (at, Some(place));
                    return Ok(Found {
                        parent,
                        name,
                        place,
                        slash,
                    });
                }
                at = place;
            };
        }
    }

    /// What is in a directory by name, with inode numbers and types (`DT_*`); `.` and `..` come first.
    pub fn list(&self, dir: &Place) -> Result<Vec<(Vec<u8>, u64, u8)>> {
        let mut entries = BTreeMap::new();
        if let Some(path) = self.path_of(dir) {
            let outside = self.fs.machine.outside();
            let mut names = pseudo::list(&path, &self.about());
            names.extend(outside.into_iter().flat_map(|outside| outside.list(&path)));
            for name in names {
                let path = joined(&path, &name);
                let kind = match self.stat(&Place::Above(path.clone())) {
                    Ok(stat) => kind(stat.format()),
                    Err(_) => continue,
                };
                entries.insert(name, (shown_above(&path), kind));
            }
        }
        if let Place::Disk(inode) = dir {
            for (name, inode, format) in self.fs.disk.entries(*inode)? {
                entries.insert(name, (shown(inode), kind(format)));
            }
        }
        let around = match self.step(dir, b"..")? {
            Some(parent) => self.stat(&parent)?.ino,
            None => 0,
        };
        let dots = [
            (b".".to_vec(), self.stat(dir)?.ino, DT_DIR),
            (b"..".to_vec(), around, DT_DIR),
        ];
        let entries = entries.into_iter();
        Ok(dots
            .into_iter()
            .chain(entries.map(|(name, (ino, kind))| (name, ino, kind)))
            .collect())
    }

    /// Reads of a file of the real machine: how many bytes.
    pub fn read_outside(&self, path: &[u8], offset: u64, out: &mut [u8]) -> Result<usize> {
        let outside = self.fs.machine.outside();
        let read = outside.and_then(|outside| outside.read(path, offset, out));
        read.map_or(fail(EIO), Ok)
    }
}

fn joined(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let dir = dir.strip_suffix(b"/").unwrap_or(dir);
    [dir, b"/", name].concat()
}

/// `DT_*` of `S_IF*`.
fn kind(format: u32) -> u8 {
    match format {
        libc::S_IFREG => DT_REG,
        libc::S_IFDIR => DT_DIR,
        libc::S_IFLNK => DT_LNK,
        libc::S_IFCHR => DT_CHR,
        libc::S_IFBLK => DT_BLK,
        libc::S_IFIFO => DT_FIFO,
        _ => DT_SOCK,
    }
}
