//! A turn that is followed for a client: its progress is told, its questions are put, and a cancelled request ends it.

use std::collections::HashSet;

use client::{Attached, ClientError, Connection, Said, Update};
use protocol::api::question::QuestionClient;
use protocol::api::session::SessionClient;
use protocol::delta::FeedEntry;
use protocol::event::Event;
use protocol::ids::{ItemId, QuestionId, RequestId, SessionId, TurnId};
use protocol::item::{Item, ItemBody};
use protocol::question::{Decision, Question, QuestionAnswerParams};
use protocol::session::{SessionReadParams, SessionSnapshot};
use protocol::turn::{InputPart, TurnEnqueueParams};
use rmcp::model::{ElicitRequestParams, ElicitResult, ProgressNotificationParam, ProgressToken};
use rmcp::service::{Peer, RoleServer};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::debug;
use view::{escape, reviews, words};

use crate::question;
use crate::report::Report;

/// Turns that are looked through for the one that is meant.
const TURNS: u32 = 20;

/// How a client takes part in a turn.
pub(crate) struct Watch {
    /// Cancelled when the client cancels its request.
    pub(crate) cancelled: CancellationToken,
    pub(crate) peer: Peer<RoleServer>,
    /// The name under which it wants to hear of progress, if it does.
    pub(crate) progress: Option<ProgressToken>,
    pub(crate) asking: Asking,
}

/// How a client's person is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// Not at all: the client answers by a tool.
    Never,
    /// By a request to the client.
    Direct,
    /// By a result that wants input, after which the client calls again.
    Retry,
}

/// What came of following.
pub(crate) enum Followed {
    /// It ended, or waits for somebody who is not here.
    Report(Box<Report>),
    /// The client's person is to be asked, and the call made again.
    Ask { session: SessionId, question: Box<Question>, form: Box<ElicitRequestParams> },
}

/// Says something in a session, now or after the turn that runs.
pub(crate) fn saying(session_id: SessionId, prompt: String) -> TurnEnqueueParams {
    let input = vec![InputPart::Text { text: prompt }];
    TurnEnqueueParams { session_id, input, request_id: Some(RequestId::generate()) }
}

/// A session as it is, with one of its turns, or the last.
pub(crate) async fn read(
    connection: &mut Connection,
    session_id: SessionId,
    turn: Option<TurnId>,
) -> Result<Report, ClientError> {
    let params = SessionReadParams { session_id, skip_turns: 0, limit: Some(TURNS) };
    let read = connection.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
    Ok(report(&read, turn))
}

/// Answers a question. One that was answered meanwhile is as good.
pub(crate) async fn answer(
    connection: &mut Connection,
    question_id: QuestionId,
    decision: Decision,
) -> Result<SessionId, ClientError> {
    let params = QuestionAnswerParams { question_id, decision, request_id: Some(RequestId::generate()) };
    let answered = connection.call(async |rpc| QuestionClient::answer(rpc, params.clone()).await).await?;
    Ok(answered.session_id)
}

/// Follows a session that is attached since before its turn began, to the end of that turn, or to where it needs
/// somebody. Without one: the turn that runs.
pub(crate) async fn follow(
    attached: Attached,
    session: SessionId,
    which: Option<Said>,
    watch: Watch,
) -> Result<Followed, ClientError> {
    let mut follower = Follower {
        session,
        attached,
        which,
        watch,
        told: HashSet::new(),
        asked: Vec::new(),
        answers: JoinSet::new(),
        is_cancelled: false,
    };
    follower.run().await
}

/// Attaches to a session, to follow it.
pub(crate) async fn attach(connection: Connection, session: SessionId) -> Result<Attached, ClientError> {
    Attached::open(connection, session, None, true).await
}

struct Follower {
    session: SessionId,
    attached: Attached,
    which: Option<Said>,
    watch: Watch,
    /// What was told as progress.
    told: HashSet<ItemId>,
    asked: Vec<Question>,
    answers: JoinSet<(QuestionId, Option<ElicitResult>)>,
    is_cancelled: bool,
}

