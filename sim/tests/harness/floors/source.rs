//! What a source file names: as much of Rust's grammar as that takes.

use std::collections::{BTreeMap, BTreeSet};

/// A path as it is written, without its generics: `crate`, `net`, `Net`.
pub type Reference = Vec<String>;

/// A module's file.
#[derive(Default)]
pub struct Source {
    /// What it takes in with `use`, and the paths that it names otherwise. Nothing of its tests.
    pub references: Vec<Reference>,
    /// What `use` calls by which name.
    pub names: BTreeMap<String, Reference>,
    /// The modules inside of it that are compiled for tests only.
    pub of_tests: BTreeSet<String>,
}

impl Source {
    /// Reads the file of the module of this path.
    pub fn read(path: &str, text: &str) -> Self {
        let tokens = tokens(text);
        let mut source = Source::default();
        let mut at = 0;
        while at < tokens.len() {
            let is = |ahead: usize, token: &str| tokens.get(at + ahead).is_some_and(|t| t == token);
            if ["#", "[", "cfg", "(", "test", ")", "]"]
                .iter()
                .enumerate()
                .all(|(i, t)| is(i, t))
            {
                at = source.skip_test(&tokens, at + 7);
            } else if is(0, "use") {
                at = source.tree(&tokens, at + 1, &[]);
            } else if is(1, "::") && is_start(&tokens[at]) && !(at > 0 && tokens[at - 1] == "::") {
                let mut reference = vec![tokens[at].clone()];
                while tokens.get(at + 1).is_some_and(|token| token == "::")
                    && tokens.get(at + 2).is_some_and(|token| is_name(token))
                {
                    reference.push(tokens[at + 2].clone());
                    at += 2;
                }
                source.references.push(reference);
                at += 1;
            } else {
                at += 1;
            }
        }
        let inside = |reference: &Reference| !path.is_empty() || reference[0] != "super";
        source.references.retain(inside);
        source
    }

    /// Passes over an item of tests, and gives the place behind it.
    fn skip_test(&mut self, tokens: &[String], mut at: usize) -> usize {
        let mut depth = 0;
        let mut name = None;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "mod" if depth == 0 => name = tokens.get(at),
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            if depth == 0 && (token == "}" || token == ";") {
                break;
            }
        }
        self.of_tests.extend(name.cloned());
        at
    }

    /// A tree of `use` from `at` on; gives the place behind it.
    fn tree(&mut self, tokens: &[String], mut at: usize, before: &[String]) -> usize {
        let mut reference = before.to_vec();
        let mut called = None;
        while let Some(token) = tokens.get(at) {
            at += 1;
            match token.as_str() {
                "::" | "*" => {}
                "as" => {
                    called = tokens.get(at).cloned();
                    at += 1;
                }
                "{" => {
                    while tokens.get(at - 1).is_some_and(|token| token != "}") {
                        at = self.tree(tokens, at, &reference);
                    }
                    reference.clear();
                }
                "," | "}" | ";" => break,
                name => reference.push(name.to_owned()),
            }
        }
        if reference.last().is_some_and(|last| last == "self") && reference.len() > 1 {
            reference.pop();
        }
        if reference.len() > before.len().min(1) {
            let last = reference.last().cloned();
            if let Some(name) = called.or(last) {
                self.names.insert(name, reference.clone());
            }
            self.references.push(reference);
        }
        at
    }
}

fn is_start(token: &str) -> bool {
    matches!(token, "crate" | "super" | "self") || token.starts_with("squall")
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words and signs, without comments and without what is quoted.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("r#\"") {
            rest.find("\"#").map_or(rest.len(), |end| end + 2)
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' {
            // A character, or else a lifetime.
            let mut chars = rest.chars().skip(1);
            match (chars.next(), chars.next()) {
                (Some('\\'), _) => quoted(rest, '\''),
                (Some(c), Some('\'')) => c.len_utf8() + 2,
                _ => 1,
            }
        } else if is_name(rest) {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let length = rest.find(|c| !word(c)).unwrap_or(rest.len());
            tokens.push(rest[..length].to_owned());
            length
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            c.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of what is quoted from the first character on.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == quote && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}
