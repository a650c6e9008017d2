//! What the editor asks for before there is a session in it: who signs in, which sessions there are, and to open one.

use std::collections::HashSet;
use std::path::Path;
use std::time::Duration;

use client::{Attached, ClientError, ConnectOptions, Connection, Update as Seen};
use protocol::account::AccountLogoutParams;
use protocol::api::account::AccountClient;
use protocol::api::mcp::McpClient;
use protocol::api::model::ModelClient;
use protocol::api::session::SessionClient;
use protocol::catalogue::{ModelChoiceParams, ModelListParams};
use protocol::ids::{RequestId, SessionId, Timestamp};
use protocol::mcp::McpListParams;
use protocol::session::{
    SessionCreateParams, SessionListParams, SessionReadParams, SessionRef, SessionSnapshot, SessionSummary,
    SessionUpdateParams, SettingOverride, SettingsOverrides,
};
use protocol::turn::Turn;
use serde_json::{Value, json};

use crate::choice::Choices;
use crate::editor::Editor;
use crate::rpc::RpcError;
use crate::schema::request::{Authenticate, ListSessions, McpServer, NewSession, OldSession, OneSession};
use crate::servers::Servers;
use crate::session::{Parts, Session};
use crate::story::{CompactionForm, NoticeForm, Story};
use crate::terminal::OutputForm;
use crate::time::iso;

/// The way to sign in that the agent itself knows.
pub(crate) const SIGNED_IN: &str = "skein";
/// The way to sign in that runs in a terminal.
pub(crate) const SIGN_IN: &str = "skein-login";

/// Sessions on a page of the list.
const PAGE: u32 = 50;
/// Turns that are read at once.
const TURNS: u32 = 20;
/// How long the list of models is waited for; without it only the one that holds is shown.
const MODELS_LIMIT: Duration = Duration::from_secs(3);

/// Whether the editor is told what happened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// All of it.
    All,
    /// Only the turn that runs.
    Running,
}

/// A session that was opened, and the answer to who asked for it.
pub(crate) struct Opened {
    pub(crate) session: Session,
    pub(crate) result: Value,
}

/// `session/new`.
pub(crate) async fn new(
    options: ConnectOptions,
    editor: Editor,
    params: NewSession,
) -> Result<Opened, RpcError> {
    check_folder("cwd", &params.cwd)?;
    for folder in &params.additional_directories {
        check_folder("additionalDirectories", folder)?;
    }
    let mut connection = Connection::open(options).await?;
    let Servers { values, notices: mut refused } =
        servers(&mut connection, &params.cwd, &params.mcp_servers).await?;
    let wanted = SessionCreateParams {
        session_id: Some(SessionId::generate()),
        cwd: params.cwd,
        additional_roots: params.additional_directories,
        overrides: SettingsOverrides { values: values.clone(), ..SettingsOverrides::default() },
        ..SessionCreateParams::default()
    };
    let created = match connection.call(async |rpc| SessionClient::create(rpc, wanted.clone()).await).await {
        Ok(created) => created,
        Err(error) => return Err(explained(&mut connection, error).await),
    };
    let mut notices: Vec<String> = created.warnings.into_iter().map(|problem| problem.message).collect();
    notices.append(&mut refused);
    let told = Told { notices, servers: values };
    open(connection, editor, created.summary.id, Replay::Running, told).await
}

/// `session/load` and `session/resume`.
pub(crate) async fn old(
    options: ConnectOptions,
    editor: Editor,
    params: OldSession,
    replay: Replay,
) -> Result<Opened, RpcError> {
    let id = session_id(&params.session_id)?;
    check_folder("cwd", &params.cwd)?;
    let mut connection = Connection::open(options).await?;
    let read = SessionReadParams { session_id: id, skip_turns: 0, limit: Some(0) };
    let read = connection.call(async |rpc| SessionClient::read(rpc, read.clone()).await).await?;
    let settings = read.summary.settings;
    let mut notices = Vec::new();
    if settings.cwd != params.cwd {
        notices.push(format!("This session works in `{}`", settings.cwd.display()));
    }
    let roots = &settings.additional_roots;
    let is_more = params.additional_directories.iter().any(|folder| !roots.contains(folder));
    if is_more {
        notices.push("Further folders can be given to a new session only".to_owned());
    }
    let Servers { values, notices: mut refused } =
        servers(&mut connection, &settings.cwd, &params.mcp_servers).await?;
    notices.append(&mut refused);
    if !values.is_empty() {
        let update = SessionUpdateParams {
            session_id: id,
            title: None,
            overrides: SettingsOverrides { values: values.clone(), ..SettingsOverrides::default() },
            unarchive: false,
            request_id: Some(RequestId::generate()),
        };
        connection.call(async |rpc| SessionClient::update(rpc, update.clone()).await).await?;
    }
    open(connection, editor, id, replay, Told { notices, servers: values }).await
}

