//! Names of failure files.

use squall_core::seed;

use super::FailureFile;

/// `order-saga-no-lost-refund-money-kept.json`, with the shape if it is not the usual one, and with the planted bug.
pub(super) fn of(file: &FailureFile) -> String {
    let FailureFile {
        scenario,
        shape,
        plant,
        invariant,
        tag,
        ..
    } = file;
    let mut parts = vec![scenario.as_str()];
    if shape != "hardened" {
        parts.push(shape);
    }
    parts.extend(plant.as_deref());
    parts.extend([invariant.as_str(), tag.as_str()]);
    let whole = parts.join(" ");
    let slug = slug(&whole);
    if is_told(&whole, &slug) {
        format!("{slug}.json")
    } else {
        // Two names may have become one.
        format!("{slug}-{:04x}.json", seed::hash(whole.as_bytes()) as u16)
    }
}

/// Longer names are cut.
const CHARS_MAX: usize = 120;

/// Small letters, digits and single dashes.
fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(CHARS_MAX);
    slug.trim_end_matches('-').to_owned()
}

/// Whether nothing was lost but blanks and commas.
fn is_told(text: &str, slug: &str) -> bool {
    text.len() <= CHARS_MAX
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ,-".contains(c))
        && !slug.is_empty()
}
