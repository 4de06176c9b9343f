//! Which program ran.

use std::{fmt, fs, sync::OnceLock};

use serde::{Deserialize, Serialize};

use squall_core::event::Rolling;

/// A build of a program with scenarios.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The harness's version.
    pub version: String,
    /// The commit that it was compiled from; none in a debug build and where there was no repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether its tree had changes that no commit holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// A hash of the whole program file, as 16 hexadecimal digits; none if it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

impl Build {
    /// The program that is running.
    pub fn present() -> Self {
        static PRESENT: OnceLock<Build> = OnceLock::new();
        let read = || Build {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: option_env!("SQUALL_BUILD_COMMIT").map(str::to_owned),
            dirty: option_env!("SQUALL_BUILD_DIRTY").is_some(),
            program: program(),
        };
        PRESENT.get_or_init(read).clone()
    }

    /// Whether this is the program that is running, to the byte. False if that can't be told.
    pub fn is_present(&self) -> bool {
        self.program.is_some() && *self == Build::present()
    }
}

fn program() -> Option<String> {
    let bytes = fs::read(std::env::current_exe().ok()?).ok()?;
    let mut hash = Rolling::default();
    hash.bytes(&bytes);
    Some(format!("{:016x}", hash.value()))
}

impl fmt::Display for Build {
    /// `0.1.0, commit 47eee7462a1b with changes, program 00c0ffee00c0ffee`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)?;
        if let Some(commit) = &self.commit {
            let changes = if self.dirty { " with changes" } else { "" };
            let short: String = commit.chars().take(12).collect();
            write!(f, ", commit {short}{changes}")?;
        }
        match &self.program {
            Some(program) => write!(f, ", program {program}"),
            None => Ok(()),
        }
    }
}
