//! `skein sandbox`: a command as the agent would run it, by hand, and what it may touch, in words.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use protocol::item::CommandExit;
use protocol::profile::{
    Access, GlobRule, NetworkAccess, NetworkDecision, NetworkProtocol, NetworkRule, PathRule, Profile,
    SandboxMode, SandboxReport, SandboxRung,
};
use serde_json::{Value, json};
use view::escape;

use crate::error::{CliError, EXIT_FAILED};
use crate::exec::args::SandboxChoice;
use crate::exec::prepare::warn;
use crate::local::{Backend, Connection, Local, SandboxEnd, SandboxRun};
use crate::output::Output;
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
    let profile = ready.profile().clone();
    let is_confined = profile.mode != SandboxMode::DangerFullAccess;
    // Where nothing confines it, no rung has a part in it.
    let report = (explain && is_confined).then(|| ready.report());
    if !has_command {
        if json {
            output.line(as_json(&profile, report.as_ref())).map_err(CliError::Output)?;
        } else {
            for line in in_words(&profile, report.as_ref(), output.out) {
                output.line(line).map_err(CliError::Output)?;
            }
        }
        return Ok(0);
    }
    // Standard output is the command's.
    if !is_confined {
        output.note(output.err.red(UNCONFINED));
    } else if explain && !json {
        in_words(&profile, report.as_ref(), output.err).iter().for_each(|line| output.note(line));
    }
    let SandboxEnd { exit, refusals, connections } = ready.run()?;
    if json {
        let mut told = if explain { as_json(&profile, report.as_ref()) } else { json!({}) };
        told["isConfined"] = json!(is_confined);
        told["exit"] = json!(exit);
        told["refusals"] = json!(refusals);
        told["connections"] = connections.iter().map(connection_json).collect();
        output.note(told);
    } else {
        for Connection { host, port, reason, .. } in connections.iter().filter(|made| !made.is_allowed) {
            let refused = format!("refused: {} ({})", address(host, Some(*port)), reason);
            output.note(output.err.yellow(escape::prose(&refused)));
        }
    }
    Ok(exit_code(&exit))
}

/// The permissions that are there without being described.
const STRICT: &str = "strict";

const UNCONFINED: &str = "danger-full-access: nothing confines this command";

