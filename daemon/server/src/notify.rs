//! Tells a person who looks elsewhere that a session needs them or is done: the settings' `notify` program is run with
//! one argument more, a JSON object; unless they look at the session, because the window of a client that shows it has
//! the focus.
//!
//! Nothing waits for it: what happened is picked up where it is written to the log, and what finds no room is dropped.
//! The program is the user's own and runs outside any sandbox, with what it needs to reach the desktop, without keys.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures_util::future::BoxFuture;
use policy::profile::unrestricted;
use protocol::event::{Event, EventRecord};
use protocol::ids::{BlobId, QuestionId, RequestId, Seq, SessionId, TurnId};
use protocol::item::ItemBody;
use protocol::question::QuestionKind;
use protocol::session::{SessionListParams, SessionSummary};
use protocol::turn::{TurnFailure, TurnOutcome};
use protocol::usage::Spending;
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Proxy, Stdin};
use serde::Serialize;
use session::log::{Log, Outcome};
use session::sessions::Sessions;
use store::{Append, Checkpoint, Store, StoreError};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tools::output::Spools;

use crate::circumstances::Circumstances;
use crate::hooks::Hooks;

/// What may wait to be told.
const QUEUE: usize = 64;
/// Programs that run at once.
const MAX_RUNNING: usize = 4;
/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(10);
/// Characters that are told of what was said or asked.
const MAX_TEXT: usize = 2000;

/// What the program is told.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Notice {
    #[serde(rename = "type")]
    kind: Kind,
    session_id: SessionId,
    turn_id: TurnId,
    cwd: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    /// `completed`, `failed`, `interrupted` or `limitReached`.
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'static str>,
    /// Why it ended so, or why it is asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question_id: Option<QuestionId>,
    /// What is asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    question: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    TurnEnded,
    TurnFailed,
    QuestionAsked,
}

/// The store, as sessions write to it, with an eye on what a person should be told.
pub(crate) struct Watched {
    store: Store,
    /// What each model said last in a turn that has not ended, shortened.
    said: Mutex<HashMap<SessionId, String>>,
    notices: mpsc::Sender<Notice>,
}

/// What is to be told, on its way.
pub(crate) struct Notices(mpsc::Receiver<Notice>);

/// Watches a store.
pub(crate) fn watch(store: Store) -> (Watched, Notices) {
    let (sender, receiver) = mpsc::channel(QUEUE);
    (Watched { store, said: Mutex::default(), notices: sender }, Notices(receiver))
}

impl Notices {
    /// Tells what comes, until the store is not watched any more. Dropping the future ends the programs.
    pub(crate) async fn tell_all(
        mut self,
        circumstances: Arc<Circumstances>,
        launcher: Arc<Launcher>,
        hooks: Option<Arc<Hooks>>,
        sessions: Weak<Sessions>,
    ) {
        let mut running = JoinSet::new();
        loop {
            tokio::select! {
                notice = self.0.recv(), if running.len() < MAX_RUNNING => match notice {
                    Some(notice) => {
                        let (circumstances, launcher) = (Arc::clone(&circumstances), Arc::clone(&launcher));
                        let is_seen = is_seen(sessions.clone(), notice.session_id);
                        let hooks = hooks.clone();
                        running.spawn(async move {
                            if !is_seen.await {
                                if let Some(hooks) = hooks {
                                    tell_hooks(&notice, hooks).await;
                                }
                                tell(notice, circumstances, launcher).await;
                            }
                        });
                    }
                    None => return,
                },
                Some(ended) = running.join_next() => {
                    if let Err(error) = ended {
                        tracing::error!(%error, "telling of a session failed inside");
                    }
                }
            }
        }
    }
}

/// Whether somebody looks at the session. If it can't say so, nobody does.
async fn is_seen(sessions: Weak<Sessions>, id: SessionId) -> bool {
    match sessions.upgrade().and_then(|sessions| sessions.loaded(id)) {
        Some(session) => session.is_focused().await.unwrap_or(false),
        None => false,
    }
}

