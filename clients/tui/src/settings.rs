//! The `[tui]` table of `config.toml`: what a person sets for screens. The daemon does not read it. What is wrong in it
//! is told and left out; the screen comes up whatever stands there.

use std::fs;
use std::path::Path;

use toml::{Table, Value};

use crate::keymap::Keymap;
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
    /// Whether inputs are remembered on disk.
    pub(crate) has_history: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            theme: None,
            keymap: Keymap::default(),
            has_notifications: true,
            has_tips: true,
            has_history: true,
        }
    }
}

impl Settings {
    /// Reads the file, and says what is wrong in it. That the file itself can't be read, the daemon tells.
    pub(crate) fn read(file: &Path) -> (Self, Vec<String>) {
        match fs::read_to_string(file) {
            Ok(text) => Self::parse(&text),
            Err(_) => (Self::default(), Vec::new()),
        }
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
                "history" => boolean(&value).map(|is_on| settings.has_history = is_on),
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
            "model = 'm'\n[tui]\ntheme = 'light'\ntips = false\nnotifications = false\n\
             [tui.keymap]\ntranscript = ['f2', 'ctrl-t']\nredraw = []\n",
        );
        assert_eq!(wrong, Vec::<String>::new());
        assert_eq!(settings.theme, Some(ThemeName::Light));
        assert!(!settings.has_tips && !settings.has_notifications && settings.has_history);
        assert_eq!(settings.keymap.action(KeyEvent::from(KeyCode::F(2))), Some(Action::Transcript));
    }

    #[test]
    fn what_is_wrong_is_told_and_the_rest_holds() {
        let (settings, wrong) = Settings::parse(
            "[tui]\ntheme = 'pink'\ntips = 'no'\ncolour = 1\nhistory = false\nkeymap = {fly = 'f1', up = 3}\n",
        );
        assert!(!settings.has_history && settings.has_tips);
        assert_eq!(wrong.len(), 5, "{wrong:?}");
        assert_eq!(Settings::parse("tui = 1").1, ["`tui` must be a table"]);
        assert!(Settings::parse("not toml at all").1.is_empty(), "the daemon tells that");
    }
}
