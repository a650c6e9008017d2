//! The flags of `skein exec`. Those of Codex's own SDK are among them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use protocol::profile::{ApprovalPolicy, SandboxMode};
use protocol::session::{SettingOverride, SettingsOverrides};
use protocol::turn::TurnLimits;

use crate::span;

const HELP_AFTER: &str = "\
Examples:
  skein exec \"make the failing test pass\"
  git diff | skein exec \"review this change\"
  skein exec - < task.md
  skein exec --json -s read-only \"explain this repository\" | jq -r .type
  skein exec -o answer.md --deadline 10m \"write release notes since the last tag\"
  skein exec --detach \"port the tests\" && skein logs --last -f
  skein exec resume --last \"now the documentation\"
  skein exec --worktree=parser \"rewrite the parser\"

Output:
  The answer goes to standard output, everything else to standard error. On a terminal the answer
  streams; when standard output is piped, it is the last message alone. With --json, standard output
  has one JSON object per line and nothing else. Where a person is there to answer, the terminal's bell
  rings when a question waits and after a turn of more than 10 s; SKEIN_NO_BELL=1 keeps it silent.

Standard input:
  With `-`, or without a prompt, it is the prompt. Beside a prompt, what is piped in becomes context;
  if nothing comes within 2 s, the turn starts without it. `< /dev/null` says at once that there is none.

Exit codes:
  0 completed · 1 the turn failed · 2 usage or configuration · 3 a question needs an answer and nobody
  can give it · 4 a budget or the deadline ended it · 5 the daemon could not be reached or started ·
  130 interrupted · 143 terminated";

/// Runs a turn and ends with a code that scripts can trust.
#[derive(Args, Debug)]
#[command(after_help = HELP_AFTER)]
pub(crate) struct ExecArgs {
    #[command(flatten)]
    pub(crate) flags: ExecFlags,
    /// What to do; `-` reads it from standard input
    #[arg(value_name = "PROMPT | -")]
    pub(crate) prompt: Option<String>,
    #[command(subcommand)]
    pub(crate) action: Option<ExecAction>,
}

/// What else than a new session.
#[derive(Debug, Subcommand)]
pub(crate) enum ExecAction {
    /// Goes on with an earlier session
    Resume(ResumeArgs),
}

/// Which session, and what to say.
#[derive(Args, Debug)]
pub(crate) struct ResumeArgs {
    /// The session's id, or the beginning of it [with --last: the prompt]
    #[arg(value_name = "SESSION", required_unless_present = "last")]
    pub(crate) session: Option<String>,
    /// What to say; `-` reads it from standard input
    #[arg(value_name = "PROMPT | -")]
    pub(crate) prompt: Option<String>,
    /// The session of this folder that was used last
    #[arg(long)]
    pub(crate) last: bool,
}

/// Flags that may stand before and after `resume`.
#[derive(Args, Debug, Default)]
pub(crate) struct ExecFlags {
    /// Print events as JSON lines, in the shapes of `codex exec --json`
    #[arg(long, global = true, alias = "experimental-json", overrides_with = "json")]
    pub(crate) json: bool,
    /// Write the last message to a file too
    #[arg(short = 'o', long, global = true, value_name = "FILE")]
    pub(crate) output_last_message: Option<PathBuf>,
    /// JSON Schema that the last message must follow
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) output_schema: Option<PathBuf>,
    /// Record what the provider answers in a file that the replay provider plays
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) record: Option<PathBuf>,
    /// Work in this folder
    #[arg(short = 'C', long = "cd", global = true, value_name = "DIR")]
    pub(crate) cd: Option<PathBuf>,
    /// Work in a git worktree and on a branch of its own, `skein/NAME`
    #[arg(long, global = true, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "", conflicts_with = "ephemeral")]
    pub(crate) worktree: Option<String>,
    /// A further folder that may be written; may be repeated
    #[arg(long = "add-dir", global = true, value_name = "DIR")]
    pub(crate) add_dirs: Vec<PathBuf>,
    /// The model
    #[arg(short, long, global = true)]
    pub(crate) model: Option<String>,
    /// Take a model of this machine, from Ollama or LM Studio, whichever runs
    #[arg(long, global = true)]
    pub(crate) oss: bool,
    /// A profile of the configuration
    #[arg(short, long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
    /// Another value for a key of the configuration; may be repeated
    #[arg(short, long = "config", global = true, value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) config: Vec<SettingOverride>,
    /// What commands may touch
    #[arg(short, long, global = true, value_name = "MODE")]
    pub(crate) sandbox: Option<SandboxChoice>,
    /// What commands may touch, as `[permissions.NAME]` of the configuration says
    #[arg(long, global = true, value_name = "NAME", conflicts_with = "sandbox")]
    pub(crate) permissions: Option<String>,
    /// When a person is asked
    #[arg(short = 'a', long = "ask-for-approval", global = true, value_name = "POLICY")]
    pub(crate) approval: Option<ApprovalChoice>,
    /// An image to show to the model; may be repeated
    #[arg(short, long = "image", global = true, value_name = "FILE")]
    pub(crate) images: Vec<PathBuf>,
    /// Work outside a git repository too
    #[arg(long, global = true)]
    pub(crate) skip_git_repo_check: bool,
    /// Forget the session afterwards
    #[arg(long, global = true, conflicts_with = "detach")]
    pub(crate) ephemeral: bool,
    /// Print the session's id and return; the turn goes on in the daemon
    #[arg(long, global = true, conflicts_with = "output_last_message")]
    pub(crate) detach: bool,
    /// End the turn after this time, as in `90s`, `15m`, `1h30m`
    #[arg(long, global = true, value_name = "DURATION", value_parser = span::parse)]
    pub(crate) deadline: Option<Duration>,
    /// End the turn when it has worked for this time; what it waits for a person does not count
    #[arg(long, global = true, value_name = "DURATION", value_parser = span::parse)]
    pub(crate) max_time: Option<Duration>,
    /// End the turn when it has used so many tokens, input and output
    #[arg(long, global = true, value_name = "N")]
    pub(crate) max_tokens: Option<u64>,
    /// End the turn when it has cost so many US dollars
    #[arg(long, global = true, value_name = "DOLLARS", value_parser = dollars)]
    pub(crate) max_cost: Option<f64>,
    /// End the turn when it has called tools so many times
    #[arg(long, global = true, value_name = "N")]
    pub(crate) max_tool_calls: Option<u32>,
    /// Taken from Codex's SDK, without effect
    #[arg(long, global = true, hide = true)]
    pub(crate) thread_source: Option<String>,
    /// Taken from Codex's SDK, without effect
    #[arg(long, global = true, hide = true)]
    pub(crate) cyber_access_program: Option<String>,
}

