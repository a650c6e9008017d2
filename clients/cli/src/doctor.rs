//! `skein doctor`: what this machine can do, and what to mend.

use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use clap::Args;
use client::{ClientError, Connection, Folders, is_same_build, own_build};
use protocol::api::daemon::DaemonClient;
use protocol::api::language_server::LanguageServersClient;
use protocol::api::model::ModelClient;
use protocol::api::skill::SkillsClient;
use protocol::catalogue::{ModelListParams, ProviderState};
use protocol::daemon::{DaemonStatus, DaemonStatusParams};
use protocol::language_server::{LanguageServerListParams, LanguageServerState};
use protocol::profile::{SandboxMode, SandboxReport, SandboxRung};
use protocol::skill::{Skill, SkillListParams, SkillState};
use view::escape;

use crate::config;
use crate::connect::connect;
use crate::error::{CliError, problem_text};
use crate::local::{Backend, Local, SandboxRun};
use crate::models::chosen;
use crate::output::Output;
use crate::sandbox::{clauses, rung_word};
use crate::select::absolute_folder;
use crate::skills;
use crate::style::Style;
use crate::table::json;

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct DoctorArgs {
    /// Print the daemon's own report as JSON
    #[arg(long)]
    json: bool,
}

/// How a finding is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Ok,
    Warning,
    /// It is as somebody wanted it, and nothing protects from it.
    Danger,
    Problem,
}

/// Prints findings, and remembers whether one was a problem.
struct Findings {
    output: Output,
    problems: u32,
}

impl Findings {
    fn add(&mut self, level: Level, subject: &str, text: &str, hint: Option<&str>) -> Result<(), CliError> {
        let style: Style = self.output.out;
        let mark = match level {
            Level::Ok => style.green("ok     "),
            Level::Warning => style.yellow("warning"),
            Level::Danger => style.red("danger "),
            Level::Problem => {
                self.problems += 1;
                style.red("problem")
            }
        };
        let text = escape::prose(text);
        let text = if level == Level::Danger { style.red(text) } else { text };
        self.output.line(format_args!("{mark}  {subject:8}  {text}")).map_err(CliError::Output)?;
        match hint {
            Some(hint) => {
                let hint = escape::prose(hint);
                self.output.line(format_args!("{:17}  {}", "", style.dim(hint))).map_err(CliError::Output)
            }
            None => Ok(()),
        }
    }
}

/// Looks at everything that a turn needs.
pub(crate) fn run(args: DoctorArgs, local: &dyn Local, output: Output) -> Result<(), CliError> {
    crate::block_on(look(args, of_here(local), output))
}

/// What a new session here would be.
#[derive(Default)]
struct OfHere {
    /// What it would let commands touch.
    mode: Option<SandboxMode>,
    /// What is to be said of the folder.
    warnings: Vec<String>,
}

/// Where the settings can't be read, which is complained of, nothing.
fn of_here(local: &dyn Local) -> OfHere {
    ready_here(local).unwrap_or_default()
}

fn ready_here(local: &dyn Local) -> Option<OfHere> {
    let folder = absolute_folder(None).ok()?;
    let origin = folder.display().to_string();
    let run = SandboxRun {
        policy: None,
        permissions: None,
        folder,
        additional_roots: Vec::new(),
        paths: Vec::new(),
        network: None,
        network_rules: Vec::new(),
        backend: Backend::default(),
        command: Vec::new(),
    };
    let ready = local.sandbox(run).ok()?;
    // The others are of the settings, and the daemon tells them.
    let warnings = ready.warnings().iter().filter(|warning| warning.origin == origin);
    Some(OfHere { mode: Some(ready.profile().mode), warnings: warnings.map(problem_text).collect() })
}

async fn look(args: DoctorArgs, here: OfHere, output: Output) -> Result<(), CliError> {
    let mut findings = Findings { output, problems: 0 };
    if !args.json {
        let version = env!("CARGO_PKG_VERSION");
        let system = format!("skein {version} on {} {}", std::env::consts::OS, std::env::consts::ARCH);
        findings.add(Level::Ok, "skein", &system, None)?;
        folders(&mut findings)?;
        git(&mut findings)?;
    }
    let connection = match connect("skein doctor", output).await {
        Ok(connection) => connection,
        Err(error) if !args.json => {
            findings.add(Level::Problem, "daemon", &error.full_message(), error.hint().as_deref())?;
            return Err(verdict(&findings));
        }
        Err(error) => return Err(error),
    };
    let status =
        connection.rpc().status(DaemonStatusParams { with_sandbox: true, with_storage: true }).await?;
    if args.json {
        return json(&status, output);
    }
    daemon(&mut findings, &status)?;
    storage(&mut findings, &status)?;
    settings(&mut findings, &connection).await?;
    model(&mut findings, &connection).await?;
    language_servers(&mut findings, &connection).await?;
    skills_found(&mut findings, &connection).await?;
    match &status.sandbox {
        Some(report) => sandbox(&mut findings, report, here.mode)?,
        None => findings.add(
            Level::Warning,
            "sandbox",
            "the daemon does not say how commands are confined",
            None,
        )?,
    }
    for warning in &here.warnings {
        findings.add(Level::Warning, "sandbox", warning, None)?;
    }
    if findings.problems == 0 { Ok(()) } else { Err(verdict(&findings)) }
}

