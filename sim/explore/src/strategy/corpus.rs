//! What guided exploration keeps on disk: a folder of JSON files, one storm each. Folders are merged by copying files
//! together.

use std::{fs, io, path::Path};

use serde::{Deserialize, Serialize};

use squall_core::{
    atomic_file,
    seed::{Seed, hash},
};
use squall_engine::storm::{Plan, Profile};

/// The version of the format that this build reads and writes.
pub const CORPUS_VERSION: u32 = 1;

/// A storm that covered something new.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// Format version: [`CORPUS_VERSION`].
    pub version: u32,
    /// The scenario over which it came.
    pub scenario: String,
    /// The seed of the world and of its workload.
    pub seed: Seed,
    /// The storm.
    pub plan: Plan,
    /// The features that nothing before it had covered, in hexadecimal. For readers: what a storm adds is found out
    /// anew when it is loaded.
    pub added: Vec<String>,
}

/// Why a corpus can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CorpusError {
    /// A file or the folder could not be read.
    #[error(
        "cannot read {path} of the corpus: {source}; choose a directory that may be read and written"
    )]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file or the folder could not be written.
    #[error(
        "cannot write {path} of the corpus: {source}; choose a directory that may be read and written"
    )]
    Unwritable {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Not a file of a corpus.
    #[error("{path} is not a storm of a corpus: {reason}; remove it, or take another folder")]
    Malformed {
        /// The file.
        path: String,
        /// Where and why.
        reason: String,
    },
}

impl Kept {
    /// Its file's name: the same for the same storm, in any corpus.
    fn file_name(&self) -> String {
        let plan = serde_json::to_vec(&self.plan).expect("a plan has only string keys");
        let name = hash(&plan) ^ squall_core::seed::mix(self.seed.0);
        format!("{}-{name:016x}.json", self.scenario)
    }
}

/// The storms over this scenario that the folder holds, in the order of their files' names; none if there is no such
/// folder. All of them can happen in a world of its profile.
pub fn read(dir: &Path, scenario: &str, profile: &Profile) -> Result<Vec<Kept>, CorpusError> {
    let unreadable = |path: &Path, source| CorpusError::Unreadable {
        path: path.display().to_string(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| unreadable(dir, error))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| unreadable(dir, error))?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "json")
        {
            files.push(path);
        }
    }
    files.sort();
    let mut corpus = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, error))?;
        let malformed = |reason: String| CorpusError::Malformed {
            path: path.display().to_string(),
            reason,
        };
        let kept: Kept =
            serde_json::from_str(&text).map_err(|error| malformed(error.to_string()))?;
        if kept.version != CORPUS_VERSION {
            let found = kept.version;
            return Err(malformed(format!(
                "it is of version {found}, this build reads version {CORPUS_VERSION}"
            )));
        }
        if kept.scenario == scenario {
            let checked = profile.check(&kept.plan);
            checked.map_err(|wrong| malformed(wrong.to_string()))?;
            corpus.push(kept);
        }
    }
    Ok(corpus)
}

/// Adds storms to the folder, which is made if need be.
pub fn write(dir: &Path, corpus: &[Kept]) -> Result<(), CorpusError> {
    let unwritable = |path: &Path, source| CorpusError::Unwritable {
        path: path.display().to_string(),
        source,
    };
    fs::create_dir_all(dir).map_err(|error| unwritable(dir, error))?;
    for kept in corpus {
        let path = dir.join(kept.file_name());
        let text = serde_json::to_string_pretty(kept).expect("a plan has only string keys") + "\n";
        atomic_file::write(&path, &text).map_err(|error| unwritable(&path, error))?;
    }
    Ok(())
}
