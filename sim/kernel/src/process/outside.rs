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
    sync::{PoisonError, RwLock},
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

/// Where executables are installed that lie elsewhere, with their libraries.
static INSTALLED: RwLock<Vec<PathBuf>> = RwLock::new(Vec::new());

/// Executables see this folder of the real machine too, in which some of them are; with its parent, where it is the `bin` of
/// an installation.
pub fn see_installation(folder: &Path) {
    if RealMachine::shows(folder) {
        return;
    }
    let is_bin = ["bin", "sbin"].map(|name| folder.ends_with(name));
    let installed = match folder.parent() {
        Some(parent) if is_bin.contains(&true) => parent,
        _ => folder,
    };
    let mut all = INSTALLED.write().unwrap_or_else(PoisonError::into_inner);
    all.push(installed.to_owned());
}

/// All that is seen.
fn seen() -> Vec<PathBuf> {
    let installed = INSTALLED.read().unwrap_or_else(PoisonError::into_inner);
    let usual = SEEN.iter().map(PathBuf::from);
    usual.chain(installed.iter().cloned()).collect()
}

/// The real machine, as far as it is seen.
pub(super) struct RealMachine;

fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl RealMachine {
    fn shows(at: &Path) -> bool {
        let installed = INSTALLED.read().unwrap_or_else(PoisonError::into_inner);
        SEEN.iter().any(|seen| at.starts_with(seen))
            || installed.iter().any(|seen| at.starts_with(seen))
    }

    /// Whether something that is seen lies in this directory.
    fn leads(at: &Path) -> bool {
        seen().iter().any(|seen| seen.starts_with(at))
    }
}

impl Outside for RealMachine {
    fn look(&self, at: &[u8]) -> Option<Seen> {
        let at = path(at);
        if !Self::shows(at) {
            return (Self::leads(at) && at.is_dir()).then_some(Seen::Directory);
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
        if !Self::shows(at) {
            let seen = seen();
            let below = seen.iter().filter_map(|seen| seen.strip_prefix(at).ok());
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
        let file = Self::shows(at).then(|| fs::File::open(at).ok()).flatten()?;
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
    // A link has a name of its own, by which some programs know what they are to be.
    let found = found.filter(|at| at.is_file())?;
    if let Some(folder) = found.canonicalize().ok()?.parent() {
        see_installation(folder);
    }
    Some(found)
}
