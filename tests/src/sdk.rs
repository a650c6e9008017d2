//! The TypeScript SDK that programs use to drive `codex exec --json`, which must be able to drive `skein` too.
//! Knows where it is put and how it gets there, nothing of what it does.

use std::path::{Path, PathBuf};

use crate::environment::executable::target_folder;
use crate::error::HarnessError;
use crate::set_up::run;

/// The package on the npm registry, of the version that `skein exec --json` was made for.
const PACKAGE: &str = "@openai/codex-sdk@0.163.0";

/// Its module, whether or not it is there; a Node program imports it from here.
///
/// # Errors
/// `Command`.
pub fn module() -> Result<PathBuf, HarnessError> {
    Ok(folder()?.join("node_modules/@openai/codex-sdk/dist/index.js"))
}

/// Fetches it unless it is there. The executable that it usually comes with is left out.
///
/// # Errors
/// `Command`, `Failed`, `SetUp`.
pub fn install() -> Result<(), HarnessError> {
    if module()?.is_file() {
        return Ok(());
    }
    let folder = folder()?;
    std::fs::create_dir_all(&folder)
        .map_err(|source| HarnessError::SetUp { path: folder.clone(), source })?;
    let quiet = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock", "--silent"];
    let arguments = ["install", "--omit=optional"].into_iter().chain(quiet).chain([PACKAGE]);
    run("npm", arguments, &folder)
}

fn folder() -> Result<PathBuf, HarnessError> {
    Ok(target_folder()?.join(Path::new("sdk")))
}
