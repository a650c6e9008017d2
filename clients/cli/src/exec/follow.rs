//! A turn from its start to its end: what happens is told, questions are answered or end it, signals stop it.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use client::{Attached, ClientError, ErrorKind, Update};
use protocol::api::question::QuestionClient;
use protocol::api::turn::TurnClient;
use protocol::delta::FeedEntry;
use protocol::event::{Event, TurnEnded};
use protocol::ids::{QuestionId, RequestId, SessionId, TurnId};
use protocol::item::{ItemBody, ItemStatus};
use protocol::question::{Decision, Question, QuestionAnswerParams};
use protocol::session::SessionSnapshot;
use protocol::turn::{InterruptReason, TurnInterruptParams};
use tokio::time::Instant;

use crate::bell::Bell;
use crate::connect::back;
use crate::error::CliError;
use crate::exec::ask::Asker;
use crate::exec::outcome::Ending;
use crate::exec::report::Reporter;
use crate::exec::signals::{Signal, Signals};
use crate::output::Output;
use crate::question::headline;

/// How long the daemon may take to end a turn that is stopped.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// After a turn as long as this, the person may look elsewhere, and is called back.
const LONG_TURN_MS: u64 = 10_000;

/// A turn that is followed.
pub(crate) struct Follow<'a> {
    pub(crate) attached: Attached,
    pub(crate) session: SessionId,
    pub(crate) turn: TurnId,
    pub(crate) reporter: &'a mut Reporter,
    pub(crate) signals: &'a mut Signals,
    pub(crate) output: Output,
    /// Who can answer, if somebody is here.
    pub(crate) asker: Option<Asker>,
    /// What calls that person back.
    pub(crate) bell: Bell,
    /// Questions of the turn that wait.
    pub(crate) open: BTreeMap<QuestionId, Question>,
    /// What the model said last.
    pub(crate) last_message: Option<String>,
}

/// Why the turn is being stopped from here, and until when that is waited for.
struct Stopping {
    ending: Ending,
    until: Instant,
}

/// What can happen.
enum Happening {
    Update(Result<Update, ClientError>),
    Signal(Signal),
    Decision(QuestionId, Decision),
    OutOfPatience,
}

