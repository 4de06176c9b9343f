//! The names on a disk, a tree of directories, as processes see it and as the journal holds it.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    time::Duration,
};

use libc::{EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY, EPERM, S_IFDIR, S_IFLNK, S_IFREG};
use squall_core::time::VirtualTime;

/// A journal transaction is committed at the latest this long after it began (Linux's `commit=5`).
pub const JOURNAL_COMMIT: Duration = Duration::from_secs(5);

/// The inode of the root directory.
pub const ROOT: u64 = 0;

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A regular file. Its bytes are kept elsewhere: they have a durability of their own.
    File,
    /// A directory: the inode around it, and what is in it.
    Directory {
        /// The directory that holds it; the root is its own.
        parent: u64,
        /// Inodes by name.
        entries: BTreeMap<Vec<u8>, u64>,
    },
    /// A symbolic link and what it points to.
    Link(Vec<u8>),
    /// A socket, a pipe: a name that something in memory is found by. The value is its `S_IFMT` bits.
    Special(u32),
}

impl Content {
    /// An empty directory; its parent is set when it gets its name.
    pub fn directory() -> Content {
        Content::Directory {
            parent: ROOT,
            entries: BTreeMap::new(),
        }
    }

    /// The `S_IFMT` bits of its mode.
    pub fn format(&self) -> u32 {
        match self {
            Content::File => S_IFREG,
            Content::Directory { .. } => S_IFDIR,
            Content::Link(_) => S_IFLNK,
            Content::Special(format) => *format,
        }
    }
}

/// An inode without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub content: Content,
    /// Permission bits.
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
}

impl Meta {
    fn new(content: Content, mode: u32, now_ns: u64) -> Meta {
        Meta {
            links: match content {
                Content::Directory { .. } => 2,
                _ => 0,
            },
            content,
            mode,
            accessed: now_ns,
            modified: now_ns,
            changed: now_ns,
            born: now_ns,
        }
    }

    fn is_directory(&self) -> bool {
        matches!(self.content, Content::Directory { .. })
    }
}

/// What a rename does with a name that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Takes its place.
    Replace,
    /// Fails with `EEXIST` (`RENAME_NOREPLACE`).
    Nothing,
    /// The two change places (`RENAME_EXCHANGE`).
    Exchange,
}

/// Something that the running journal transaction changes of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// Only what `fdatasync` need not write: times, mode, the count of its names.
    Metadata,
    /// It is new, or a directory with other entries.
    Content,
}

#[derive(Clone, Debug)]
pub struct Names {
    metas: BTreeMap<u64, Meta>,
    durable: BTreeMap<u64, Meta>,
    /// Where the two may differ.
    dirty: BTreeMap<u64, Change>,
    /// When the running journal transaction began; none if nothing is to be committed.
    since: Option<VirtualTime>,
    /// Files renamed over others: their data goes out before the transaction does (ext4's `auto_da_alloc`).
    flush: BTreeSet<u64>,
    inodes_ever: u64,
}

impl Default for Names {
    fn default() -> Self {
        let root = Meta::new(Content::directory(), 0o755, 0);
        let metas = BTreeMap::from([(ROOT, root)]);
        Names {
            durable: metas.clone(),
            metas,
            dirty: BTreeMap::new(),
            since: None,
            flush: BTreeSet::new(),
            inodes_ever: ROOT,
        }
    }
}