/// `--sandbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SandboxChoice {
    /// Everything may be read, nothing written, no network
    ReadOnly,
    /// The folder and the temporary folders may be written; no network
    WorkspaceWrite,
    /// No sandbox at all
    DangerFullAccess,
}

/// `--ask-for-approval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ApprovalChoice {
    /// Before commands that are not known to be harmless, and before changes of files
    Untrusted,
    /// When the model wants to leave the sandbox
    OnRequest,
    /// Never; what would need an answer is refused
    Never,
}

impl From<SandboxChoice> for SandboxMode {
    fn from(choice: SandboxChoice) -> Self {
        match choice {
            SandboxChoice::ReadOnly => Self::ReadOnly,
            SandboxChoice::WorkspaceWrite => Self::WorkspaceWrite,
            SandboxChoice::DangerFullAccess => Self::DangerFullAccess,
        }
    }
}

impl From<ApprovalChoice> for ApprovalPolicy {
    fn from(choice: ApprovalChoice) -> Self {
        match choice {
            ApprovalChoice::Untrusted => Self::Untrusted,
            ApprovalChoice::OnRequest => Self::OnRequest,
            ApprovalChoice::Never => Self::Never,
        }
    }
}

impl ExecFlags {
    /// What differs from the settings on disk.
    pub(crate) fn overrides(&self) -> SettingsOverrides {
        // The daemon has another working folder.
        let record =
            self.record.as_deref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
        let record = record.map(|path| SettingOverride {
            key: "record".to_owned(),
            value: serde_json::Value::from(path.to_string_lossy()).to_string(),
        });
        SettingsOverrides {
            profile: self.profile.clone(),
            values: self.config.iter().cloned().chain(self.oss.then(local_provider)).chain(record).collect(),
            model: self.model.clone(),
            sandbox: self.sandbox.map(Into::into),
            approval: self.approval.map(Into::into),
            permissions: self.permissions.clone(),
        }
    }

    /// The turn's ceilings.
    pub(crate) fn limits(&self) -> TurnLimits {
        TurnLimits {
            deadline_ms: self.deadline.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            max_time_ms: self.max_time.map(|span| u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
            max_tokens: self.max_tokens,
            max_cost: self.max_cost,
            max_tool_calls: self.max_tool_calls,
        }
    }
}

/// What `--oss` stands for.
pub(crate) fn local_provider() -> SettingOverride {
    SettingOverride { key: "model_provider".to_owned(), value: "\"oss\"".to_owned() }
}

/// Reads `KEY=VALUE`.
pub(crate) fn setting(text: &str) -> Result<SettingOverride, String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => {
            Ok(SettingOverride { key: key.trim().to_owned(), value: value.trim().to_owned() })
        }
        _ => Err("write it as KEY=VALUE, as in `model_reasoning_effort=\"high\"`".to_owned()),
    }
}