impl Follower {
    async fn run(&mut self) -> Result<Followed, ClientError> {
        loop {
            let step = tokio::select! {
                () = self.watch.cancelled.cancelled(), if !self.is_cancelled => {
                    self.is_cancelled = true;
                    self.interrupt().await?;
                    None
                }
                Some(answer) = self.answers.join_next() => match answer {
                    Ok((question, Some(answer))) => self.decide(question, &answer).await?,
                    Ok((_, None)) | Err(_) => Some(self.report().await?),
                },
                update = self.attached.next() => match update? {
                    Update::Snapshot(snapshot) => self.catch_up(*snapshot).await?,
                    Update::Entries(entries) => self.take(entries).await?,
                    Update::Presence(_) | Update::Lost | Update::Back(_) => None,
                },
            };
            if let Some(followed) = step {
                return Ok(followed);
            }
        }
    }

    async fn catch_up(&mut self, snapshot: SessionSnapshot) -> Result<Option<Followed>, ClientError> {
        if let Some(Said::Queued(queued)) = self.which
            && snapshot.queue.iter().all(|waiting| waiting.id != queued)
        {
            // It was not there yet, and is still to come.
            return Ok(None);
        }
        let running = snapshot.turns.iter().find(|turn| turn.outcome.is_none());
        let is_running = match self.which {
            Some(Said::Queued(_)) => true,
            // One that is not there yet began after the snapshot was made.
            Some(Said::Begun(id)) => {
                snapshot.turns.iter().find(|turn| turn.id == id).is_none_or(|turn| turn.outcome.is_none())
            }
            None => {
                self.which = running.map(|turn| Said::Begun(turn.id));
                running.is_some()
            }
        };
        if !is_running {
            return Ok(Some(Followed::Report(Box::new(report(&snapshot, self.begun())))));
        }
        let begun = self.begun();
        for item in snapshot.turns.iter().filter(|turn| Some(turn.id) == begun).flat_map(|turn| &turn.items) {
            self.tell(item).await;
        }
        for question in snapshot.questions.into_iter().filter(|question| question.kind.is_for_person()) {
            if let Some(followed) = self.ask(question).await? {
                return Ok(Some(followed));
            }
        }
        Ok(None)
    }

    async fn take(&mut self, entries: Vec<FeedEntry>) -> Result<Option<Followed>, ClientError> {
        for entry in entries {
            let FeedEntry::Event(record) = entry else { continue };
            let followed = match record.event {
                Event::TurnStarted(started) => {
                    if let (Some(Said::Queued(queued)), Some(begun)) = (self.which, started.queued_id)
                        && queued == begun
                    {
                        self.which = Some(Said::Begun(started.turn_id));
                    }
                    None
                }
                Event::QueuedInputCancelled(cancelled) => {
                    if self.which == Some(Said::Queued(cancelled.queued_id)) {
                        self.which = None;
                        Some(self.report().await?)
                    } else {
                        None
                    }
                }
                Event::ItemStarted(changed) | Event::ItemCompleted(changed) => {
                    self.tell(&changed.item).await;
                    None
                }
                Event::QuestionAsked(asked) if asked.question.kind.is_for_person() => {
                    self.ask(asked.question).await?
                }
                Event::QuestionAsked(_) => None,
                Event::QuestionAnswered(answered) => {
                    self.asked.retain(|question| question.id != answered.question_id);
                    None
                }
                Event::QuestionWithdrawn(withdrawn) => {
                    self.asked.retain(|question| question.id != withdrawn.question_id);
                    None
                }
                Event::TurnEnded(ended) if self.begun() == Some(ended.turn_id) => Some(self.report().await?),
                Event::TurnEnded(_)
                | Event::SessionCreated(_)
                | Event::SessionUpdated(_)
                | Event::SessionArchived(_)
                | Event::SessionUnarchived(_)
                | Event::InputQueued(_)
                | Event::QueuedInputChanged(_)
                | Event::ModelRequested(_)
                | Event::ModelRetried(_)
                | Event::ModelResponded(_)
                | Event::ItemAppended(_)
                | Event::TurnSuspended(_)
                | Event::TurnResumed(_)
                | Event::ConnectionAttempted(_)
                | Event::BudgetWarned(_)
                | Event::FilesChanged(_)
                | Event::SessionRewound(_)
                | Event::RewindEnded(_)
                | Event::ClientToolsRegistered(_)
                | Event::Unknown(_) => None,
            };
            if followed.is_some() {
                return Ok(followed);
            }
        }
        Ok(None)
    }

