//! The routes of all services, as their sources declare them.

use std::{
    collections::BTreeSet,
    fmt, fs,
    path::{Path, PathBuf},
};

/// A method and a path, with `{name}` for what is to be filled in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Route {
    pub method: &'static str,
    pub path: String,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

impl Route {
    /// The path with each `{name}` filled in.
    pub fn filled(&self, mut with: impl FnMut(&str) -> String) -> String {
        let segments = self.path.split('/').map(|segment| {
            match segment.strip_prefix('{').and_then(|s| s.strip_suffix('}')) {
                Some(name) => with(name),
                None => segment.to_owned(),
            }
        });
        segments.collect::<Vec<_>>().join("/")
    }
}

/// What a method is called in a declaration.
const METHODS: [(&str, &str); 5] = [
    ("get(", "GET"),
    ("post(", "POST"),
    ("put(", "PUT"),
    ("patch(", "PATCH"),
    ("delete(", "DELETE"),
];

/// Every `.route("path", get(...).put(...))` of the sources, once.
pub fn all() -> Vec<Route> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    rust_files(&sources, &mut files);
    let mut routes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("the sources can be read");
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        for declared in text.split(".route(").skip(1) {
            let Some((path, rest)) = declared
                .trim_start()
                .strip_prefix('"')
                .and_then(|s| s.split_once('"'))
            else {
                continue;
            };
            let handlers = &rest[..end_of_call(rest)];
            let methods = METHODS.iter().filter(|(call, _)| calls(handlers, call));
            routes.extend(methods.map(|(_, method)| Route {
                method,
                path: path.to_owned(),
            }));
        }
    }
    routes.into_iter().collect()
}

fn rust_files(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the sources can be listed") {
        let path = entry.expect("the sources can be listed").path();
        match path.is_dir() {
            true => rust_files(&path, files),
            false if path.extension().is_some_and(|end| end == "rs") => files.push(path),
            false => {}
        }
    }
}

/// Where the parenthesis that was opened before the text is closed.
fn end_of_call(text: &str) -> usize {
    let mut open = 1;
    let end = text.char_indices().find(|(_, c)| {
        open += match c {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        open == 0
    });
    end.map_or(text.len(), |(at, _)| at)
}

/// Whether a name is called, and no longer name that ends with it.
fn calls(text: &str, call: &str) -> bool {
    text.match_indices(call)
        .any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}
