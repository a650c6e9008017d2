//! The one executable: by its name or first argument the sandbox helper, the daemon, or the command line. Puts
//! them together and holds no logic of its own.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use cli::{
    Backend, Connection, DaemonMode, Local, LocalError, PolicyCheck, PolicyDecision, PolicyVerdict,
    SandboxEnd, SandboxRun, Sandboxed,
};
use protocol::error::ConfigurationProblem;
use protocol::profile::{Profile, SandboxReport};
use protocol::session::{Environment, SettingsOverrides};
use server::DaemonOptions;
use server::local::{self, Changes, Decision, PatchMode, Place};

/// The exit code of `skein sandbox` when the command did not run, as other such programs have it.
const NOT_RUN: u8 = 125;

fn main() -> ExitCode {
    // First, before anything is allocated that the helper does not need.
    helper_linux::run_if_helper();
    server::run_if_rule_reader();
    server::run_if_javascript();
    let args: Vec<OsString> = std::env::args_os().collect();
    cli::run(&args, &Here)
}

/// The daemon's crates, in this process.
struct Here;

impl Local for Here {
    fn run_daemon(&self, mode: DaemonMode) -> Result<(), LocalError> {
        let foreground = mode == DaemonMode::Foreground;
        server::run_daemon(DaemonOptions { helper: executable()?, foreground }).map_err(|error| {
            let exit_code = if error.is_already_running() { cli::ALREADY_RUNNING } else { 1 };
            failure(&error, error.hint(), exit_code)
        })
    }

    fn sandbox(&self, run: SandboxRun) -> Result<Box<dyn Sandboxed>, LocalError> {
        let overrides = SettingsOverrides {
            sandbox: run.policy,
            permissions: run.permissions,
            ..SettingsOverrides::default()
        };
        let place = Place {
            cwd: run.folder,
            additional_roots: run.additional_roots,
            overrides,
            environment: environment(),
        };
        let changes = Changes { paths: run.paths, network: run.network, network_rules: run.network_rules };
        let backend = match run.backend {
            Backend::Configured => local::Backend::Configured,
            Backend::Strongest => local::Backend::Strongest,
            Backend::Only(rung) => local::Backend::Only(rung),
        };
        let run = local::SandboxRun { helper: executable()?, place, backend, changes, argv: run.command };
        match local::Sandboxed::new(run) {
            Ok(ready) => Ok(Box::new(Ready(ready))),
            Err(error) => Err(failure(&error, error.hint(), NOT_RUN)),
        }
    }

    fn apply(&self, folder: PathBuf, patch: String) -> Result<String, LocalError> {
        local::apply(&patch, &folder, PatchMode::AllOrNothing)
            .map_err(|error| failure(&error, error.hint(), 1))
    }

    fn check_policy(&self, check: PolicyCheck) -> Result<PolicyVerdict, LocalError> {
        let place = Place { cwd: check.folder, environment: environment(), ..Place::default() };
        let check = local::PolicyCheck {
            reader: executable()?,
            place,
            argv: check.command,
            is_escalated: check.is_escalated,
        };
        let verdict = local::policy_check(check).map_err(|error| failure(&error, error.hint(), 2))?;
        let local::PolicyVerdict { decision, reason, details, report } = verdict;
        let decision = match decision {
            Decision::Allow => PolicyDecision::Allow,
            Decision::Prompt => PolicyDecision::Prompt,
            Decision::Forbid => PolicyDecision::Forbidden,
        };
        Ok(PolicyVerdict { decision, reason, details, report })
    }
}

/// A command for the sandbox.
struct Ready(local::Sandboxed);

impl Sandboxed for Ready {
    fn warnings(&self) -> &[ConfigurationProblem] {
        self.0.warnings()
    }

    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    fn permissions(&self) -> Option<&str> {
        self.0.permissions()
    }

    fn report(&self) -> SandboxReport {
        self.0.report()
    }

    fn refusal(&self) -> Option<String> {
        self.0.refusal()
    }

    fn run(self: Box<Self>) -> Result<SandboxEnd, LocalError> {
        let ended = self.0.run().map_err(|error| failure(&error, error.hint(), NOT_RUN))?;
        let local::Ended { exit, refusals, connections } = ended;
        let connections = connections.into_iter().map(|made| Connection {
            protocol: made.target.protocol,
            host: made.target.host,
            port: made.target.port,
            is_allowed: made.is_allowed,
            reason: made.reason,
        });
        Ok(SandboxEnd { exit, refusals, connections: connections.collect() })
    }
}

/// This executable; it is the sandbox helper too. On Linux by a name that stays its own when the file is replaced,
/// by an upgrade or by a command.
fn executable() -> Result<PathBuf, LocalError> {
    if cfg!(target_os = "linux") {
        return Ok(PathBuf::from("/proc/self/exe"));
    }
    std::env::current_exe().map_err(|error| LocalError {
        message: format!("Can't tell where this executable is: {error}"),
        hint: None,
        exit_code: 1,
    })
}

/// What of this process's environment is UTF-8.
fn environment() -> Environment {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn failure(error: &dyn std::error::Error, hint: Option<&str>, exit_code: u8) -> LocalError {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !message.ends_with(&more) {
            message.push_str(": ");
            message.push_str(&more);
        }
        cause = error.source();
    }
    LocalError { message, hint: hint.map(str::to_owned), exit_code }
}
