//! What news do to the state of the screen: what the daemon sends, and what came of calls.

use client::{ClientError, DaemonChange, Update};
use protocol::delta::FeedEntry;
use protocol::error::ErrorDetail;
use protocol::event::Event;
use protocol::ids::Timestamp;
use protocol::item::Item;
use protocol::question::Answer;
use protocol::turn::TurnOutcome;
use view::{Link, words};

use crate::app::{App, Aside, Effect, PROMPTS_EVERY_MS, Tone};
use crate::dialog::Dialog;
use crate::link::{Call, CallError, News, Reply};
use crate::pager::Pager;
use crate::picker::Picker;
use crate::run::SessionChoice;

impl App {
    /// News came.
    pub(crate) fn news(&mut self, news: News, now: Timestamp) -> Option<Effect> {
        match news {
            News::Update(update, own) => {
                self.own = Some(own);
                // After a new connection the feed is not there yet, and with it what can be told of it.
                let is_attached = !matches!(update, Update::Lost | Update::Back(_));
                self.update(update, now);
                self.ask_unplaced();
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

    /// News of the session that is shown beside.
    pub(crate) fn news_beside(&mut self, news: News) {
        let Some(beside) = &mut self.beside else { return };
        match news {
            News::Update(update, _) => beside.update(update),
            News::Ended(error) => beside.end(said(&error)),
            News::Told(..) => {}
        }
    }

    fn answered(&mut self, call: Call, reply: Reply, now: Timestamp) -> Option<Effect> {
        match (call, reply) {
            (_, Reply::Warned(warnings)) => {
                self.wanted_mode = None;
                if !warnings.is_empty() {
                    self.notify(Tone::Bad, warnings.join("; "), now);
                }
            }
            (_, Reply::Turns(snapshot)) => {
                if let Some(picker) = &mut self.picker {
                    picker.set_places(&snapshot, now);
                }
            }
            (Call::Preview(_, place), Reply::Rewind(result)) => {
                self.picker = Some(Picker::of_ways(&place, &result, now));
            }
            (Call::Rewind(params, place), Reply::Rewind(result)) => {
                self.went_back(&params.scope, &place, &result, now);
            }
            (_, Reply::Rewind(_)) => {}
            (_, Reply::Forked(session)) => {
                return Some(Effect::Switch(SessionChoice::Existing(session), None));
            }
            (_, Reply::Prompts(listed)) => {
                self.prompts = listed.prompts;
                self.prompts_at = listed.is_starting.then_some(Timestamp(now.0 + PROMPTS_EVERY_MS));
                // They may fit where nothing did.
                if self.composer.text().starts_with('/') {
                    self.complete();
                }
            }
            (_, Reply::Resources(listed)) => self.resources_listed(listed, now),
            (Call::Prompt(_, written) | Call::AnswerPrompt(_, written), Reply::Prompt(read)) => {
                self.prompt_read(*read, written, now);
            }
            (_, Reply::Prompt(_)) => {}
            (_, Reply::Models(models)) => {
                if let Some(mut picker) = self.picker.take() {
                    picker.set_models(*models, self.view.status().settings.as_ref());
                    picker.begin_at(|picked| self.holds(picked));
                    self.picker = Some(picker);
                }
            }
            (_, Reply::Sessions(sessions)) => {
                let own = self.view.status().session;
                if let Some(picker) = &mut self.picker {
                    picker.set_sessions(sessions, own, &self.seen, now);
                    return picker.peek().map(|session| Effect::Call(Call::Peek(session)));
                }
            }
            (Call::Peek(session), Reply::Peeked(read)) => {
                if let Some(picker) = &mut self.picker {
                    picker.set_preview(session, Some(&read));
                    return picker.peek().map(|session| Effect::Call(Call::Peek(session)));
                }
            }
            (_, Reply::Peeked(_)) => {}
            (Call::Tend(..), Reply::Done) => {
                let listing = self.picker.as_ref().and_then(Picker::listing)?;
                return Some(self.list(listing));
            }
            (_, Reply::Skills(skills)) => {
                if let Some(picker) = &mut self.picker {
                    picker.set_skills(&skills);
                }
                self.skills = skills;
                if self.picker.is_none() {
                    self.complete_skill();
                }
            }
            (_, Reply::Agents(agents)) => {
                let own = self.view.status().session;
                if let Some(picker) = &mut self.picker {
                    picker.set_agents(&agents, own, now);
                }
            }
            (_, Reply::Limits(mut limits)) => {
                let settings = self.view.status().settings.as_ref();
                let provider = settings.map(|settings| settings.provider.as_str()).unwrap_or_default();
                limits.retain(|limit| limit.provider == provider);
                if !limits.is_empty() {
                    self.asides.push(Aside::Limits(limits, now));
                }
            }
            (_, Reply::Skill(read)) => {
                self.pager = Some(Pager::of_text(format!("${}", read.skill.name), read.text));
            }
            (_, Reply::Running(sessions)) => self.asides.push(Aside::Jobs(sessions, now)),
            (_, Reply::Hooks(listed)) => self.asides.push(Aside::Hooks(listed)),
            (Call::Output(blob, _), Reply::Output(read)) => {
                if let Some(pager) = &mut self.pager {
                    pager.add_output(&blob, &read);
                }
            }
            (_, Reply::Output(_)) => {}
            (Call::Report(file), Reply::Report(text)) => {
                // It is seen before it is kept.
                self.asides.push(Aside::Report(text.clone()));
                return Some(Effect::Call(Call::Write(file, text)));
            }
            (_, Reply::Report(_)) => {}
            (Call::Write(file, _), Reply::Done) => {
                let text = format!("written to {}, as it stands above; nothing was sent", file.display());
                self.notify(Tone::Calm, text, now);
            }
            (_, Reply::Page(page)) => {
                if let Some(pager) = &mut self.pager {
                    pager.add(*page);
                }
            }
            (Call::Export(file), Reply::Done) => {
                self.notify(Tone::Calm, format!("written to {}", file.display()), now);
            }
            (Call::Archive, Reply::Done) => {
                self.is_put_away = true;
                return Some(Effect::Leave);
            }
            (_, Reply::Accounts(accounts)) => {
                if let Some(picker) = &mut self.picker {
                    picker.set_accounts(accounts);
                }
            }
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
                | Call::Models
                | Call::Accounts
                | Call::Fork(..)
                | Call::Compact(_)
                | Call::Prompts(_)
                | Call::Resources(_)
                | Call::Prompt(..)
                | Call::AnswerPrompt(..)
                | Call::Turns
                | Call::Preview(..)
                | Call::Rewind(..)
                | Call::Sessions(..)
                | Call::Peek(_)
                | Call::Skills(_)
                | Call::Skill(..)
                | Call::Running
                | Call::EndCommand(_)
                | Call::Agents
                | Call::Hooks(_)
                | Call::Limits
                | Call::Output(..)
                | Call::Report(_)
                | Call::Page(_),
                Reply::Done,
            ) => {}
        }
        None
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
                self.is_outside_changed = true;
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
        self.forget_before();
        self.show_question(now);
    }

    fn entry(&mut self, entry: FeedEntry, now: Timestamp) {
        if let FeedEntry::Event(record) = &entry
            && let Event::TurnStarted(_) = &record.event
        {
            self.is_starting = false;
            // Somebody decided, here or elsewhere.
            self.picker.take_if(|picker| picker.is_of_plan());
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
            self.heed_plan(&record.event, now);
            if matches!(record.event, Event::TurnEnded(_) | Event::SessionUpdated(_)) {
                self.is_outside_changed = true;
            }
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
    pub(crate) fn show_question(&mut self, now: Timestamp) {
        let asked = self.asked_prompt.as_ref().map(|asked| &asked.question);
        let first = self.view.questions().first().or(asked);
        if self.dialog.as_ref().map(Dialog::id) != first.map(|question| question.id) {
            self.dialog = first.map(|question| Dialog::new(question.clone(), now, self.last_key));
        }
    }

    /// A call could not even be handed over.
    pub(crate) fn not_sent(&mut self, call: Call, now: Timestamp) {
        self.undo(call);
        self.notify(Tone::Bad, "Not sent: what was asked before still waits for the daemon", now);
    }

    fn refused(&mut self, call: Call, error: &CallError, now: Timestamp) {
        let is_minor = matches!(
            call,
            Call::Prompts(_) | Call::Resources(_) | Call::Peek(_) | Call::Skills(_) | Call::Limits
        );
        self.undo(call);
        if is_minor {
            return;
        }
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
            Call::Page(_) | Call::Output(..) => {
                if let Some(pager) = &mut self.pager {
                    pager.fail();
                }
            }
            Call::Change(_) => self.wanted_mode = None,
            Call::Models | Call::Accounts | Call::Turns | Call::Skills(_) | Call::Agents => {
                if let Some(picker) = &mut self.picker {
                    picker.fail();
                }
            }
            Call::Peek(session) => {
                if let Some(picker) = &mut self.picker {
                    picker.set_preview(session, None);
                }
            }
            Call::Prompt(_, text) | Call::AnswerPrompt(_, text) => self.composer.insert(&text),
            Call::Preview(..)
            | Call::Rewind(..)
            | Call::Prompts(_)
            | Call::Resources(_)
            | Call::Tend(..)
            | Call::Fork(..)
            | Call::Compact(_)
            | Call::Rename(_)
            | Call::Archive
            | Call::Focus(_)
            | Call::Sessions(..)
            | Call::Skill(..)
            | Call::Running
            | Call::EndCommand(_)
            | Call::Hooks(_)
            | Call::Limits
            | Call::Report(_)
            | Call::Write(..)
            | Call::Export(_) => {}
        }
    }
}

fn message_of(item: &Item) -> Option<&str> {
    let message = item.body.agent_message()?;
    (!message.text.trim().is_empty()).then_some(message.text.as_str())
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
