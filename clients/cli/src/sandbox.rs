//! `skein sandbox`: a command as the agent would run it, by hand. What it may touch, in words, is `explanation`.

mod explanation;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use protocol::item::CommandExit;
use protocol::profile::{
    Access, NetworkAccess, NetworkDecision, NetworkRule, PathRule, SandboxMode, SandboxRung,
};
use serde_json::{Value, json};
use view::escape;

use crate::error::{CliError, EXIT_FAILED};
use crate::exec::args::SandboxChoice;
use crate::exec::prepare::warn;
use crate::local::{Backend, Connection, Local, SandboxEnd, SandboxRun};
use crate::output::Output;
use crate::sandbox::explanation::Explanation;
use crate::select::absolute_folder;

const HELP_AFTER: &str = "\
Examples:
  skein sandbox -- touch here.txt
  skein sandbox --policy read-only -- sh -c 'echo > here.txt'     fails: nothing may be written
  skein sandbox -- curl https://example.com                       fails: no network
  skein sandbox --allow-host example.com -- curl https://example.com
  skein sandbox --strict -- make                                  a Makefile can't be changed, or made
  skein sandbox --deny .env --allow-write ~/cache -- make
  skein sandbox --backend landlock -- make
  skein sandbox --explain                                         what a command could touch here

The exit code is that of the command, or 125 if it could not be run. Standard output is the command's: with
--json, what came of it is the last line of standard error.";

/// Which command, and what it may touch.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct SandboxArgs {
    /// What the command may touch [default: what the configuration says]
    #[arg(short, long, visible_alias = "sandbox", short_alias = 's', value_name = "MODE")]
    policy: Option<SandboxChoice>,
    /// The permissions of this name in the configuration: `[permissions.NAME]`; or `strict`
    #[arg(long, value_name = "NAME", conflicts_with = "policy")]
    permissions: Option<String>,
    /// The same as `--permissions strict`: the workspace may be written, but for files that something runs later, such as
    /// `package.json`, `build.rs`, `Makefile`, `.envrc`, and all in `.vscode`, `.husky` or `.github/workflows`
    #[arg(long, conflicts_with_all = ["policy", "permissions"])]
    strict: bool,
    /// Run it in this folder
    #[arg(short = 'C', long, visible_alias = "cd", value_name = "DIR")]
    cwd: Option<PathBuf>,
    /// A further folder that is a workspace too; may be repeated
    #[arg(long = "add-dir", value_name = "DIR")]
    add_dirs: Vec<PathBuf>,
    /// A path that it may read and not write; may be repeated
    #[arg(long, value_name = "PATH")]
    allow_read: Vec<PathBuf>,
    /// A path that it may write; may be repeated
    #[arg(long, value_name = "PATH")]
    allow_write: Vec<PathBuf>,
    /// A path that it may neither read nor write; may be repeated
    #[arg(long, value_name = "PATH")]
    deny: Vec<PathBuf>,
    /// A host that it may reach, such as `example.com`, `*.example.com` or `localhost:8080`; may be repeated
    #[arg(long, value_name = "HOST[:PORT]", value_parser = host_rule)]
    allow_host: Vec<NetworkRule>,
    /// What of the network is open to it; without a value: all of it
    #[arg(long, value_name = "NETWORK", num_args = 0..=1, default_missing_value = "full")]
    network: Option<NetworkChoice>,
    /// Confine it in this way or not at all [default: what the configuration says, else `auto`]; `--explain` tells
    /// whether it holds here
    #[arg(long, value_name = "BACKEND")]
    backend: Option<BackendChoice>,
    /// Print what it may touch and how it is confined; runs nothing if there is no command
    #[arg(long)]
    explain: bool,
    /// Print one JSON object instead
    #[arg(long)]
    json: bool,
    /// Program and arguments
    #[arg(required_unless_present = "explain", last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// `--network`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum NetworkChoice {
    /// Nothing
    Off,
    /// The hosts that the rules and `--allow-host` name
    Rules,
    /// All of it
    Full,
}

/// `--backend`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum BackendChoice {
    /// The strongest that holds here, whatever the configuration says
    Auto,
    /// Own namespaces, with Landlock and seccomp on top
    Namespaces,
    /// The namespaces of the system's bwrap, with Landlock and seccomp on top
    Bwrap,
    /// Landlock and seccomp alone
    Landlock,
}

