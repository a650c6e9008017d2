//! `request_permissions`: asks a person to let the session do more. The session does what the answer says; here it
//! is only asked.

use std::path::PathBuf;
use std::time::Duration;

use protocol::profile::{Access, NetworkAccess, PathRule, Profile};
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
            0 => return Err("Name something in `read`, `write` or `hosts`".to_owned()),
            1..=MAX_ENTRIES => {}
            count => return Err(format!("{count} are too many; at most {MAX_ENTRIES} together")),
        }
        if let Some(path) = arguments.read.iter().chain(&arguments.write).find(|path| path.starts_with("~")) {
            return Err(format!("Write `{}` out; nothing stands for the home folder", path.display()));
        }
        match arguments.hosts.iter().find(|host| !is_host(host)) {
            Some(host) => Err(format!(
                "`{host}` is no host: give a name or an address without scheme, port and path; `*.` at the beginning \
                 stands for all names below"
            )),
            None => Ok(()),
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
        let (paths, hosts) = lacking(paths?, arguments.hosts, &context.profile)?;
        let looked_for = paths.clone();
        look(&context, WITHIN, move |_, _| looked_for.iter().try_for_each(there)).await??;
        if paths.is_empty() && hosts.is_empty() {
            return Ok("Nobody was asked: the session has all of it already".to_owned().into());
        }
        let justification = Some(arguments.justification);
        let kind = QuestionKind::Permissions { paths, hosts, justification };
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

/// A sandbox opens what is there when a command starts, so leave for anything else would be none.
fn there(PathRule { path, .. }: &PathRule) -> Result<(), Stopped> {
    if path.symlink_metadata().is_ok() {
        return Ok(());
    }
    let around = path.ancestors().skip(1).find(|folder| folder.is_dir()).unwrap_or(path);
    Err(Stopped::Failed(format!(
        "`{}` does not exist, so it can't be granted; ask for the folder that it is to be made in: `{}` is there",
        path.display(),
        around.display()
    )))
}

/// What of it the session does not have.
fn lacking(
    paths: Vec<PathRule>,
    hosts: Vec<String>,
    profile: &Profile,
) -> Result<(Vec<PathRule>, Vec<String>), Stopped> {
    // What is hidden stays so, whoever says yes; asking would promise what is not given.
    if let Some(rule) = paths.iter().find(|rule| profile.access(&rule.path) == Access::Hidden) {
        let path = rule.path.display();
        return Err(Stopped::Failed(format!(
            "`{path}` is hidden from the session, and no answer opens it; a person can, in `[permissions]` of \
             `config.toml`"
        )));
    }
    let paths = paths.into_iter().filter(|rule| rule.access > profile.access(&rule.path)).collect();
    let hosts = if profile.network == NetworkAccess::Full { Vec::new() } else { hosts };
    Ok((paths, hosts))
}

/// Whether it is a name or an address, or stands for the names below one.
fn is_host(text: &str) -> bool {
    const LONGEST: usize = 253;
    let name = text.strip_prefix("*.").unwrap_or(text);
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    let is_address = bare.parse::<std::net::IpAddr>().is_ok() && name == text;
    let is_label = |label: &str| {
        !label.is_empty() && label.chars().all(|letter| letter.is_alphanumeric() || "-_".contains(letter))
    };
    is_address || name.len() <= LONGEST && name.split('.').all(is_label)
}