    /// Puts a question of the turn; what it leads to if it can't be put here.
    async fn ask(&mut self, question: Question) -> Result<Option<Followed>, ClientError> {
        if self.begun() != Some(question.turn_id) || self.asked.iter().any(|asked| asked.id == question.id) {
            return Ok(None);
        }
        let form = question::form(&question.kind, &question.reason);
        let Some(form) = form.filter(|_| self.watch.asking != Asking::Never) else {
            return Ok(Some(self.report().await?));
        };
        match self.watch.asking {
            Asking::Retry => {
                let (session, question) = (self.session, Box::new(question));
                Ok(Some(Followed::Ask { session, question, form: Box::new(form) }))
            }
            Asking::Never | Asking::Direct => {
                let (peer, id) = (self.watch.peer.clone(), question.id);
                self.asked.push(question);
                self.answers.spawn(async move { (id, peer.create_elicitation(form).await.ok()) });
                Ok(None)
            }
        }
    }

    async fn decide(
        &mut self,
        id: QuestionId,
        answer: &ElicitResult,
    ) -> Result<Option<Followed>, ClientError> {
        let Some(at) = self.asked.iter().position(|question| question.id == id) else { return Ok(None) };
        let question = self.asked.remove(at);
        let Some(decision) = question::decision(&question.kind, answer) else {
            return self.report().await.map(Some);
        };
        let params =
            QuestionAnswerParams { question_id: id, decision, request_id: Some(RequestId::generate()) };
        let answered =
            self.attached.call(async |rpc| QuestionClient::answer(rpc, params.clone()).await).await;
        if let Err(error) = answered {
            // Somebody else was faster, or the turn has ended; the feed tells.
            debug!(%error, "an answer was not taken");
        }
        Ok(None)
    }

    async fn interrupt(&mut self) -> Result<(), ClientError> {
        match self.which {
            Some(said) => self.attached.take_back(said).await,
            None => Ok(()),
        }
    }

    async fn tell(&mut self, item: &Item) {
        let Some(token) = self.watch.progress.clone() else { return };
        if self.begun() != Some(item.turn_id) {
            return;
        }
        // A client that looks late is told of what has ended meanwhile, too.
        let is_over = item.completed_at.is_some();
        let message = match &item.body {
            ItemBody::Command(command) => {
                format!("Runs {}", escape::short_line(&command.command, 200))
            }
            ItemBody::FileChange(change) if is_over => {
                let cwd = std::path::Path::new("");
                let files: Vec<_> = change.changes.iter().map(|file| words::changed(file, cwd)).collect();
                escape::shortened(&files.join(", "), 300).into_owned()
            }
            ItemBody::ToolCall(other) => {
                format!("Calls {}", escape::short_line(&other.call.name, 100))
            }
            ItemBody::AgentMessage(said) if is_over => escape::short_line(&said.text, 300),
            ItemBody::Notice(notice) => escape::short_line(&notice.text, 300),
            ItemBody::WebSearch(search) => escape::short_line(&words::web_search(search), 300),
            ItemBody::Compaction(compaction) => {
                escape::short_line(&words::compaction(compaction, &item.status), 300)
            }
            ItemBody::Agent(report) => escape::short_line(&words::agent(report), 300),
            ItemBody::Review(review) => escape::short_line(&reviews::head(review), 300),
            ItemBody::FileChange(_)
            | ItemBody::AgentMessage(_)
            | ItemBody::UserMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Plan(_)
            | ItemBody::Unknown(_) => return,
        };
        if !self.told.insert(item.id) {
            return;
        }
        let count = u32::try_from(self.told.len()).unwrap_or(u32::MAX);
        let mut progress = ProgressNotificationParam::new(token, f64::from(count));
        progress.message = Some(message);
        if let Err(error) = self.watch.peer.notify_progress(progress).await {
            debug!(%error, "could not tell of progress");
        }
    }

    async fn report(&mut self) -> Result<Followed, ClientError> {
        let params = SessionReadParams { session_id: self.session, skip_turns: 0, limit: Some(TURNS) };
        let read = self.attached.call(async |rpc| SessionClient::read(rpc, params.clone()).await).await?;
        Ok(Followed::Report(Box::new(report(&read, self.begun()))))
    }

    fn begun(&self) -> Option<TurnId> {
        self.which.and_then(Said::turn)
    }
}

fn report(snapshot: &SessionSnapshot, turn: Option<TurnId>) -> Report {
    let meant = turn.and_then(|id| snapshot.turns.iter().find(|turn| turn.id == id));
    Report::of_snapshot(snapshot, meant.or(snapshot.turns.last()))
}