/// `session/list`.
pub(crate) async fn list(options: ConnectOptions, params: ListSessions) -> Result<Value, RpcError> {
    if let Some(cwd) = &params.cwd {
        check_folder("cwd", cwd)?;
    }
    let updated_before = match &params.cursor {
        Some(cursor) => Some(Timestamp(
            cursor.parse().map_err(|_| RpcError::invalid_params("The `cursor` is none of ours"))?,
        )),
        None => None,
    };
    let wanted = SessionListParams {
        cwd: params.cwd,
        limit: Some(PAGE),
        updated_before,
        ..SessionListParams::default()
    };
    let mut connection = Connection::open(options).await?;
    let listed = connection.call(async |rpc| SessionClient::list(rpc, wanted.clone()).await).await?;
    let is_full = listed.sessions.len() as u64 >= u64::from(PAGE);
    let next = listed.sessions.last().filter(|_| is_full).map(|last| last.updated_at.0.to_string());
    let sessions: Vec<Value> = listed.sessions.iter().map(info).collect();
    let mut result = json!({"sessions": sessions});
    if let Some(next) = next {
        result["nextCursor"] = json!(next);
    }
    Ok(result)
}

/// `session/delete`. One that is not there is gone.
pub(crate) async fn delete(options: ConnectOptions, params: OneSession) -> Result<Value, RpcError> {
    let id = session_id(&params.session_id)?;
    let mut connection = Connection::open(options).await?;
    let wanted = SessionRef::new(id);
    connection.call(async |rpc| SessionClient::delete(rpc, wanted.clone()).await).await?;
    Ok(json!({}))
}

/// `authenticate`: there is nothing to do but to look, for keys and accounts are the daemon's.
pub(crate) async fn authenticate(options: ConnectOptions, params: Authenticate) -> Result<Value, RpcError> {
    if params.method_id != SIGNED_IN {
        let shown = view::escape::short_line(&params.method_id, 100);
        return Err(RpcError::invalid_params(format!("There is no way to sign in that is called `{shown}`")));
    }
    let mut connection = Connection::open(options).await?;
    let choice =
        connection.call(async |rpc| ModelClient::choice(rpc, ModelChoiceParams::default()).await).await?;
    match choice.provider {
        Some(_) => Ok(json!({})),
        None => Err(RpcError::auth_required(choice.reason).with_hint(choice.hint)),
    }
}

/// `logout`: of the provider that a new session would get.
pub(crate) async fn logout(options: ConnectOptions) -> Result<Value, RpcError> {
    let mut connection = Connection::open(options).await?;
    let choice =
        connection.call(async |rpc| ModelClient::choice(rpc, ModelChoiceParams::default()).await).await?;
    if let Some(provider) = choice.provider {
        let params = AccountLogoutParams { provider };
        connection.call(async |rpc| AccountClient::logout(rpc, params.clone()).await).await?;
    }
    Ok(json!({}))
}

/// The session that an editor names.
pub(crate) fn session_id(text: &str) -> Result<SessionId, RpcError> {
    text.parse().map_err(|_| no_session(text))
}

/// There is no such session, or it is not open here.
pub(crate) fn no_session(text: &str) -> RpcError {
    RpcError::not_found(format!("No session `{}` is open here", view::escape::short_line(text, 100)))
        .with_hint(Some("`session/new`, `session/load` and `session/resume` open one"))
}

/// What a session is opened with beside what the daemon knows of it.
struct Told {
    /// What the person should know from the beginning.
    notices: Vec<String>,
    /// The settings that the editor's MCP servers are.
    servers: Vec<SettingOverride>,
}

