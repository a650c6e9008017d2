//! The command line: its commands and where each lives. Knows nothing of what they do.

use clap::{Parser, Subcommand};

use crate::account::WhoamiArgs;
use crate::acp::AcpArgs;
use crate::agents::AgentsArgs;
use crate::apply::ApplyArgs;
use crate::attach::{AttachArgs, LogsArgs};
use crate::completions::CompletionsArgs;
use crate::config::ConfigCommand;
use crate::daemon::DaemonCommand;
use crate::demo::DemoArgs;
use crate::diff::DiffArgs;
use crate::doctor::DoctorArgs;
use crate::exec::args::ExecArgs;
use crate::login::{LoginArgs, LogoutArgs};
use crate::mcp::McpCommand;
use crate::mcp_server::McpServerArgs;
use crate::models::ModelsCommand;
use crate::policy::PolicyCommand;
use crate::ps::{PsArgs, StopArgs};
use crate::questions::QuestionsCommand;
use crate::review::ReviewArgs;
use crate::rewind::RewindArgs;
use crate::sandbox::SandboxArgs;
use crate::screen::ScreenArgs;
use crate::send::SendArgs;
use crate::sessions::SessionsCommand;
use crate::skills::SkillsCommand;
use crate::tools::ToolsArgs;
use crate::usage::UsageArgs;

const HELP_AFTER: &str = "\
Without a command, `skein` and `skein \"PROMPT\"` open the terminal UI on a new session in this folder,
and `skein -c` on the last one.

Begin with:
  skein demo                          see it work, with neither key nor network
  skein exec \"make the failing test pass\"
  skein ps                            what runs now, in whichever window it was started
  skein logs --last -f                follow the last session of this folder
  skein doctor                        what this machine can do, and what to mend

`skein COMMAND --help` tells more, with examples.";

/// A coding agent whose sessions live in a daemon.
#[derive(Debug, Parser)]
#[command(name = "skein", version, after_help = HELP_AFTER)]
#[command(disable_help_subcommand = true, infer_long_args = false, args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    /// Without a command: the terminal UI, on a new session in this folder.
    #[command(flatten)]
    pub(crate) screen: ScreenArgs,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
#[expect(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub(crate) enum Command {
    /// Run a turn without a screen, and end with a code that scripts can trust
    Exec(ExecArgs),
    /// Follow a session as it goes, and answer its questions
    Attach(AttachArgs),
    /// Show the sessions that run or wait now, and commands in the background
    Ps(PsArgs),
    /// Show the agents that models started, as a tree
    Agents(AgentsArgs),
    /// Print what happened in a session
    Logs(LogsArgs),
    /// Say something to a session: into the running turn, or as the next one; change what waits
    Send(SendArgs),
    /// Stop the running turn of a session, or one of its commands in the background
    Stop(StopArgs),
    /// List, show, rename, put away and delete sessions
    #[command(subcommand)]
    Sessions(SessionsCommand),
    /// Take turns back: what they changed in files, what was said, or both
    Rewind(RewindArgs),
    /// Show what a session changed in files
    Diff(DiffArgs),
    /// Have a change reviewed by a session that may only read
    Review(ReviewArgs),
    /// See and answer what waits for somebody
    #[command(subcommand)]
    Questions(QuestionsCommand),
    /// Say what was spent, by day, session or model
    Usage(UsageArgs),
    /// Run a command as the agent would
    Sandbox(SandboxArgs),
    /// Ask the execution policy
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// Apply a patch in the agent's patch format
    Apply(ApplyArgs),
    /// List the agent's tools, and what each costs
    Tools(ToolsArgs),
    /// List skills, show what one says, switch them on and off
    #[command(subcommand)]
    Skills(SkillsCommand),
    /// Add, list, try and remove MCP servers
    #[command(subcommand)]
    Mcp(McpCommand),
    /// List models, say which one is taken and why, and fetch one onto this machine
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Be a server of the Model Context Protocol, for other agents
    McpServer(McpServerArgs),
    /// Be the agent of an editor that speaks the Agent Client Protocol
    Acp(AcpArgs),
    /// Sign in with an account, or store a provider's key
    Login(LoginArgs),
    /// Forget a provider's key or account
    Logout(LogoutArgs),
    /// Say which key or account is used for which provider
    Whoami(WhoamiArgs),
    /// Find and check the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Start, stop and watch the daemon
    #[command(subcommand)]
    Daemon(DaemonCommand),
    /// Say what this machine can do, and what to mend
    Doctor(DoctorArgs),
    /// Show a whole turn, with neither key nor network
    Demo(DemoArgs),
    /// Print completions for a shell
    Completions(CompletionsArgs),
}
