//! Which session is meant: by its id, by the beginning of it, or the last one of a folder.

use std::path::{Path, PathBuf};

use client::Connection;
use protocol::api::session::SessionClient;
use protocol::ids::SessionId;
use protocol::session::{SessionListParams, SessionReadParams, SessionSummary};

use crate::error::CliError;

/// Sessions that are looked through for the beginning of an id.
const MOST_SESSIONS: u32 = 10_000;
/// Letters of an id that tables show: the time to the millisecond, hardly ever twice the same.
const SHORT_ID: usize = 13;

/// The session that a text names.
pub(crate) async fn by_text(connection: &mut Connection, text: &str) -> Result<SessionId, CliError> {
    if let Ok(id) = text.parse() {
        return Ok(id);
    }
    let is_beginning =
        text.len() >= 4 && text.chars().all(|letter| letter.is_ascii_hexdigit() || letter == '-');
    if !is_beginning {
        return Err(CliError::usage(
            format!("`{text}` is no id of a session, nor the beginning of one"),
            "`skein sessions list` shows them",
        ));
    }
    let params = SessionListParams {
        with_archived: true,
        with_agents: true,
        limit: Some(MOST_SESSIONS),
        ..SessionListParams::default()
    };
    let sessions = connection.call(async |rpc| rpc.list(params.clone()).await).await?.sessions;
    let beginning = text.to_ascii_lowercase();
    let mut found =
        sessions.iter().map(|session| session.id).filter(|id| id.to_string().starts_with(&beginning));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err(CliError::usage(
            format!("No session's id begins with `{text}`"),
            "`skein sessions list` shows them",
        )),
        (Some(first), Some(second)) => Err(CliError::usage(
            format!("Several sessions begin with `{text}`: `{first}`, `{second}`"),
            "Type more of the id",
        )),
    }
}

/// The session of a folder that was used last.
pub(crate) async fn last_of(connection: &mut Connection, folder: &Path) -> Result<SessionSummary, CliError> {
    let params =
        SessionListParams { cwd: Some(folder.to_owned()), limit: Some(1), ..SessionListParams::default() };
    let sessions = connection.call(async |rpc| rpc.list(params.clone()).await).await?.sessions;
    sessions.into_iter().next().ok_or_else(|| {
        CliError::usage(
            format!("There is no session in `{}` yet", folder.display()),
            "Start one with `skein exec \"…\"`, or name one: `skein sessions list`",
        )
    })
}

/// The session that the arguments of a command name: by text, or the last one of this folder.
pub(crate) async fn named(
    connection: &mut Connection,
    session: Option<&str>,
    is_last: bool,
) -> Result<SessionId, CliError> {
    match (session, is_last) {
        (Some(text), false) => by_text(connection, text).await,
        (None, true) => Ok(last_of(connection, &absolute_folder(None)?).await?.id),
        (Some(_), true) | (None, false) => {
            Err(CliError::usage("Which session?", "Name one, or pass `--last`; `skein ps` shows what runs"))
        }
    }
}

/// A session's summary.
pub(crate) async fn read(
    connection: &mut Connection,
    session_id: SessionId,
) -> Result<SessionSummary, CliError> {
    let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(1) };
    let read = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
    Ok(read.summary)
}

/// What tables show of an id.
pub(crate) fn short(id: SessionId) -> String {
    let mut text = id.to_string();
    text.truncate(SHORT_ID);
    text
}

/// A folder that exists, absolute and without links; this one if none is given.
pub(crate) fn absolute_folder(folder: Option<&Path>) -> Result<PathBuf, CliError> {
    let folder = folder.unwrap_or(Path::new("."));
    match folder.canonicalize() {
        Ok(path) if path.is_dir() => Ok(path),
        Ok(path) => Err(CliError::usage(format!("`{}` is not a folder", path.display()), "Name a folder")),
        Err(source) => Err(CliError::File { action: "read", path: folder.to_owned(), source }),
    }
}
