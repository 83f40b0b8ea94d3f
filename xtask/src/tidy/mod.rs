//! `cargo xtask tidy`: what no compiler checks.
//!
//! Direction of dependencies between crates, file sizes, clocks and chance taken past `waybill-rt`, and words that
//! have no place in a repository.

mod layers;
mod text;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::paths;

/// Prints what is wrong; `true` when nothing is.
///
/// # Errors
/// When git or cargo can not be asked.
pub(crate) fn run() -> Result<bool> {
    let mut found = layers::check()?;
    found.extend(text::check(&files()?)?);
    for one in &found {
        println!("  {one}");
    }
    Ok(found.is_empty())
}

/// Files that are, or will be, in the repository, relative to the workspace.
fn files() -> Result<Vec<PathBuf>> {
    let mut git = Command::new("git");
    git.current_dir(paths::workspace()?);
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let output = git.output().context("start git")?;
    if !output.status.success() {
        bail!("git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    }
    let names = String::from_utf8(output.stdout).context("a file name that is not UTF-8")?;
    Ok(names.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
}