async fn open(
    connection: Connection,
    editor: Editor,
    id: SessionId,
    replay: Replay,
    told: Told,
) -> Result<Opened, RpcError> {
    let models = ModelClient::list_models(connection.rpc(), ModelListParams::default());
    let choices = match tokio::time::timeout(MODELS_LIMIT, models).await {
        Ok(Ok(list)) => Choices::of(list),
        Ok(Err(_)) | Err(_) => Choices::default(),
    };
    let mut attached = Attached::open(connection, id, None, true).await?;
    let snapshot = loop {
        if let Seen::Snapshot(snapshot) = attached.next().await? {
            break *snapshot;
        }
    };
    let settings = &snapshot.summary.settings;
    let has_notices = editor.capabilities().is_some_and(|capabilities| capabilities.has_notices);
    let notices = if has_notices { NoticeForm::Notice } else { NoticeForm::Thought };
    let has_compactions = editor.capabilities().is_some_and(|capabilities| capabilities.has_compactions);
    let compactions = if has_compactions { CompactionForm::Compaction } else { CompactionForm::Notice };
    let shows_output = editor.capabilities().is_some_and(|capabilities| capabilities.shows_output);
    let output = if shows_output { OutputForm::Terminal } else { OutputForm::Text };
    let mut story = Story::new(settings.cwd.clone(), notices, compactions, output);
    if replay == Replay::All {
        let name = id.to_string();
        for turn in earlier(&mut attached, &snapshot).await?.iter().chain(&snapshot.turns) {
            for update in story.turn(turn) {
                editor.update(&name, &update).await;
            }
        }
    }
    let result = json!({
        "sessionId": id.to_string(),
        "modes": Choices::modes(settings),
        "configOptions": choices.options(settings),
    });
    let Told { notices, servers } = told;
    let session = Session::new(Parts { editor, attached, story, choices, snapshot, notices, servers });
    Ok(Opened { session, result })
}

/// The turns that the snapshot leaves out, oldest first.
async fn earlier(attached: &mut Attached, snapshot: &SessionSnapshot) -> Result<Vec<Turn>, ClientError> {
    let mut pages = Vec::new();
    let mut known: HashSet<_> = snapshot.turns.iter().map(|turn| turn.id).collect();
    let mut skip_turns = u32::try_from(snapshot.turns.len()).unwrap_or(u32::MAX);
    let mut left = snapshot.earlier_turns;
    while left > 0 {
        let params = SessionReadParams { session_id: snapshot.summary.id, skip_turns, limit: Some(TURNS) };
        let page = attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
        skip_turns = skip_turns.saturating_add(u32::try_from(page.turns.len()).unwrap_or(u32::MAX));
        // Turns that began meanwhile moved the places; what came twice is dropped.
        let is_over = page.turns.is_empty() || page.earlier_turns == 0;
        let new: Vec<Turn> = page.turns.into_iter().filter(|turn| known.insert(turn.id)).collect();
        pages.push(new);
        left = if is_over { 0 } else { page.earlier_turns };
    }
    Ok(pages.into_iter().rev().flatten().collect())
}

fn info(summary: &SessionSummary) -> Value {
    let settings = &summary.settings;
    let mut info = json!({
        "sessionId": summary.id.to_string(),
        "cwd": settings.cwd.to_string_lossy(),
        "updatedAt": iso(summary.updated_at),
    });
    if let Some(title) = &summary.title {
        info["title"] = json!(view::escape::line(title));
    }
    if !settings.additional_roots.is_empty() {
        let roots: Vec<_> = settings.additional_roots.iter().map(|root| root.to_string_lossy()).collect();
        info["additionalDirectories"] = json!(roots);
    }
    info
}

/// That nobody is signed in, if that is why.
async fn explained(connection: &mut Connection, error: ClientError) -> RpcError {
    let choice =
        connection.call(async |rpc| ModelClient::choice(rpc, ModelChoiceParams::default()).await).await;
    match choice {
        Ok(choice) if choice.provider.is_none() => {
            RpcError::auth_required(choice.reason).with_hint(choice.hint)
        }
        Ok(_) | Err(_) => error.into(),
    }
}

/// What becomes of the editor's MCP servers, beside those that the person has in this folder.
async fn servers(
    connection: &mut Connection,
    cwd: &Path,
    servers: &[McpServer],
) -> Result<Servers, ClientError> {
    if servers.is_empty() {
        return Ok(Servers::default());
    }
    let params = McpListParams { cwd: cwd.to_owned(), name: None, starts: false };
    let listed = connection.call(async |rpc| McpClient::list_servers(rpc, params.clone()).await).await?;
    Ok(Servers::of(servers, listed.servers.into_iter().map(|server| server.name)))
}

fn check_folder(name: &str, folder: &Path) -> Result<(), RpcError> {
    if folder.is_absolute() {
        return Ok(());
    }
    Err(RpcError::invalid_params(format!("`{name}` is `{}`, and must be absolute", folder.display())))
}
