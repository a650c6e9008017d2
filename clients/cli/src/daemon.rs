//! `skein daemon`: start, stop and watch the daemon.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::time::Duration;

use clap::{Args, Subcommand};
use client::{
    ClientError, ConnectOptions, Connection, Folders, Stopped, Turns, WireError, is_same_build, own_build,
    stop_daemon,
};
use protocol::api::daemon::DaemonClient;
use protocol::api::session::SessionClient;
use protocol::daemon::{DaemonStatus, DaemonStatusParams, RateLimit};
use protocol::profile::{SandboxReport, SandboxRung};
use protocol::session::{SessionListParams, SessionSummary};
use view::{escape, words};

use crate::connect::connect;
use crate::error::CliError;
use crate::install::{InstallArgs, install};
use crate::local::{DaemonMode, Local};
use crate::output::Output;
use crate::sandbox::rung_word;
use crate::select::short;
use crate::sessions::{is_unconfined, now};
use crate::style::Style;
use crate::table::pairs;

/// Between two looks at a log that is followed.
const PAUSE: Duration = Duration::from_millis(100);
/// How much of a log is shown.
const LOG_BYTES: u64 = 64 * 1024;

/// The daemon owns the sessions. Every command that needs it starts it; these are for when you want to see it.
#[derive(Debug, Subcommand)]
pub(crate) enum DaemonCommand {
    /// Run the daemon here, in the foreground
    Run(RunArgs),
    /// Start the daemon, if it does not run
    Start,
    /// Stop the daemon: running turns end, what was done stays
    Stop,
    /// Start this `skein` as the daemon: running turns rest and go on there
    Restart(RestartArgs),
    /// Show how the daemon is
    Status(StatusArgs),
    /// Print the daemon's log
    Logs(LogArgs),
    /// Have the system start the daemon: a systemd user unit with its socket, or a launchd agent
    Install(InstallArgs),
}

/// How to run it.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// As a client starts it: without a terminal
    #[arg(long, hide = true)]
    detached: bool,
}

/// What becomes of turns that run.
#[derive(Args, Debug)]
pub(crate) struct RestartArgs {
    /// End running turns instead of handing them over
    #[arg(long)]
    stop_turns: bool,
}

/// How to show it.
#[derive(Args, Debug)]
pub(crate) struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What of it.
#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// Go on as it grows
    #[arg(short, long)]
    follow: bool,
}

/// Runs the daemon in this process.
pub(crate) fn run_here(args: &RunArgs, local: &dyn Local) -> Result<(), CliError> {
    let mode = if args.detached { DaemonMode::Detached } else { DaemonMode::Foreground };
    Ok(local.run_daemon(mode)?)
}

/// Runs any of the other commands.
pub(crate) async fn run(command: DaemonCommand, output: Output) -> Result<(), CliError> {
    match command {
        // Handled before there is a runtime: the daemon makes its own.
        DaemonCommand::Run(_) => Ok(()),
        DaemonCommand::Start => start(output).await,
        DaemonCommand::Stop => match stop_daemon(Turns::End).await? {
            Some(stopped) => line(output, format!("stopped (process {})", stopped.pid)),
            None => line(output, "no daemon runs".to_owned()),
        },
        DaemonCommand::Restart(args) => restart(&args, output).await,
        DaemonCommand::Status(args) => status(&args, output).await,
        DaemonCommand::Logs(args) => {
            let log = Folders::resolve().map_err(ClientError::from)?.log();
            print_log(&log, &args, output).await
        }
        DaemonCommand::Install(args) => install(&args, output),
    }
}

