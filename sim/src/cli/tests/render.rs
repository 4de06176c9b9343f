//! Pages and trace files.

use super::*;

/// A path in an empty directory of this test's own.
fn place(test: &str, name: &str) -> PathBuf {
    let directory = std::env::temp_dir().join(format!("squall-{}-{test}", std::process::id()));
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    directory.join(name)
}

#[test]
fn a_replay_is_written_as_a_page_and_as_a_trace_file_and_prints_what_it_did_before() {
    let (page, trace) = (place("page", "run.html"), place("trace", "run.json"));
    let line = "replay bank --seed 10 --plant forgets";
    let plain = squall(line);
    let said = squall(&format!(
        "{line} --html {} --perfetto {}",
        page.display(),
        trace.display()
    ));
    assert_eq!((said.exit, &said.out), (Exit::Failed, &plain.out));
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("no money is lost") && page.contains("for the 20th time"));
    let trace: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    assert!(!trace["traceEvents"].as_array().unwrap().is_empty());
}

#[test]
fn a_campaigns_report_links_to_a_page_for_each_failure() {
    let file = place("report", "report.html");
    let said = squall(&format!(
        "run bank --plant forgets --seeds 31 --html {}",
        file.display()
    ));
    assert_eq!(said.exit, Exit::Failed);
    let report = std::fs::read_to_string(&file).unwrap();
    for number in 1..=3 {
        let name = format!("report-{number}.html");
        assert!(report.contains(&format!("href=\"{name}\"")), "{name}");
        assert!(file.with_file_name(&name).is_file(), "{name}");
    }
}

#[test]
fn a_page_that_cannot_be_written_fails_after_the_result_is_told_and_is_no_bad_usage() {
    let file = place("unwritable", "no/such/directory/run.html");
    for line in [
        "replay bank --seed 1 --html",
        "replay bank --seed 1 --perfetto",
        "replay bank --seed 10 --plant forgets --html",
        "run bank --seeds 2 --html",
        "run bank --seeds 31 --plant forgets --html",
        "sweep bank --html",
    ] {
        let said = squall(&format!("{line} {}", file.display()));
        assert_eq!(said.exit, Exit::Failed, "{line}");
        assert!(said.err.contains("error: cannot write"), "{}", said.err);
        assert!(
            said.err.contains("choose a file in a directory"),
            "{}",
            said.err
        );
        let plain = squall(
            line.strip_suffix(" --html")
                .unwrap_or("replay bank --seed 1"),
        );
        assert_eq!(said.out, plain.out, "{line}");
    }
}
