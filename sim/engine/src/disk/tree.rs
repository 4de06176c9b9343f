//! A disk as a tree of inodes: what a file system's calls come down to. Each change of a name is a site.

use std::{
    io,
    sync::{Arc, MutexGuard},
};

use libc::{EINVAL, EISDIR, ENOSPC, ENOTDIR};
use squall_core::{event::DiskEvent, host::Reached};

use super::{
    BLOCK, Content, Disk, Handle, Inode, Onto, ROOT, State, dead,
    names::{Meta, os},
};

/// What `stat` tells of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// What it is (`S_IFMT`) and its permission bits.
    pub mode: u32,
    /// How many names it has; for a directory 2 and one for each directory in it.
    pub links: u32,
    /// Last read, in nanoseconds since the Unix epoch by the node's wall clock.
    pub accessed: u64,
    /// Last change of the content.
    pub modified: u64,
    /// Last change of the inode.
    pub changed: u64,
    /// When it was made.
    pub born: u64,
    /// Bytes of a regular file, or of what a link points to.
    pub len: u64,
    /// Pages that it takes.
    pub pages: u64,
}

/// What changes of what is told of an inode; what is none stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touch {
    /// Permission bits.
    pub mode: Option<u32>,
    /// See [`Attributes`].
    pub accessed: Option<u64>,
    /// See [`Attributes`].
    pub modified: Option<u64>,
    /// See [`Attributes`].
    pub changed: Option<u64>,
}

/// How much of a disk is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Pages that files take.
    pub pages: u64,
    /// Inodes.
    pub inodes: u64,
    /// A storm has filled the disk: nothing is left.
    pub full: bool,
}

impl Disk {
    /// The number of the running process life: handles of another are inert.
    pub fn generation(&self) -> u64 {
        self.state().generation
    }

    /// The inode of a name in a directory.
    pub fn lookup(&self, dir: u64, name: &[u8]) -> io::Result<Option<u64>> {
        self.state().names.lookup(dir, name)
    }

    /// What is in a directory, by name, with the `S_IFMT` bits of each.
    pub fn entries(&self, dir: u64) -> io::Result<Vec<(Vec<u8>, u64, u32)>> {
        let state = self.state();
        let entries = state.names.entries(dir)?.iter();
        let entry = |(name, inode): (&Vec<u8>, &u64)| {
            let format = state.names.get(*inode)?.content.format();
            Ok((name.clone(), *inode, format))
        };
        entries.map(entry).collect()
    }

    /// What is told of an inode.
    pub fn attributes(&self, inode: u64) -> io::Result<Attributes> {
        let state = self.state();
        let meta = state.names.get(inode)?;
        let data = state.inodes.get(&inode);
        let (len, pages) = match &meta.content {
            Content::Directory { .. } => (BLOCK as u64, 1),
            Content::Link(target) => (target.len() as u64, 0),
            _ => data.map_or((0, 0), |data| (data.len(), data.pages() as u64)),
        };
        Ok(Attributes {
            mode: meta.content.format() | meta.mode,
            links: meta.links,
            accessed: meta.accessed,
            modified: meta.modified,
            changed: meta.changed,
            born: meta.born,
            len,
            pages,
        })
    }

    /// The directory around a directory.
    pub fn parent(&self, dir: u64) -> io::Result<u64> {
        match self.state().names.get(dir)?.content {
            Content::Directory { parent, .. } => Ok(parent),
            _ => Err(os(ENOTDIR)),
        }
    }

    /// What a symbolic link points to, as it is.
    pub fn link_target(&self, inode: u64) -> io::Result<Vec<u8>> {
        match &self.state().names.get(inode)?.content {
            Content::Link(target) => Ok(target.clone()),
            _ => Err(os(EINVAL)),
        }
    }

    /// The path of a directory that has one.
    pub fn path_of(&self, dir: u64) -> Option<Vec<u8>> {
        self.state().names.path_of(dir)
    }

    /// Opens an inode.
    pub fn open_inode(self: &Arc<Self>, inode: u64) -> io::Result<Handle> {
        let mut state = self.live()?;
        state.names.get(inode)?;
        Ok(Handle::new(self, &mut state, inode))
    }

    /// How much is used.
    pub fn usage(&self) -> Usage {
        let state = self.state();
        Usage {
            pages: state.inodes.values().map(|data| data.pages() as u64).sum(),
            inodes: state.inodes.len() as u64,
            full: state.faults.full,
        }
    }

