//! Where the servers' executables are.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// A server that is not installed, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absent {
    what: &'static str,
    variable: &'static str,
    package: &'static str,
}

impl fmt::Display for Absent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Absent {
            what,
            variable,
            package,
        } = self;
        write!(
            f,
            "{what} is not installed: install it (Debian's package {package}), or say in {variable} in which folder its \
             executables are"
        )
    }
}

impl std::error::Error for Absent {}

/// Whether a PostgreSQL server can be run.
///
/// # Errors
/// It is not installed.
pub fn postgres_is_installed() -> Result<(), Absent> {
    postgres().map(|_| ())
}

/// Whether a Redis server can be run.
///
/// # Errors
/// It is not installed.
pub fn redis_is_installed() -> Result<(), Absent> {
    redis().map(|_| ())
}

/// The folder of PostgreSQL's executables: what `SQUALL_POSTGRES_BIN` says, or the newest version that is installed.
pub fn postgres() -> Result<PathBuf, Absent> {
    const VARIABLE: &str = "SQUALL_POSTGRES_BIN";
    let has = |folder: &PathBuf| folder.join("initdb").is_file() && folder.join("psql").is_file();
    let found = match std::env::var_os(VARIABLE) {
        Some(folder) => Some(folder.into()).filter(has),
        None => {
            let versions = fs::read_dir("/usr/lib/postgresql")
                .into_iter()
                .flatten()
                .flatten();
            let mut folders: Vec<_> = versions.map(|version| version.path().join("bin")).collect();
            folders.sort_by_key(|folder| {
                let version = folder.parent().and_then(Path::file_name);
                version.and_then(|version| version.to_str()?.parse::<u32>().ok())
            });
            folders.extend([
                "/usr/local/pgsql/bin".into(),
                "/usr/local/bin".into(),
                "/usr/bin".into(),
            ]);
            folders.into_iter().rev().find(has)
        }
    };
    found.ok_or(Absent {
        what: "PostgreSQL",
        variable: VARIABLE,
        package: "postgresql",
    })
}

/// The executable of Redis.
pub fn redis() -> Result<PathBuf, Absent> {
    const VARIABLE: &str = "SQUALL_REDIS_BIN";
    let found = match std::env::var_os(VARIABLE) {
        Some(folder) => {
            let executable = Path::new(&folder).join("redis-server");
            squall_kernel::find_executable(&executable.to_string_lossy())
        }
        None => squall_kernel::find_executable("redis-server"),
    };
    found.filter(|at| at.is_file()).ok_or(Absent {
        what: "Redis",
        variable: VARIABLE,
        package: "redis-server",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_missing_says_what_to_install() {
        let absent = Absent {
            what: "Redis",
            variable: "SQUALL_REDIS_BIN",
            package: "redis-server",
        };
        assert!(absent.to_string().contains("Debian's package redis-server"));
        assert!(absent.to_string().contains("SQUALL_REDIS_BIN"));
    }
}