/// Tells the hooks for it, which nobody waits for.
async fn tell_hooks(notice: &Notice, hooks: Arc<Hooks>) {
    let kind = match notice.kind {
        Kind::QuestionAsked => "permission_prompt",
        Kind::TurnEnded | Kind::TurnFailed => "idle_prompt",
    };
    let message = match notice.kind {
        Kind::QuestionAsked => notice.question.clone().or_else(|| notice.reason.clone()),
        Kind::TurnEnded | Kind::TurnFailed => notice.reason.clone().or_else(|| notice.last_message.clone()),
    };
    let (session, turn) = (notice.session_id, notice.turn_id.to_string());
    let (cwd, message) = (PathBuf::from(&notice.cwd), message.unwrap_or_default());
    // Looks at files.
    let told = tokio::task::spawn_blocking(move || hooks.notify(session, turn, &cwd, kind, &message));
    if told.await.is_err() {
        tracing::error!("telling hooks failed inside");
    }
}

/// Runs the program, if there is one. Like a command that was let out of the sandbox it is supervised: it ends with the
/// daemon, and nothing that it started stays.
async fn tell(notice: Notice, circumstances: Arc<Circumstances>, launcher: Arc<Launcher>) {
    let session = notice.session_id;
    let known = tokio::task::spawn_blocking(move || circumstances.of(session)).await;
    let Ok(Ok(known)) = known else { return };
    let Some(program) = known.settings().notify.first() else { return };
    let Ok(json) = serde_json::to_string(&notice) else { return };
    let argv = known.settings().notify.iter().chain([&json]).map(OsString::from).collect();
    let environment = known.notifier().map(|(name, value)| (name.into(), value.into())).collect();
    let request = CommandRequest {
        argv,
        cwd: "/".into(),
        environment,
        profile: unrestricted(),
        stdin: Stdin::Null,
        output: Output::Piped,
        proxy: Proxy::None,
        interception: Interception::Off,
    };
    let run = async {
        let mut process = launcher.spawn(request).await?;
        // Whatever it says, nobody reads it; but it must not wait for a reader.
        if let Err(error) = tokio::io::copy(&mut process.take_output(), &mut tokio::io::sink()).await {
            tracing::debug!(%error, "what the `notify` program says can't be read");
        }
        process.wait().await
    };
    match tokio::time::timeout(LIMIT, run).await {
        Ok(Ok(Exit::Code(0))) => {}
        Ok(Ok(exit)) => tracing::warn!(?exit, program, "the `notify` program failed"),
        Ok(Err(error)) => tracing::warn!(%error, program, "the `notify` program can't be run"),
        Err(_) => tracing::warn!(limit = ?LIMIT, program, "the `notify` program took too long and was ended"),
    }
}

impl Watched {
    /// What a person should hear of these events. A turn that somebody stopped is no news to them.
    fn notices(&self, append: &Append) -> Vec<Notice> {
        // A poisoned map is whole: each change is one call.
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let mut notices = Vec::new();
        for EventRecord { event, .. } in &append.records {
            match event {
                Event::ItemCompleted(change) => {
                    if let ItemBody::AgentMessage(message) = &change.item.body {
                        said.insert(append.session, short(&message.text));
                    }
                }
                Event::TurnEnded(ended) => {
                    let last_message = said.remove(&append.session);
                    // What an agent came to its parent hears, and a person when that is done.
                    if append.summary.as_ref().is_some_and(|summary| summary.agent.is_some()) {
                        continue;
                    }
                    let (kind, outcome, reason) = match &ended.outcome {
                        TurnOutcome::Completed => (Kind::TurnEnded, "completed", None),
                        TurnOutcome::Failed { failure } => (Kind::TurnFailed, "failed", why(failure)),
                        TurnOutcome::Interrupted { actor: None, .. } => {
                            (Kind::TurnEnded, "interrupted", None)
                        }
                        TurnOutcome::LimitReached { message, .. } => {
                            (Kind::TurnEnded, "limitReached", Some(short(message)))
                        }
                        TurnOutcome::Interrupted { actor: Some(_), .. } | TurnOutcome::Unknown(_) => continue,
                    };
                    if let Some(about) = notice(kind, append, ended.turn_id) {
                        notices.push(Notice { outcome: Some(outcome), reason, last_message, ..about });
                    }
                }
                Event::QuestionAsked(asked) => {
                    let question = &asked.question;
                    if let Some(about) = notice(Kind::QuestionAsked, append, question.turn_id) {
                        notices.push(Notice {
                            reason: Some(short(&question.reason)),
                            last_message: said.get(&append.session).cloned(),
                            question_id: Some(question.id),
                            question: subject(&question.kind),
                            ..about
                        });
                    }
                }
                _ => {}
            }
        }
        notices
    }
}

