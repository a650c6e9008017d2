//! Modes of the session on the screen, and what becomes of a plan.

use protocol::event::Event;
use protocol::ids::Timestamp;
use protocol::session::{SessionCreateParams, SettingOverride};
use protocol::turn::TurnOutcome;

use crate::app::{App, Chore, Effect, Tone};
use crate::command::Choice;
use crate::image::Said;
use crate::link::Call;
use crate::modes::{Before, SessionMode};
use crate::picker::PlanChoice;
use crate::run::{Mode, SessionChoice};

/// A person who typed so lately is not shown a list: a key could choose from it.
const QUIET_MS: u64 = 700;

impl App {
    /// The mode that the session is in, or will be in a moment: its place among the modes.
    pub(crate) fn mode_at(&self) -> Option<usize> {
        let settings = self.view.status().settings.as_ref();
        self.wanted_mode.unwrap_or_else(|| {
            settings.and_then(|settings| self.settings.modes.iter().position(|mode| mode.holds(settings)))
        })
    }

    /// The same, as a mode.
    pub(crate) fn session_mode(&self) -> Option<&SessionMode> {
        self.settings.modes.get(self.mode_at()?)
    }

    /// The next mode; after the last one none.
    pub(crate) fn next_mode(&mut self, now: Timestamp) -> Option<Effect> {
        let next = self.mode_at().map_or(0, |at| at + 1);
        self.enter_mode(Some(next).filter(|next| *next < self.settings.modes.len()), now)
    }

    /// Goes into the mode of a name.
    pub(crate) fn enter_mode_of(&mut self, name: &str, now: Timestamp) -> Option<Effect> {
        if name == "none" {
            return self.enter_mode(None, now);
        }
        let at = self.settings.modes.iter().position(|mode| mode.name == name);
        if at.is_none() {
            let names: Vec<&str> = self.settings.modes.iter().map(|mode| mode.name.as_str()).collect();
            self.notify(Tone::Bad, format!("/mode needs one of: none, {}", names.join(", ")), now);
            return None;
        }
        self.enter_mode(at, now)
    }

    /// Goes into a mode, or out of all of them.
    pub(crate) fn enter_mode(&mut self, mode: Option<usize>, now: Timestamp) -> Option<Effect> {
        let is_known = self.before_mode.is_some() || self.mode_at().is_none();
        let change = self.mode_change(mode)?;
        if mode.is_none() && !is_known {
            let text = "what held before this mode is not known here: what may be touched stays; /permissions changes it";
            self.notify(Tone::Bad, text, now);
        }
        Some(Effect::Call(change))
    }

    /// Forgets what held before a mode, once the session is in none.
    pub(crate) fn forget_before(&mut self) {
        let is_known = self.view.status().settings.is_some() && self.wanted_mode.is_none();
        if is_known && self.mode_at().is_none() {
            self.before_mode = None;
        }
    }

    fn mode_change(&mut self, to: Option<usize>) -> Option<Call> {
        let at = self.mode_at();
        if at == to {
            return None;
        }
        let before = self.before_mode(at)?;
        let change = before.change_to(to.and_then(|to| self.settings.modes.get(to)));
        if at.is_none() {
            self.chores.push(Chore::KeepBefore(before.clone()));
        }
        self.before_mode = Some(before);
        self.wanted_mode = Some(to);
        Some(Call::Change(Box::new(change)))
    }

    /// What to go back to from the mode that the session is in, if it is in one.
    fn before_mode(&self, at: Option<usize>) -> Option<Before> {
        let status = self.view.status();
        let settings = status.settings.as_ref()?;
        Some(match (at, &self.before_mode) {
            (None, _) => Before::of(settings, status.effort()),
            (Some(_), Some(before)) => before.clone(),
            (Some(_), None) => Before::unknown(settings, status.effort()),
        })
    }