/// The daemon, if one runs.
pub(crate) async fn running() -> Result<Option<Connection>, ClientError> {
    match Connection::open(ConnectOptions::new("skein").without_start()).await {
        Ok(connection) => Ok(Some(connection)),
        Err(ClientError::Wire(WireError::NoDaemon(_))) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn start(output: Output) -> Result<(), CliError> {
    let connection = connect("skein", output).await?;
    let status = connection.rpc().status(DaemonStatusParams::default()).await?;
    line(output, format!("runs (process {})", status.pid))
}

async fn restart(args: &RestartArgs, output: Output) -> Result<(), CliError> {
    let turns = if args.stop_turns { Turns::End } else { Turns::HandOver };
    let stopped = stop_daemon(turns).await?;
    let connection = connect("skein", output).await?;
    let status = connection.rpc().status(DaemonStatusParams::default()).await?;
    let told = stopped.map(|stopped| became_of(stopped, turns)).unwrap_or_default();
    line(output, format!("runs (process {}){told}", status.pid))
}

/// What became of the turns of a daemon that was stopped.
fn became_of(stopped: Stopped, turns: Turns) -> String {
    let count = match stopped.running_turns {
        None => return "; the daemon before could only be told to end".to_owned(),
        Some(0) => return String::new(),
        Some(1) => "1 turn".to_owned(),
        Some(count) => format!("{count} turns"),
    };
    match turns {
        Turns::HandOver => format!("; {count} handed over"),
        Turns::End => format!("; {count} ended"),
    }
}

async fn status(args: &StatusArgs, output: Output) -> Result<(), CliError> {
    let Some(connection) = running().await? else {
        let folders = Folders::resolve().map_err(ClientError::from)?;
        return Err(ClientError::from(WireError::NoDaemon(folders.socket())).into());
    };
    let params = DaemonStatusParams { with_sandbox: true, with_storage: false };
    let status = connection.rpc().status(params).await?;
    if args.json {
        return crate::table::json(&status, output);
    }
    let params = SessionListParams { only_active: true, with_agents: true, ..SessionListParams::default() };
    let active = connection.rpc().list(params).await?.sessions;
    output.write(&pairs(&rows(&status, &active, output.out), output)).map_err(CliError::Output)
}

/// What a person reads of a daemon's status; `active` are the sessions that run or wait.
fn rows(status: &DaemonStatus, active: &[SessionSummary], style: Style) -> Vec<(&'static str, String)> {
    let since = now().since(status.started_at);
    let state = if status.is_draining { "stopping" } else { "running" };
    let mut rows = vec![
        ("state", format!("{state} for {} (process {})", words::span(since), status.pid)),
        ("version", format!("{} (build {})", status.version, status.build)),
        ("turns", format!("{} running or waiting", status.running_turns)),
        ("sessions", format!("{} in memory", status.loaded_sessions)),
        ("connections", status.connections.to_string()),
    ];
    if let Some(installed) =
        status.installed_build.as_deref().filter(|build| !is_same_build(build, &status.build))
    {
        let text = format!("build {installed}; `skein daemon restart` starts it, and running turns go on");
        rows.insert(2, ("installed", text));
    }
    if !is_same_build(own_build(), &status.build) {
        rows.insert(2, ("this skein", format!("build {}", own_build())));
    }
    rows.extend(status.sandbox.iter().flat_map(|report| sandbox_rows(report, style)));
    rows.extend(active.iter().filter(|session| is_unconfined(&session.settings)).map(|session| {
        let mode = session.settings.sandbox.as_str();
        let text = format!("session {} runs without a sandbox ({mode})", short(session.id));
        ("danger", style.red(text).into_owned())
    }));
    if let Some(bytes) = status.resident_bytes {
        rows.push(("memory", format!("{:.1} MB", bytes as f64 / 1e6)));
    }
    rows.extend(status.rate_limits.iter().map(|limit| ("limit", rate_limit(limit))));
    rows.extend([
        ("config", status.folders.config.display().to_string()),
        ("state in", status.folders.state.display().to_string()),
        ("socket", status.folders.socket.display().to_string()),
        ("log", status.folders.log.display().to_string()),
    ]);
    rows
}

/// The rung that commands are confined by, and why no stronger one is.
fn sandbox_rows(report: &SandboxReport, style: Style) -> Vec<(&'static str, String)> {
    let word = rung_word(report.chosen);
    let chosen = match (report.chosen, report.rungs.first()) {
        (SandboxRung::Refused, _) => style.red(word).into_owned(),
        // The ladder is tried from its top, unless one rung is asked for.
        (chosen, Some(first)) if first.rung == chosen && chosen != SandboxRung::Namespaces => {
            format!("{word}, which the settings ask for")
        }
        (SandboxRung::Namespaces | SandboxRung::Bubblewrap | SandboxRung::Landlock, _) => word.to_owned(),
    };
    let mut rows = vec![("sandbox", chosen)];
    for rung in report.rungs.iter().filter(|rung| !rung.is_available) {
        let text = format!("{} does not hold: {}", rung_word(rung.rung), rung.reason);
        rows.push(("", style.yellow(escape::line(&text)).into_owned()));
        rows.extend(rung.hint.as_ref().map(|hint| ("", escape::line(hint).into_owned())));
    }
    rows
}

/// A limit of a provider, for a person.
pub(crate) fn rate_limit(limit: &RateLimit) -> String {
    escape::line(&format!("{}, {}", limit.provider, words::rate_limit(limit, now()))).into_owned()
}

async fn print_log(log: &Path, args: &LogArgs, output: Output) -> Result<(), CliError> {
    let wrap = |source| CliError::File { action: "read", path: log.to_owned(), source };
    let mut at = std::fs::metadata(log).map_err(wrap)?.len().saturating_sub(LOG_BYTES);
    let mut is_cut = at > 0;
    loop {
        let (mut text, end) = read_from(log, at).map_err(wrap)?;
        at = end;
        if is_cut {
            // The first line is not whole.
            text = text.split_once('\n').map(|(_, rest)| rest.to_owned()).unwrap_or_default();
            is_cut = false;
        }
        output.write(&escape::prose(&text)).map_err(CliError::Output)?;
        if !args.follow {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What stands in a file from a place on, and where it ends; from its beginning if it was begun anew.
fn read_from(path: &Path, at: u64) -> io::Result<(String, u64)> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        // In the middle of a rotation.
        Err(error) if error.kind() == io::ErrorKind::NotFound && at > 0 => return Ok((String::new(), 0)),
        Err(error) => return Err(error),
    };
    let at = if file.metadata()?.len() < at { 0 } else { at };
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let end = at + bytes.len() as u64;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), end))
}

