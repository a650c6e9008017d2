//! `request_permissions`: asks a person to let the session do more. The session does what the answer says; here it
//! is only asked.

use std::path::PathBuf;
use std::time::Duration;

use protocol::profile::{Access, PathRule};
use protocol::question::{Decision, GrantScope, QuestionKind};
use schemars::JsonSchema;
use serde::Deserialize;
use workspace::path::resolve;

use crate::function::{Function, Stopped, Told, look};
use crate::tool::RunContext;

/// Paths and hosts in one call.
const MAX_ENTRIES: usize = 16;

/// How long looking at the paths may take.
const WITHIN: Duration = Duration::from_secs(5);

/// Asks for permissions.
pub(crate) struct RequestPermissions;

/// The arguments.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Arguments {
    #[serde(default)]
    read: Vec<PathBuf>,
    #[serde(default)]
    write: Vec<PathBuf>,
    #[serde(default)]
    hosts: Vec<String>,
    /// Why, for the person
    justification: String,
}

impl Function for RequestPermissions {
    type Arguments = Arguments;
    const NAME: &'static str = "request_permissions";
    const DESCRIPTION: &'static str = include_str!("request_permissions.md");
    const IS_READ_ONLY: bool = false;

    fn check(arguments: &Arguments) -> Result<(), String> {
        match arguments.read.len() + arguments.write.len() + arguments.hosts.len() {
            0 => Err("Name something in `read`, `write` or `hosts`".to_owned()),
            1..=MAX_ENTRIES => Ok(()),
            count => Err(format!("{count} are too many; at most {MAX_ENTRIES} together")),
        }
    }

    async fn call(&self, arguments: Arguments, context: RunContext) -> Result<Told, Stopped> {
        let rules = |paths: Vec<PathBuf>, access| {
            let cwd = &context.cwd;
            paths.into_iter().map(move |path| (cwd.join(path), access))
        };
        let wanted = rules(arguments.read, Access::Read).chain(rules(arguments.write, Access::Write));
        let wanted: Vec<_> = wanted.collect();
        // What a person sees and allows is the real path, not a link to it.
        let real = |(path, access): (PathBuf, Access)| match resolve(&path) {
            Ok(path) => Ok(PathRule { path, access }),
            Err(error) => Err(Stopped::Failed(format!("`{}`: {error}", path.display()))),
        };
        let resolving = look(&context, WITHIN, move |_, _| wanted.into_iter().map(real).collect());
        let paths: Result<Vec<_>, Stopped> = resolving.await?;
        let paths = paths?;
        let justification = Some(arguments.justification);
        let kind = QuestionKind::Permissions { paths, hosts: arguments.hosts, justification };
        let asking = context.asker.ask(kind, "The agent asks for more than its profile gives".to_owned());
        let decision = tokio::select! {
            decision = asking => decision,
            () = context.cancel.cancelled() => return Err(Stopped::Interrupted),
        };
        match decision {
            Decision::Allow { scope } => {
                let lasts = match scope {
                    GrantScope::Once | GrantScope::Turn => "for this turn",
                    GrantScope::Session | GrantScope::Always => "for this session",
                    GrantScope::Unknown(_) => "for now",
                };
                Ok(format!("Granted {lasts}").into())
            }
            Decision::Deny { message } => {
                Err(Stopped::Declined(message.unwrap_or_else(|| "Not granted".to_owned())))
            }
            Decision::Reply { .. } | Decision::Content { .. } | Decision::Unknown(_) => {
                Err(Stopped::Failed("The answer can't be understood".to_owned()))
            }
        }
    }
}