    /// Begins a change of names: a node can die before it.
    fn changing_names(&self) -> io::Result<MutexGuard<'_, State>> {
        drop(self.live()?);
        self.reach(Reached::Write)?;
        let now = self.host.now();
        let mut state = self.live()?;
        state.pass_time(now);
        Ok(state)
    }

    /// Makes an inode and its name; without a name it ends with its last handle, unless it is [linked](Self::link). A
    /// power loss takes either away until the journal is committed. `now_ns` is the node's wall clock here and below.
    pub fn make(
        &self,
        dir: u64,
        name: Option<&[u8]>,
        content: Content,
        mode: u32,
        now_ns: u64,
    ) -> io::Result<u64> {
        let (now, is_file) = (self.host.now(), content == Content::File);
        let mut state = self.changing_names()?;
        if state.faults.full && matches!(content, Content::Directory { .. }) {
            state.counters.refused_full += 1;
            drop(state);
            self.tell(DiskEvent::Full);
            return Err(os(ENOSPC));
        }
        let names = &mut state.names;
        let inode = match name {
            Some(name) => names.make(dir, name, content, mode, now, now_ns)?,
            None => names.make_nameless(content, mode, now, now_ns),
        };
        if is_file {
            state.inodes.insert(inode, Inode::default());
        }
        Ok(inode)
    }

    /// Gives an inode another name.
    pub fn link(&self, inode: u64, dir: u64, name: &[u8], now_ns: u64) -> io::Result<()> {
        let now = self.host.now();
        let mut state = self.changing_names()?;
        state.names.link(inode, dir, name, now, now_ns)
    }

    /// Removes a name, of a directory or of something else.
    pub fn unlink(&self, dir: u64, name: &[u8], directory: bool, now_ns: u64) -> io::Result<()> {
        let now = self.host.now();
        let mut state = self.changing_names()?;
        let removed = state.names.remove(dir, name, directory, now, now_ns)?;
        state.collect([removed]);
        Ok(())
    }

    /// Gives an inode another name in place of one that it has: `(directory, name)`.
    pub fn relocate(
        &self,
        from: (u64, &[u8]),
        to: (u64, &[u8]),
        onto: Onto,
        now_ns: u64,
    ) -> io::Result<()> {
        let now = self.host.now();
        let mut state = self.changing_names()?;
        let replaced = state.names.rename(from, to, onto, now, now_ns)?;
        state.collect(replaced);
        Ok(())
    }

    /// Changes mode or times. No site: nothing of it is durable by itself.
    pub fn touch(&self, inode: u64, touch: Touch) -> io::Result<()> {
        let now = self.host.now();
        let mut state = self.live()?;
        state.pass_time(now);
        let change = |meta: &mut Meta| {
            meta.mode = touch.mode.unwrap_or(meta.mode);
            meta.accessed = touch.accessed.unwrap_or(meta.accessed);
            meta.modified = touch.modified.unwrap_or(meta.modified);
            meta.changed = touch.changed.unwrap_or(meta.changed);
        };
        state.names.set(inode, change, now);
        Ok(())
    }

    /// Writes everything out: `sync(2)`.
    pub fn sync_all(&self) -> io::Result<()> {
        drop(self.live()?);
        self.reach(Reached::Sync)?;
        let mut state = self.live()?;
        state.counters.syncs += 1;
        state.inodes.values_mut().for_each(Inode::sync);
        state.commit_journal();
        Ok(())
    }

    /// Puts a file on the disk that was there before the machine was: durable, no site, whether or not the node is up.
    /// Directories on the way are made; a file of that path is replaced.
    pub fn put(&self, path: &str, bytes: &[u8], mode: u32) -> io::Result<()> {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = self.put_directory(folder, 0o755)?;
        let now = self.host.now();
        let mut state = self.state();
        let name = name.as_bytes();
        let inode = match state.names.lookup(dir, name)? {
            None => state.names.make(dir, name, Content::File, mode, now, 0)?,
            Some(inode) if state.names.get(inode)?.content == Content::File => inode,
            Some(_) => return Err(os(EISDIR)),
        };
        let mut data = Inode::default();
        for (page, bytes) in bytes.chunks(BLOCK).enumerate() {
            data.write_page(page, 0, bytes, false, now)?;
        }
        data.sync();
        state.inodes.insert(inode, data);
        state.commit_journal();
        Ok(())
    }

    /// As [`put`](Self::put), of a directory. Returns its inode.
    pub fn put_directory(&self, path: &str, mode: u32) -> io::Result<u64> {
        let now = self.host.now();
        let mut state = self.state();
        let (mut dir, mut made) = (ROOT, false);
        for name in path.split('/').filter(|name| !name.is_empty()) {
            let name = name.as_bytes();
            dir = match state.names.lookup(dir, name) {
                Ok(Some(inode)) => inode,
                Ok(None) => {
                    made = true;
                    let content = Content::directory();
                    state.names.make(dir, name, content, mode, now, 0)?
                }
                Err(_) => return Err(os(ENOTDIR)),
            };
        }
        state.names.entries(dir)?;
        if made {
            state.commit_journal();
        }
        Ok(dir)
    }

    /// An error if the process that runs now is not of this generation.
    pub fn check_life(&self, generation: u64) -> io::Result<()> {
        let state = self.live()?;
        match state.generation == generation {
            true => Ok(()),
            false => Err(dead()),
        }
    }
}
