//! What the environment of `cargo test` says.

use std::{
    env,
    path::{Path, PathBuf},
    thread,
};

use squall_core::seed::{Seed, Seeds};
use squall_explore::campaign::quoted;

const ONE: &str = "SQUALL_SEED";
const MANY: &str = "SQUALL_SEEDS";
const REPLAY: &str = "SQUALL_REPLAY";

/// The seeds that the environment asks for, or `0..default`.
pub(crate) fn seeds(default: u64) -> Result<Seeds, String> {
    let read = |name| match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(env::VarError::NotPresent) => Ok(None),
        Err(env::VarError::NotUnicode(_)) => Err(format!("{name} is not text")),
    };
    parse(read(ONE)?.as_deref(), read(MANY)?.as_deref(), default)
}

pub(super) fn parse(one: Option<&str>, many: Option<&str>, default: u64) -> Result<Seeds, String> {
    match (one, many) {
        (None, None) => Ok(Seeds::up_to(default)),
        (Some(one), None) => match one.parse() {
            Ok(seed) => Ok(Seeds::one(seed)),
            Err(wrong) => Err(format!("{ONE}: {wrong}")),
        },
        (None, Some(many)) => many.parse().map_err(|wrong| format!("{MANY}: {wrong}")),
        (Some(_), Some(_)) => Err(format!("{ONE} and {MANY} are both set: unset one of them")),
    }
}

/// The command that runs the present test with this seed alone. The test harness names its threads after their tests;
/// with a single thread it does not, and then the command runs all tests of the package.
pub(crate) fn test_command(seed: Seed) -> String {
    format!("{ONE}={seed} {}", this_test())
}

/// The failure file that the environment wants to be replayed.
pub(crate) fn replay() -> Option<PathBuf> {
    env::var_os(REPLAY).map(PathBuf::from)
}

/// The command with which the present test replays a failure file, and prints its trace.
pub(crate) fn replay_command(path: &Path) -> String {
    let path = quoted(&path.to_string_lossy());
    format!("{REPLAY}={path} {} -- --nocapture", this_test())
}

fn this_test() -> String {
    let package = env::var("CARGO_PKG_NAME")
        .map(|name| format!(" -p {name}"))
        .unwrap_or_default();
    let thread = thread::current();
    let test = match thread.name() {
        None | Some("main") => String::new(),
        Some(name) => format!(" {name}"),
    };
    format!("cargo test{package}{test}")
}

/// Where tests write failures: `failures` in the package that is tested, as an absolute path where cargo names one.
pub(crate) fn failures() -> PathBuf {
    let package = env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    Path::new(&package).join("failures")
}
