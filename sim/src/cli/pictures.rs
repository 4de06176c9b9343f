//! Files beside what is printed: pages and traces for viewers.

use std::{fs, io::Write, path::Path};

use super::{Refusal, Session, args::Pictures};
use crate::picture::{Subject, page, perfetto};

impl Session<'_> {
    /// Writes the pictures of one run that are wanted.
    pub(super) fn pictures(&mut self, wanted: &Pictures, of: &Subject<'_>) -> Result<(), Refusal> {
        // What was found is told even if a picture of it can't be written.
        self.out.flush()?;
        if let Some(file) = &wanted.html {
            write_file(file, &page::html(of))?;
        }
        if let Some(file) = &wanted.perfetto {
            write_file(file, &perfetto::json(of))?;
        }
        Ok(())
    }
}

pub(super) fn write_file(file: &Path, text: &str) -> Result<(), Refusal> {
    fs::write(file, text).map_err(|error| Refusal::File {
        file: file.to_owned(),
        error,
    })
}