impl NetworkChoice {
    fn access(self) -> NetworkAccess {
        match self {
            Self::Off => NetworkAccess::Off,
            Self::Rules => NetworkAccess::Rules,
            Self::Full => NetworkAccess::Full,
        }
    }
}

impl BackendChoice {
    fn backend(self) -> Backend {
        match self {
            Self::Auto => Backend::Strongest,
            Self::Namespaces => Backend::Only(SandboxRung::Namespaces),
            Self::Bwrap => Backend::Only(SandboxRung::Bubblewrap),
            Self::Landlock => Backend::Only(SandboxRung::Landlock),
        }
    }
}

/// Explains it, if asked to, runs it, and returns its exit code.
pub(crate) fn run(args: SandboxArgs, local: &dyn Local, output: Output) -> Result<u8, CliError> {
    let SandboxArgs { explain, json, .. } = args;
    let run = order(args)?;
    let has_command = !run.command.is_empty();
    let ready = local.sandbox(run)?;
    warn(ready.warnings(), output);
    let is_confined = ready.profile().mode != SandboxMode::DangerFullAccess;
    // Where nothing confines it, no rung has a part in it.
    let explanation = explain.then(|| Explanation::of(&*ready));
    if !has_command {
        let Some(explanation) = explanation else { return Ok(0) };
        if json {
            output.line(explanation.as_json()).map_err(CliError::Output)?;
        } else {
            for line in explanation.in_words(output.out) {
                output.line(line).map_err(CliError::Output)?;
            }
        }
        return Ok(0);
    }
    // Standard output is the command's.
    if !is_confined {
        output.note(output.err.red(UNCONFINED));
    } else if let (Some(explanation), false) = (&explanation, json) {
        explanation.in_words(output.err).iter().for_each(|line| output.note(line));
    }
    let SandboxEnd { exit, refusals, connections } = ready.run()?;
    if json {
        let mut told = explanation.map_or_else(|| json!({}), |explanation| explanation.as_json());
        told["isConfined"] = json!(is_confined);
        told["exit"] = json!(exit);
        told["refusals"] = json!(refusals);
        told["connections"] = connections.iter().map(connection_json).collect();
        output.note(told);
    } else {
        for refused in refused_hosts(&connections) {
            output.note(output.err.yellow(escape::prose(&refused)));
        }
    }
    Ok(exit_code(&exit))
}

/// The permissions that are there without being described.
const STRICT: &str = "strict";

const UNCONFINED: &str = "danger-full-access: nothing confines this command";

fn order(args: SandboxArgs) -> Result<SandboxRun, CliError> {
    if args.command.first().is_some_and(|program| program.is_empty()) {
        return Err(CliError::usage("The program has no name", "Write it after `--`, with its arguments"));
    }
    let additional_roots =
        args.add_dirs.iter().map(|dir| absolute_folder(Some(dir))).collect::<Result<_, _>>()?;
    let listed =
        [(args.allow_read, Access::Read), (args.allow_write, Access::Write), (args.deny, Access::Hidden)];
    let mut paths = Vec::new();
    for (named, access) in listed {
        for path in named {
            paths.push(PathRule { path: without_links(&path)?, access });
        }
    }
    let network = match (args.network, args.allow_host.is_empty()) {
        (given, true) => given.map(NetworkChoice::access),
        (None | Some(NetworkChoice::Rules), false) => Some(NetworkAccess::Rules),
        (Some(NetworkChoice::Off | NetworkChoice::Full), false) => {
            return Err(CliError::usage(
                "`--allow-host` opens hosts where the network is open by rule",
                "Leave `--network` away, or pass `--network rules`",
            ));
        }
    };
    Ok(SandboxRun {
        policy: args.policy.map(Into::into),
        permissions: args.permissions.or_else(|| args.strict.then(|| STRICT.to_owned())),
        folder: absolute_folder(args.cwd.as_deref())?,
        additional_roots,
        paths,
        network,
        network_rules: args.allow_host,
        backend: args.backend.map_or(Backend::Configured, BackendChoice::backend),
        command: args.command,
    })
}

/// The hosts that were refused, each once for each reason.
fn refused_hosts(connections: &[Connection]) -> Vec<String> {
    let mut refused: Vec<(String, u32)> = Vec::new();
    for Connection { host, port, reason, .. } in connections.iter().filter(|made| !made.is_allowed) {
        let text = format!("refused: {} ({reason})", address(host, Some(*port)));
        match refused.iter_mut().find(|(known, _)| *known == text) {
            Some((_, times)) => *times += 1,
            None => refused.push((text, 1)),
        }
    }
    let told = |(text, times)| if times == 1 { text } else { format!("{text}, {times} times") };
    refused.into_iter().map(told).collect()
}

