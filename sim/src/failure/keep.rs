//! What is done with a failure that was just found: it is made small, and written down.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::FailureFile;
use crate::{
    campaign::Runner,
    run::{Signature, Spec},
    scenario::Scenario,
    shrink::{Budget, NotReproduced, Shrunk, Watch, shrink_watched},
};

/// A failure that was made small.
pub(crate) struct Kept {
    pub shrunk: Shrunk,
    /// Where it was written, or why it could not be; none if that was not wanted.
    pub file: Option<io::Result<PathBuf>>,
}

impl Kept {
    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref()?.as_deref().ok()
    }
}

/// Makes a failure small and writes it into a directory.
pub(crate) fn keep(
    runner: Runner<'_>,
    scenario: &dyn Scenario,
    spec: &Spec,
    signature: &Signature,
    budget: Budget,
    directory: Option<&Path>,
    watch: Watch<'_>,
) -> Result<Kept, NotReproduced> {
    let shrunk = shrink_watched(runner, scenario, spec, signature, budget, watch)?;
    let file = directory.map(|directory| FailureFile::of(signature, &shrunk).write(directory));
    Ok(Kept { shrunk, file })
}
