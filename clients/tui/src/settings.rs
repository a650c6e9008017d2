//! The `[tui]` table of `config.toml`, and commands and modes beside it: what a person sets for screens. The daemon
//! does not read it. What is wrong in it is told and left out; the screen comes up whatever stands there.

use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::custom::CustomCommand;
use crate::hyperlink::Hyperlinks;
use crate::keymap::Keymap;
use crate::modes::SessionMode;
use crate::status_line::Field;
use crate::theme::ThemeName;

/// What a person sets for screens.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// Absent: found out.
    pub(crate) theme: Option<ThemeName>,
    pub(crate) keymap: Keymap,
    /// Whether the terminal calls the person.
    pub(crate) has_notifications: bool,
    pub(crate) has_tips: bool,
    /// Whether the terminal is told of links; absent: found out.
    pub(crate) hyperlinks: Option<Hyperlinks>,
    /// Whether all of the terminal is taken.
    pub(crate) is_fullscreen: bool,
    /// Whether text is written as in vi.
    pub(crate) has_vim: bool,
    /// Whether inputs are remembered on disk.
    pub(crate) has_history: bool,
    /// Where the settings are.
    pub(crate) folder: Option<PathBuf>,
    /// The person's own commands.
    pub(crate) commands: Vec<CustomCommand>,
    pub(crate) modes: Vec<SessionMode>,
    pub(crate) status_line: Vec<Field>,
    /// A program with its arguments that says what stands in the status line; empty: none.
    pub(crate) status_command: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: None,
            keymap: Keymap::default(),
            has_notifications: true,
            has_tips: true,
            hyperlinks: None,
            is_fullscreen: false,
            has_vim: false,
            has_history: true,
            folder: None,
            commands: Vec::new(),
            modes: SessionMode::built_in(),
            status_line: Field::USUAL.to_vec(),
            status_command: Vec::new(),
        }
    }
}

impl Settings {
    /// Reads the file and the folders beside it, and says what is wrong in them. That the file itself can't be read, the
    /// daemon tells.
    pub(crate) fn read(file: &Path) -> (Self, Vec<String>) {
        let (mut settings, mut wrong) = match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(_) => (Self::default(), Vec::new()),
        };
        if let Some(folder) = file.parent() {
            settings.folder = Some(folder.to_owned());
            let (commands, complaints) = CustomCommand::of_folder(folder);
            settings.commands = commands;
            wrong.extend(complaints);
            let (modes, complaints) = SessionMode::of_folder(folder);
            settings.modes = modes;
            wrong.extend(complaints);
        }
        (settings, wrong)
    }

    fn parse(text: &str) -> (Self, Vec<String>) {
        let mut settings = Self::default();
        let mut wrong = Vec::new();
        let tui = match text.parse::<Table>().ok().and_then(|mut all| all.remove("tui")) {
            Some(Value::Table(tui)) => tui,
            Some(_) => {
                wrong.push("`tui` must be a table".to_owned());
                return (settings, wrong);
            }
            None => return (settings, wrong),
        };
        for (key, value) in tui {
            let outcome = match key.as_str() {
                "theme" => theme(&value).map(|theme| settings.theme = theme),
                "notifications" => boolean(&value).map(|is_on| settings.has_notifications = is_on),
                "tips" => boolean(&value).map(|is_on| settings.has_tips = is_on),
                "hyperlinks" => boolean(&value).map(|is_on| {
                    settings.hyperlinks = Some(if is_on { Hyperlinks::Told } else { Hyperlinks::Plain });
                }),
                "fullscreen" => boolean(&value).map(|is_on| settings.is_fullscreen = is_on),
                "vim" => boolean(&value).map(|is_on| settings.has_vim = is_on),
                "history" => boolean(&value).map(|is_on| settings.has_history = is_on),
                "status_line" => status_line(&value).map(|fields| settings.status_line = fields),
                "status_command" => words(&value).map(|words| settings.status_command = words),
                "keymap" => {
                    wrong.extend(keymap(&value, &mut settings.keymap));
                    Ok(())
                }
                _ => Err("is unknown".to_owned()),
            };
            wrong.extend(outcome.err().map(|what| format!("`tui.{key}` {what}")));
        }
        (settings, wrong)
    }
}

