//! The command line. Each command has a file; `args` lists them. A client of the daemon like any other: what
//! needs the daemon's crates without a daemon comes in through `Local`. The only crate that prints.

mod account;
mod acp;
mod agents;
mod apply;
mod args;
mod attach;
mod bell;
mod completions;
mod config;
mod connect;
mod daemon;
mod demo;
mod diff;
mod doctor;
mod error;
mod exec;
mod git;
mod install;
mod local;
mod login;
mod mcp;
mod mcp_login;
mod mcp_server;
mod models;
mod output;
mod policy;
mod presence;
mod progress;
mod ps;
mod question;
mod questions;
mod reply;
mod review;
mod rewind;
mod sandbox;
mod screen;
mod select;
mod send;
mod sessions;
mod skills;
mod span;
mod style;
mod table;
mod tools;
mod trust;
mod usage;
mod welcome;
mod worktree;

use std::ffi::OsString;
use std::future::Future;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::args::{Cli, Command};
use crate::daemon::DaemonCommand;
use crate::error::{CliError, EXIT_USAGE};
pub use crate::local::{
    Backend, Connection, DaemonMode, Local, LocalError, PolicyCheck, PolicyDecision, PolicyVerdict,
    SandboxEnd, SandboxRun, Sandboxed,
};
use crate::output::Output;
pub use client::ALREADY_RUNNING;

/// Runs the command line: `args` is the program's name and its arguments.
pub fn run(args: &[OsString], local: &dyn Local) -> ExitCode {
    let output = Output::new();
    // Asked often, by other programs, and answered before anything is built.
    if let [_, flag] = args
        && (flag == "--version" || flag == "-V")
    {
        return code(
            output.line(concat!("skein ", env!("CARGO_PKG_VERSION"))).map_err(CliError::Output),
            output,
        );
    }
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(refuse(&error, args, output)),
    };
    let Some(command) = cli.command else {
        if args.len() < 2 && !screen::is_possible() {
            output.note_part(&Cli::command().render_help().to_string());
            if let Some(why) = screen::why_impossible() {
                output.note(format_args!("\n{why}"));
            }
            return ExitCode::from(EXIT_USAGE);
        }
        return code(block_on(screen::run(cli.screen, output)), output);
    };
    match command {
        Command::Exec(args) => match block_on(async { Ok(Box::pin(exec::run(args, output)).await) }) {
            Ok(exit) => ExitCode::from(exit),
            Err(error) => code(Err(error), output),
        },
        Command::Attach(args) => code(block_on(attach::attach(args, output)), output),
        Command::Ps(args) => code(block_on(ps::ps(args, output)), output),
        Command::Agents(args) => code(block_on(agents::run(args, output)), output),
        Command::Logs(args) => code(block_on(attach::logs(args, output)), output),
        Command::Send(args) => code(block_on(send::send(args, output)), output),
        Command::Stop(args) => code(block_on(ps::stop(args, output)), output),
        Command::Sessions(command) => code(block_on(sessions::run(command, output)), output),
        Command::Rewind(args) => code(block_on(rewind::run(args, output)), output),
        Command::Review(args) => exit(block_on(review::run(args, output)), output),
        Command::Diff(args) => code(block_on(diff::run(args, output)), output),
        Command::Questions(command) => code(block_on(questions::run(command, output)), output),
        Command::Usage(args) => code(block_on(usage::run(args, output)), output),
        Command::Sandbox(args) => exit(sandbox::run(args, local, output), output),
        Command::Policy(command) => exit(policy::run(command, local, output), output),
        Command::Apply(args) => code(apply::run(args, local, output), output),
        Command::Tools(args) => code(block_on(tools::run(args, output)), output),
        Command::Skills(command) => code(block_on(skills::run(command, output)), output),
        Command::Mcp(command) => exit(block_on(mcp::run(command, output)), output),
        Command::Models(command) => exit(block_on(models::run(command, output)), output),
        Command::McpServer(args) => bridge(mcp_server::run(args, output), output),
        Command::Acp(args) => bridge(acp::run(args, output), output),
        Command::Login(args) => exit(block_on(login::login(args, output)), output),
        Command::Logout(args) => code(block_on(login::logout(args, output)), output),
        Command::Whoami(args) => exit(block_on(account::whoami(args, output)), output),
        Command::Config(command) => code(block_on(config::run(command, output)), output),
        Command::Daemon(DaemonCommand::Run(args)) => code(daemon::run_here(&args, local), output),
        Command::Daemon(command) => code(block_on(daemon::run(command, output)), output),
        Command::Doctor(args) => code(doctor::run(args, local, output), output),
        Command::Demo(args) => code(block_on(demo::run(args, output)), output),
        Command::Completions(args) => code(completions::run(&args, output), output),
    }
}

fn code(result: Result<(), CliError>, output: Output) -> ExitCode {
    exit(result.map(|()| 0), output)
}

fn exit(result: Result<u8, CliError>, output: Output) -> ExitCode {
    match result {
        Ok(exit) => ExitCode::from(exit),
        Err(error) => {
            error.report(output);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Runs a command that reads its standard input to the end. Where it ends before, the read is left behind.
fn bridge(command: impl Future<Output = Result<u8, CliError>>, output: Output) -> ExitCode {
    let ended = runtime().and_then(|runtime| {
        let result = runtime.block_on(command);
        runtime.shutdown_background();
        result
    });
    exit(ended, output)
}

/// Runs a command that talks to the daemon, on one thread.
fn block_on<T>(command: impl Future<Output = Result<T, CliError>>) -> Result<T, CliError> {
    runtime()?.block_on(command)
}

fn runtime() -> Result<tokio::runtime::Runtime, CliError> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|source| CliError::System { what: "Can't start the runtime", source })
}

/// Help and version, which clap treats as errors, and errors. A program that reads JSON gets its last line.
fn refuse(error: &clap::Error, args: &[OsString], output: Output) -> u8 {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            return match output.write(&rendered(error, output.out.is_on())) {
                Ok(()) => 0,
                Err(error) => CliError::Output(error).exit_code(),
            };
        }
        _ => {}
    }
    let is_flag = |flag: &OsString| flag == "--json" || flag == "--experimental-json";
    if args.get(1).is_some_and(|command| command == "exec") && args.iter().any(is_flag) {
        let text = error.render().to_string();
        let message = text.trim_start_matches("error: ").lines().next().unwrap_or_default();
        exec::refuse(message.to_owned(), output);
    } else {
        output.note_part(&rendered(error, output.err.is_on()));
    }
    EXIT_USAGE
}

fn rendered(error: &clap::Error, is_coloured: bool) -> String {
    let text = error.render();
    if is_coloured { text.ansi().to_string() } else { text.to_string() }
}
