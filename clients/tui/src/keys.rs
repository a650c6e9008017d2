//! What keys do: to the text that is being written, or to what lies over it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseEvent};
use protocol::ids::{QueuedId, Timestamp};
use protocol::question::Decision;
use protocol::turn::InputPart;

use crate::app::{App, Chore, Effect, Tone};
use crate::browser::{TITLE_LETTERS, Tending};
use crate::command;
use crate::completion::{self, Completion, Kind, Wanted};
use crate::dialog::{Dialog, Verdict};
use crate::draft::Motion;
use crate::fullscreen::Way;
use crate::image::Said;
use crate::keymap::Action;
use crate::lesson;
use crate::link::Call;
use crate::mentions::Absent;
use crate::pager::{Pager, Turned};
use crate::picker::{Picked, Picker};
use crate::prompts;
use crate::run::{Mode, SessionChoice};
use crate::vim::{Taken, Vim};

/// Within which time Ctrl+C must come again to leave.
const TWICE_MS: u64 = 2000;

impl App {
    /// A key was pressed.
    pub(crate) fn key(&mut self, key: KeyEvent, now: Timestamp) -> Option<Effect> {
        if let Some(pager) = &mut self.pager {
            return match pager.key(key) {
                Turned::Nothing => None,
                Turned::Close => {
                    self.pager = None;
                    self.put_off_dialog(now);
                    None
                }
                Turned::Older(skip) => Some(Effect::Call(Call::Page(skip))),
                Turned::More(blob, from) => Some(Effect::Call(Call::Output(blob, from))),
            };
        }
        if self.scroll_by(key) {
            return None;
        }
        let action = self.settings.keymap.action(key);
        if self.mode == Mode::Watch {
            return match (action, key.code) {
                (Some(Action::Transcript), _) => Some(self.open_pager()),
                (Some(Action::Unfold), _) => {
                    self.unfold(now);
                    None
                }
                (Some(Action::Suspend), _) => Some(Effect::Suspend),
                (Some(Action::Redraw), _) => Some(Effect::Redraw),
                (Some(Action::Cancel | Action::DeleteOrLeave | Action::Stop), _)
                | (None, KeyCode::Char('q')) => Some(Effect::Leave),
                _ => None,
            };
        }
        if self.picker.is_some() {
            return self.pick(key, now);
        }
        if action != Some(Action::Cancel) && now < self.leaves_until {
            (self.leaves_until, self.notice) = (Timestamp(0), None);
        }
        match action {
            Some(Action::Cancel) => return self.interrupt_or_leave(now),
            Some(Action::DeleteOrLeave) if self.writing().is_empty() => return Some(Effect::Leave),
            Some(Action::Suspend) => return Some(Effect::Suspend),
            Some(Action::Redraw) => return Some(Effect::Redraw),
            Some(Action::Transcript) => return Some(self.open_pager()),
            Some(Action::Unfold) => {
                self.unfold(now);
                return None;
            }
            Some(_) | None => {}
        }
        if let Some(dialog) = &mut self.dialog
            && dialog.reply.is_none()
        {
            if dialog.listens(now) {
                let id = dialog.id();
                if key.code == KeyCode::Esc {
                    self.notify(Tone::Calm, "n says no · Ctrl+C stops the turn", now);
                    return None;
                }
                return match dialog.key(key) {
                    Verdict::Nothing => None,
                    Verdict::Decide(decision) => {
                        dialog.is_answered = true;
                        Some(Effect::Call(self.answer(id, decision, now)))
                    }
                };
            }
            dialog.put_off(now);
        }
        self.last_key = now;
        if self.completion.is_some()
            && let Some(effect) = self.complete_by(key, now)
        {
            return effect;
        }
        let effect = self.write(action, key, now);
        self.complete();
        effect
    }

