//! What commands do.

use std::path::PathBuf;

use protocol::ids::Timestamp;
use protocol::session::SessionCreateParams;

use crate::app::{App, Aside, Chore, Effect, Tone};
use crate::command::{Choice, Command};
use crate::highlight::Syntaxes;
use crate::link::Call;
use crate::picker::{Picker, Scope};
use crate::run::SessionChoice;
use crate::theme::{Theme, ThemeName};

impl App {
    /// Carries out a command; `text` is what was written.
    pub(crate) fn obey(&mut self, command: Command, text: &str, now: Timestamp) -> Option<Effect> {
        match command {
            Command::Help => self.asides.push(Aside::Help),
            Command::Keys => self.asides.push(Aside::Keys),
            Command::Status => self.asides.push(Aside::Status),
            Command::Quit => return Some(Effect::Leave),
            Command::Change(overrides) => return Some(Effect::Call(Call::Change(overrides))),
            Command::Choose(Choice::Session) => return self.choose_session(now),
            Command::Choose(choice) => self.choose(choice, now),
            Command::New => {
                let params = SessionCreateParams { cwd: self.cwd(), ..SessionCreateParams::default() };
                return Some(Effect::Switch(SessionChoice::New(Box::new(params))));
            }
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
            Command::Export(file) => return Some(Effect::Call(Call::Export(self.export_file(file)))),
            Command::Theme(theme) => self.set_theme(theme),
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
        self.picker = Some(Picker::of(choice, self.composer.history(), now));
    }

    pub(crate) fn choose_session(&mut self, now: Timestamp) -> Option<Effect> {
        self.choose(Choice::Session, now);
        Some(self.list(Scope::ThisFolder))
    }

    /// From now on these colours.
    pub(crate) fn set_theme(&mut self, theme: ThemeName) {
        self.theme = Theme::named(theme);
        if theme == ThemeName::None {
            self.syntaxes = Syntaxes::Off;
        } else if matches!(self.syntaxes, Syntaxes::Off) {
            self.syntaxes = Syntaxes::Absent;
        }
    }

    /// Where the session is written to: a file of its folder, if no other is named.
    fn export_file(&self, named: Option<String>) -> PathBuf {
        let name = named.map(PathBuf::from).unwrap_or_else(|| {
            let id = self.view.status().session.map(|session| session.to_string()).unwrap_or_default();
            PathBuf::from(format!("skein-{id}.md"))
        });
        self.cwd().join(name)
    }
}
