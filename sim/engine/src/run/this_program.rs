//! How this program is run once more.

use std::{
    env,
    path::{Path, PathBuf},
};

/// The command that runs this program, up to its own arguments: by cargo, if that started it or its tests, else the
/// program's path.
pub fn this_program() -> String {
    let package = env::var("CARGO_PKG_NAME").ok();
    let folder = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let called = env::args_os().next().map(PathBuf::from).unwrap_or_default();
    match (package, folder) {
        (Some(package), Some(folder)) => by_cargo(&package, &folder, &called),
        _ => {
            let path = called.to_string_lossy();
            let path = shlex::try_quote(&path).unwrap_or((&*path).into());
            path.into_owned()
        }
    }
}

fn by_cargo(package: &str, folder: &Path, called: &Path) -> String {
    let mut command = format!("cargo run --release -p {package}");
    let name = called.file_stem().unwrap_or_default().to_string_lossy();
    // That of a test, in `deps`, is its own.
    if folder
        .join("src/bin")
        .join(&*name)
        .with_extension("rs")
        .exists()
    {
        command += &format!(" --bin {name}");
    }
    command + " --"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_names_the_package_and_one_of_several_programs() {
        let services = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services");
        let command = |called| by_cargo("p", &services, Path::new(called));
        assert_eq!(
            command("target/debug/squall-live"),
            "cargo run --release -p p --bin squall-live --"
        );
        assert_eq!(command("target/debug/p"), "cargo run --release -p p --");
        assert_eq!(
            command("target/debug/deps/p-0123"),
            "cargo run --release -p p --"
        );
        assert_eq!(this_program(), "cargo run --release -p squall-engine --");
    }
}