fn boolean(value: &Value) -> Result<bool, String> {
    value.as_bool().ok_or_else(|| "must be `true` or `false`".to_owned())
}

fn theme(value: &Value) -> Result<Option<ThemeName>, String> {
    match value.as_str() {
        Some("auto") => Ok(None),
        name => name
            .and_then(ThemeName::of)
            .map(Some)
            .ok_or_else(|| format!("must be `auto` or one of {}", ThemeName::listed())),
    }
}

fn words(value: &Value) -> Result<Vec<String>, String> {
    let words = match value {
        Value::String(program) => Some(vec![program.clone()]),
        Value::Array(words) => words.iter().map(|word| word.as_str().map(str::to_owned)).collect(),
        _ => None,
    };
    words.ok_or_else(|| "must be a list of texts".to_owned())
}

fn status_line(value: &Value) -> Result<Vec<Field>, String> {
    words(value)?
        .iter()
        .map(|word| Field::of(word).ok_or_else(|| format!("has no `{word}`; there are {}", Field::listed())))
        .collect()
}

fn keymap(value: &Value, keymap: &mut Keymap) -> Vec<String> {
    let Some(table) = value.as_table() else { return vec!["`tui.keymap` must be a table".to_owned()] };
    let mut wrong = Vec::new();
    for (name, value) in table {
        let keys: Option<Vec<&str>> = match value {
            Value::String(key) => Some(vec![key]),
            Value::Array(keys) => keys.iter().map(Value::as_str).collect(),
            _ => None,
        };
        let outcome = match keys {
            Some(keys) => keymap.set(name, &keys),
            None => Err("a key is text, several are a list of texts".to_owned()),
        };
        wrong.extend(outcome.err().map(|what| format!("`tui.keymap.{name}`: {what}")));
    }
    wrong.extend(keymap.lacks().into_iter().map(|what| format!("`tui.keymap`: {what}")));
    wrong
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent};

    use super::*;
    use crate::keymap::Action;

    #[test]
    fn what_is_set_holds() {
        let (settings, wrong) = Settings::parse(
            "model = 'm'\n[tui]\ntheme = 'light'\ntips = false\nhyperlinks = false\nvim = true\nfullscreen = true\nnotifications = false\n\
             status_line = ['model', 'script']\nstatus_command = ['date', '+%H']\n\
             [tui.keymap]\ntranscript = ['f2', 'ctrl-t']\nredraw = []\n",
        );
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(settings.theme, Some(ThemeName::Light));
        assert_eq!(settings.status_line, [Field::Model, Field::Script]);
        assert!(settings.has_vim && settings.is_fullscreen);
        assert_eq!(settings.hyperlinks, Some(Hyperlinks::Plain));
        assert_eq!(settings.status_command, ["date", "+%H"]);
        assert!(!settings.has_tips && !settings.has_notifications && settings.has_history);
        assert_eq!(settings.keymap.action(KeyEvent::from(KeyCode::F(2))), Some(Action::Transcript));
    }

    #[test]
    fn what_is_wrong_is_told_and_the_rest_holds() {
        let (settings, wrong) = Settings::parse(
            "[tui]\ntheme = 'pink'\ntips = 'no'\ncolour = 1\nstatus_line = ['x']\nstatus_command = 1\nhistory = false\nkeymap = {fly = 'f1', up = 3}\n",
        );
        assert!(!settings.has_history && settings.has_tips);
        assert_eq!(wrong.len(), 7, "{wrong:?}");
        let (_, wrong) = Settings::parse("[tui.keymap]\nundo = 'enter'\n");
        assert_eq!(wrong, ["`tui.keymap`: no key does `send` any more: `enter` does `undo`"]);
        assert_eq!(Settings::parse("tui = 1").1, ["`tui` must be a table"]);
        assert!(Settings::parse("not toml at all").1.is_empty(), "the daemon tells that");
    }
}