impl Follow<'_> {
    /// Follows to the end, which is returned with what the model said last.
    pub(crate) async fn run(mut self, early: Option<Signal>) -> (Ending, Option<String>) {
        let mut stopping = None;
        if let Some(signal) = early
            && let Some(ending) = self.stop(&mut stopping, Ending::Signal(signal)).await
        {
            return (ending, None);
        }
        let ending = loop {
            let step = match self.happening(stopping.as_ref()).await {
                Happening::Update(Ok(update)) => self.update(update, &mut stopping).await,
                Happening::Update(Err(error)) => Some(Ending::Error(left_alone(error))),
                Happening::Signal(signal) if stopping.is_some() => Some(Ending::Signal(signal)),
                Happening::Signal(signal) => self.stop(&mut stopping, Ending::Signal(signal)).await,
                Happening::Decision(question_id, decision) => {
                    self.answer(QuestionAnswerParams {
                        question_id,
                        decision,
                        request_id: Some(RequestId::generate()),
                    })
                    .await
                }
                Happening::OutOfPatience => Some(Ending::Signal(Signal::Interrupt)),
            };
            match (step, stopping) {
                (None, still) => stopping = still,
                (Some(ending), None) => break ending,
                // The model was faster than the stop that an open question asked for.
                (Some(ending), Some(Stopping { ending: Ending::Unanswered(_), .. }))
                    if ending.is_completed() =>
                {
                    break ending;
                }
                (Some(_), Some(stopping)) => break stopping.ending,
            }
        };
        (ending, self.last_message)
    }

    async fn happening(&mut self, stopping: Option<&Stopping>) -> Happening {
        let until = stopping.map(|stopping| stopping.until);
        let patience = async {
            match until {
                Some(until) => tokio::time::sleep_until(until).await,
                None => std::future::pending().await,
            }
        };
        let decision = async {
            match &mut self.asker {
                Some(asker) => asker.decision().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            signal = self.signals.next() => Happening::Signal(signal),
            (id, decision) = decision => Happening::Decision(id, decision),
            update = self.attached.next() => Happening::Update(update),
            () = patience => Happening::OutOfPatience,
        }
    }

    async fn update(&mut self, update: Update, stopping: &mut Option<Stopping>) -> Option<Ending> {
        match update {
            Update::Snapshot(snapshot) => self.ended_in(&snapshot),
            Update::Entries(entries) => {
                for entry in &entries {
                    match self.entry(entry) {
                        Ok(None) => {}
                        Ok(Some(ended)) => return Some(Ending::Turn(Box::new(ended))),
                        Err(error) => return self.output_failed(error, stopping).await,
                    }
                }
                let question = self.unanswerable();
                match question {
                    Some(question) if stopping.is_none() => {
                        self.stop(stopping, Ending::Unanswered(Box::new(question))).await
                    }
                    Some(_) | None => None,
                }
            }
            Update::Lost => {
                self.output
                    .note(self.output.err.yellow("the connection to the daemon was lost; looking for it"));
                None
            }
            Update::Back(change) => {
                self.output.note(self.output.err.dim(back(&change)));
                None
            }
            Update::Presence(_) => None,
        }
    }

    /// Tells an entry, and notes what it changes.
    fn entry(&mut self, entry: &FeedEntry) -> io::Result<Option<TurnEnded>> {
        self.reporter.entry(entry)?;
        let FeedEntry::Event(record) = entry else { return Ok(None) };
        match &record.event {
            Event::ItemCompleted(changed) if changed.item.turn_id == self.turn => {
                if let ItemBody::AgentMessage(message) = &changed.item.body
                    && changed.item.status != ItemStatus::Discarded
                {
                    self.last_message = Some(message.text.clone());
                }
            }
            Event::QuestionAsked(asked)
                if asked.question.turn_id == self.turn && asked.question.kind.is_for_person() =>
            {
                let question = &asked.question;
                self.open.insert(question.id, question.clone());
                if let Some(asker) = &mut self.asker {
                    asker.ask(question.clone());
                }
                self.bell.ring(&headline(&question.kind), self.output);
            }
            Event::QuestionAnswered(answered) => self.close(answered.question_id),
            Event::QuestionWithdrawn(withdrawn) => self.close(withdrawn.question_id),
            Event::TurnEnded(ended) if ended.turn_id == self.turn => {
                if ended.duration_ms >= LONG_TURN_MS {
                    let verdict = Ending::Turn(Box::new(ended.clone())).verdict();
                    self.bell.ring(&verdict.message, self.output);
                }
                return Ok(Some(ended.clone()));
            }
            Event::SessionCreated(_)
            | Event::SessionUpdated(_)
            | Event::SessionArchived(_)
            | Event::SessionUnarchived(_)
            | Event::InputQueued(_)
            | Event::QueuedInputChanged(_)
            | Event::QueuedInputCancelled(_)
            | Event::TurnStarted(_)
            | Event::ModelRequested(_)
            | Event::ModelRetried(_)
            | Event::ModelResponded(_)
            | Event::ItemStarted(_)
            | Event::ItemAppended(_)
            | Event::ItemCompleted(_)
            | Event::QuestionAsked(_)
            | Event::TurnEnded(_)
            | Event::TurnSuspended(_)
            | Event::ConnectionAttempted(_)
            | Event::BudgetWarned(_)
            | Event::TurnResumed(_)
            | Event::FilesChanged(_)
            | Event::SessionRewound(_)
            | Event::RewindEnded(_)
            | Event::ClientToolsRegistered(_)
            | Event::Unknown(_) => {}
        }
        Ok(None)
    }

    fn close(&mut self, id: QuestionId) {
        self.open.remove(&id);
        if let Some(asker) = &mut self.asker {
            asker.withdraw(id);
        }
    }

    /// A question that waits and that nobody here can answer.
    fn unanswerable(&self) -> Option<Question> {
        if self.asker.is_some() { None } else { self.open.values().next().cloned() }
    }

    /// The daemon sends a snapshot where the events are not to be had any more: only the end counts then.
    fn ended_in(&self, snapshot: &SessionSnapshot) -> Option<Ending> {
        let turn = snapshot.turns.iter().find(|turn| turn.id == self.turn)?;
        let outcome = turn.outcome.clone()?;
        let duration_ms = turn.ended_at.map_or(0, |at| at.since(turn.started_at));
        let ended = TurnEnded { turn_id: turn.id, outcome, usage: turn.usage, cost: turn.cost, duration_ms };
        Some(Ending::Turn(Box::new(ended)))
    }

    async fn answer(&mut self, params: QuestionAnswerParams) -> Option<Ending> {
        let id = params.question_id;
        self.open.remove(&id);
        let answered = self.attached.call(async |rpc| rpc.answer(params.clone()).await).await;
        if let Err(error) = answered {
            // Somebody else was faster; the event says who.
            let error = CliError::from(error);
            self.output.note(format_args!("note: {}", error.full_message()));
        }
        None
    }

    async fn output_failed(&mut self, error: io::Error, stopping: &mut Option<Stopping>) -> Option<Ending> {
        let is_closed = error.kind() == io::ErrorKind::BrokenPipe;
        let ending = if is_closed { Ending::OutputClosed } else { Ending::Error(CliError::Output(error)) };
        let second = self.stop(stopping, ending).await;
        second.or_else(|| stopping.take().map(|stopping| stopping.ending))
    }

    /// Ends the turn from here. What is told meanwhile waits in the feed. A signal that comes meanwhile is a
    /// second one, and leaves at once.
    async fn stop(&mut self, stopping: &mut Option<Stopping>, ending: Ending) -> Option<Ending> {
        if let Ending::Signal(Signal::HangUp) = ending {
            // Whoever closed the window did not ask for the turn to end.
            return Some(ending);
        }
        if matches!(ending, Ending::Signal(_)) {
            self.output.note(self.output.err.dim("stopping the turn; once more leaves at once"));
        }
        let reason = match ending {
            Ending::Unanswered(_) => InterruptReason::Unanswered,
            Ending::Turn(_)
            | Ending::Detached
            | Ending::Signal(_)
            | Ending::OutputClosed
            | Ending::Error(_) => InterruptReason::Requested,
        };
        let until = Instant::now() + STOP_LIMIT;
        *stopping = Some(Stopping { ending, until });
        let params = TurnInterruptParams {
            session_id: self.session,
            expected_turn_id: Some(self.turn),
            reason,
            request_id: Some(RequestId::generate()),
        };
        let interrupt = self.attached.call(async |rpc| rpc.interrupt(params.clone()).await);
        let interrupt = tokio::time::timeout_at(until, interrupt);
        tokio::select! {
            biased;
            signal = self.signals.next() => Some(Ending::Signal(signal)),
            // However it is answered, the feed tells how the turn ended.
            _ = interrupt => None,
        }
    }
}

/// The feed ended for good. What was asked for was right, so no refusal is wrong usage any more.
fn left_alone(error: ClientError) -> CliError {
    match error.kind() {
        ErrorKind::Request => {
            let error = CliError::from(error);
            CliError::Failed { message: error.full_message(), hint: error.hint() }
        }
        ErrorKind::Unreachable | ErrorKind::Failed => error.into(),
    }
}
