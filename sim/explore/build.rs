//! Tells the harness from which commit it is built, for the files in which it keeps failures.

use std::{env, path::Path, process::Command};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=SQUALL_COMMIT");
    if let Ok(commit) = env::var("SQUALL_COMMIT") {
        println!("cargo::rustc-env=SQUALL_BUILD_COMMIT={commit}");
        return;
    }
    // Debug builds would be compiled again after each commit just to know its name.
    if env::var("PROFILE").as_deref() != Ok("release") {
        return;
    }
    // Without a repository or without git there is no commit to tell.
    let (Some(commit), Some(status)) = (
        git(&["rev-parse", "HEAD"]),
        git(&["status", "--porcelain", "--untracked-files=no"]),
    ) else {
        return;
    };
    println!("cargo::rustc-env=SQUALL_BUILD_COMMIT={commit}");
    if !status.is_empty() {
        println!("cargo::rustc-env=SQUALL_BUILD_DIRTY=1");
    }
    let path = |name| git(&["rev-parse", "--path-format=absolute", "--git-path", name]);
    let branch = git(&["symbolic-ref", "-q", "HEAD"]);
    for name in ["HEAD", "packed-refs"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = path(name).filter(|path| Path::new(path).exists()) {
            println!("cargo::rerun-if-changed={path}");
        } else if Some(name) == branch.as_deref()
            && let Some(heads) = path("refs/heads")
        {
            // A branch that is packed gets a file of its own with its next commit. To watch what is not there would be
            // to compile the harness again each time.
            println!("cargo::rerun-if-changed={heads}");
        }
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
