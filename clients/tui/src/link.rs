//! The session's other end: follows it, and makes the calls that the screen asks for, one after the other. Knows
//! nothing of the screen.

use std::io;
use std::path::{Path, PathBuf};

use client::{Attached, ClientError, Update};
use protocol::account::{Account, AccountListParams};
use protocol::agent::{AgentListParams, AgentNode};
use protocol::api::account::AccountClient;
use protocol::api::agent::AgentClient;
use protocol::api::daemon::DaemonClient;
use protocol::api::hook::HooksClient;
use protocol::api::mcp::McpClient;
use protocol::api::model::ModelClient;
use protocol::api::output::OutputClient;
use protocol::api::question::QuestionClient;
use protocol::api::queue::QueueClient;
use protocol::api::rewind::RewindClient;
use protocol::api::session::SessionClient;
use protocol::api::skill::SkillsClient;
use protocol::api::turn::TurnClient;
use protocol::catalogue::{ModelListParams, ModelListResult};
use protocol::context::SessionCompactParams;
use protocol::daemon::{DaemonStatusParams, RateLimit};
use protocol::hook::{HookListParams, HookListResult};
use protocol::ids::{BlobId, ClientId, QuestionId, QueuedId, RequestId, SessionId, TurnId};
use protocol::mcp::{
    McpAnswerPromptParams, McpPromptParams, McpPromptResult, McpPromptsParams, McpPromptsResult,
    McpResourcesParams, McpResourcesResult,
};
use protocol::output::{OutputReadParams, OutputReadResult};
use protocol::question::{Decision, QuestionAnswerParams};
use protocol::queue::QueueCancelParams;
use protocol::rewind::{RewindParams, RewindResult};
use protocol::session::{
    SessionEndCommandParams, SessionFocusParams, SessionForkParams, SessionListParams, SessionReadParams,
    SessionRef, SessionSnapshot, SessionSummary, SessionUpdateParams, SettingsOverrides,
};
use protocol::skill::{Skill, SkillListParams, SkillReadParams, SkillReadResult};
use protocol::turn::{
    InterruptReason, TurnEnqueueParams, TurnInterruptParams, TurnLimits, TurnStartParams, TurnSteerParams,
};
use tokio::fs::OpenOptions;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tracing::debug;

use crate::browser::{Archived, Tending};
use crate::export;
use crate::feedback::{self, Surroundings};
use crate::image::Said;
use crate::rewinding::Place;

/// Sessions of a list, and turns of a page.
const MAX_LIST: u32 = 500;
const PAGE_TURNS: u32 = 20;
/// Turns that can be gone back to.
const REWIND_TURNS: u32 = 50;
/// Turns that a report tells of.
const REPORT_TURNS: u32 = 5;

/// What the screen asks for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// Starts a turn.
    Start(Said),
    /// Says something into the turn that runs.
    Steer(Said),
    /// Says something after the turn that runs.
    Enqueue(Said),
    /// Ends a turn.
    Interrupt(TurnId),
    /// Answers a question.
    Answer(QuestionId, Decision),
    /// Changes settings.
    Change(Box<SettingsOverrides>),
    /// Calls the session something else.
    Rename(String),
    /// Puts the session away.
    Archive,
    /// Takes an input out of the queue; this is what it says.
    Unqueue(QueuedId, String),
    /// Tells whether the terminal has the focus.
    Focus(bool),
    /// Reads the last turns, to go back to before one.
    Turns,
    /// Asks what going back there would do.
    Preview(Box<RewindParams>, Place),
    /// Goes back there.
    Rewind(Box<RewindParams>, Place),
    /// Makes a session that begins as this one was after a turn, or as it is; with a title.
    Fork(Option<TurnId>, Option<String>),
    /// Puts what was said and done into few words.
    Compact(Option<String>),
    /// Lists prompts of MCP servers, for a folder.
    Prompts(PathBuf),
    /// Reads one; the text is what was written.
    Prompt(Box<McpPromptParams>, String),
    /// Answers what a server wants to know before it says its prompt; the text is what was written.
    AnswerPrompt(Box<McpAnswerPromptParams>, String),
    /// Lists what MCP servers have to read.
    Resources(McpResourcesParams),
    /// Lists models.
    Models,
    /// Lists whom one can sign in with, or have a key of.
    Accounts,
    /// Lists sessions: those of a folder, or all.
    Sessions(Option<PathBuf>, Archived),
    /// Reads the end of another session.
    Peek(SessionId),
    /// Does something to another session.
    Tend(SessionId, Tending),
    /// Reads turns, so many from the end left out.
    Page(u32),
    /// Writes the session into a file that is not there yet, as markdown.
    Export(PathBuf),
    /// Lists the skills of a folder.
    Skills(PathBuf),
    /// Reads what a skill of a folder says.
    Skill(PathBuf, String),
    /// Lists what runs now, in every session.
    Running,
    /// Ends the session's command in the background that has this number.
    EndCommand(u32),
    /// Lists the session's agents.
    Agents,
    /// Lists the hooks of a folder, with what they cost.
    Hooks(PathBuf),
    /// Asks what providers still let be asked of them.
    Limits,
    /// Reads what a command printed, from a byte on.
    Output(BlobId, u64),
    /// Puts together what a report of a bug needs, for this file.
    Report(PathBuf),
    /// Writes a text into a file that is not there yet.
    Write(PathBuf, String),
}

