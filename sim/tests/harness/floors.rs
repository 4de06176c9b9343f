//! How the harness is built: each crate depends on those below it only, and inside a crate no modules depend on each
//! other in a ring.

mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use source::{Reference, Source};

/// Every crate with its directory, the lowest first.
const FLOORS: [(&str, &str); 8] = [
    ("squall-core", "core"),
    ("squall-engine", "engine"),
    ("squall-files", "files"),
    ("squall-kernel", "kernel"),
    ("squall-servers", "servers"),
    ("squall-explore", "explore"),
    ("squall-report", "report"),
    ("squall", "."),
];

/// The crates above the facade, of which only this is asked: their modules depend on each other in no ring.
const USERS: [(&str, &str); 2] = [
    ("squall-services", "../services"),
    ("squall-scenarios", "../scenarios"),
];

#[test]
fn each_crate_depends_on_lower_floors_only() {
    for (floor, (name, directory)) in FLOORS.iter().enumerate() {
        let manifest = root(directory).join("Cargo.toml");
        let manifest = fs::read_to_string(manifest).expect("each crate has a manifest");
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or("");
        for (other, _) in &FLOORS[floor..] {
            let line = |line: &str| line.split(['.', ' ', '=']).next() == Some(other);
            let is_named = dependencies.lines().any(line);
            assert!(
                !is_named,
                "{name} depends on {other}, which is not below it"
            );
        }
        for (path, source) in sources(&root(directory).join("src")) {
            for (other, _) in &FLOORS[floor + 1..] {
                let is_other = |reference: &&Reference| reference[0] == other.replace('-', "_");
                let upwards = source.references.iter().find(is_other);
                assert_eq!(upwards, None, "{name}::{path} names what is above it");
            }
        }
    }
}

#[test]
fn no_modules_of_a_crate_depend_on_each_other_in_a_ring() {
    // A simulated process is one thing in several files, as its state is.
    let crates = FLOORS.into_iter().chain(USERS);
    for (name, directory) in crates.filter(|(name, _)| *name != "squall-kernel") {
        let rings = rings(&sources(&root(directory).join("src")));
        let told = rings.iter().map(|(folder, ring)| {
            let inside = if folder.is_empty() { "" } else { "::" };
            format!("{name}{inside}{folder}: {}", ring.join(" → "))
        });
        let told: Vec<String> = told.collect();
        assert!(told.is_empty(), "rings of modules: {}", told.join("; "));
    }
}

#[test]
fn a_ring_is_found_through_trees_of_uses_paths_and_what_a_parent_takes_in() {
    let modules = |files: &[(&str, &str)]| {
        let read = |(path, text): &(&str, &str)| ((*path).to_owned(), Source::read(path, text));
        files.iter().map(read).collect::<BTreeMap<_, _>>()
    };
    let ring = |files: &[(&str, &str)]| rings(&modules(files)).into_iter().next();
    let at = |folder: &str, ring: &[&str]| {
        let ring = ring.iter().map(|name| (*name).to_owned()).collect();
        Some((folder.to_owned(), ring))
    };
    let one_way = [("", "mod a; mod b;"), ("a", "use crate::b;"), ("b", "")];
    assert_eq!(ring(&one_way), None);
    let trees = [
        ("", "mod a; mod b; mod c; mod d;"),
        (
            "a",
            "use std::{fmt, io}; use crate::{d, b::{self, X as Y}};",
        ),
        ("b", "fn f() { crate::c::g::<u8>() }"),
        ("c", "use super::a::Z;"),
        ("d", "// use crate::a;\nconst A: &str = \"crate::a\";"),
    ];
    assert_eq!(ring(&trees), at("", &["a", "b", "c", "a"]));
    let through_the_root = [
        ("", "mod a; mod b; pub use b::{X, Y};"),
        ("a", "use crate::Y;"),
        ("b", "use crate::a;"),
    ];
    assert_eq!(ring(&through_the_root), at("", &["a", "b", "a"]));
    let below = [
        ("", "mod p;"),
        (
            "p",
            "mod a; mod b; use a::A; pub(crate) use self::b::B; fn own() {}",
        ),
        ("p::a", "use super::{B, own};"),
        ("p::b", "use super::*; impl super::A {}"),
    ];
    assert_eq!(ring(&below), at("p", &["a", "b", "a"]));
    let only_in_tests = [
        ("", "mod a; mod b;"),
        (
            "a",
            "use crate::b; #[cfg(test)] mod tests { use crate::b; }",
        ),
        (
            "b",
            "#[cfg(test)]\nmod tests { fn f() { {} } use crate::a; } #[cfg(test)] mod checks;",
        ),
        ("b::checks", "use crate::a;"),
    ];
    assert_eq!(ring(&only_in_tests), None);
}

