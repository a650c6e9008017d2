//! What commands do.

use std::path::PathBuf;

use protocol::ids::Timestamp;
use protocol::session::{SessionCreateParams, SettingOverride};

use crate::app::{App, Aside, Chore, Effect, Tone};
use crate::browser::Listing;
use crate::command::{Choice, Command, DEFAULT_EFFORT, Notifications, effort};
use crate::highlight::Syntaxes;
use crate::keys::words_of;
use crate::link::Call;
use crate::picker::{Picked, Picker};
use crate::run::SessionChoice;
use crate::theme::{Theme, ThemeName};
use crate::vim::Vim;
use crate::visit::{Hearing, Visit};

impl App {
    /// Carries out a command; `text` is what was written.
    pub(crate) fn obey(&mut self, command: Command, text: &str, now: Timestamp) -> Option<Effect> {
        match command {
            Command::Help => self.asides.push(Aside::Help),
            Command::Keys => self.asides.push(Aside::Keys),
            Command::Status => {
                self.asides.push(Aside::Status);
                return Some(Effect::Call(Call::Limits));
            }
            Command::Quit => return Some(Effect::Leave),
            Command::Change(overrides) => return Some(Effect::Call(Call::Change(overrides))),
            Command::Usage | Command::Diff => return self.visit_session(&command),
            Command::Queue => self.choose_queued(now),
            Command::Rewind => return self.choose_turn(now),
            Command::Fork => {
                self.choose(Choice::Fork, now);
                return Some(Effect::Call(Call::Turns));
            }
            Command::Compact(_) if self.is_busy() => {
                self.composer.insert(text);
                self.notify(Tone::Bad, "A turn runs; it can be compacted when it is over", now);
            }
            Command::Compact(what) => return Some(Effect::Call(Call::Compact(what))),
            Command::Mode(name) => return self.enter_mode_of(&name, now),
            Command::Plan => return self.plan_command(now),
            Command::Say(text) => return Some(self.say(text)),
            Command::Visit(words) => return Some(self.visit(words)),
            Command::Notify(wanted) => {
                self.settings.has_notifications = match wanted {
                    Some(Notifications::On) => true,
                    Some(Notifications::Off) => false,
                    None => !self.settings.has_notifications,
                };
                let text =
                    if self.settings.has_notifications { "you are called" } else { "you are not called" };
                self.notify(Tone::Calm, format!("{text} when it is your turn, until you leave"), now);
            }
            Command::Choose(Choice::Session) => return self.choose_session(now),
            Command::Choose(Choice::Model) => {
                self.choose(Choice::Model, now);
                return Some(Effect::Call(Call::Models));
            }
            Command::Choose(Choice::Account) => {
                self.choose(Choice::Account, now);
                return Some(Effect::Call(Call::Accounts));
            }
            Command::Jobs => return Some(Effect::Call(Call::Running)),
            Command::EndJob(number) => return Some(Effect::Call(Call::EndCommand(number))),
            Command::Hooks => return Some(Effect::Call(Call::Hooks(self.cwd()))),
            Command::Choose(Choice::Output) => {
                self.choose(Choice::Output, now);
                return Some(Effect::Call(Call::Turns));
            }
            Command::Choose(Choice::Skill) => {
                self.choose(Choice::Skill, now);
                return Some(Effect::Call(Call::Skills(self.cwd())));
            }
            Command::Choose(Choice::Agent) => {
                self.choose(Choice::Agent, now);
                return Some(Effect::Call(Call::Agents));
            }
            Command::Choose(Choice::Instructions) => {
                let settings = self.settings.folder.as_deref();
                self.picker = Some(Picker::of_instructions(&self.cwd(), settings, now));
            }
            Command::Choose(choice) => self.choose(choice, now),
            Command::New => {
                let overrides = self.asked_at_start.clone();
                let params =
                    SessionCreateParams { cwd: self.cwd(), overrides, ..SessionCreateParams::default() };
                return Some(Effect::Switch(SessionChoice::New(Box::new(params)), None));
            }
            Command::Split => return self.split(now),
            Command::Rename(title) => return Some(Effect::Call(Call::Rename(title))),
            Command::Archive => return Some(Effect::Call(Call::Archive)),
            Command::Mention => self.composer.insert("@"),
            Command::Transcript => return Some(self.open_pager()),
            Command::Copy => match self.last_message.clone() {
                Some(message) => {
                    let letters = message.chars().count();
                    self.chores.push(Chore::Copy(message));
                    self.notify(Tone::Calm, format!("handed {letters} letters to the clipboard"), now);
                }
                None => self.notify(Tone::Bad, "There is no answer to copy yet", now),
            },
            Command::Export(file) => {
                return Some(Effect::Call(Call::Export(self.file_of(file, "skein"))));
            }
            Command::Feedback(file) => {
                return Some(Effect::Call(Call::Report(self.file_of(file, "skein-report"))));
            }
            Command::Theme(theme) => self.set_theme(theme),
            Command::StatusLine(fields) if fields.is_empty() => self.asides.push(Aside::Fields),
            Command::StatusLine(fields) => self.settings.status_line = fields,
            Command::Vim => {
                self.settings.has_vim = !self.settings.has_vim;
                self.vim = self.settings.has_vim.then(Vim::default);
                let text =
                    if self.settings.has_vim { "text is written as in vi" } else { "text is text again" };
                self.notify(Tone::Calm, format!("{text}, until you leave"), now);
            }
            Command::Editor => return Some(Effect::Edit),
            Command::Wrong(reason) => {
                self.composer.insert(text);
                self.notify(Tone::Bad, reason, now);
            }
        }
        None
    }