fn line(output: Output, text: String) -> Result<(), CliError> {
    output.line(text).map_err(CliError::Output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::RungReport;

    #[test]
    fn the_rung_is_told_with_the_reason_why_it_is_no_stronger_one() {
        let (top, landlock) = (SandboxRung::Namespaces, SandboxRung::Landlock);
        let rung = |rung, is_available: bool| {
            let hint = (!is_available).then(|| "Allow it".to_owned());
            RungReport { rung, is_available, reason: "because".to_owned(), hint }
        };
        let told = |chosen, rungs: &[RungReport]| {
            let report = SandboxReport { chosen, rungs: rungs.to_vec() };
            let rows = sandbox_rows(&report, Style::for_stream(false));
            rows.into_iter().map(|(name, text)| format!("{name}|{text}")).collect::<Vec<_>>()
        };
        assert_eq!(told(top, &[rung(top, true)]), ["sandbox|namespaces"]);
        assert_eq!(told(landlock, &[rung(landlock, true)]), ["sandbox|landlock, which the settings ask for"]);
        assert_eq!(
            told(landlock, &[rung(top, false), rung(landlock, true)]),
            ["sandbox|landlock", "|namespaces does not hold: because", "|Allow it"]
        );
        assert_eq!(
            told(SandboxRung::Refused, &[rung(top, false)]),
            ["sandbox|not at all: commands are refused", "|namespaces does not hold: because", "|Allow it"]
        );
    }

    #[test]
    fn a_restart_says_what_became_of_the_turns() {
        let stopped = |running_turns| Stopped { pid: 1, running_turns };
        assert_eq!(became_of(stopped(Some(0)), Turns::HandOver), "");
        assert_eq!(became_of(stopped(Some(1)), Turns::HandOver), "; 1 turn handed over");
        assert_eq!(became_of(stopped(Some(3)), Turns::End), "; 3 turns ended");
        assert!(became_of(stopped(None), Turns::HandOver).contains("could only be told"));
    }
}