fn root(directory: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(directory)
}

/// All modules of a crate by their paths; that of the crate itself is empty.
fn sources(directory: &Path) -> BTreeMap<String, Source> {
    let mut sources = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the sources are there") {
            let file = entry.expect("the sources can be listed").path();
            if file.is_dir() {
                folders.push(file);
            } else if file.extension().is_some_and(|extension| extension == "rs") {
                let path = file.strip_prefix(directory).expect("it lies below");
                let path = path.with_extension("").to_string_lossy().replace('/', "::");
                let path = if path == "lib" { String::new() } else { path };
                let text = fs::read_to_string(&file).expect("a source is text");
                sources.insert(path.clone(), Source::read(&path, &text));
            }
        }
    }
    sources
}

/// One ring for each folder whose modules depend on each other in one: `a → b → a`.
fn rings(modules: &BTreeMap<String, Source>) -> BTreeMap<String, Vec<String>> {
    type Edges = BTreeMap<String, BTreeSet<String>>;
    let mut folders: BTreeMap<String, Edges> = BTreeMap::new();
    for (path, source) in modules {
        if is_of_tests(modules, path) {
            continue;
        }
        let from: Vec<&str> = path.split("::").collect();
        for reference in &source.references {
            let Some(to) = resolve(modules, path, path, reference) else {
                continue;
            };
            let to: Vec<&str> = to.split("::").collect();
            let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
            // A module and those inside of it are one to the outside.
            if let (Some(mine), Some(other)) = (from.get(common), to.get(common))
                && !mine.is_empty()
                && !other.is_empty()
            {
                let edges = folders.entry(from[..common].join("::")).or_default();
                let others = edges.entry((*mine).to_owned()).or_default();
                others.insert((*other).to_owned());
            }
        }
    }
    let ring = |(folder, edges): (String, Edges)| {
        let mut starts = edges.keys();
        let ring = starts.find_map(|start| way_back(&edges, vec![start]))?;
        Some((folder, ring.into_iter().map(str::to_owned).collect()))
    };
    folders.into_iter().filter_map(ring).collect()
}

/// The shortest way from a module back to itself.
fn way_back<'a>(
    edges: &'a BTreeMap<String, BTreeSet<String>>,
    start: Vec<&'a String>,
) -> Option<Vec<&'a str>> {
    let mut ways = std::collections::VecDeque::from([start]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in edges.get(way[way.len() - 1]).into_iter().flatten() {
            let mut longer = way.clone();
            longer.push(next);
            if next == way[0] {
                return Some(longer.into_iter().map(String::as_str).collect());
            }
            if seen.insert(next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// Whether a module is there for tests only.
fn is_of_tests(modules: &BTreeMap<String, Source>, path: &str) -> bool {
    let mut path = path;
    while let Some((parent, name)) = path.rsplit_once("::").or(Some(("", path))) {
        let source = modules.get(parent);
        if source.is_some_and(|source| source.of_tests.contains(name)) {
            return true;
        }
        if parent.is_empty() {
            return false;
        }
        path = parent;
    }
    false
}

/// The module in which something lies that the module `from` names by a path that begins at `base`; `None` if that is
/// in another crate. What a module around `from` takes in with `use` is where it was taken from.
fn resolve(
    modules: &BTreeMap<String, Source>,
    from: &str,
    base: &str,
    reference: &[String],
) -> Option<String> {
    let inside = |of: &str, name: &str| match of {
        "" => name.to_owned(),
        of => format!("{of}::{name}"),
    };
    let is_around =
        |module: &str| module.is_empty() || inside(from, "").starts_with(&inside(module, ""));
    let mut at = base.to_owned();
    for (place, name) in reference.iter().enumerate() {
        match name.as_str() {
            "crate" => at = String::new(),
            "self" => {}
            "super" => {
                at = at
                    .rsplit_once("::")
                    .map_or("", |(parent, _)| parent)
                    .to_owned()
            }
            name if modules.contains_key(&inside(&at, name)) => at = inside(&at, name),
            name => {
                let names = modules.get(&at).map(|source| &source.names);
                let taken = names.and_then(|names| names.get(name));
                // A name that was taken in from where it is looked up now is this very line of `use`.
                return match taken.filter(|taken| *taken != reference && is_around(&at)) {
                    Some(taken) => resolve(modules, from, &at, taken),
                    None => (place > 0).then_some(at),
                };
            }
        }
    }
    Some(at)
}