/// A path that need not exist, but whose folder does.
fn without_links(path: &Path) -> Result<PathBuf, CliError> {
    let is_pattern = path.as_os_str().as_encoded_bytes().iter().any(|byte| b"*?[{".contains(byte));
    if is_pattern && path.symlink_metadata().is_err() {
        return Err(CliError::usage(
            format!("`{}` is not there, and no pattern is taken here", path.display()),
            "Name each path; `[permissions.NAME.paths]` in the settings takes patterns, such as `\"**/.env\" = \"none\"`",
        ));
    }
    let file = |source: std::io::Error| {
        CliError::usage(
            format!("Can't find `{}`: {source}", path.display()),
            "A path need not be there, but the folder that it is in must be: make that first",
        )
    };
    match (path.canonicalize(), path.parent(), path.file_name()) {
        (Err(error), Some(parent), Some(name)) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
            Ok(parent.canonicalize().map_err(file)?.join(name))
        }
        (found, _, _) => found.map_err(file),
    }
}

/// What `--allow-host` says.
fn host_rule(text: &str) -> Result<NetworkRule, String> {
    let malformed = || format!("`{text}` is no host; write `example.com`, `*.example.com:443` or `[::1]:80`");
    NetworkRule::for_host(text, NetworkDecision::Allow).ok_or_else(malformed)
}

fn connection_json(made: &Connection) -> Value {
    let Connection { protocol, host, port, is_allowed, reason } = made;
    json!({ "protocol": protocol, "host": host, "port": port, "isAllowed": is_allowed, "reason": reason })
}

fn exit_code(exit: &CommandExit) -> u8 {
    match exit {
        CommandExit::Code { code } => u8::try_from(*code).unwrap_or(u8::MAX),
        CommandExit::Signal { signal } => u8::try_from(128 + signal).unwrap_or(u8::MAX),
        CommandExit::TimedOut { .. }
        | CommandExit::Interrupted
        | CommandExit::GoesOn
        | CommandExit::Unknown(_) => EXIT_FAILED,
    }
}

/// A rung as people choose it.
pub(crate) fn rung_word(rung: SandboxRung) -> &'static str {
    match rung {
        SandboxRung::Namespaces => "namespaces",
        SandboxRung::Bubblewrap => "bwrap",
        SandboxRung::Landlock => "landlock",
        SandboxRung::Refused => "not at all: commands are refused",
    }
}

/// A long text in lines that end where its parts do.
pub(crate) fn clauses(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.split_inclusive("; ").map(str::trim_end).collect();
    lines.retain(|line| !line.is_empty());
    lines
}

fn address(host: &str, port: Option<u16>) -> String {
    match port {
        None => host.to_owned(),
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use protocol::profile::NetworkProtocol;

    use super::*;

    #[test]
    fn a_refused_host_is_told_once_with_how_often() {
        let made = |host: &str, is_allowed| Connection {
            protocol: NetworkProtocol::Https,
            host: host.to_owned(),
            port: 443,
            is_allowed,
            reason: "no rule names it".to_owned(),
        };
        let made = [made("a.net", false), made("b.net", false), made("c.net", true), made("a.net", false)];
        assert_eq!(
            refused_hosts(&made),
            ["refused: a.net:443 (no rule names it), 2 times", "refused: b.net:443 (no rule names it)"]
        );
    }

    #[test]
    fn a_pattern_is_no_path_unless_something_has_that_name() {
        let folder = tempfile::tempdir().expect("scratch");
        let real = folder.path().canonicalize().expect("real");
        for name in ["*.txt", "**/.env", "a?", "[ab]", "{a,b}"] {
            let error = without_links(&real.join(name)).expect_err(name);
            assert!(error.full_message().contains("no pattern is taken"), "{}", error.full_message());
        }
        std::fs::write(real.join("*.txt"), "").expect("write");
        assert_eq!(without_links(&real.join("*.txt")).expect("it is there"), real.join("*.txt"));
        assert_eq!(without_links(&real.join("new")).expect("it may be made"), real.join("new"));
        let error = without_links(&real.join("none/new")).expect_err("its folder is not there");
        assert_eq!(error.exit_code(), 2, "a command's own code is told from this");
        assert!(error.hint().is_some_and(|hint| hint.contains("make that first")));
    }
}