/// A long text as lines below one another, each in the column of the first.
fn below(text: &str) -> String {
    clauses(text).join(&format!("\n{:19}", ""))
}

fn verdict(findings: &Findings) -> CliError {
    let count = findings.problems;
    let message =
        if count == 1 { "There is a problem".to_owned() } else { format!("There are {count} problems") };
    CliError::Failed { message, hint: None }
}

fn folders(findings: &mut Findings) -> Result<(), CliError> {
    let folders = Folders::resolve().map_err(ClientError::from)?;
    for (name, folder) in
        [("config", &folders.config), ("state", &folders.state), ("socket", &folders.runtime)]
    {
        let text = folder.display().to_string();
        match writable(folder) {
            Ok(true) => findings.add(Level::Ok, name, &text, None)?,
            Ok(false) => {
                findings.add(Level::Ok, name, &format!("{text} (is made when it is needed)"), None)?
            }
            // The configuration is only read.
            Err(_) if name == "config" => {
                findings.add(Level::Ok, name, &format!("{text} (read-only)"), None)?
            }
            Err(error) => {
                let hint = "Make it writable, or set `SKEIN_HOME` to a folder that is";
                findings.add(Level::Problem, name, &format!("{text}: {error}"), Some(hint))?;
            }
        }
    }
    Ok(())
}

/// Whether a folder exists; an error if it can't be written.
fn writable(folder: &Path) -> io::Result<bool> {
    if !folder.exists() {
        return Ok(false);
    }
    tempfile::Builder::new().prefix(".skein-doctor-").tempfile_in(folder).map(|_| true)
}

fn git(findings: &mut Findings) -> Result<(), CliError> {
    let version = Command::new("git").arg("--version").stdin(Stdio::null()).output();
    match version {
        Ok(answer) if answer.status.success() => {
            findings.add(Level::Ok, "git", String::from_utf8_lossy(&answer.stdout).trim(), None)
        }
        Ok(_) | Err(_) => {
            let hint = "Install it, so that changes can be looked at and taken back";
            findings.add(Level::Warning, "git", "there is no `git`", Some(hint))
        }
    }
}

fn daemon(findings: &mut Findings, status: &DaemonStatus) -> Result<(), CliError> {
    let text = format!("process {}, version {}", status.pid, status.version);
    if is_same_build(&status.build, own_build()) {
        findings.add(Level::Ok, "daemon", &text, None)
    } else {
        let text = format!("{text}, build {}, where this `skein` has {}", status.build, own_build());
        let hint = "`skein daemon restart` starts this one; running turns go on";
        findings.add(Level::Warning, "daemon", &text, Some(hint))
    }
}

/// What the daemon found when it looked through its database.
fn storage(findings: &mut Findings, status: &DaemonStatus) -> Result<(), CliError> {
    for warning in &status.warnings {
        findings.add(Level::Warning, "storage", warning, None)?;
    }
    // A daemon of an older version does not look.
    let Some(report) = &status.storage else { return Ok(()) };
    for problem in &report.problems {
        let text = match problem.session_id {
            Some(id) => format!("session {id}: {}", problem.reason),
            None => problem.reason.clone(),
        };
        findings.add(Level::Problem, "storage", &text, Some(&problem.hint))?;
    }
    match (report.problems.is_empty(), report.is_complete) {
        (true, true) => findings.add(Level::Ok, "storage", "the database is sound", None),
        (_, false) => {
            findings.add(Level::Ok, "storage", "the database is too large to be looked at whole here", None)
        }
        (false, true) => Ok(()),
    }
}

async fn settings(findings: &mut Findings, connection: &Connection) -> Result<(), CliError> {
    let result = config::check(connection, None).await?;
    let file = result.file.display().to_string();
    let is_sound = result.errors.is_empty() && result.warnings.is_empty();
    match result.exists {
        true if is_sound => findings.add(Level::Ok, "settings", &file, None)?,
        true => {}
        false => {
            findings.add(Level::Ok, "settings", &format!("there is no `{file}`; the defaults hold"), None)?
        }
    }
    for (level, problems) in [(Level::Problem, &result.errors), (Level::Warning, &result.warnings)] {
        for problem in problems {
            findings.add(level, "settings", &problem_text(problem), None)?;
        }
    }
    Ok(())
}

/// Which model a new session takes, and why.
async fn model(findings: &mut Findings, connection: &Connection) -> Result<(), CliError> {
    let found = match connection.rpc().list_models(ModelListParams::default()).await {
        Ok(found) => found,
        // Settings that can't be read were complained of.
        Err(error) => {
            let error = CliError::from(error);
            return findings.add(Level::Problem, "model", &error.full_message(), error.hint().as_deref());
        }
    };
    let choice = &found.choice;
    let level = match (&choice.provider, &choice.model) {
        (Some(_), Some(_)) => Level::Ok,
        (Some(_), None) | (None, _) => Level::Warning,
    };
    findings.add(level, "model", &chosen(choice), choice.hint.as_deref())?;
    for provider in &found.providers {
        let name = &provider.name;
        match &provider.state {
            ProviderState::Ready { through } => {
                findings.add(Level::Ok, "provider", &format!("{name}: {through}"), None)?;
            }
            ProviderState::Failed { message } => {
                findings.add(Level::Warning, "provider", &format!("{name}: {message}"), None)?;
            }
            // Nobody needs all of them.
            ProviderState::NoCredential { .. }
            | ProviderState::NotRunning { .. }
            | ProviderState::Unknown(_) => {}
        }
    }
    Ok(())
}