fn order(args: SandboxArgs) -> Result<SandboxRun, CliError> {
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

/// A path that need not exist, but whose folder does.
fn without_links(path: &Path) -> Result<PathBuf, CliError> {
    let file = |source| CliError::File { action: "find", path: path.to_owned(), source };
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

/// The profile and the rung, for a person.
fn in_words(profile: &Profile, report: Option<&SandboxReport>, style: crate::style::Style) -> Vec<String> {
    let Some(report) = report else { return vec![style.red(UNCONFINED).into_owned()] };
    let mut lines = vec![format!("mode      {}", profile.mode.as_str())];
    let mut add = |name: &str, text: &str| lines.push(format!("{name:<9} {}", escape::line(text)));
    add("confined", rung_word(report.chosen));
    for rung in &report.rungs {
        let kind = if rung.is_available { "holds" } else { "does not hold" };
        add("", &format!("{} {kind}: {}", rung_word(rung.rung), rung.reason));
        if let Some(hint) = &rung.hint {
            add("", hint);
        }
    }
    add("else", access_word(profile.default_access));
    let mut paths: Vec<_> = profile.paths.iter().map(|rule| &rule.path).collect();
    paths.sort_unstable();
    paths.dedup();
    for path in paths {
        add(access_word(profile.access(path)), &path.display().to_string());
    }
    for GlobRule { pattern, access, except } in &profile.globs {
        let except =
            if except.is_empty() { String::new() } else { format!(", but not in {}", except.join(", ")) };
        add(access_word(*access), &format!("{pattern}{except}"));
    }
    if profile.is_making_refused {
        add(
            "",
            "patterns hold what is there; programs that make more of these names are refused, which is no wall:",
        );
        add("", "one that is out to get around it can, and then a turn's end names the files that run later");
    }
    let network = match profile.network {
        NetworkAccess::Off => "off",
        NetworkAccess::Rules => "what rules allow",
        NetworkAccess::Full => "everything",
    };
    add("network", network);
    for NetworkRule { host, port, protocol, decision } in &profile.network_rules {
        let decision = match decision {
            NetworkDecision::Allow => "allow",
            NetworkDecision::Prompt => "prompt",
            NetworkDecision::Deny => "deny",
        };
        let over = match protocol {
            None => "",
            Some(NetworkProtocol::Http) => " over http",
            Some(NetworkProtocol::Https) => " over https",
            Some(NetworkProtocol::Socks5Tcp) => " over socks5",
        };
        add("", &format!("{decision} {}{over}", address(host, *port)));
    }
    if profile.unix_sockets.is_empty() {
        add("sockets", "its own alone");
    }
    for socket in &profile.unix_sockets {
        let is_lost = profile.has_own_tmp && socket.starts_with("/tmp");
        let lost = if is_lost { ", which its own `/tmp` hides: commands are refused" } else { "" };
        add("socket", &format!("{}{lost}", socket.display()));
    }
    let limits = profile.limits;
    let known = [
        ("processes", limits.max_processes),
        ("bytes of memory", limits.max_memory_bytes),
        ("bytes in a file", limits.max_file_bytes),
    ];
    if known.iter().all(|(_, most)| most.is_none()) {
        add("limits", "none");
    }
    for (what, most) in known.into_iter().filter_map(|(what, most)| Some((what, most?))) {
        add("limit", &format!("{most} {what}"));
    }
    if profile.has_own_tmp {
        add("/tmp", "its own, gone when it ends");
    }
    lines
}

fn as_json(profile: &Profile, report: Option<&SandboxReport>) -> Value {
    json!({ "profile": profile, "sandbox": report, "isConfined": report.is_some() })
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

fn access_word(access: Access) -> &'static str {
    match access {
        Access::Hidden => "none",
        Access::Read => "read",
        Access::Write => "write",
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

fn address(host: &str, port: Option<u16>) -> String {
    match port {
        None => host.to_owned(),
        Some(port) if host.contains(':') => format!("[{host}]:{port}"),
        Some(port) => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::style::Style;
    use protocol::profile::RungReport;

    #[test]
    fn the_explanation_names_paths_globs_hosts_limits_and_why_a_rung_does_not_hold() {
        let rule = |path: &str, access| PathRule { path: path.into(), access };
        let paths = vec![
            rule("/repo", Access::Write),
            rule("/repo/.git", Access::Write),
            rule("/repo/.git", Access::Read),
        ];
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Rules);
        profile.globs = vec![GlobRule {
            pattern: "/repo/**/.env".to_owned(),
            access: Access::Hidden,
            except: vec!["target".to_owned()],
        }];
        profile.network_rules = vec![host_rule("a.net:443").expect("host")];
        profile.limits.max_processes = Some(7);
        let report = SandboxReport {
            chosen: SandboxRung::Landlock,
            rungs: vec![RungReport {
                rung: SandboxRung::Namespaces,
                is_available: false,
                reason: "Not allowed".to_owned(),
                hint: Some("Allow it".to_owned()),
            }],
        };
        let words = in_words(&profile, Some(&report), Style::for_stream(false));
        assert_eq!(
            words,
            [
                "mode      workspace-write",
                "confined  landlock",
                "          namespaces does not hold: Not allowed",
                "          Allow it",
                "else      read",
                "write     /repo",
                "read      /repo/.git",
                "none      /repo/**/.env, but not in target",
                "network   what rules allow",
                "          allow a.net:443",
                "sockets   its own alone",
                "limit     7 processes",
            ]
        );
        let told = as_json(&profile, Some(&report));
        assert!(told["isConfined"] == true && told["sandbox"]["chosen"] == "landlock", "{told}");
    }

    #[test]
    fn where_nothing_confines_it_no_rung_is_named() {
        let profile =
            Profile::new(SandboxMode::DangerFullAccess, Access::Write, Vec::new(), NetworkAccess::Full);
        assert_eq!(in_words(&profile, None, Style::for_stream(false)), [UNCONFINED]);
        let told = as_json(&profile, None);
        assert!(told["isConfined"] == false && told["sandbox"].is_null(), "{told}");
    }

    #[test]
    fn a_socket_that_an_own_tmp_hides_is_told() {
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Off);
        profile.unix_sockets = vec!["/run/a".into(), "/tmp/b".into()];
        profile.has_own_tmp = true;
        let report = SandboxReport { chosen: SandboxRung::Namespaces, rungs: Vec::new() };
        let words = in_words(&profile, Some(&report), Style::for_stream(false));
        assert!(words.contains(&"socket    /run/a".to_owned()), "{words:?}");
        assert!(words.iter().any(|line| line.starts_with("socket    /tmp/b, which")), "{words:?}");
    }
}