    /// Whether a key was meant for what was said, where that scrolls here.
    fn scroll_by(&mut self, key: KeyEvent) -> bool {
        let is_asked = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_none());
        let Some(full) = self.full.as_mut().filter(|_| self.picker.is_none() && !is_asked) else {
            return false;
        };
        full.deselect();
        match key.code {
            KeyCode::PageUp => full.page(Way::Up),
            KeyCode::PageDown => full.page(Way::Down),
            KeyCode::End if key.modifiers.contains(KeyModifiers::CONTROL) => full.show_end(),
            _ => return false,
        }
        true
    }

    /// The mouse did something.
    pub(crate) fn mouse(&mut self, mouse: MouseEvent, now: Timestamp) {
        let Some(text) = self.full.as_mut().and_then(|full| full.mouse(mouse)) else { return };
        let letters = text.chars().count();
        self.chores.push(Chore::Copy(text));
        self.notify(Tone::Calm, format!("handed {letters} letters to the clipboard"), now);
    }

    pub(crate) fn open_pager(&mut self) -> Effect {
        self.pager = Some(Pager::new());
        Effect::Call(Call::Page(0))
    }

    /// Keys that were meant for what lay over a question are not meant for it.
    fn put_off_dialog(&mut self, now: Timestamp) {
        if let Some(dialog) = &mut self.dialog {
            dialog.put_off(now);
        }
    }

    fn pick(&mut self, key: KeyEvent, now: Timestamp) -> Option<Effect> {
        let picker = self.picker.as_mut()?;
        if !picker.listens(now) {
            return None;
        }
        let picked = picker.key(key);
        match picked {
            Picked::Nothing => return picker.peek().map(|session| Effect::Call(Call::Peek(session))),
            Picked::List(listing) => return Some(self.list(listing)),
            Picked::Tend(session, Tending::PutAway) if Some(session) == self.view.status().session => {
                self.notify(Tone::Calm, "this session is put away with /archive", now);
                return None;
            }
            Picked::Tend(session, tending) => return Some(Effect::Call(Call::Tend(session, tending))),
            Picked::Close
            | Picked::Change(_)
            | Picked::Mode(_)
            | Picked::Plan(_)
            | Picked::Queued(..)
            | Picked::Place(_)
            | Picked::Fork(_)
            | Picked::Way(_)
            | Picked::Theme(_)
            | Picked::Text(_)
            | Picked::Lesson(..)
            | Picked::Skill(_)
            | Picked::SkillText(_)
            | Picked::Open(_)
            | Picked::Output(..)
            | Picked::SignIn(_)
            | Picked::Beside(_)
            | Picked::Session(_) => {}
        }
        if picked == Picked::Close
            && let Some(text) = picker.written()
        {
            let text = text.to_owned();
            self.composer.insert(&text);
        }
        self.picker = None;
        self.put_off_dialog(now);
        match picked {
            Picked::Change(overrides) => Some(Effect::Call(Call::Change(overrides))),
            Picked::Session(session) if Some(session) != self.view.status().session => {
                Some(Effect::Switch(SessionChoice::Existing(session), None))
            }
            Picked::Beside(session) if Some(session) != self.view.status().session => {
                Some(Effect::Beside(Some(session)))
            }
            Picked::Mode(mode) => self.enter_mode(mode, now),
            Picked::Plan(choice) => self.decide_plan(choice, now),
            Picked::Queued(id, text) => Some(self.unqueue(id, text)),
            Picked::Place(place) => self.preview(place),
            Picked::Fork(turn) => {
                let title = self.view.status().title.as_deref();
                let title =
                    title.map(|title| format!("fork of {title}").chars().take(TITLE_LETTERS).collect());
                Some(Effect::Call(Call::Fork(turn, title)))
            }
            Picked::Way(way) => self.go_back(way),
            Picked::Theme(theme) => {
                self.set_theme(theme);
                None
            }
            Picked::Text(text) => {
                self.composer.set_text(&text);
                None
            }
            Picked::SkillText(name) => Some(Effect::Call(Call::Skill(self.cwd(), name))),
            Picked::Skill(name) => {
                self.composer.insert(&completion::skill_mention(&name));
                None
            }
            Picked::Open(file) => Some(Effect::Open(file)),
            Picked::SignIn(provider) => {
                Some(self.visit(["login", "--", &provider].map(str::to_owned).to_vec()))
            }
            Picked::Output(blob, title) => {
                self.pager = Some(Pager::of_output(blob.clone(), format!("$ {title}")));
                Some(Effect::Call(Call::Output(blob, 0)))
            }
            Picked::Lesson(Some(file), line) => {
                self.chores.push(Chore::Learn(file, line));
                None
            }
            Picked::Lesson(None, text) => {
                let said = Said { text, ..self.composer.take() };
                Some(self.say(said))
            }
            Picked::Nothing
            | Picked::Close
            | Picked::List(_)
            | Picked::Tend(..)
            | Picked::Beside(_)
            | Picked::Session(_) => None,
        }
    }

    /// Shows what can complete the word at the cursor.
    pub(crate) fn complete(&mut self) {
        let is_replying = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        let (from, wanted) = completion::wanted(&self.composer);
        if is_replying || wanted == Wanted::Nothing {
            (self.completion, self.closed_completion) = (None, None);
            return;
        }
        if self.closed_completion == Some(from) {
            return;
        }
        match wanted {
            Wanted::Nothing => {}
            Wanted::Commands(name) => {
                let is_opened = name.is_empty() && self.completion.is_none();
                let (custom, prompts) = (&self.settings.commands, &self.prompts);
                self.completion = completion::commands(from, name, custom, prompts);
                if is_opened {
                    // There may be others by now, and servers may have been started since.
                    self.ask_of_folder(Call::Prompts);
                }
            }
            Wanted::Skills(name) => {
                let is_opened = name.is_empty() && self.completion.is_none();
                self.complete_skill();
                if is_opened {
                    // There may be others by now.
                    self.ask_of_folder(Call::Skills);
                }
            }
            Wanted::Files(path) => {
                let path = path.to_owned();
                let is_open = self.completion.as_ref().is_some_and(|open| open.from == from);
                if !(is_open && self.is_mentioning()) {
                    self.completion = Some(Completion::of_mentions(from, self.files_asked));
                    self.ask_resources(Absent::Begun);
                }
                self.files_asked += 1;
                self.chores.push(Chore::Find { number: self.files_asked, text: path });
            }
        }
    }

    /// Shows the skills that are known and fit the word at the cursor, if it asks for one.
    pub(crate) fn complete_skill(&mut self) {
        let (from, wanted) = completion::wanted(&self.composer);
        if let Wanted::Skills(name) = wanted
            && self.closed_completion != Some(from)
        {
            self.completion = completion::skills(from, name, &self.skills);
        }
    }

    /// A key while something completes the word; absent if it is not meant for that.
    fn complete_by(&mut self, key: KeyEvent, now: Timestamp) -> Option<Option<Effect>> {
        let completion = self.completion.as_mut()?;
        let is_plain = key.modifiers.is_empty();
        match key.code {
            KeyCode::Esc if is_plain => {
                self.closed_completion = Some(completion.from);
                self.completion = None;
                Some(None)
            }
            KeyCode::Up if is_plain && !completion.list.is_empty() => {
                completion.list.go(-1);
                Some(None)
            }
            KeyCode::Down if is_plain && !completion.list.is_empty() => {
                completion.list.go(1);
                Some(None)
            }
            KeyCode::Enter | KeyCode::Tab if is_plain => {
                let (from, chosen) = (completion.from, completion.list.chosen());
                let (text, is_whole) = match (&completion.kind, chosen) {
                    (Kind::Commands(entries), Some(chosen)) => {
                        let entry = entries.get(chosen)?;
                        (
                            format!("/{} ", entry.name),
                            entry.argument.is_empty() || entry.argument.starts_with('['),
                        )
                    }
                    (Kind::Files { texts, .. }, Some(chosen)) => match texts.get(chosen)? {
                        Some(text) => (text.clone(), false),
                        // It only tells something.
                        None => return Some(None),
                    },
                    (Kind::Skills(names), Some(chosen)) => {
                        (completion::skill_mention(names.get(chosen)?), false)
                    }
                    (Kind::Commands(_) | Kind::Skills(_) | Kind::Files { .. }, None) => return None,
                };
                self.composer.replace_from(from, &text);
                self.completion = None;
                self.complete();
                // A command that needs nothing more is carried out.
                Some(if is_whole && key.code == KeyCode::Enter { self.enter(now) } else { None })
            }
            _ => None,
        }
    }

    pub(crate) fn interrupt_or_leave(&mut self, now: Timestamp) -> Option<Effect> {
        if let Some(Dialog { reply: reply @ Some(_), .. }) = &mut self.dialog {
            *reply = None;
            return None;
        }
        if let Some(effect) = self.interrupt() {
            return Some(effect);
        }
        if !self.composer.is_empty() {
            self.composer.clear();
            self.complete();
            return None;
        }
        if now < self.leaves_until {
            return Some(Effect::Leave);
        }
        self.leaves_until = Timestamp(now.0 + TWICE_MS);
        let text = if self.is_busy() { "once more leaves; the turn goes on" } else { "once more leaves" };
        self.notify(Tone::Calm, format!("Ctrl+C {text}"), now);
        self.notice.iter_mut().for_each(|notice| notice.until = self.leaves_until);
        None
    }

    /// A key for the text that is being written.
    fn write(&mut self, action: Option<Action>, key: KeyEvent, now: Timestamp) -> Option<Effect> {
        let is_replying = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        let writing = match &mut self.dialog {
            Some(Dialog { reply: Some(reply), .. }) => reply,
            Some(_) | None => &mut self.composer,
        };
        if let Some(vim) = &mut self.vim
            && vim.key(key, writing) == Taken::Taken
        {
            return None;
        }
        let Some(action) = action else {
            if let KeyCode::Char(letter) = key.code
                && !key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT)
            {
                writing.insert(letter.encode_utf8(&mut [0; 4]));
            }
            return None;
        };
        match action {
            Action::Send => return self.enter(now),
            Action::Queue => return self.enqueue(now),
            Action::Stop => return self.escape(now),
            Action::BreakLine => writing.insert("\n"),
            Action::Left => writing.go(Motion::Left),
            Action::Right => writing.go(Motion::Right),
            Action::WordLeft => writing.go(Motion::WordLeft),
            Action::WordRight => writing.go(Motion::WordRight),
            Action::LineStart => writing.go(Motion::LineStart),
            Action::LineEnd => writing.go(Motion::LineEnd),
            Action::Up if !is_replying && writing.is_empty() => return self.up(),
            Action::Up => writing.up(),
            Action::Down => writing.down(),
            Action::Backspace => writing.backspace(),
            Action::Delete | Action::DeleteOrLeave => writing.delete(),
            Action::RemoveWord => writing.remove_to(Motion::WordLeft),
            Action::RemoveToStart => writing.remove_to(Motion::LineStart),
            Action::RemoveToEnd => writing.remove_to(Motion::LineEnd),
            Action::PutRemoved => writing.put_removed(),
            Action::Undo => writing.undo(),
            Action::Redo => writing.redo(),
            Action::Editor => return Some(Effect::Edit),
            Action::PasteImage if !is_replying => self.chores.push(Chore::PasteImage),
            Action::PasteImage => {}
            Action::SearchHistory => self.choose(command::Choice::History, now),
            Action::Sessions => return self.choose_session(now),
            Action::NextMode => return self.next_mode(now),
            Action::GoBeside => return self.go_beside(now),
            Action::Cancel | Action::Transcript | Action::Unfold | Action::Suspend | Action::Redraw => {}
        }
        None
    }

    /// With nothing written: what was queued last comes back to be changed; else what was sent before.
    fn up(&mut self) -> Option<Effect> {
        let queued = self.view.status().queue.last().map(|queued| (queued.id, words_of(&queued.input)));
        match queued {
            Some((id, Some(text))) => Some(self.unqueue(id, text)),
            Some((_, None)) | None => {
                self.composer.up();
                None
            }
        }
    }

    fn unqueue(&mut self, id: QueuedId, text: String) -> Effect {
        self.composer.set_text(&text);
        Effect::Call(Call::Unqueue(id, text))
    }

    pub(crate) fn enter(&mut self, now: Timestamp) -> Option<Effect> {
        if let Some(dialog) = &mut self.dialog
            && let Some(reply) = dialog.reply.take()
        {
            let message = Some(reply.text()).filter(|text| !text.trim().is_empty());
            dialog.is_answered = true;
            let id = dialog.id();
            return Some(Effect::Call(self.answer(id, Decision::Deny { message }, now)));
        }
        if self.composer.is_blank() {
            return None;
        }
        let said = self.composer.send();
        let text = said.text.clone();
        self.completion = None;
        if let Some(vim) = &mut self.vim {
            *vim = Vim::Insert;
        }
        if let Some(line) = text.trim().strip_prefix('!') {
            self.composer.keep_company(&said);
            return self.by_hand(line, &text, now);
        }
        if let Some(line) = lesson::line_of(&text) {
            self.composer.keep_company(&said);
            let settings = self.settings.folder.as_deref();
            self.picker = Some(Picker::of_lesson(line, &text, &self.cwd(), settings, now));
            return None;
        }
        if let Some(asked) = prompts::asked(&text, &self.prompts, &self.cwd()) {
            self.composer.keep_company(&said);
            return match asked {
                Ok(params) => Some(Effect::Call(Call::Prompt(Box::new(params), text))),
                Err(reason) => {
                    self.composer.insert(&text);
                    self.notify(Tone::Bad, reason, now);
                    None
                }
            };
        }
        match command::parse(&text, &self.settings.commands) {
            None => Some(self.say(said)),
            Some(command) => {
                self.composer.keep_company(&said);
                self.obey(command, &text, now)
            }
        }
    }

    fn enqueue(&mut self, now: Timestamp) -> Option<Effect> {
        let is_replying = self.dialog.as_ref().is_some_and(|dialog| dialog.reply.is_some());
        if is_replying || self.composer.is_blank() {
            return None;
        }
        if !self.is_busy() {
            self.notify(Tone::Calm, "nothing runs: Enter sends", now);
            return None;
        }
        let said = self.composer.send();
        self.chores.push(Chore::Remember(said.text.clone()));
        Some(Effect::Call(Call::Enqueue(said)))
    }

    fn escape(&mut self, now: Timestamp) -> Option<Effect> {
        if let Some(Dialog { reply: reply @ Some(_), .. }) = &mut self.dialog {
            *reply = None;
            return None;
        }
        self.notice = None;
        let twice = self.escape_twice(now);
        twice.or_else(|| self.interrupt())
    }
}

/// What an input says, if it is text and nothing else.
pub(crate) fn words_of(input: &[InputPart]) -> Option<String> {
    let parts: Option<Vec<&str>> = input
        .iter()
        // The daemon puts it beside the text that calls for it, and does so again.
        .filter(|part| !matches!(part, InputPart::Skill { .. } | InputPart::Resource { .. }))
        .map(|part| match part {
            InputPart::Text { text } => Some(text.as_str()),
            InputPart::Image { .. }
            | InputPart::StoredImage { .. }
            | InputPart::Skill { .. }
            | InputPart::Resource { .. }
            | InputPart::Unknown(_) => None,
        })
        .collect();
    parts.map(|parts| parts.join("\n"))
}
