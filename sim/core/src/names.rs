//! Names that somebody typed: those that exist, and the nearest where one does not.

use std::fmt;

/// A name that stands for nothing. The message lists what there is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place} no {what} '{name}'{}; there are: {}", Hint(.name, .existing), listed(.existing))]
pub struct Unknown {
    place: String,
    what: &'static str,
    name: String,
    existing: Vec<String>,
}

impl Unknown {
    /// Fails unless `name` is among `existing`, which are the `what`s of `place`.
    pub fn unless_known(
        place: &str,
        what: &'static str,
        name: &str,
        existing: &[&str],
    ) -> Result<(), Unknown> {
        if existing.contains(&name) {
            return Ok(());
        }
        Err(Unknown {
            place: place.to_owned(),
            what,
            name: name.to_owned(),
            existing: existing.iter().map(|&name| name.to_owned()).collect(),
        })
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// ` (did you mean '...'?)` if one of the names is near.
pub struct Hint<'a, T>(pub &'a str, pub &'a [T]);

impl<T: AsRef<str>> fmt::Display for Hint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Hint(name, existing) = self;
        let near = existing
            .iter()
            .map(|candidate| (distance(name, candidate.as_ref()), candidate.as_ref()))
            .filter(|(distance, _)| *distance <= name.chars().count().div_ceil(3))
            .min_by_key(|(distance, _)| *distance);
        match near {
            Some((_, candidate)) => write!(f, " (did you mean '{candidate}'?)"),
            None => Ok(()),
        }
    }
}

/// Edits (insert, delete, replace a character) from one word to another: Levenshtein's distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_distance_of_two_words_counts_edits() {
        let cases = [
            ("", "", 0),
            ("saga", "", 4),
            ("order", "odrer", 2),
            ("kitten", "sitting", 3),
        ];
        for (a, b, edits) in cases {
            assert_eq!((distance(a, b), distance(b, a)), (edits, edits), "{a} {b}");
        }
    }

    #[test]
    fn only_a_near_name_is_suggested() {
        let all = ["order-saga", "challenge-reward"];
        let hint = |name| Hint(name, &all).to_string();
        assert_eq!(hint("ordr-saga"), " (did you mean 'order-saga'?)");
        assert_eq!(hint("payments"), "");
        assert_eq!(hint(""), "");
    }
}