/// What came of a call.
#[derive(Debug)]
pub(crate) enum Reply {
    Done,
    /// Settings that were understood in part only.
    Warned(Vec<String>),
    Turns(Box<SessionSnapshot>),
    Rewind(Box<RewindResult>),
    Forked(SessionId),
    Prompts(McpPromptsResult),
    Resources(McpResourcesResult),
    Prompt(Box<McpPromptResult>),
    Models(Box<ModelListResult>),
    Accounts(Vec<Account>),
    Sessions(Vec<SessionSummary>),
    Peeked(Box<SessionSnapshot>),
    Page(Box<SessionSnapshot>),
    Skills(Vec<Skill>),
    Skill(Box<SkillReadResult>),
    Running(Vec<SessionSummary>),
    Agents(Vec<AgentNode>),
    Hooks(Box<HookListResult>),
    Limits(Vec<RateLimit>),
    Output(Box<OutputReadResult>),
    Report(String),
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("`{}` can't be written: {source}", file.display())]
    Write { file: PathBuf, source: io::Error },
}

/// What happened at the other end.
#[derive(Debug)]
pub(crate) enum News {
    /// The session went on, or the connection did; and who we are on it now.
    Update(Update, ClientId),
    /// A call was answered.
    Told(Call, Result<Reply, CallError>),
    /// The session can't be followed any more.
    Ended(ClientError),
}

/// Follows the session until it ends or nobody asks any more. A call in progress holds the feed up, not the screen.
pub(crate) async fn follow(
    mut attached: Attached,
    session: SessionId,
    mut calls: mpsc::Receiver<Call>,
    news: mpsc::Sender<News>,
) {
    loop {
        let happened = tokio::select! {
            biased;
            call = calls.recv() => match call {
                Some(call) => {
                    let result = make(&mut attached, session, &call).await;
                    News::Told(call, result)
                }
                None => return,
            },
            update = attached.next() => match update {
                Ok(update) => News::Update(update, attached.connection().welcome().client_id),
                Err(error) => News::Ended(error),
            },
        };
        let is_over = matches!(happened, News::Ended(_));
        if news.send(happened).await.is_err() || is_over {
            return;
        }
    }
}

