//! What is done with a failure that was just found: it is made small, and written down.

use std::path::Path;

use squall_engine::{
    run::{Signature, Spec},
    scenario::Scenario,
};
use squall_explore::{
    campaign::Runner,
    failure::{FailureFile, Kept},
    shrink::{Budget, NotReproduced, Shrunk, Watch, shrink_watched},
};
use squall_report::trace::text;

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
    let file = directory.map(|directory| file_of(signature, &shrunk).write(directory));
    Ok(Kept { shrunk, file })
}

/// The file of a failure that was made small, with the end of its trace as text.
pub(crate) fn file_of(signature: &Signature, shrunk: &Shrunk) -> FailureFile {
    /// So many lines of the trace's end are kept as text.
    const LINES: usize = 20;
    let options = text::Options {
        last: Some(LINES),
        ..text::Options::default()
    };
    let trace = shrunk.outcome.trace.as_ref();
    let text = trace.map(|trace| text::render(trace, &options));
    FailureFile::of(signature, shrunk).ending_with(&text.unwrap_or_default())
}
