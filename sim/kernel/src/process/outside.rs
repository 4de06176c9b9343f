//! What executables see of the real machine: themselves, the libraries that they load, and what libc reads beside them.
//! Read-only.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use squall_files::{Outside, Seen};

/// Directories that are seen with all that is in them, and single files.
const SEEN: [&str; 19] = [
    "/bin",
    "/sbin",
    "/lib",
    "/lib64",
    "/usr/bin",
    "/usr/sbin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/libexec",
    "/usr/share",
    "/usr/local",
    "/opt",
    "/etc/ld.so.cache",
    "/etc/nsswitch.conf",
    "/etc/ssl",
    "/etc/localtime",
    "/etc/alternatives",
    "/etc/mime.types",
    "/etc/services",
];

/// What is seen of an executable that lies elsewhere, and of what belongs to it: where it is in the `bin` of an installation,
/// that, and the libraries and data beside it; else the executable alone.
pub fn installation(executable: &Path) -> Vec<PathBuf> {
    let folder = executable.parent();
    let is_bin = |folder: &&Path| folder.ends_with("bin") || folder.ends_with("sbin");
    match folder.filter(is_bin).and_then(Path::parent) {
        Some(prefix) => ["bin", "sbin", "lib", "lib64", "libexec", "share"]
            .map(|name| prefix.join(name))
            .into(),
        None => vec![executable.to_owned()],
    }
}

/// The real machine, as far as it is seen.
#[derive(Debug)]
pub(super) struct RealMachine {
    /// What is seen beside the usual.
    pub installed: Vec<PathBuf>,
}

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl RealMachine {
    fn seen(&self) -> impl Iterator<Item = &Path> {
        let installed = self.installed.iter().map(PathBuf::as_path);
        SEEN.iter().map(Path::new).chain(installed)
    }

    fn shows(&self, at: &Path) -> bool {
        self.seen().any(|seen| at.starts_with(seen))
    }

    /// Whether something that is seen lies in this directory.
    fn leads(&self, at: &Path) -> bool {
        self.seen().any(|seen| seen.starts_with(at))
    }
}

impl Outside for RealMachine {
    fn look(&self, at: &[u8]) -> Option<Seen> {
        let at = path(at);
        if !self.shows(at) {
            return (self.leads(at) && at.is_dir()).then_some(Seen::Directory);
        }
        let told = fs::symlink_metadata(at).ok()?;
        if told.is_symlink() {
            let target = fs::read_link(at).ok()?;
            return Some(Seen::Link(target.as_os_str().as_bytes().to_vec()));
        }
        if told.is_dir() {
            return Some(Seen::Directory);
        }
        told.is_file().then(|| Seen::File {
            len: told.len(),
            mode: told.permissions().mode() & 0o7777,
        })
    }

    fn list(&self, at: &[u8]) -> Vec<Vec<u8>> {
        let at = path(at);
        if !self.shows(at) {
            let below = self.seen().filter_map(|seen| seen.strip_prefix(at).ok());
            let first = below.filter_map(|rest| rest.iter().next());
            let names: BTreeSet<_> = first.map(|name| name.as_bytes().to_vec()).collect();
            return names.into_iter().collect();
        }
        let entries = fs::read_dir(at).into_iter().flatten().flatten();
        entries
            .map(|entry| entry.file_name().as_bytes().to_vec())
            .collect()
    }

    fn read(&self, at: &[u8], offset: u64, out: &mut [u8]) -> Option<usize> {
        let at = path(at);
        let file = self.shows(at).then(|| fs::File::open(at).ok()).flatten()?;
        file.read_at(out, offset).ok()
    }
}

/// The real file behind a name that a program is started by: a path, or what `PATH` leads to.
pub fn find(name: &str) -> Option<PathBuf> {
    const PATH: [&str; 6] = [
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
        "/usr/sbin",
        "/sbin",
        "/usr/local/sbin",
    ];
    let found = match name.contains('/') {
        true => Some(PathBuf::from(name)),
        false => PATH
            .iter()
            .map(|dir| Path::new(dir).join(name))
            .find(|at| at.is_file()),
    };
    found.filter(|at| at.is_file())
}