async fn make(attached: &mut Attached, session_id: SessionId, call: &Call) -> Result<Reply, CallError> {
    let request_id = Some(RequestId::generate());
    match call {
        Call::Start(said) => {
            let params = TurnStartParams {
                session_id,
                input: said.parts(),
                output_schema: None,
                limits: TurnLimits::default(),
                expected_seq: None,
                request_id,
            };
            attached.call(async |rpc| TurnClient::start(rpc, params.clone()).await).await?;
        }
        Call::Steer(said) => {
            let params =
                TurnSteerParams { session_id, input: said.parts(), expected_turn_id: None, request_id };
            attached.call(async |rpc| rpc.steer(params.clone()).await).await?;
        }
        Call::Enqueue(said) => {
            let params = TurnEnqueueParams { session_id, input: said.parts(), request_id };
            attached.call(async |rpc| rpc.enqueue(params.clone()).await).await?;
        }
        Call::Interrupt(turn) => {
            let params = TurnInterruptParams {
                session_id,
                expected_turn_id: Some(*turn),
                reason: InterruptReason::Requested,
                request_id,
            };
            attached.call(async |rpc| rpc.interrupt(params.clone()).await).await?;
        }
        Call::Answer(question_id, decision) => {
            let params =
                QuestionAnswerParams { question_id: *question_id, decision: decision.clone(), request_id };
            attached.call(async |rpc| rpc.answer(params.clone()).await).await?;
        }
        Call::Change(overrides) => {
            let params = SessionUpdateParams {
                session_id,
                title: None,
                overrides: (**overrides).clone(),
                unarchive: false,
                request_id,
            };
            let updated = attached.call(async |rpc| SessionClient::update(rpc, params.clone()).await).await?;
            return Ok(Reply::Warned(updated.warnings.into_iter().map(|warning| warning.message).collect()));
        }
        Call::Rename(title) => {
            let params = SessionUpdateParams {
                session_id,
                title: Some(title.clone()),
                overrides: SettingsOverrides::default(),
                unarchive: false,
                request_id,
            };
            attached.call(async |rpc| SessionClient::update(rpc, params.clone()).await).await?;
        }
        Call::Archive => {
            let params = SessionRef::new(session_id);
            attached.call(async |rpc| rpc.archive(params.clone()).await).await?;
        }
        Call::Unqueue(queued_id, _) => {
            let params = QueueCancelParams { session_id, queued_id: *queued_id, request_id };
            attached.call(async |rpc| rpc.cancel(params.clone()).await).await?;
        }
        Call::Focus(is_focused) => {
            let params = SessionFocusParams { session_id, is_focused: *is_focused };
            // Made once: after another connection it is told anew. A daemon that is older does not know it.
            if let Err(error) = attached.connection().rpc().focus(params).await {
                debug!(%error, "can't tell of the focus");
            }
        }
        Call::Turns => {
            let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(REWIND_TURNS) };
            let read = attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
            return Ok(Reply::Turns(Box::new(read)));
        }
        Call::Preview(params, _) => {
            let told =
                attached.call(async |rpc| RewindClient::preview(rpc, (**params).clone()).await).await?;
            return Ok(Reply::Rewind(Box::new(told)));
        }
        Call::Rewind(params, _) => {
            let params = RewindParams { request_id, ..(**params).clone() };
            let done = attached.call(async |rpc| RewindClient::start(rpc, params.clone()).await).await?;
            return Ok(Reply::Rewind(Box::new(done)));
        }
        Call::Fork(turn_id, title) => {
            let new_session_id = Some(SessionId::generate());
            let (turn_id, title) = (*turn_id, title.clone());
            let params = SessionForkParams { session_id, turn_id, new_session_id, title };
            let made = attached.call(async |rpc| rpc.fork(params.clone()).await).await?;
            return Ok(Reply::Forked(made.summary.id));
        }
        Call::Compact(instructions) => {
            let params = SessionCompactParams { session_id, instructions: instructions.clone(), request_id };
            attached.call(async |rpc| rpc.compact(params.clone()).await).await?;
        }
        Call::Prompts(cwd) => {
            let params = McpPromptsParams { cwd: cwd.clone(), session_id: Some(session_id) };
            let listed = attached.call(async |rpc| rpc.list_prompts(params.clone()).await).await?;
            return Ok(Reply::Prompts(listed));
        }
        Call::Resources(params) => {
            let params = McpResourcesParams { session_id: Some(session_id), ..params.clone() };
            let listed = attached.call(async |rpc| rpc.list_resources(params.clone()).await).await?;
            return Ok(Reply::Resources(listed));
        }
        Call::Prompt(params, _) => {
            let params = McpPromptParams { session_id: Some(session_id), ..(**params).clone() };
            let read = attached.call(async |rpc| rpc.read_prompt(params.clone()).await).await?;
            return Ok(Reply::Prompt(Box::new(read)));
        }
        Call::AnswerPrompt(params, _) => {
            let read = attached.call(async |rpc| rpc.answer_prompt((**params).clone()).await).await?;
            return Ok(Reply::Prompt(Box::new(read)));
        }
        Call::Models => {
            let params = ModelListParams::default();
            let listed = attached.call(async |rpc| rpc.list_models(params.clone()).await).await?;
            return Ok(Reply::Models(Box::new(listed)));
        }
        Call::Accounts => {
            let listed = attached.call(async |rpc| rpc.list_accounts(AccountListParams {}).await).await?;
            return Ok(Reply::Accounts(listed.accounts));
        }
        Call::Sessions(cwd, archived) => {
            let with_archived = *archived == Archived::Shown;
            let params = SessionListParams {
                cwd: cwd.clone(),
                with_archived,
                limit: Some(MAX_LIST),
                ..Default::default()
            };
            let listed = attached.call(async |rpc| SessionClient::list(rpc, params.clone()).await).await?;
            return Ok(Reply::Sessions(listed.sessions));
        }
        Call::Peek(session_id) => {
            let params = SessionReadParams { session_id: *session_id, skip_turns: 0, limit: Some(1) };
            let read = attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
            return Ok(Reply::Peeked(Box::new(read)));
        }
        Call::Tend(session_id, Tending::PutAway) => {
            let params = SessionRef::new(*session_id);
            attached.call(async |rpc| rpc.archive(params.clone()).await).await?;
        }
        Call::Tend(session_id, tending) => {
            let params = SessionUpdateParams {
                session_id: *session_id,
                title: tending.title().map(str::to_owned),
                overrides: SettingsOverrides::default(),
                unarchive: *tending == Tending::TakeBack,
                request_id,
            };
            attached.call(async |rpc| SessionClient::update(rpc, params.clone()).await).await?;
        }
        Call::Page(skip_turns) => {
            return Ok(Reply::Page(Box::new(page(attached, session_id, *skip_turns).await?)));
        }
        Call::Export(file) => return export(attached, session_id, file).await,
        Call::Skills(cwd) => {
            let params = SkillListParams { cwd: cwd.clone() };
            let listed = attached.call(async |rpc| rpc.list_skills(params.clone()).await).await?;
            return Ok(Reply::Skills(listed.skills));
        }
        Call::Skill(cwd, name) => {
            let params = SkillReadParams { cwd: cwd.clone(), name: name.clone() };
            let read = attached.call(async |rpc| rpc.read_skill(params.clone()).await).await?;
            return Ok(Reply::Skill(Box::new(read)));
        }
        Call::Running => {
            let params = SessionListParams {
                only_active: true,
                with_agents: true,
                limit: Some(MAX_LIST),
                ..Default::default()
            };
            let listed = attached.call(async |rpc| SessionClient::list(rpc, params.clone()).await).await?;
            return Ok(Reply::Running(listed.sessions));
        }
        Call::EndCommand(process_id) => {
            let params = SessionEndCommandParams { session_id, process_id: *process_id, request_id };
            attached.call(async |rpc| rpc.end_command(params.clone()).await).await?;
        }
        Call::Agents => {
            let params = AgentListParams { session_id: Some(session_id) };
            let listed = attached.call(async |rpc| AgentClient::list(rpc, params.clone()).await).await?;
            return Ok(Reply::Agents(listed.agents));
        }
        Call::Hooks(cwd) => {
            let params = HookListParams { cwd: cwd.clone() };
            let listed = attached.call(async |rpc| rpc.list_hooks(params.clone()).await).await?;
            return Ok(Reply::Hooks(Box::new(listed)));
        }
        Call::Limits => {
            let params = DaemonStatusParams::default();
            let status = attached.call(async |rpc| rpc.status(params.clone()).await).await?;
            return Ok(Reply::Limits(status.rate_limits));
        }
        Call::Output(blob, offset_bytes) => {
            let (blob, offset_bytes) = (blob.clone(), *offset_bytes);
            let params = OutputReadParams { session_id, blob, offset_bytes, limit_bytes: None };
            let read = attached.call(async |rpc| rpc.read_output(params.clone()).await).await?;
            return Ok(Reply::Output(Box::new(read)));
        }
        Call::Report(_) => {
            let status = DaemonStatusParams { with_sandbox: true, with_storage: false };
            let status = attached.call(async |rpc| rpc.status(status.clone()).await).await?;
            let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(REPORT_TURNS) };
            let read = attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
            let around = Surroundings::of(|name| std::env::var(name).ok());
            return Ok(Reply::Report(feedback::bundle(&around, &status, &read)));
        }
        Call::Write(file, text) => return write_new(file, text).await,
    }
    Ok(Reply::Done)
}

