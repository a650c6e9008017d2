//! The state of the screen, and what keys and news do to it. Pure: the clock comes from the owner, calls go back to
//! it.

use std::path::PathBuf;

use client::{ClientError, DaemonChange, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::delta::FeedEntry;
use protocol::error::ErrorDetail;
use protocol::event::Event;
use protocol::ids::{ClientId, Timestamp};
use protocol::question::{Answer, Decision};
use ratatui::text::Line;
use view::{Activity, Link, View, words};

use crate::command::{self, Command};
use crate::composer::{Composer, Motion};
use crate::dialog::{Dialog, Verdict};
use crate::help;
use crate::link::{Call, News};
use crate::run::Mode;
use crate::theme::Theme;

/// How long a notice is shown.
const NOTICE_MS: u64 = 8000;
/// Within which time Ctrl+C must come again to leave.
const TWICE_MS: u64 = 2000;

/// The state of the screen.
pub(crate) struct App {
    pub(crate) theme: Theme,
    pub(crate) mode: Mode,
    pub(crate) view: View,
    pub(crate) composer: Composer,
    pub(crate) dialog: Option<Dialog>,
    pub(crate) notice: Option<Notice>,
    /// Lines of ours that go into the scrollback.
    pub(crate) asides: Vec<Aside>,
    /// Who we are on the connection of this moment.
    pub(crate) own: Option<ClientId>,
    last_key: Timestamp,
    /// Until when another Ctrl+C leaves.
    leaves_until: Timestamp,
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

/// What a command shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aside {
    Help,
    Status,
}

/// What the owner is to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Effect {
    Call(Call),
    Leave,
}