/// What is told of every session. The events that are told of change the session's place in the list, so that comes
/// with them.
fn notice(kind: Kind, append: &Append, turn_id: TurnId) -> Option<Notice> {
    let summary = append.summary.as_ref()?;
    Some(Notice {
        kind,
        session_id: append.session,
        turn_id,
        cwd: summary.settings.cwd.to_string_lossy().into_owned(),
        title: summary.title.clone(),
        outcome: None,
        reason: None,
        last_message: None,
        question_id: None,
        question: None,
    })
}

fn why(failure: &TurnFailure) -> Option<String> {
    match failure {
        TurnFailure::Provider(failure) => Some(short(&failure.message)),
        TurnFailure::ModelStopped { reason } => Some(short(reason)),
        _ => None,
    }
}

fn subject(kind: &QuestionKind) -> Option<String> {
    match kind {
        QuestionKind::Command { command, .. } => Some(short(command)),
        QuestionKind::FileChange { patch } => Some(short(patch)),
        QuestionKind::Network { host, .. } => Some(short(host)),
        QuestionKind::Tool { tool, .. } | QuestionKind::ClientTool { tool, .. } => Some(short(tool)),
        QuestionKind::UserInput { prompts } => prompts.first().map(|prompt| short(&prompt.text)),
        QuestionKind::Elicitation { message, .. } => Some(short(message)),
        QuestionKind::Sampling { server, .. } => Some(short(server)),
        QuestionKind::Permissions { justification, .. } => justification.as_deref().map(short),
        QuestionKind::Unknown(_) => None,
    }
}

/// The beginning of a text. An argument of a program can't hold a zero byte, but JSON writes none.
fn short(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

impl Log for Watched {
    fn append(&self, append: Append) -> Outcome<'_, ()> {
        let notices = self.notices(&append);
        Box::pin(async move {
            self.store.append(append).await?;
            for notice in notices {
                if self.notices.try_send(notice).is_err() {
                    tracing::warn!("so much happens at once that nobody is told of some of it");
                }
            }
            Ok(())
        })
    }

    fn events(&self, session: SessionId, after: Seq, upto: Option<Seq>) -> Outcome<'_, Vec<EventRecord>> {
        Log::events(&self.store, session, after, upto)
    }

    fn turn_starts(&self, session: SessionId, last: u32) -> Outcome<'_, Vec<Seq>> {
        Log::turn_starts(&self.store, session, last)
    }

    fn checkpoint(&self, session: SessionId) -> Outcome<'_, Option<Checkpoint>> {
        Log::checkpoint(&self.store, session)
    }

    fn save_checkpoint(&self, session: SessionId, checkpoint: Checkpoint) -> Outcome<'_, ()> {
        Log::save_checkpoint(&self.store, session, checkpoint)
    }

    fn list<'a>(&'a self, params: &'a SessionListParams) -> Outcome<'a, Vec<SessionSummary>> {
        Log::list(&self.store, params)
    }

    fn active(&self) -> Outcome<'_, Vec<SessionId>> {
        Log::active(&self.store)
    }

    fn ephemeral(&self) -> Outcome<'_, Vec<SessionId>> {
        Log::ephemeral(&self.store)
    }

    fn delete(&self, session: SessionId) -> Outcome<'_, ()> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        Log::delete(&self.store, session)
    }

    fn delete_once(&self, session: SessionId, request: RequestId) -> Outcome<'_, ()> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).remove(&session);
        Log::delete_once(&self.store, session, request)
    }

    fn was_deleted_by(&self, session: SessionId, request: RequestId) -> Outcome<'_, bool> {
        Log::was_deleted_by(&self.store, session, request)
    }

    fn set_aside(&self, session: SessionId, reason: String) -> BoxFuture<'_, StoreError> {
        Log::set_aside(&self.store, session, reason)
    }

    fn spent_in_tree(&self, root: SessionId) -> Outcome<'_, Vec<(SessionId, Spending)>> {
        Log::spent_in_tree(&self.store, root)
    }

    fn spent_on(&self, day: u64) -> Outcome<'_, Vec<(String, Spending)>> {
        Log::spent_on(&self.store, day)
    }

    fn blob<'a>(&'a self, id: &'a BlobId) -> Outcome<'a, Option<Vec<u8>>> {
        Log::blob(&self.store, id)
    }

    fn spools(&self, session: SessionId) -> Arc<dyn Spools> {
        Log::spools(&self.store, session)
    }
}

#[cfg(test)]
mod tests;