/// Instructions for particular tasks, and what is wrong with them.
async fn skills_found(findings: &mut Findings, connection: &Connection) -> Result<(), CliError> {
    const SUBJECT: &str = "skills";
    let cwd = std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't find the current folder", source })?;
    // Settings that can't be read were complained of, and an older daemon has none.
    let Ok(found) = connection.rpc().list_skills(SkillListParams { cwd }).await else { return Ok(()) };
    for problem in &found.problems {
        findings.add(Level::Warning, SUBJECT, &skills::told(problem), None)?;
    }
    if found.skills.is_empty() {
        return Ok(());
    }
    let usable = found.skills.iter().filter(|skill| skill.state.is_usable()).count();
    let is_to_trust = |skill: &&Skill| matches!(skill.state, SkillState::Untrusted | SkillState::Changed);
    let untrusted = found.skills.iter().filter(is_to_trust).count();
    let text = format!("{usable} of {} are used", found.skills.len());
    if untrusted == 0 {
        return findings.add(Level::Ok, SUBJECT, &text, None);
    }
    let text = format!("{text}; {untrusted} of this folder are not trusted");
    findings.add(Level::Ok, SUBJECT, &text, Some("`skein config trust` shows them and asks"))
}

/// What finds errors after an edit. Nobody needs all of them, so those that are not there are not told.
async fn language_servers(findings: &mut Findings, connection: &Connection) -> Result<(), CliError> {
    const SUBJECT: &str = "language";
    let cwd = std::env::current_dir()
        .map_err(|source| CliError::System { what: "Can't find the current folder", source })?;
    let found = match connection.rpc().list_language_servers(LanguageServerListParams { cwd }).await {
        Ok(found) => found,
        // Settings that can't be read were complained of, and an older daemon has none.
        Err(_) => return Ok(()),
    };
    if !found.is_on {
        return findings.add(
            Level::Ok,
            SUBJECT,
            "errors after an edit are not looked for (`diagnostics = \"off\"`)",
            None,
        );
    }
    let mut is_any = false;
    for server in &found.servers {
        let (level, text) = match (&server.state, &server.program) {
            (LanguageServerState::Failed { message }, _) => (Level::Warning, message.clone()),
            (
                LanguageServerState::Idle | LanguageServerState::Starting | LanguageServerState::Ready,
                Some(program),
            ) => (Level::Ok, program.display().to_string()),
            (
                LanguageServerState::Idle
                | LanguageServerState::Starting
                | LanguageServerState::Ready
                | LanguageServerState::Disabled
                | LanguageServerState::NotFound
                | LanguageServerState::Unknown(_),
                _,
            ) => continue,
        };
        is_any = true;
        findings.add(level, SUBJECT, &format!("{}: {text}", server.name), None)?;
    }
    match (is_any, found.is_trusted) {
        (false, _) => findings.add(
            Level::Ok,
            SUBJECT,
            "no server is found, so errors after an edit are not looked for",
            None,
        ),
        (true, true) => Ok(()),
        (true, false) => findings.add(
            Level::Ok,
            SUBJECT,
            "errors after an edit are not looked for here, where language servers are not trusted to work",
            Some("`skein config trust` shows what they may do, and trusts it"),
        ),
    }
}

fn sandbox(
    findings: &mut Findings,
    report: &SandboxReport,
    mode: Option<SandboxMode>,
) -> Result<(), CliError> {
    let is_unconfined = mode == Some(SandboxMode::DangerFullAccess);
    if is_unconfined {
        findings.add(
            Level::Danger,
            "sandbox",
            "danger-full-access: the settings say that nothing confines the commands of a new session here",
            Some("`-s workspace-write` confines those of one session; `sandbox_mode` in the settings says it for all"),
        )?;
    }
    for rung in &report.rungs {
        let name = rung_word(rung.rung);
        let level = if rung.is_available { Level::Ok } else { Level::Warning };
        let use_note = match (rung.rung == report.chosen, is_unconfined) {
            (true, false) => ", used",
            (true, true) => ", used where a session asks for it",
            (false, _) => "",
        };
        findings.add(
            level,
            "sandbox",
            &below(&format!("{name}{use_note}: {}", rung.reason)),
            rung.hint.as_deref(),
        )?;
    }
    match report.chosen {
        SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock => Ok(()),
        SandboxRung::Refused => findings.add(
            Level::Problem,
            "sandbox",
            "commands can't be confined here, so they are refused",
            Some("`-s danger-full-access` runs them without a sandbox"),
        ),
    }
}
