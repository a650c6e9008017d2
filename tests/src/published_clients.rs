//! Programs that others publish: clients that must be able to drive `skein acp` and `skein mcp-server`, servers that
//! sessions must be able to use, the conformance suite of MCP, and the schema of the Agent Client Protocol. Knows where
//! they are put, how they get there, and how they are called.

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::environment::executable::target_folder;
use crate::environment::process::Invocation;
use crate::error::HarnessError;
use crate::peer::Said;
use crate::set_up::run;

/// The packages on the npm registry. They want a newer Node than most systems have, which is a package too.
const NPM_PACKAGES: [&str; 8] = [
    "@agentclientprotocol/sdk@2.4.0",
    "ajv@8.17.1",
    "acpx@0.19.1",
    "@modelcontextprotocol/inspector@2.12.0",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
    "@modelcontextprotocol/server-everything@2026.8.31",
    "@modelcontextprotocol/server-filesystem@2026.8.31",
    "@modelcontextprotocol/server-memory@2026.8.31",
];

/// The version of Node that they run on.
const NODE_VERSION: &str = "24.21.0";

/// The packages on PyPI.
const PYPI_PACKAGES: [&str; 4] = [
    "agent-client-protocol==0.12.1",
    "mcp-server-git==2026.10.19",
    "mcp-server-fetch==2026.10.24",
    "mcp-server-time==2026.10.19",
];

/// What stands in the folder once all are there.
const MARK: &str = "complete";

/// Fetches all of them unless they are there, and builds the client that is on a Rust crate.
///
/// # Errors
/// `Command`, `Failed`, `SetUp`.
pub fn install() -> Result<(), HarnessError> {
    if !are_there()? {
        fetch()?;
    }
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("acp-client/Cargo.toml");
    let words = ["build", "--quiet", "--locked", "--manifest-path"].map(OsString::from);
    let places = [manifest.into_os_string(), "--target-dir".into(), rust_folder()?.into_os_string()];
    run("cargo", words.into_iter().chain(places), &folder()?)
}

/// Whether all are there, of these versions.
///
/// # Errors
/// `Command`.
pub fn are_there() -> Result<bool, HarnessError> {
    Ok(std::fs::read_to_string(folder()?.join(MARK)).is_ok_and(|mark| mark == versions()))
}

/// `acpx`, an editor without a screen, with these arguments.
///
/// # Errors
/// `Command`.
pub fn acpx<A: Into<OsString>>(
    arguments: impl IntoIterator<Item = A>,
    cwd: &Path,
) -> Result<Invocation, HarnessError> {
    by_node("acpx/dist/cli.js", arguments, cwd)
}

/// The command line of the MCP inspector with these arguments.
///
/// # Errors
/// `Command`.
pub fn inspector<A: Into<OsString>>(
    arguments: impl IntoIterator<Item = A>,
    cwd: &Path,
) -> Result<Invocation, HarnessError> {
    by_node("@modelcontextprotocol/inspector/clients/launcher/build/index.js", arguments, cwd)
}

/// The conformance suite of MCP with these arguments.
///
/// # Errors
/// `Command`.
pub fn conformance<A: Into<OsString>>(
    arguments: impl IntoIterator<Item = A>,
    cwd: &Path,
) -> Result<Invocation, HarnessError> {
    by_node("@modelcontextprotocol/conformance/dist/index.js", arguments, cwd)
}

/// The command line that starts one of the npm registry's MCP servers, such as `everything`.
///
/// # Errors
/// `Command`.
pub fn npm_server(name: &str) -> Result<[PathBuf; 2], HarnessError> {
    let script = format!("@modelcontextprotocol/server-{name}/dist/index.js");
    Ok([node()?, folder()?.join("node_modules").join(script)])
}

/// Where Python finds the packages, for `PYTHONPATH`.
///
/// # Errors
/// `Command`.
pub fn python_path() -> Result<PathBuf, HarnessError> {
    python_folder()
}