fn dollars(text: &str) -> Result<f64, String> {
    match text.trim_start_matches('$').parse::<f64>() {
        Ok(amount) if amount.is_finite() && amount > 0.0 => Ok(amount),
        _ => Err("write an amount of US dollars above 0, as in `1.50`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Exec {
        #[command(flatten)]
        args: ExecArgs,
    }

    fn parse(line: &[&str]) -> ExecArgs {
        Exec::try_parse_from([&["exec"], line].concat()).unwrap().args
    }

    #[test]
    fn the_sdk_is_understood() {
        let args = parse(&[
            "--experimental-json",
            "--config",
            "openai_base_url=\"http://127.0.0.1:1/v1\"",
            "--model",
            "gpt-x",
            "--thread-source",
            "sdk",
            "--sandbox",
            "workspace-write",
            "--cd",
            "/repo",
            "--add-dir",
            "/a",
            "--add-dir",
            "/b",
            "--skip-git-repo-check",
            "--output-schema",
            "/tmp/schema.json",
            "--cyber-access-program",
            "p",
            "--config",
            "approval_policy=\"never\"",
            "resume",
            "0199a213-81c0-7800-8aa1-bbab2a035a53",
            "--image",
            "/tmp/a.png",
            "--image",
            "/tmp/b.png",
        ]);
        let ExecFlags { json, model, sandbox, cd, add_dirs, images, skip_git_repo_check, .. } = &args.flags;
        assert!(*json && *skip_git_repo_check);
        assert_eq!(model.as_deref(), Some("gpt-x"));
        assert_eq!(*sandbox, Some(SandboxChoice::WorkspaceWrite));
        assert_eq!(cd.as_deref(), Some("/repo".as_ref()));
        assert_eq!(*add_dirs, ["/a", "/b"].map(PathBuf::from));
        assert_eq!(*images, ["/tmp/a.png", "/tmp/b.png"].map(PathBuf::from));
        assert_eq!(args.flags.output_schema.as_deref(), Some("/tmp/schema.json".as_ref()));
        let overrides = args.flags.overrides();
        assert_eq!(overrides.values[0].key, "openai_base_url");
        assert_eq!(overrides.values[0].value, "\"http://127.0.0.1:1/v1\"");
        assert_eq!(overrides.values[1].key, "approval_policy");
        let Some(ExecAction::Resume(resume)) = args.action else { panic!("no resume") };
        assert_eq!(resume.session.as_deref(), Some("0199a213-81c0-7800-8aa1-bbab2a035a53"));
        assert_eq!((resume.prompt, resume.last), (None, false));
    }

    #[test]
    fn flags_stand_on_either_side_of_resume() {
        for line in [&["--json", "resume", "--last", "go on"], &["resume", "--last", "--json", "go on"]] {
            let args = parse(line);
            assert!(args.flags.json);
            let Some(ExecAction::Resume(resume)) = args.action else { panic!("no resume") };
            assert!(resume.last);
            assert_eq!(resume.session.as_deref(), Some("go on"));
        }
    }

    #[test]
    fn a_prompt_may_be_a_dash_or_begin_with_one() {
        assert_eq!(parse(&["-"]).prompt.as_deref(), Some("-"));
        assert_eq!(parse(&["--", "-x"]).prompt.as_deref(), Some("-x"));
    }

    #[test]
    fn limits_are_read() {
        let limits = parse(&[
            "--deadline",
            "2m",
            "--max-time",
            "90s",
            "--max-tokens",
            "1000",
            "--max-cost",
            "1.5",
            "--max-tool-calls",
            "7",
        ])
        .flags
        .limits();
        let expected = TurnLimits {
            deadline_ms: Some(120_000),
            max_time_ms: Some(90_000),
            max_tokens: Some(1000),
            max_cost: Some(1.5),
            max_tool_calls: Some(7),
        };
        assert_eq!(limits, expected);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            &["--deadline", "soon", "x"][..],
            &["--max-cost", "-1", "x"],
            &["-c", "novalue", "x"],
            &["--ephemeral", "--detach", "x"],
            &["-o", "f", "--detach", "x"],
            &["-s", "none", "x"],
            &["resume"],
            &["one", "two"],
        ] {
            assert!(Exec::try_parse_from([&["exec"], line].concat()).is_err(), "{line:?}");
        }
    }

    #[test]
    fn permissions_stand_in_place_of_a_sandbox_mode() {
        let overrides = parse(&["--permissions", "careful", "go"]).flags.overrides();
        assert_eq!(overrides.permissions.as_deref(), Some("careful"));
        assert_eq!(overrides.sandbox, None);
        assert!(Exec::try_parse_from(["exec", "--permissions", "a", "-s", "read-only", "go"]).is_err());
    }
}
