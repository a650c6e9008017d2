//! Everything before the turn: what the flags and files say, the daemon, the session.

use std::fs;
use std::path::{Path, PathBuf};

use client::Connection;
use protocol::api::session::SessionClient;
use protocol::error::ConfigurationProblem;
use protocol::ids::{RequestId, SessionId};
use protocol::session::{SessionCreateParams, SessionSummary, SessionUpdateParams, SettingsOverrides};
use protocol::turn::{InputPart, TurnStartParams};
use serde_json::Value;

use crate::connect::connect;
use crate::error::{CliError, problem_text};
use crate::exec::args::{ExecAction, ExecArgs, ExecFlags};
use crate::exec::{prompt, stdin};
use crate::output::Output;
use crate::select::{self, absolute_folder};
use crate::worktree;

/// A turn that is ready to start.
pub(crate) struct Prepared {
    /// The daemon.
    pub(crate) connection: Connection,
    /// The session.
    pub(crate) summary: SessionSummary,
    /// What to start.
    pub(crate) start: TurnStartParams,
}

/// Which session.
enum Target {
    New,
    Id(String),
    Last,
}

/// Checks what can be checked, reads what is to be read, and finds or makes the session.
pub(crate) async fn prepare(args: ExecArgs, output: Output) -> Result<Prepared, CliError> {
    let ExecArgs { flags, prompt, action } = args;
    let (target, argument) = target(action, prompt)?;
    let folder = absolute_folder(flags.cd.as_deref())?;
    let additional_roots: Vec<PathBuf> =
        flags.add_dirs.iter().map(|dir| absolute_folder(Some(dir))).collect::<Result<_, _>>()?;
    if matches!(target, Target::New) && !flags.skip_git_repo_check && !is_in_repository(&folder) {
        return Err(CliError::usage(
            format!("`{}` is not in a git repository, so changes could not be taken back", folder.display()),
            "Run `git init` there, or pass `--skip-git-repo-check`",
        ));
    }
    let folder = match (&flags.worktree, &target) {
        (None, _) => folder,
        (Some(name), Target::New) => worktree::enter(&folder, name, output)?,
        (Some(_), Target::Id(_) | Target::Last) => {
            return Err(CliError::usage(
                "A session keeps its folder, so `--worktree` is for a new one",
                "Leave out `--worktree`, or leave out `resume`",
            ));
        }
    };
    let output_schema = flags.output_schema.as_deref().map(read_schema).transpose()?;
    let images: Vec<InputPart> =
        flags.images.iter().map(|path| prompt::image(path)).collect::<Result<_, _>>()?;
    for (flag, value) in
        [("thread-source", &flags.thread_source), ("cyber-access-program", &flags.cyber_access_program)]
    {
        if value.is_some() {
            output.note(format_args!("note: `--{flag}` has no effect here"));
        }
    }
    let (piped, mut connection) = tokio::try_join!(
        stdin::read(prompt::wanted(argument.as_deref()), output),
        connect("skein exec", output)
    )?;
    let text = prompt::assemble(argument.as_deref(), piped.as_deref())?;
    let summary = match target {
        Target::New => create(&mut connection, &flags, folder, additional_roots, output).await?,
        Target::Id(text) => {
            let id = select::by_text(&mut connection, &text).await?;
            let summary = select::read(&mut connection, id).await?;
            resume(&mut connection, &flags, summary, output).await?
        }
        Target::Last => {
            let last = select::last_of(&mut connection, &folder).await?;
            resume(&mut connection, &flags, last, output).await?
        }
    };
    let mut input = vec![InputPart::Text { text }];
    input.extend(images);
    let start = TurnStartParams {
        session_id: summary.id,
        input,
        output_schema,
        limits: flags.limits(),
        expected_seq: None,
        request_id: Some(RequestId::generate()),
    };
    Ok(Prepared { connection, summary, start })
}