/// A Python script that may use the packages, with these arguments.
///
/// # Errors
/// `Command`.
pub fn python(script: &Path, arguments: &[String], cwd: &Path) -> Result<Invocation, HarnessError> {
    let arguments =
        std::iter::once(script.as_os_str().to_owned()).chain(arguments.iter().map(OsString::from));
    Ok(Invocation::new("python3", arguments, cwd).variable("PYTHONPATH", python_folder()?))
}

/// Whether the client on the Rust crate of the Agent Client Protocol is built.
///
/// # Errors
/// `Command`.
pub fn rust_client_is_there() -> Result<bool, HarnessError> {
    Ok(rust_program()?.is_file())
}

/// The client on the Rust crate of the Agent Client Protocol with these arguments.
///
/// # Errors
/// `Command`.
pub fn rust_client(arguments: &[String], cwd: &Path) -> Result<Invocation, HarnessError> {
    Ok(Invocation::new(rust_program()?, arguments.iter().map(OsString::from), cwd))
}

/// What of an editor's conversation does not fit the published schema; nothing if all does.
///
/// # Errors
/// `Command`.
pub fn acp_complaints(said: &[Said]) -> Result<Option<String>, HarnessError> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/acp_frames.mjs");
    let failed = |source| HarnessError::Command { command: "acp_frames.mjs".to_owned(), source };
    let mut child = Command::new("node")
        .arg(script)
        .arg(folder()?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        for Said { by_program, message } in said {
            let line = json!({"byAgent": by_program, "message": message});
            writeln!(input, "{line}").map_err(failed)?;
        }
    }
    let output = child.wait_with_output().map_err(failed)?;
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.concat();
    Ok((!output.status.success() || !text.is_empty()).then_some(text))
}

fn fetch() -> Result<(), HarnessError> {
    let folder = folder()?;
    std::fs::create_dir_all(&folder)
        .map_err(|source| HarnessError::SetUp { path: folder.clone(), source })?;
    let quiet = [
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-package-lock",
        "--silent",
        "--omit=optional",
        "--force",
    ];
    let node = format!("{}@{NODE_VERSION}", node_package());
    run("npm", ["install"].iter().chain(&quiet).chain(&NPM_PACKAGES).chain(&[node.as_str()]), &folder)?;
    let quiet =
        ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--root-user-action=ignore"];
    let words = quiet.iter().chain(&["--upgrade", "--target"]).map(OsString::from);
    let packages = PYPI_PACKAGES.iter().map(OsString::from);
    run("python3", words.chain([python_folder()?.into_os_string()]).chain(packages), &folder)?;
    let mark = folder.join(MARK);
    std::fs::write(&mark, versions()).map_err(|source| HarnessError::SetUp { path: mark, source })
}

fn by_node<A: Into<OsString>>(
    script: &str,
    arguments: impl IntoIterator<Item = A>,
    cwd: &Path,
) -> Result<Invocation, HarnessError> {
    let script = folder()?.join("node_modules").join(script).into_os_string();
    Ok(Invocation::new(node()?, [script].into_iter().chain(arguments.into_iter().map(Into::into)), cwd))
}

fn node() -> Result<PathBuf, HarnessError> {
    Ok(folder()?.join("node_modules").join(node_package()).join("bin/node"))
}

fn node_package() -> String {
    let system = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let processor = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    format!("node-{system}-{processor}")
}

fn versions() -> String {
    [&NPM_PACKAGES[..], &[NODE_VERSION], &PYPI_PACKAGES[..]].concat().join("\n")
}

fn rust_program() -> Result<PathBuf, HarnessError> {
    Ok(rust_folder()?.join("debug/acp-client").with_extension(std::env::consts::EXE_EXTENSION))
}

fn rust_folder() -> Result<PathBuf, HarnessError> {
    Ok(folder()?.join("rust"))
}

fn python_folder() -> Result<PathBuf, HarnessError> {
    Ok(folder()?.join("python"))
}

fn folder() -> Result<PathBuf, HarnessError> {
    Ok(target_folder()?.join("published-clients"))
}
