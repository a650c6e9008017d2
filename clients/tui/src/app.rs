//! The state of the screen, and what keys and news do to it. Pure: the clock comes from the owner, calls go back to
//! it.

use std::collections::VecDeque;
use std::path::PathBuf;

use client::{ClientError, DaemonChange, Update};
use protocol::delta::FeedEntry;
use protocol::error::ErrorDetail;
use protocol::event::Event;
use protocol::ids::{ClientId, Timestamp};
use protocol::item::{Item, ItemBody};
use protocol::question::Answer;
use protocol::turn::TurnOutcome;
use ratatui::text::Line;
use view::{Activity, Block, Link, View, words};

use crate::attention::Focus;
use crate::blocks::has_code;
use crate::completion::Completion;
use crate::composer::Composer;
use crate::dialog::Dialog;
use crate::help;
use crate::highlight::Syntaxes;
use crate::link::{Call, CallError, News, Reply};
use crate::pager::Pager;
use crate::picker::{Picker, Scope};
use crate::run::{Mode, SessionChoice};
use crate::settings::Settings;
use crate::theme::{Theme, ThemeName};

/// How long a notice is shown.
const NOTICE_MS: u64 = 8000;

/// The state of the screen.
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) settings: Settings,
    pub(crate) mode: Mode,
    pub(crate) view: View,
    pub(crate) composer: Composer,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) completion: Option<Completion>,
    /// The word whose completion was closed: where it begins.
    pub(crate) closed_completion: Option<usize>,
    /// The number of the last question for files.
    pub(crate) files_asked: u64,
    pub(crate) picker: Option<Picker>,
    pub(crate) pager: Option<Pager>,
    pub(crate) notice: Option<Notice>,
    /// Lines of ours that go into the scrollback.
    pub(crate) asides: Vec<Aside>,
    /// What is finished and not in the scrollback yet: its code waits for its colours.
    pub(crate) held: VecDeque<Block>,
    pub(crate) syntaxes: Syntaxes,
    /// What is to be done beside the calls.
    pub(crate) chores: Vec<Chore>,
    /// Who we are on the connection of this moment.
    pub(crate) own: Option<ClientId>,
    pub(crate) focus: Focus,
    /// What the daemon was told of it last, on which connection.
    told_focus: Option<(ClientId, bool)>,
    /// What the agent said last, as a whole.
    pub(crate) last_message: Option<String>,
    pub(crate) last_key: Timestamp,
    /// Until when another Ctrl+C leaves.
    pub(crate) leaves_until: Timestamp,
    /// Whether a turn was asked for that did not begin yet.
    is_starting: bool,
    /// Whether the running turn was asked to stop.
    pub(crate) is_stopping: bool,
    /// Why the session can't be followed any more.
    ended: Option<ClientError>,
}

/// Something to know for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) tone: Tone,
    pub(crate) until: Timestamp,
}

/// How much a notice matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Calm,
    Bad,
}

/// What goes into the scrollback beside the session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    Help,
    Keys,
    Status,
    Tip(&'static str),
}

/// What the owner is to do now.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Call(Call),
    Leave,
    /// Leaves this session for another one.
    Switch(SessionChoice),
    /// Lets the person write on in their editor.
    Edit,
    /// Stops this process as the shell does.
    Suspend,
    /// Draws everything anew.
    Redraw,
}

/// What the owner is to do when it can.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Chore {
    /// Calls the person, and says why.
    Ring(String),
    /// Remembers what was sent.
    Remember(String),
    /// Finds files.
    Find { number: u64, text: String },
    /// Puts a text into the clipboard.
    Copy(String),
}

impl App {
    /// A screen that knows nothing yet.
    pub(crate) fn new(mode: Mode, theme: Theme, settings: Settings) -> Self {
        let syntaxes = if theme.name == ThemeName::None { Syntaxes::Off } else { Syntaxes::Absent };
        Self {
            theme,
            settings,
            mode,
            view: View::new(),
            composer: Composer::default(),
            dialog: None,
            completion: None,
            closed_completion: None,
            files_asked: 0,
            picker: None,
            pager: None,
            notice: None,
            asides: Vec::new(),
            held: VecDeque::new(),
            syntaxes,
            chores: Vec::new(),
            own: None,
            focus: Focus::Unknown,
            told_focus: None,
            last_message: None,
            last_key: Timestamp(0),
            leaves_until: Timestamp(0),
            is_starting: false,
            is_stopping: false,
            ended: None,
        }
    }