    /// `/plan`: goes into that mode, or asks what becomes of the plan.
    pub(crate) fn plan_command(&mut self, now: Timestamp) -> Option<Effect> {
        let is_planning = self.session_mode().is_some_and(|mode| mode.has_plan);
        if !is_planning {
            return self.enter_mode(self.settings.modes.iter().position(|mode| mode.has_plan), now);
        }
        if self.is_busy() {
            // The one from before is not what is being planned.
            self.notify(Tone::Calm, "a turn runs: what becomes of the plan is asked at its end", now);
        } else if self.plan.is_some() {
            self.choose(Choice::Plan, now);
        } else {
            self.notify(Tone::Calm, "there is no plan yet: say what is to be planned", now);
        }
        None
    }

    /// What is new: a turn that ends in a mode that plans ends with a plan.
    pub(crate) fn heed_plan(&mut self, event: &Event, now: Timestamp) {
        let Event::TurnEnded(ended) = event else { return };
        let is_planning = self.session_mode().is_some_and(|mode| mode.has_plan);
        let is_done = matches!(ended.outcome, TurnOutcome::Completed);
        let Some(plan) = self.last_message.clone().filter(|_| is_planning && is_done) else { return };
        self.plan = Some(plan.clone());
        if self.mode == Mode::Watch {
            return;
        }
        self.chores.push(Chore::KeepPlan(plan));
        let is_free = self.dialog.is_none() && self.picker.is_none() && self.pager.is_none();
        let is_quiet = self.composer.is_empty() && self.last_key.0 + QUIET_MS <= now.0;
        if is_free && is_quiet && self.view.status().queue.is_empty() {
            self.choose(Choice::Plan, now);
        } else {
            self.notify(Tone::Calm, "the plan is ready: `/plan` says what can become of it", now);
        }
    }

    /// What a person wants to become of the plan.
    pub(crate) fn decide_plan(&mut self, choice: PlanChoice, now: Timestamp) -> Option<Effect> {
        let plan = self.plan.clone()?;
        match choice {
            PlanChoice::CarryOut => {
                if let Some(change) = self.mode_change(None) {
                    self.chores.push(Chore::Call(change));
                }
                let mut text = "The plan is approved. Carry it out.".to_owned();
                if self.last_message.as_deref() != Some(plan.as_str()) {
                    text.push_str("\n\nThis is the plan as it was approved:\n\n");
                    text.push_str(&plan);
                }
                Some(self.say(text))
            }
            PlanChoice::Fresh => {
                let provider = self.view.status().settings.as_ref()?.provider.clone();
                let mut overrides = self.before_mode(self.mode_at())?.change_to(None);
                overrides.values.push(SettingOverride::text("model_provider", &provider));
                let params =
                    SessionCreateParams { cwd: self.cwd(), overrides, ..SessionCreateParams::default() };
                let text = format!("Carry out this plan. It was approved.\n\n{plan}");
                Some(Effect::Switch(SessionChoice::New(Box::new(params)), Some(text)))
            }
            PlanChoice::Edit => {
                self.is_plan_edited = true;
                Some(Effect::Edit)
            }
            PlanChoice::Revise => {
                self.notify(Tone::Calm, "say what is to be different", now);
                None
            }
        }
    }

    /// What an editor is to be given.
    pub(crate) fn edited_text(&mut self) -> String {
        match &self.plan {
            Some(plan) if self.is_plan_edited => plan.clone(),
            Some(_) | None => self.writing().text(),
        }
    }

    /// What the editor made of the text.
    pub(crate) fn edited(&mut self, text: &str, now: Timestamp) {
        let text = text.trim_end();
        if !std::mem::take(&mut self.is_plan_edited) {
            let written = self.writing();
            let said = Said { text: text.to_owned(), ..written.take() };
            written.give_back(&said);
        } else if text.trim().is_empty() {
            self.notify(Tone::Bad, "An empty plan is none; it is as it was", now);
        } else {
            self.plan = Some(text.to_owned());
            self.chores.push(Chore::KeepPlan(text.to_owned()));
            self.choose(Choice::Plan, now);
        }
    }
}

#[cfg(test)]
mod tests;