impl App {
    /// A screen that knows nothing yet.
    pub(crate) fn new(mode: Mode, theme: Theme) -> Self {
        Self {
            theme,
            mode,
            view: View::new(),
            composer: Composer::default(),
            dialog: None,
            notice: None,
            asides: Vec::new(),
            own: None,
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
        [clock, notice, dialog].into_iter().flatten().min()
    }

    /// Forgets what is over by now.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        if self.notice.as_ref().is_some_and(|notice| notice.until <= now) {
            self.notice = None;
        }
    }

    /// Says something for a while.
    pub(crate) fn notify(&mut self, tone: Tone, text: impl Into<String>, now: Timestamp) {
        self.notice = Some(Notice { text: text.into(), tone, until: Timestamp(now.0 + NOTICE_MS) });
    }

    /// Sends what a person said, as a turn or into the one that runs.
    pub(crate) fn say(&mut self, text: String) -> Effect {
        if self.is_busy() {
            return Effect::Call(Call::Steer(text));
        }
        self.is_starting = true;
        Effect::Call(Call::Start(text))
    }

    /// Text was pasted.
    pub(crate) fn paste(&mut self, text: &str, now: Timestamp) {
        if self.mode == Mode::Watch {
            return;
        }
        self.last_key = now;
        self.writing().paste(text);
    }

    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent, now: Timestamp) -> Option<Effect> {
        let has_control = key.modifiers.contains(KeyModifiers::CONTROL);
        if self.mode == Mode::Watch {
            let is_leaving = match key.code {
                KeyCode::Char('c' | 'd') => has_control,
                KeyCode::Char('q') | KeyCode::Esc => true,
                _ => false,
            };
            return is_leaving.then_some(Effect::Leave);
        }
        match key.code {
            KeyCode::Char('c') if has_control => return self.interrupt_or_leave(now),
            KeyCode::Char('d') if has_control && self.writing().is_empty() => return Some(Effect::Leave),
            _ => {}
        }
        if let Some(dialog) = &mut self.dialog
            && dialog.reply.is_none()
        {
            if dialog.listens(now) {
                let id = dialog.id();
                return match dialog.key(key) {
                    Verdict::Nothing => None,
                    Verdict::Decide(decision) => {
                        dialog.is_answered = true;
                        Some(Effect::Call(Call::Answer(id, decision)))
                    }
                };
            }
            dialog.put_off(now);
        }
        self.last_key = now;
        self.write(key, now)
    }

    /// News came.
    pub(crate) fn news(&mut self, news: News, now: Timestamp) -> Option<Effect> {
        match news {
            News::Update(update, own) => {
                self.own = Some(own);
                self.update(update, now);
                None
            }
            News::Told(_, Ok(warnings)) => {
                if !warnings.is_empty() {
                    self.notify(Tone::Bad, warnings.join("; "), now);
                }
                None
            }
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
        self.view.apply(entry);
    }

    /// The first question that waits is the dialog.
    fn show_question(&mut self, now: Timestamp) {
        let first = self.view.questions().first();
        if self.dialog.as_ref().map(Dialog::id) != first.map(|question| question.id) {
            self.dialog = first.map(|question| Dialog::new(question.clone(), now, self.last_key));
        }
    }

    fn interrupt_or_leave(&mut self, now: Timestamp) -> Option<Effect> {
        if let Some(Dialog { reply: reply @ Some(_), .. }) = &mut self.dialog {
            *reply = None;
            return None;
        }
        if let Some(effect) = self.interrupt() {
            return Some(effect);
        }
        if !self.composer.is_empty() {
            self.composer.clear();
            return None;
        }
        if now < self.leaves_until {
            return Some(Effect::Leave);
        }
        self.leaves_until = Timestamp(now.0 + TWICE_MS);
        let text = if self.is_busy() { "once more leaves; the turn goes on" } else { "once more leaves" };
        self.notify(Tone::Calm, format!("Ctrl+C {text}"), now);
        None
    }

    /// Asks the running turn to stop, once.
    fn interrupt(&mut self) -> Option<Effect> {
        let turn = self.view.status().activity.turn().filter(|_| !self.is_stopping)?;
        self.is_stopping = true;
        Some(Effect::Call(Call::Interrupt(turn)))
    }

    /// A key for the text that is being written.
    fn write(&mut self, key: KeyEvent, now: Timestamp) -> Option<Effect> {
        let (control, alt) = (KeyModifiers::CONTROL, KeyModifiers::ALT);
        let has = |modifier| key.modifiers.contains(modifier);
        let writing = self.writing();
        match key.code {
            KeyCode::Enter if has(alt) || has(KeyModifiers::SHIFT) => writing.insert("\n"),
            KeyCode::Enter => return self.enter(now),
            KeyCode::Tab => return self.enqueue(now),
            KeyCode::Esc => return self.escape(),
            KeyCode::Char('j') if has(control) => writing.insert("\n"),
            KeyCode::Char('a') if has(control) => writing.go(Motion::LineStart),
            KeyCode::Char('e') if has(control) => writing.go(Motion::LineEnd),
            KeyCode::Char('b') if has(control) => writing.go(Motion::Left),
            KeyCode::Char('f') if has(control) => writing.go(Motion::Right),
            KeyCode::Char('b') if has(alt) => writing.go(Motion::WordLeft),
            KeyCode::Char('f') if has(alt) => writing.go(Motion::WordRight),
            KeyCode::Char('d') if has(control) => writing.delete(),
            KeyCode::Char('h') if has(control) => writing.backspace(),
            KeyCode::Char('w') if has(control) => writing.remove_to(Motion::WordLeft),
            KeyCode::Char('u') if has(control) => writing.remove_to(Motion::LineStart),
            KeyCode::Char('k') if has(control) => writing.remove_to(Motion::LineEnd),
            KeyCode::Char(letter) if !has(control) && !has(alt) => {
                writing.insert(letter.encode_utf8(&mut [0; 4]));
            }
            KeyCode::Backspace if has(alt) || has(control) => writing.remove_to(Motion::WordLeft),
            KeyCode::Backspace => writing.backspace(),
            KeyCode::Delete => writing.delete(),
            KeyCode::Left if has(alt) || has(control) => writing.go(Motion::WordLeft),
            KeyCode::Right if has(alt) || has(control) => writing.go(Motion::WordRight),
            KeyCode::Left => writing.go(Motion::Left),
            KeyCode::Right => writing.go(Motion::Right),
            KeyCode::Home => writing.go(Motion::LineStart),
            KeyCode::End => writing.go(Motion::LineEnd),
            KeyCode::Up => writing.up(),
            KeyCode::Down => writing.down(),
            _ => {}
        }
        None
    }

    fn enter(&mut self, now: Timestamp) -> Option<Effect> {
        if let Some(dialog) = &mut self.dialog
            && let Some(reply) = dialog.reply.take()
        {
            let message = Some(reply.text()).filter(|text| !text.trim().is_empty());
            dialog.is_answered = true;
            return Some(Effect::Call(Call::Answer(dialog.id(), Decision::Deny { message })));
        }
        if self.composer.text().trim().is_empty() {
            return None;
        }
        let text = self.composer.send();
        match command::parse(&text) {
            None => Some(self.say(text)),
            Some(Command::Help) => {
                self.asides.push(Aside::Help);
                None
            }
            Some(Command::Status) => {
                self.asides.push(Aside::Status);
                None
            }
            Some(Command::Quit) => Some(Effect::Leave),
            Some(Command::Change(overrides)) => Some(Effect::Call(Call::Change(overrides))),
            Some(Command::Wrong(reason)) => {
                self.composer.insert(&text);
                self.notify(Tone::Bad, reason, now);
                None
            }
        }
    }

    fn enqueue(&mut self, now: Timestamp) -> Option<Effect> {
        let is_replying = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        if is_replying || self.composer.text().trim().is_empty() {
            return None;
        }
        if !self.is_busy() {
            self.notify(Tone::Calm, "nothing runs: Enter sends", now);
            return None;
        }
        Some(Effect::Call(Call::Enqueue(self.composer.send())))
    }

    fn escape(&mut self) -> Option<Effect> {
        if let Some(Dialog { reply: reply @ Some(_), .. }) = &mut self.dialog {
            *reply = None;
            return None;
        }
        self.notice = None;
        self.interrupt()
    }

    /// A call could not even be handed over.
    pub(crate) fn not_sent(&mut self, call: Call, now: Timestamp) {
        self.undo(call);
        self.notify(Tone::Bad, "Not sent: what was asked before still waits for the daemon", now);
    }

    fn refused(&mut self, call: Call, error: &ClientError, now: Timestamp) {
        self.undo(call);
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
            Call::Change(_) => {}
        }
    }

    /// The lines of what a command shows.
    pub(crate) fn aside(&self, aside: Aside, width: u16) -> Vec<Line<'static>> {
        match aside {
            Aside::Help => help::help(width, &self.theme),
            Aside::Status => help::status(self.view.status(), self.own, width, &self.theme),
        }
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