    /// The session's folder.
    pub(crate) fn cwd(&self) -> PathBuf {
        self.view.status().settings.as_ref().map(|settings| settings.cwd.clone()).unwrap_or_default()
    }

    /// Why it ended by itself, if it did.
    pub(crate) fn into_error(self) -> Option<ClientError> {
        self.ended
    }

    /// Whether a turn is under way, or will be in a moment.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_starting || self.view.status().activity.turn().is_some()
    }

    /// When the screen changes by itself next.
    pub(crate) fn wakes_at(&self, now: Timestamp) -> Option<Timestamp> {
        let next_second = |since: Timestamp| Timestamp(now.0 + 1000 - now.since(since) % 1000);
        let clock = match self.view.status().activity {
            Activity::Running { since, .. } => Some(next_second(since)),
            Activity::Idle
            | Activity::Waiting { .. }
            | Activity::Suspended { .. }
            | Activity::Archived
            | Activity::Damaged => None,
        };
        let notice = self.notice.as_ref().map(|notice| notice.until);
        let dialog = self.dialog.as_ref().and_then(|dialog| dialog.listens_at(now));
        let picker = self.picker.as_ref().and_then(|picker| picker.refresh_at);
        [clock, notice, dialog, picker].into_iter().flatten().min()
    }

    /// Forgets what is over by now, and asks for what is to be seen anew.
    pub(crate) fn tick(&mut self, now: Timestamp) -> Option<Effect> {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
        let picker = self.picker.as_mut()?;
        picker.refresh_at.take_if(|at| *at <= now)?;
        let scope = picker.scope()?;
        Some(self.list(scope))
    }

    /// Asks for sessions.
    pub(crate) fn list(&self, scope: Scope) -> Effect {
        Effect::Call(Call::Sessions(match scope {
            Scope::ThisFolder => Some(self.cwd()),
            Scope::Everywhere => None,
        }))
    }

    /// Says something for a while.
    pub(crate) fn notify(&mut self, tone: Tone, text: impl Into<String>, now: Timestamp) {
        self.notice = Some(Notice { text: text.into(), tone, until: Timestamp(now.0 + NOTICE_MS) });
    }

    /// Sends what a person said, as a turn or into the one that runs.
    pub(crate) fn say(&mut self, text: String) -> Effect {
        self.chores.push(Chore::Remember(text.clone()));
        if self.is_busy() {
            return Effect::Call(Call::Steer(text));
        }
        self.is_starting = true;
        Effect::Call(Call::Start(text))
    }

    /// The terminal's window has the focus now, or lost it.
    pub(crate) fn set_focus(&mut self, focus: Focus) -> Option<Effect> {
        self.focus = focus;
        self.tell_focus()
    }

    /// What the daemon is to be told of the focus, if it does not know.
    fn tell_focus(&mut self) -> Option<Effect> {
        let own = self.own?;
        let is_focused = self.focus == Focus::Here;
        // Until it is told of a client, it takes the focus to be elsewhere.
        let known = self.told_focus.filter(|(client, _)| *client == own).is_some_and(|(_, told)| told);
        if known == is_focused {
            return None;
        }
        self.told_focus = Some((own, is_focused));
        Some(Effect::Call(Call::Focus(is_focused)))
    }

    /// Whether something on the screen waits for the definitions of code.
    pub(crate) fn wants_syntaxes(&self) -> bool {
        let is_shown = || {
            self.held.iter().chain(self.view.live()).any(has_code)
                || self.pager.as_ref().is_some_and(Pager::has_code)
        };
        matches!(self.syntaxes, Syntaxes::Absent) && is_shown()
    }

    /// The definitions of code are there.
    pub(crate) fn set_syntaxes(&mut self, syntaxes: Syntaxes) {
        self.syntaxes = syntaxes;
        if let Some(pager) = &mut self.pager {
            pager.redraw();
        }
    }

    /// Calls the person, unless they look.
    fn ring(&mut self, text: String) {
        if self.settings.has_notifications && self.focus != Focus::Here {
            self.chores.push(Chore::Ring(text));
        }
    }

    /// News came.
    pub(crate) fn news(&mut self, news: News, now: Timestamp) -> Option<Effect> {
        match news {
            News::Update(update, own) => {
                self.own = Some(own);
                // After a new connection the feed is not there yet, and with it what can be told of it.
                let is_attached = !matches!(update, Update::Lost | Update::Back(_));
                self.update(update, now);
                if is_attached { self.tell_focus() } else { None }
            }
            News::Told(call, Ok(reply)) => self.answered(call, reply, now),
            News::Told(call, Err(error)) => {
                self.refused(call, &error, now);
                None
            }
            News::Ended(error) => {
                self.ended = Some(error);
                Some(Effect::Leave)
            }
        }
    }

    fn answered(&mut self, call: Call, reply: Reply, now: Timestamp) -> Option<Effect> {
        match (call, reply) {
            (_, Reply::Warned(warnings)) => {
                if !warnings.is_empty() {
                    self.notify(Tone::Bad, warnings.join("; "), now);
                }
            }
            (_, Reply::Sessions(sessions)) => {
                let own = self.view.status().session;
                if let Some(picker) = &mut self.picker {
                    picker.set_sessions(sessions, own, now);
                }
            }
            (_, Reply::Page(page)) => {
                if let Some(pager) = &mut self.pager {
                    pager.add(*page);
                }
            }
            (Call::Export(file), Reply::Done) => {
                self.notify(Tone::Calm, format!("written to {}", file.display()), now);
            }
            (Call::Archive, Reply::Done) => return Some(Effect::Leave),
            (
                Call::Start(_)
                | Call::Steer(_)
                | Call::Enqueue(_)
                | Call::Interrupt(_)
                | Call::Answer(..)
                | Call::Change(_)
                | Call::Rename(_)
                | Call::Unqueue(..)
                | Call::Focus(_)
                | Call::Sessions(_)
                | Call::Page(_),
                Reply::Done,
            ) => {}
        }
        None
    }

    /// The text that is being written: a reply to a question, or an input.
    pub(crate) fn writing(&mut self) -> &mut Composer {
        match &mut self.dialog {
            Some(Dialog { reply: Some(reply), .. }) => reply,
            Some(_) | None => &mut self.composer,
        }
    }

    fn update(&mut self, update: Update, now: Timestamp) {
        match update {
            Update::Snapshot(snapshot) => {
                self.is_starting = false;
                let items = snapshot.turns.iter().flat_map(|turn| &turn.items);
                if let Some(text) = items.filter_map(message_of).next_back() {
                    self.last_message = Some(text.to_owned());
                }
                self.view.snapshot(*snapshot);
            }
            Update::Entries(entries) => {
                for entry in entries {
                    self.entry(entry, now);
                }
            }
            Update::Presence(presence) => self.view.apply(FeedEntry::Presence(presence)),
            Update::Lost => self.view.set_link(Link::Lost),
            Update::Back(change) => {
                self.view.set_link(Link::Up);
                let text = match change {
                    DaemonChange::Same => "connected again".to_owned(),
                    DaemonChange::Restarted => "the daemon came back".to_owned(),
                    DaemonChange::Upgraded { build } => format!("the daemon came back as build {build}"),
                };
                self.notify(Tone::Calm, text, now);
            }
        }
        if self.view.status().activity.turn().is_none() {
            self.is_stopping = false;
        }
        self.show_question(now);
    }

    fn entry(&mut self, entry: FeedEntry, now: Timestamp) {
        if let FeedEntry::Event(record) = &entry
            && let Event::TurnStarted(_) = &record.event
        {
            self.is_starting = false;
        }
        if let FeedEntry::Event(record) = &entry
            && let Event::QuestionAnswered(answered) = &record.event
            && self.dialog.as_ref().is_some_and(|dialog| dialog.id() == answered.question_id)
            && Some(answered.answer.actor.client_id) != self.own
        {
            self.notify(Tone::Calm, decided_elsewhere(&answered.answer), now);
        }
        if let FeedEntry::Event(record) = &entry
            && record.seq > self.view.seq()
        {
            self.heed(&record.event);
        }
        self.view.apply(entry);
    }

    /// What is new: calls the person when it is their turn.
    fn heed(&mut self, event: &Event) {
        if let Event::QuestionAsked(asked) = event {
            self.ring(words::asked(&asked.question.kind).to_owned());
        } else if let Event::TurnEnded(ended) = event {
            match &ended.outcome {
                TurnOutcome::Interrupted { actor: Some(_), .. } => {}
                TurnOutcome::Completed
                | TurnOutcome::Failed { .. }
                | TurnOutcome::Interrupted { actor: None, .. }
                | TurnOutcome::LimitReached { .. }
                | TurnOutcome::Unknown(_) => {
                    self.ring(words::ending(&ended.outcome).unwrap_or_else(|| "The turn is done".to_owned()));
                }
            }
        } else if let Event::ItemCompleted(change) = event
            && let Some(text) = message_of(&change.item)
        {
            self.last_message = Some(text.to_owned());
        }
    }

    /// The first question that waits is the dialog.
    fn show_question(&mut self, now: Timestamp) {
        let first = self.view.questions().first();
        if self.dialog.as_ref().map(Dialog::id) != first.map(|question| question.id) {
            self.dialog = first.map(|question| Dialog::new(question.clone(), now, self.last_key));
        }
    }

    /// Asks the running turn to stop, once.
    pub(crate) fn interrupt(&mut self) -> Option<Effect> {
        let turn = self.view.status().activity.turn().filter(|_| !self.is_stopping)?;
        self.is_stopping = true;
        Some(Effect::Call(Call::Interrupt(turn)))
    }

    /// A call could not even be handed over.
    pub(crate) fn not_sent(&mut self, call: Call, now: Timestamp) {
        self.undo(call);
        self.notify(Tone::Bad, "Not sent: what was asked before still waits for the daemon", now);
    }

    fn refused(&mut self, call: Call, error: &CallError, now: Timestamp) {
        self.undo(call);
        let CallError::Client(error) = error else { return self.notify(Tone::Bad, error.to_string(), now) };
        let detail = error.refusal().and_then(|refusal| refusal.detail.as_deref());
        let text = match detail {
            Some(ErrorDetail::AlreadyAnswered { answer, .. }) => decided_elsewhere(answer),
            Some(_) | None => said(error),
        };
        self.notify(Tone::Bad, text, now);
    }

    /// A call came to nothing; nothing that was written is lost.
    fn undo(&mut self, call: Call) {
        match call {
            Call::Start(input) => {
                self.is_starting = false;
                self.composer.give_back(&input);
            }
            Call::Steer(input) | Call::Enqueue(input) => self.composer.give_back(&input),
            Call::Interrupt(_) => self.is_stopping = false,
            Call::Answer(id, _) => {
                if let Some(dialog) = self.dialog.as_mut().filter(|dialog| dialog.id() == id) {
                    dialog.is_answered = false;
                }
            }
            // It has begun, or somebody else took it out.
            Call::Unqueue(_, text) => {
                if self.composer.text() == text {
                    self.composer.clear();
                }
            }
            Call::Page(_) => {
                if let Some(pager) = &mut self.pager {
                    pager.fail();
                }
            }
            Call::Change(_)
            | Call::Rename(_)
            | Call::Archive
            | Call::Focus(_)
            | Call::Sessions(_)
            | Call::Export(_) => {}
        }
    }

    /// The lines of what a command shows.
    pub(crate) fn aside(&self, aside: Aside, width: u16) -> Vec<Line<'static>> {
        match aside {
            Aside::Help => help::help(width, &self.theme),
            Aside::Keys => help::keys(&self.settings.keymap, width, &self.theme),
            Aside::Tip(tip) => help::tip(tip, width, &self.theme),
            Aside::Status => help::status(self.view.status(), self.own, width, &self.theme),
        }
    }
}

fn message_of(item: &Item) -> Option<&str> {
    match &item.body {
        ItemBody::AgentMessage(message) if !message.text.trim().is_empty() => Some(&message.text),
        ItemBody::AgentMessage(_)
        | ItemBody::UserMessage(_)
        | ItemBody::Reasoning(_)
        | ItemBody::Command(_)
        | ItemBody::FileChange(_)
        | ItemBody::ToolCall(_)
        | ItemBody::Plan(_)
        | ItemBody::Notice(_)
        | ItemBody::Unknown(_) => None,
    }
}

fn decided_elsewhere(answer: &Answer) -> String {
    format!("{} by {}", words::decided(&answer.decision), answer.actor.name)
}

/// An error, with what to do about it.
fn said(error: &ClientError) -> String {
    match error.hint() {
        Some(hint) => format!("{error}. {hint}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
