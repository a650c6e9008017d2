//! Requests, held against the types that OpenAI, Anthropic and Google publish for Python. Knows where the packages are
//! put and how they get there; what is checked stands in `published_types.py`.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::environment::executable::target_folder;
use crate::error::HarnessError;
use crate::set_up::run;

/// The packages on PyPI, of the versions whose types are known to be right where they are strict.
const PACKAGES: [&str; 3] = ["openai==3.57.0", "anthropic==2.14.0", "google-genai==3.6.1"];

/// What stands in the folder once all are there.
const MARK: &str = "complete";

/// Fetches the packages unless they are there.
///
/// # Errors
/// `Command`, `Failed`, `SetUp`.
pub fn install() -> Result<(), HarnessError> {
    if are_there()? {
        return Ok(());
    }
    let folder = folder()?;
    let parent = folder.parent().unwrap_or(Path::new("."));
    let quiet =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    let target = ["--upgrade", "--target"];
    let words = quiet.iter().chain(&target).map(|word| (*word).into());
    let arguments: Vec<std::ffi::OsString> =
        words.chain([folder.clone().into_os_string()]).chain(PACKAGES.map(Into::into)).collect();
    run("python3", arguments, parent)?;
    let mark = folder.join(MARK);
    std::fs::write(&mark, PACKAGES.join("\n")).map_err(|source| HarnessError::SetUp { path: mark, source })
}

/// Whether all packages are there, of these versions.
///
/// # Errors
/// `Command`.
pub fn are_there() -> Result<bool, HarnessError> {
    Ok(std::fs::read_to_string(folder()?.join(MARK)).is_ok_and(|mark| mark == PACKAGES.join("\n")))
}

/// What is wrong with requests of an API (`responses`, `compact`, `chat`, `messages` or `gemini`); nothing if all fit.
///
/// # Errors
/// `Command`, `SetUp`.
pub fn complaints(api: &str, bodies: &[Value]) -> Result<Option<String>, HarnessError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/published_types.py");
    let name = || format!("published_types.py {api}");
    let failed = |source| HarnessError::Command { command: name(), source };
    let mut command = Command::new("python3");
    command.arg(script).arg(folder()?).arg(api);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        for body in bodies {
            writeln!(input, "{body}").map_err(failed)?;
        }
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = || [&output.stdout[..], &output.stderr[..]].concat();
    Ok((!output.status.success()).then(|| String::from_utf8_lossy(&said()).into_owned()))
}

fn folder() -> Result<PathBuf, HarnessError> {
    Ok(target_folder()?.join("published-types"))
}
