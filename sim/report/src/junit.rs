//! What a CI system reads: JUnit XML, a suite for each campaign and a failing case for each distinct failure.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use squall_explore::campaign::{Mismatch, Totals};

use crate::{
    json::Failed,
    words::{system, unequal},
};

/// The whole result. `replay` gives the command for a run of one of the totals, by its place.
pub fn report(
    all: &[Totals],
    failures: &[Failed<'_>],
    elapsed: Duration,
    replay: &dyn Fn(usize, &Mismatch) -> String,
) -> String {
    let mut report = Report::new("squall");
    // They are in the order of the totals that they are of.
    let mut failures = failures.iter();
    report.set_time(elapsed);
    for (place, totals) in all.iter().enumerate() {
        let name = system(&totals.scenario, &totals.shape, totals.plant.as_deref());
        let mut suite = TestSuite::new(name.as_str());
        suite.add_property(("storms", totals.tally.runs.to_string().as_str()));
        for goal in totals.tally.never_reached() {
            suite.add_property(("never reached", goal));
        }
        let failed = failures.by_ref().take(totals.failures.len());
        let mut cases: Vec<TestCase> = failed.map(|failed| failed.case(&name)).collect();
        cases.extend(totals.mismatches.iter().map(|mismatch| {
            let message = unequal(mismatch);
            let replay = replay(place, mismatch);
            failing(&name, "the same seed gives the same run", &message, &replay)
        }));
        if cases.is_empty() {
            let mut survived = TestCase::new("survives its storms", TestCaseStatus::success());
            survived.set_classname(name.as_str());
            cases.push(survived);
        }
        suite.add_test_cases(cases);
        report.add_test_suite(suite);
    }
    report.to_string().expect("XML can be written into memory") + "\n"
}

impl Failed<'_> {
    fn case(&self, suite: &str) -> TestCase {
        let name = format!("{} ({})", self.invariant, self.tag);
        let sentence = self.shrunk.as_ref().map(|small| small.sentence);
        let message = sentence.unwrap_or(&self.message);
        let text = format!(
            "{}\n{} storms, first with seed {}\nreplay: {}\n",
            self.message, self.count, self.seed, self.replay
        );
        failing(suite, &name, message, &text)
    }
}

fn failing(suite: &str, name: &str, message: &str, text: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
    status.set_message(message).set_description(text);
    let mut case = TestCase::new(name, status);
    case.set_classname(suite);
    case
}
