//! What a hosted CI runner of GitHub is told: each distinct failure as an annotation, and as a row of the step's summary.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use squall_explore::campaign::Failure;

use super::failure::label;

/// The head of the summary's table.
pub const SUMMARY_HEAD: &str =
    "| scenario | broken | smallest storm | replay |\n|---|---|---|---|\n";

/// A distinct failure, as the step is told of it.
pub struct Finding {
    scenario: String,
    verdict: &'static str,
    broken: String,
    sentence: String,
    replay: String,
}

impl Finding {
    /// A failure of a scenario; `sentence` is that of the smallest storm that shows it.
    pub fn new(scenario: &str, failed: &Failure, sentence: Option<&str>, replay: String) -> Self {
        Finding {
            scenario: scenario.to_owned(),
            verdict: label(&failed.verdict),
            broken: failed.signature.to_string(),
            sentence: sentence.map_or_else(|| failed.message(), str::to_owned),
            replay,
        }
    }

    /// The command that annotates the run with it.
    pub fn annotation(&self) -> String {
        let title = format!("{} {}: {}", self.verdict, self.scenario, self.broken);
        let text = format!("{}\nreplay: {}", self.sentence, self.replay);
        format!("::error title={}::{}", property(&title), data(&text))
    }

    /// Its row of the summary.
    pub fn row(&self) -> String {
        let cells = [&self.scenario, &self.broken, &self.sentence].map(|text| cell(text));
        format!("| {} | `{}` |\n", cells.join(" | "), cell(&self.replay))
    }
}

fn data(text: &str) -> String {
    let text = text.replace('%', "%25").replace('\r', "%0D");
    text.replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// As a cell of a table in Markdown.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