    /// Lets a person choose from a list.
    pub(crate) fn choose(&mut self, choice: Choice, now: Timestamp) {
        let mut picker = Picker::of(choice, self.composer.history(), &self.settings.modes, now);
        picker.begin_at(|picked| self.holds(picked));
        self.picker = Some(picker);
    }

    /// Whether choosing this would change nothing.
    pub(crate) fn holds(&self, picked: &Picked) -> bool {
        let status = self.view.status();
        if let Picked::Theme(theme) = picked {
            return *theme == self.theme.name;
        }
        let (Picked::Change(change), Some(settings)) = (picked, &status.settings) else { return false };
        if let Some(model) = &change.model {
            let provider = SettingOverride::text("model_provider", &settings.provider);
            return *model == settings.model && change.values == [provider];
        }
        if !change.values.is_empty() {
            return **change == effort(status.effort().unwrap_or(DEFAULT_EFFORT));
        }
        // A profile of the settings stands in place of a mode.
        let is_mode = |mode| mode == settings.sandbox && settings.permissions.is_none();
        let are_permissions = |name: &String| {
            settings.permissions.as_ref().is_some_and(|permissions| permissions.name == *name)
        };
        change.sandbox.is_none_or(is_mode)
            && change.permissions.as_ref().is_none_or(are_permissions)
            && change.approval.is_none_or(|policy| policy == settings.approval)
    }

    /// Lets a person choose from what waits for its turn.
    fn choose_queued(&mut self, now: Timestamp) {
        let queue = &self.view.status().queue;
        let queued: Vec<_> =
            queue.iter().filter_map(|queued| Some((queued.id, words_of(&queued.input)?))).collect();
        if queued.is_empty() {
            self.notify(Tone::Calm, "nothing waits for its turn", now);
        } else {
            self.picker = Some(Picker::of_queue(queued, now));
        }
    }

    /// Runs a command line by hand, which with another `!` the agent is not told of; `text` is what was written.
    pub(crate) fn by_hand(&mut self, line: &str, text: &str, now: Timestamp) -> Option<Effect> {
        let settings = self.view.status().settings.as_ref();
        let (line, hearing) = match line.strip_prefix('!') {
            Some(line) => (line.trim(), Hearing::Untold),
            None => (line.trim(), Hearing::Told),
        };
        match settings.filter(|_| !line.is_empty()) {
            Some(settings) => {
                let visit = Visit::by_hand(line, hearing, settings);
                self.chores.push(Chore::Remember(text.to_owned()));
                Some(Effect::Visit(Box::new(visit)))
            }
            None => {
                self.composer.insert(text);
                self.notify(Tone::Bad, "`!` needs a command, as in `! git status`", now);
                None
            }
        }
    }

    pub(crate) fn visit(&self, words: Vec<String>) -> Effect {
        Effect::Visit(Box::new(Visit::of(words, self.cwd())))
    }

    /// What the command line says of this session.
    fn visit_session(&self, command: &Command) -> Option<Effect> {
        let session = self.view.status().session?.to_string();
        let words = match command {
            Command::Usage => ["usage", "--by", "model", "--session", &session].map(str::to_owned).to_vec(),
            _ => ["diff", &session].map(str::to_owned).to_vec(),
        };
        Some(self.visit(words))
    }

    /// Shows another session beside this one, or not any more.
    fn split(&mut self, now: Timestamp) -> Option<Effect> {
        if self.beside.is_some() {
            return Some(Effect::Beside(None));
        }
        if self.full.is_none() {
            self.notify(
                Tone::Bad,
                "Two sessions side by side need all of the terminal: `skein --fullscreen`",
                now,
            );
            return None;
        }
        self.choose(Choice::Beside, now);
        Some(self.list(Listing::default()))
    }

    /// Goes to the session that is shown beside this one.
    pub(crate) fn go_beside(&mut self, now: Timestamp) -> Option<Effect> {
        match &self.beside {
            Some(beside) => Some(Effect::Switch(SessionChoice::Existing(beside.session), None)),
            None => {
                self.notify(Tone::Calm, "no session is beside this one; /split shows one", now);
                None
            }
        }
    }

    pub(crate) fn choose_session(&mut self, now: Timestamp) -> Option<Effect> {
        self.choose(Choice::Session, now);
        Some(self.list(Listing::default()))
    }

    /// From now on these colours.
    pub(crate) fn set_theme(&mut self, theme: ThemeName) {
        self.theme = Theme::named(theme);
        if let Some(full) = &mut self.full {
            full.redraw();
        }
        if theme == ThemeName::None {
            self.syntaxes = Syntaxes::Off;
        } else if matches!(self.syntaxes, Syntaxes::Off) {
            self.syntaxes = Syntaxes::Absent;
        }
    }

    /// Where something is written to: a file of the session's folder that begins so, if no other is named.
    fn file_of(&self, named: Option<String>, beginning: &str) -> PathBuf {
        let name = named.map(PathBuf::from).unwrap_or_else(|| {
            let id = self.view.status().session.map(|session| session.to_string()).unwrap_or_default();
            PathBuf::from(format!("{beginning}-{id}.md"))
        });
        self.cwd().join(name)
    }
}
