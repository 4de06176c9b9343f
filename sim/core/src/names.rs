//! Names that a user typed: which exist, and the nearest existing name where one does not.

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

/// The existing name that is the nearest, if not more than `most` letters differ.
pub fn nearest<'a, T: AsRef<str>>(name: &str, existing: &'a [T], most: usize) -> Option<&'a str> {
    let existing = existing.iter().map(AsRef::as_ref);
    existing
        .map(|candidate| (strsim::levenshtein(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// ` (did you mean '...'?)` if one of the names is near.
pub struct Hint<'a, T>(pub &'a str, pub &'a [T]);

impl<T: AsRef<str>> fmt::Display for Hint<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match nearest(self.0, self.1, self.0.chars().count().div_ceil(3)) {
            Some(candidate) => write!(f, " (did you mean '{candidate}'?)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_near_name_is_suggested() {
        let all = ["order-saga", "challenge-reward"];
        let hint = |name| Hint(name, &all).to_string();
        assert_eq!(hint("ordr-saga"), " (did you mean 'order-saga'?)");
        assert_eq!(hint("payments"), "");
        assert_eq!(hint(""), "");
    }
}
