//! Where things are: the workspace, its target folder, and the cache of this user.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn workspace() -> Result<PathBuf> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = own.parent().context("xtask stands inside the workspace")?;
    Ok(root.to_path_buf())
}

/// Cargo's target folder: `CARGO_TARGET_DIR` where it is set, else `target` in the workspace.
pub(crate) fn target() -> Result<PathBuf> {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(dir) => std::path::absolute(PathBuf::from(dir)).context("CARGO_TARGET_DIR"),
        None => Ok(workspace()?.join("target")),
    }
}