/// Which session is meant, and which argument is the prompt.
fn target(action: Option<ExecAction>, prompt: Option<String>) -> Result<(Target, Option<String>), CliError> {
    let Some(ExecAction::Resume(resume)) = action else { return Ok((Target::New, prompt)) };
    if prompt.is_some() {
        return Err(CliError::usage(
            "The prompt stands before `resume`",
            "Put it last: `skein exec resume SESSION \"…\"`",
        ));
    }
    match (resume.last, resume.session, resume.prompt) {
        (true, prompt, None) => Ok((Target::Last, prompt)),
        (true, Some(session), Some(_)) => Err(CliError::usage(
            format!("`--last` and the session `{session}` are both given"),
            "Take one of them",
        )),
        (false, Some(session), prompt) => Ok((Target::Id(session), prompt)),
        (true, None, Some(_)) | (false, None, _) => {
            Err(CliError::usage("No session is given", "Name it, or pass `--last`"))
        }
    }
}

async fn create(
    connection: &mut Connection,
    flags: &ExecFlags,
    cwd: PathBuf,
    additional_roots: Vec<PathBuf>,
    output: Output,
) -> Result<SessionSummary, CliError> {
    let params = SessionCreateParams {
        session_id: Some(SessionId::generate()),
        cwd,
        additional_roots,
        title: None,
        overrides: flags.overrides(),
        is_ephemeral: flags.ephemeral,
        is_detached: flags.detach,
    };
    let created = connection.call(async |rpc| rpc.create(params.clone()).await).await?;
    warn(&created.warnings, output);
    Ok(created.summary)
}

async fn resume(
    connection: &mut Connection,
    flags: &ExecFlags,
    summary: SessionSummary,
    output: Output,
) -> Result<SessionSummary, CliError> {
    let session_folder = &summary.settings.cwd;
    if let Some(dir) = &flags.cd
        && absolute_folder(Some(dir))? != *session_folder
    {
        output.note(format_args!(
            "note: the session works in `{}`; --cd has no effect",
            session_folder.display()
        ));
    }
    for (flag, is_given) in [("add-dir", !flags.add_dirs.is_empty()), ("ephemeral", flags.ephemeral)] {
        if is_given {
            output.note(format_args!("note: --{flag} has no effect on a session that exists"));
        }
    }
    let overrides = flags.overrides();
    if overrides == SettingsOverrides::default() {
        return Ok(summary);
    }
    let session_id = summary.id;
    let params = SessionUpdateParams {
        session_id,
        title: None,
        overrides,
        unarchive: false,
        request_id: Some(RequestId::generate()),
    };
    let updated = connection.call(async |rpc| rpc.update(params.clone()).await).await?;
    warn(&updated.warnings, output);
    Ok(updated.summary)
}

/// Tells what of the settings was not understood.
pub(crate) fn warn(problems: &[ConfigurationProblem], output: Output) {
    for problem in problems {
        output.note(format_args!("{} {}", output.err.yellow("warning:"), problem_text(problem)));
    }
}

fn read_schema(path: &Path) -> Result<Value, CliError> {
    let wrap = |source| CliError::File { action: "read", path: path.to_owned(), source };
    let text = fs::read_to_string(path).map_err(wrap)?;
    let wrong = |what: String| {
        CliError::usage(
            format!("`{}` is no JSON Schema: {what}", path.display()),
            "It must be one JSON object, as in {\"type\": \"object\", …}",
        )
    };
    match serde_json::from_str(&text) {
        Ok(schema @ Value::Object(_)) => Ok(schema),
        Ok(_) => Err(wrong("it is not an object".to_owned())),
        Err(error) => Err(wrong(error.to_string())),
    }
}

fn is_in_repository(folder: &Path) -> bool {
    folder.ancestors().any(|ancestor| ancestor.join(".git").exists())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::args::ResumeArgs;

    fn resume(session: Option<&str>, prompt: Option<&str>, last: bool) -> Option<ExecAction> {
        let (session, prompt) = (session.map(str::to_owned), prompt.map(str::to_owned));
        Some(ExecAction::Resume(ResumeArgs { session, prompt, last }))
    }

    #[test]
    fn the_first_argument_after_last_is_the_prompt() {
        assert!(matches!(
            target(resume(Some("go on"), None, true), None),
            Ok((Target::Last, Some(prompt))) if prompt == "go on"
        ));
        assert!(matches!(
            target(resume(Some("0199"), Some("go on"), false), None),
            Ok((Target::Id(id), Some(prompt))) if id == "0199" && prompt == "go on"
        ));
        assert!(target(resume(Some("0199"), Some("go on"), true), None).is_err());
        assert!(target(resume(Some("0199"), None, false), Some("go on".to_owned())).is_err());
    }
}
