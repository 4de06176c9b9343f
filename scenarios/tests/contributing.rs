//! What CONTRIBUTING.md shows of the code is code: word for word, in the file that it names.

use std::{fs, path::Path};

#[test]
fn the_changes_that_contributors_are_shown_are_compiled() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let guide = read("CONTRIBUTING.md");
    let blocks = guide.split("```rust\n// ").skip(1);
    let shown = blocks.filter_map(|block| block.split("```").next()?.split_once('\n'));
    let mut count = 0;
    for (path, code) in shown {
        assert!(read(path).contains(code), "{path} does not say:\n{code}");
        count += 1;
    }
    assert!(count >= 9, "only {count} changes are shown");
}