async fn page(
    attached: &mut Attached,
    session_id: SessionId,
    skip_turns: u32,
) -> Result<SessionSnapshot, ClientError> {
    let params = SessionReadParams { session_id, skip_turns, limit: Some(PAGE_TURNS) };
    attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await
}

/// Reads all turns and writes them, page by page from the end; as long as it takes the feed waits.
async fn export(attached: &mut Attached, session_id: SessionId, file: &Path) -> Result<Reply, CallError> {
    let mut pages = Vec::new();
    let mut skip = 0;
    loop {
        let read = page(attached, session_id, skip).await?;
        skip += u32::try_from(read.turns.len()).unwrap_or(u32::MAX);
        let is_last = read.earlier_turns == 0 || read.turns.is_empty();
        pages.push(read);
        if is_last {
            break;
        }
    }
    pages.reverse();
    let text = export::markdown(&pages);
    write_new(file, &text).await
}

async fn write_new(file: &Path, text: &str) -> Result<Reply, CallError> {
    let written = async {
        let mut open = OpenOptions::new().write(true).create_new(true).open(file).await?;
        open.write_all(text.as_bytes()).await?;
        open.flush().await
    };
    written.await.map_err(|source| CallError::Write { file: file.to_owned(), source })?;
    Ok(Reply::Done)
}