/// An error of the operating system.
pub fn os(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

fn entries_in(metas: &BTreeMap<u64, Meta>, dir: u64) -> io::Result<&BTreeMap<Vec<u8>, u64>> {
    match metas.get(&dir).map(|meta| &meta.content) {
        Some(Content::Directory { entries, .. }) => Ok(entries),
        Some(_) => Err(os(ENOTDIR)),
        None => Err(os(ENOENT)),
    }
}

/// Follows a path from the root, links not.
fn walk(metas: &BTreeMap<u64, Meta>, path: &str) -> Option<u64> {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.into_iter().try_fold(ROOT, |dir, name| {
        entries_in(metas, dir).ok()?.get(name.as_bytes()).copied()
    })
}

impl Names {
    pub fn get(&self, inode: u64) -> io::Result<&Meta> {
        self.metas.get(&inode).ok_or_else(|| os(ENOENT))
    }

    pub fn entries(&self, dir: u64) -> io::Result<&BTreeMap<Vec<u8>, u64>> {
        entries_in(&self.metas, dir)
    }

    pub fn lookup(&self, dir: u64, name: &[u8]) -> io::Result<Option<u64>> {
        Ok(self.entries(dir)?.get(name).copied())
    }

    /// The regular file of this path.
    pub fn find(&self, path: &str) -> Option<u64> {
        walk(&self.metas, path).filter(|inode| self.metas[inode].content == Content::File)
    }

    pub fn find_durable(&self, path: &str) -> Option<u64> {
        walk(&self.durable, path).filter(|inode| self.durable[inode].content == Content::File)
    }

    /// The directory in which a path lies, and its last name.
    pub fn split<'a>(&self, path: &'a str) -> io::Result<(u64, &'a [u8])> {
        let path = path.trim_matches('/');
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let dir = walk(&self.metas, folder).ok_or_else(|| os(ENOENT))?;
        Ok((dir, name.as_bytes()))
    }

    /// The path of a directory that has one.
    pub fn path_of(&self, mut dir: u64) -> Option<Vec<u8>> {
        let mut names = Vec::new();
        while dir != ROOT {
            let Content::Directory { parent, .. } = self.metas.get(&dir)?.content else {
                return None;
            };
            let mut siblings = self.entries(parent).ok()?.iter();
            names.push(siblings.find(|(_, inode)| **inode == dir)?.0.as_slice());
            dir = parent;
        }
        names.push(b"");
        names.reverse();
        let path = names.join(&b'/');
        Some(if path.is_empty() { b"/".to_vec() } else { path })
    }

    /// Every regular file by its first path, in the order of the paths of a walk.
    pub fn files(&self) -> Vec<(String, u64)> {
        let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
        self.files_in(ROOT, "", &mut found, &mut seen);
        found
    }

    fn files_in(
        &self,
        dir: u64,
        prefix: &str,
        found: &mut Vec<(String, u64)>,
        seen: &mut BTreeSet<u64>,
    ) {
        for (name, inode) in self.entries(dir).into_iter().flatten() {
            let path = format!("{prefix}{}", String::from_utf8_lossy(name));
            match self.metas[inode].content {
                Content::File if seen.insert(*inode) => found.push((path, *inode)),
                Content::Directory { .. } => {
                    self.files_in(*inode, &format!("{path}/"), found, seen);
                }
                _ => {}
            }
        }
    }

    /// Whether an inode has a name, seen or durable.
    pub fn knows(&self, inode: u64) -> bool {
        self.metas.get(&inode).is_some_and(|meta| meta.links > 0)
            || self.durable.contains_key(&inode)
    }

    /// Forgets an inode that has no name and is not used any more.
    pub fn forget(&mut self, inode: u64) {
        self.metas.remove(&inode);
    }

    /// Forgets all inodes without a name.
    pub fn forget_nameless(&mut self) {
        self.metas.retain(|_, meta| meta.links > 0);
    }

    /// Notes that an inode is to be committed.
    fn dirty(&mut self, inode: u64, change: Change, now: VirtualTime) {
        let known = self.dirty.entry(inode).or_insert(change);
        *known = change.max(*known);
        self.since.get_or_insert(now);
    }

    fn meta_mut(&mut self, inode: u64) -> &mut Meta {
        self.metas
            .get_mut(&inode)
            .expect("who changes an inode has found it")
    }

    fn entries_mut(&mut self, dir: u64) -> &mut BTreeMap<Vec<u8>, u64> {
        match &mut self.meta_mut(dir).content {
            Content::Directory { entries, .. } => entries,
            _ => unreachable!("who changes a directory has looked into it"),
        }
    }

    /// A name comes to, or goes from, or is changed in a directory.
    fn directory_changed(&mut self, dir: u64, now: VirtualTime, now_ns: u64) {
        let meta = self.meta_mut(dir);
        (meta.modified, meta.changed) = (now_ns, now_ns);
        self.dirty(dir, Change::Content, now);
    }

    fn links_changed(&mut self, inode: u64, by: i32, now: VirtualTime, now_ns: u64) {
        let meta = self.meta_mut(inode);
        meta.links = meta.links.saturating_add_signed(by);
        meta.changed = now_ns;
        self.dirty(inode, Change::Metadata, now);
    }

    /// A new inode without a name.
    pub fn make_nameless(
        &mut self,
        content: Content,
        mode: u32,
        now: VirtualTime,
        now_ns: u64,
    ) -> u64 {
        self.inodes_ever += 1;
        let inode = self.inodes_ever;
        self.metas.insert(inode, Meta::new(content, mode, now_ns));
        self.dirty(inode, Change::Content, now);
        inode
    }

    /// A new inode and its name. Of a directory the parent is set here.
    pub fn make(
        &mut self,
        dir: u64,
        name: &[u8],
        mut content: Content,
        mode: u32,
        now: VirtualTime,
        now_ns: u64,
    ) -> io::Result<u64> {
        self.vacant(dir, name)?;
        if let Content::Directory { parent, .. } = &mut content {
            *parent = dir;
        }
        let inode = self.make_nameless(content, mode, now, now_ns);
        self.attach(dir, name, inode, now, now_ns);
        Ok(inode)
    }

    /// Gives an inode another name.
    pub fn link(
        &mut self,
        inode: u64,
        dir: u64,
        name: &[u8],
        now: VirtualTime,
        now_ns: u64,
    ) -> io::Result<()> {
        if self.get(inode)?.is_directory() {
            return Err(os(EPERM));
        }
        self.vacant(dir, name)?;
        self.attach(dir, name, inode, now, now_ns);
        Ok(())
    }

    fn vacant(&self, dir: u64, name: &[u8]) -> io::Result<()> {
        if self.lookup(dir, name)?.is_some() {
            return Err(os(EEXIST));
        }
        // A removed directory that somebody still has open takes nothing in.
        if self.metas[&dir].links == 0 {
            return Err(os(ENOENT));
        }
        Ok(())
    }

    fn attach(&mut self, dir: u64, name: &[u8], inode: u64, now: VirtualTime, now_ns: u64) {
        self.entries_mut(dir).insert(name.to_owned(), inode);
        if let Content::Directory { parent, .. } = &mut self.meta_mut(inode).content {
            *parent = dir;
            self.meta_mut(dir).links += 1;
            self.dirty(inode, Change::Content, now);
        } else {
            self.links_changed(inode, 1, now, now_ns);
        }
        self.directory_changed(dir, now, now_ns);
    }

    fn detach(&mut self, dir: u64, name: &[u8], inode: u64, now: VirtualTime, now_ns: u64) {
        self.entries_mut(dir).remove(name);
        if self.metas[&inode].is_directory() {
            self.meta_mut(dir).links -= 1;
            self.dirty(inode, Change::Content, now);
        } else {
            self.links_changed(inode, -1, now, now_ns);
        }
        self.directory_changed(dir, now, now_ns);
    }

    /// A name that has been detached is not to come back: a directory goes with its only name.
    fn end(&mut self, inode: u64) {
        let meta = self.meta_mut(inode);
        if meta.is_directory() {
            meta.links = 0;
        }
    }

    /// Removes a name. `directory` says which of the two is asked for.
    pub fn remove(
        &mut self,
        dir: u64,
        name: &[u8],
        directory: bool,
        now: VirtualTime,
        now_ns: u64,
    ) -> io::Result<u64> {
        let inode = self.lookup(dir, name)?.ok_or_else(|| os(ENOENT))?;
        match (&self.metas[&inode].content, directory) {
            (Content::Directory { .. }, false) => return Err(os(EISDIR)),
            (Content::Directory { entries, .. }, true) if !entries.is_empty() => {
                return Err(os(ENOTEMPTY));
            }
            (Content::Directory { .. }, true) => {}
            (_, true) => return Err(os(ENOTDIR)),
            (_, false) => {}
        }
        self.detach(dir, name, inode, now, now_ns);
        self.end(inode);
        Ok(inode)
    }

    /// Whether `dir` is `inside` or lies in it.
    fn is_in(&self, mut dir: u64, inside: u64) -> bool {
        while dir != inside && dir != ROOT {
            match self.metas[&dir].content {
                Content::Directory { parent, .. } => dir = parent,
                _ => return false,
            }
        }
        dir == inside
    }

    /// Gives an inode another name, and another directory if so. Returns the one that lost its name to it.
    pub fn rename(
        &mut self,
        (dir, name): (u64, &[u8]),
        (to_dir, to_name): (u64, &[u8]),
        onto: Onto,
        now: VirtualTime,
        now_ns: u64,
    ) -> io::Result<Option<u64>> {
        let inode = self.lookup(dir, name)?.ok_or_else(|| os(ENOENT))?;
        let other = self.lookup(to_dir, to_name)?;
        let is_directory = self.metas[&inode].is_directory();
        match (other, onto) {
            (Some(_), Onto::Nothing) => return Err(os(EEXIST)),
            (None, Onto::Exchange) => return Err(os(ENOENT)),
            _ => {}
        }
        if is_directory && self.is_in(to_dir, inode) {
            return Err(os(EINVAL));
        }
        if other == Some(inode) {
            return Ok(None);
        }
        let Some(other) = other else {
            self.vacant(to_dir, to_name)?;
            self.detach(dir, name, inode, now, now_ns);
            self.attach(to_dir, to_name, inode, now, now_ns);
            self.meta_mut(inode).changed = now_ns;
            return Ok(None);
        };
        let holds_it = self.is_in(dir, other);
        if onto == Onto::Exchange {
            if holds_it {
                return Err(os(EINVAL));
            }
            self.detach(dir, name, inode, now, now_ns);
            self.detach(to_dir, to_name, other, now, now_ns);
            self.attach(to_dir, to_name, inode, now, now_ns);
            self.attach(dir, name, other, now, now_ns);
            return Ok(None);
        }
        match (is_directory, &self.metas[&other].content) {
            (false, Content::Directory { .. }) if holds_it => return Err(os(ENOTEMPTY)),
            (false, Content::Directory { .. }) => return Err(os(EISDIR)),
            (true, Content::Directory { entries, .. }) if !entries.is_empty() => {
                return Err(os(ENOTEMPTY));
            }
            (true, Content::Directory { .. }) | (false, _) => {}
            (true, _) => return Err(os(ENOTDIR)),
        }
        self.detach(to_dir, to_name, other, now, now_ns);
        self.end(other);
        self.detach(dir, name, inode, now, now_ns);
        self.attach(to_dir, to_name, inode, now, now_ns);
        self.meta_mut(inode).changed = now_ns;
        self.flush.insert(inode);
        Ok(Some(other))
    }

    /// Changes what is told of an inode.
    pub fn set(&mut self, inode: u64, change: impl FnOnce(&mut Meta), now: VirtualTime) {
        if let Some(meta) = self.metas.get_mut(&inode) {
            change(meta);
            self.dirty(inode, Change::Metadata, now);
        }
    }

    /// Whether `fdatasync` of this inode has to wait for the journal.
    pub fn needs_commit(&self, inode: u64) -> bool {
        self.dirty.get(&inode) == Some(&Change::Content)
    }

    /// Whether the running transaction is so old that the journal has committed it by itself.
    pub fn is_due(&self, now: VirtualTime) -> bool {
        self.since
            .is_some_and(|since| now.since(since) >= JOURNAL_COMMIT)
    }

    /// Commits the running transaction. Returns the files whose data went out with it, and the inodes that it changed.
    pub fn commit(&mut self) -> (BTreeSet<u64>, Vec<u64>) {
        self.since = None;
        let changed: Vec<u64> = std::mem::take(&mut self.dirty).into_keys().collect();
        for inode in &changed {
            match self.metas.get(inode).filter(|meta| meta.links > 0) {
                Some(meta) => self.durable.insert(*inode, meta.clone()),
                None => self.durable.remove(inode),
            };
        }
        (std::mem::take(&mut self.flush), changed)
    }

    /// Forgets the running transaction.
    pub fn power_loss(&mut self) {
        self.metas.clone_from(&self.durable);
        self.dirty.clear();
        self.since = None;
        self.flush.clear();
    }
}
