//! Keys as data: what each one does to the text that is being written, and how a person sets it otherwise. Knows
//! nothing of how it is done. Keys of dialogs and lists are shown where they count, and are not set.

use std::collections::HashMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Send,
    Queue,
    BreakLine,
    Stop,
    Cancel,
    DeleteOrLeave,
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
    Up,
    Down,
    Backspace,
    Delete,
    RemoveWord,
    RemoveToStart,
    RemoveToEnd,
    PutRemoved,
    Undo,
    Redo,
    SearchHistory,
    Editor,
    PasteImage,
    Transcript,
    Unfold,
    Sessions,
    GoBeside,
    NextMode,
    Suspend,
    Redraw,
}

/// An action with its name in the settings, the keys that do it, and what is said of it.
struct Entry {
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    meaning: &'static str,
}

const fn entry(
    action: Action,
    name: &'static str,
    keys: &'static [&'static str],
    meaning: &'static str,
) -> Entry {
    Entry { action, name, keys, meaning }
}

const ENTRIES: [Entry; 32] = [
    entry(Action::Send, "send", &["enter"], "sends; while a turn runs, says it into the turn"),
    entry(Action::Queue, "queue", &["tab"], "while a turn runs, puts it into the queue"),
    entry(Action::BreakLine, "break-line", &["ctrl-j", "alt-enter", "shift-enter"], "breaks the line"),
    entry(Action::Stop, "stop", &["esc"], "stops the turn"),
    entry(
        Action::Cancel,
        "cancel",
        &["ctrl-c"],
        "stops the turn; else throws away what is written; twice leaves",
    ),
    entry(Action::DeleteOrLeave, "leave", &["ctrl-d"], "leaves, when nothing is written; a turn goes on"),
    entry(Action::Up, "up", &["up", "ctrl-p"], "a line up; what is queued, then what was sent before"),
    entry(Action::Down, "down", &["down", "ctrl-n"], "a line down; back from what was sent before"),
    entry(Action::SearchHistory, "search-history", &["ctrl-r"], "looks in all that was sent before"),
    entry(Action::Editor, "editor", &["ctrl-g"], "writes on in `$VISUAL` or `$EDITOR`"),
    entry(Action::PasteImage, "paste-image", &["ctrl-v", "alt-v"], "the image in the clipboard goes along"),
    entry(Action::Transcript, "transcript", &["ctrl-t"], "the whole session, nothing folded"),
    entry(Action::Unfold, "unfold", &["ctrl-x"], "all of what is folded, or folds it again"),
    entry(Action::Sessions, "sessions", &["ctrl-o"], "another session"),
    entry(Action::GoBeside, "go-beside", &["alt-s"], "to the session beside this one"),
    entry(Action::NextMode, "next-mode", &["shift-tab"], "the next mode: plan, one of your own, none"),
    entry(Action::Undo, "undo", &["ctrl-_", "ctrl-7", "ctrl-/"], "takes the last change back"),
    entry(Action::Redo, "redo", &["alt-_", "alt-r"], "makes it again"),
    entry(Action::Left, "left", &["left", "ctrl-b"], "a letter back"),
    entry(Action::Right, "right", &["right", "ctrl-f"], "a letter on"),
    entry(Action::WordLeft, "word-left", &["alt-left", "ctrl-left", "alt-b"], "a word back"),
    entry(Action::WordRight, "word-right", &["alt-right", "ctrl-right", "alt-f"], "a word on"),
    entry(Action::LineStart, "line-start", &["home", "ctrl-a"], "the start of the line"),
    entry(Action::LineEnd, "line-end", &["end", "ctrl-e"], "the end of the line"),
    entry(Action::Backspace, "backspace", &["backspace", "ctrl-h"], "removes the letter before"),
    entry(Action::Delete, "delete", &["delete"], "removes the letter after"),
    entry(
        Action::RemoveWord,
        "remove-word",
        &["ctrl-w", "alt-backspace", "ctrl-backspace"],
        "removes a word",
    ),
    entry(Action::RemoveToStart, "remove-to-start", &["ctrl-u"], "removes all before, in the line"),
    entry(Action::RemoveToEnd, "remove-to-end", &["ctrl-k"], "removes all after, in the line"),
    entry(Action::PutRemoved, "put-removed", &["ctrl-y"], "puts what was removed last here"),
    entry(Action::Suspend, "suspend", &["ctrl-z"], "back to the shell; `fg` comes back"),
    entry(Action::Redraw, "redraw", &["ctrl-l"], "draws the screen anew"),
];

/// What a person can't do without; one of these together is enough.
const ESSENTIAL: [&[Action]; 3] = [&[Action::Send], &[Action::Stop, Action::Cancel], &[Action::Backspace]];

/// A key with what is held beside it.
type Key = (KeyCode, KeyModifiers);

/// Which key does what.
#[derive(Clone, Debug)]
pub(crate) struct Keymap {
    actions: HashMap<Key, Action>,
}

impl Default for Keymap {
    fn default() -> Self {
        let keys = ENTRIES
            .iter()
            .flat_map(|entry| entry.keys.iter().filter_map(|key| Some((parse(key)?, entry.action))));
        Self { actions: keys.collect() }
    }
}

impl Keymap {
    /// What a key does, if it does anything.
    pub(crate) fn action(&self, key: KeyEvent) -> Option<Action> {
        self.actions.get(&normal(key)).copied()
    }

    /// Lets these keys do something, and no others.
    ///
    /// # Errors
    /// What is wrong, for a person.
    pub(crate) fn set(&mut self, name: &str, keys: &[&str]) -> Result<(), String> {
        let Some(entry) = ENTRIES.iter().find(|entry| entry.name == name) else {
            return Err(format!("`{name}` is no action; `/keys` lists them"));
        };
        let parsed: Result<Vec<Key>, String> = keys
            .iter()
            .map(|key| parse(key).ok_or_else(|| format!("`{key}` is no key; one is written as `ctrl-g`")))
            .collect();
        let parsed = parsed?;
        self.actions.retain(|_, action| *action != entry.action);
        self.actions.extend(parsed.into_iter().map(|key| (key, entry.action)));
        Ok(())
    }

    /// What can't be done any more though nobody can do without, and which key was taken from it.
    pub(crate) fn lacks(&self) -> Vec<String> {
        let is_done = |actions: &&&[Action]| self.actions.values().any(|action| actions.contains(action));
        let said = |actions: &[Action]| {
            let entry = ENTRIES.iter().find(|entry| actions.first() == Some(&entry.action))?;
            let taken = entry.keys.iter().find_map(|key| {
                let action = self.actions.get(&parse(key)?)?;
                let by = ENTRIES.iter().find(|entry| entry.action == *action)?;
                Some(format!(": `{key}` does `{}`", by.name))
            });
            Some(format!("no key does `{}` any more{}", entry.name, taken.unwrap_or_default()))
        };
        ESSENTIAL.iter().filter(|actions| !is_done(actions)).filter_map(|actions| said(actions)).collect()
    }

    /// The best known keys of an action as they stand on a keyboard, at most so many.
    pub(crate) fn best(&self, action: Action, most: usize) -> Vec<String> {
        let entry = ENTRIES.iter().find(|entry| entry.action == action);
        entry.into_iter().flat_map(|entry| self.keys_of(entry)).take(most).map(capitals).collect()
    }

    /// All actions: their names, their keys, and what is said of them.
    pub(crate) fn described(&self) -> Vec<(&'static str, String, &'static str)> {
        ENTRIES
            .iter()
            .map(|entry| {
                let keys: Vec<String> = self.keys_of(entry).into_iter().map(shown).collect();
                (entry.name, keys.join(", "), entry.meaning)
            })
            .collect()
    }

    /// The keys of an action. Those that come first in the table are the best known.
    fn keys_of(&self, entry: &Entry) -> Vec<Key> {
        let keys = self.actions.iter().filter(|(_, action)| **action == entry.action).map(|(key, _)| *key);
        let mut keys: Vec<Key> = keys.collect();
        keys.sort_by_key(|key| {
            let name = shown(*key);
            (entry.keys.iter().position(|known| *known == name).unwrap_or(usize::MAX), name)
        });
        keys
    }
}

/// A letter that needs Shift is another letter.
fn normal(key: KeyEvent) -> Key {
    match key.code {
        KeyCode::Char(_) => (key.code, key.modifiers.difference(KeyModifiers::SHIFT)),
        KeyCode::BackTab => (KeyCode::Tab, key.modifiers.union(KeyModifiers::SHIFT)),
        code => (code, key.modifiers),
    }
}

const NAMED: [(&str, KeyCode); 15] = [
    ("enter", KeyCode::Enter),
    ("tab", KeyCode::Tab),
    ("esc", KeyCode::Esc),
    ("space", KeyCode::Char(' ')),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("pageup", KeyCode::PageUp),
    ("pagedown", KeyCode::PageDown),
];

const HELD: [(&str, KeyModifiers); 3] =
    [("ctrl-", KeyModifiers::CONTROL), ("alt-", KeyModifiers::ALT), ("shift-", KeyModifiers::SHIFT)];

fn parse(text: &str) -> Option<Key> {
    let mut rest = text;
    let mut modifiers = KeyModifiers::NONE;
    while let Some((stripped, held)) =
        HELD.iter().find_map(|(name, held)| Some((rest.strip_prefix(name)?, *held)))
    {
        rest = stripped;
        modifiers |= held;
    }
    let mut letters = rest.chars();
    let code = match (letters.next(), letters.next()) {
        (Some(letter), None) => KeyCode::Char(letter),
        (Some('f'), Some(_)) if rest[1..].parse::<u8>().is_ok_and(|number| (1..=24).contains(&number)) => {
            KeyCode::F(rest[1..].parse().ok()?)
        }
        _ => NAMED.iter().find(|(name, _)| *name == rest)?.1,
    };
    // A letter of its own is text, and never a key.
    let is_text = matches!(code, KeyCode::Char(_)) && modifiers.difference(KeyModifiers::SHIFT).is_empty();
    (!is_text).then(|| normal(KeyEvent::new(code, modifiers)))
}

fn shown((code, modifiers): Key) -> String {
    let held: String =
        HELD.iter().filter(|(_, held)| modifiers.contains(*held)).map(|(name, _)| *name).collect();
    let name = match code {
        KeyCode::F(number) => format!("f{number}"),
        code => match NAMED.iter().find(|(_, named)| *named == code) {
            Some((name, _)) => (*name).to_owned(),
            None => code.to_string().to_lowercase(),
        },
    };
    format!("{held}{name}")
}

/// As it stands on a keyboard, such as `Ctrl+G`.
fn capitals((code, modifiers): Key) -> String {
    let name = match code {
        // With Shift it is another letter.
        KeyCode::Char(letter) if letter.is_uppercase() => format!("Shift+{letter}"),
        code => shown((code, KeyModifiers::NONE)),
    };
    let capital = |text: &str| {
        let mut letters = text.chars();
        letters
            .next()
            .map(|first| first.to_uppercase().chain(letters).collect::<String>())
            .unwrap_or_default()
    };
    let held = HELD.iter().filter(|(_, held)| modifiers.contains(*held));
    let held: String = held.map(|(name, _)| format!("{}+", capital(name.trim_end_matches('-')))).collect();
    format!("{held}{}", capital(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(letter: char) -> KeyEvent {
        KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
    }

    #[test]
    fn every_key_of_the_table_is_one_and_none_does_two_things() {
        let keys: Vec<&str> = ENTRIES.iter().flat_map(|entry| entry.keys).copied().collect();
        for key in &keys {
            assert_eq!(parse(key).map(shown).as_deref(), Some(*key));
        }
        assert_eq!(Keymap::default().actions.len(), keys.len());
    }

    #[test]
    fn a_person_sets_other_keys() {
        let mut keymap = Keymap::default();
        keymap.set("editor", &["ctrl-s", "f4"]).unwrap();
        assert_eq!(keymap.action(control('s')), Some(Action::Editor));
        assert_eq!(keymap.action(KeyEvent::from(KeyCode::F(4))), Some(Action::Editor));
        assert_eq!(keymap.action(control('g')), None);
        let editor = keymap.described().into_iter().find(|(name, ..)| *name == "editor").unwrap();
        assert_eq!(editor.1, "ctrl-s, f4");
    }

    #[test]
    fn a_key_that_is_taken_from_what_nobody_can_do_without_is_told() {
        let lacks = |set: &[(&str, &[&str])]| {
            let mut keymap = Keymap::default();
            set.iter().for_each(|(name, keys)| keymap.set(name, keys).unwrap());
            keymap.lacks()
        };
        assert_eq!(lacks(&[("undo", &["enter"])]), ["no key does `send` any more: `enter` does `undo`"]);
        assert_eq!(lacks(&[("send", &[])]), ["no key does `send` any more"]);
        assert_eq!(lacks(&[("undo", &["enter"]), ("send", &["f5"])]), Vec::<String>::new());
        assert_eq!(lacks(&[("undo", &["esc"]), ("redraw", &[])]), Vec::<String>::new(), "Ctrl+C stops, too");
        assert_eq!(lacks(&[("undo", &["esc", "ctrl-c"])]).len(), 1);
        assert_eq!(lacks(&[]), Vec::<String>::new());
    }

    #[test]
    fn keys_are_told_as_they_stand_on_a_keyboard() {
        let mut keymap = Keymap::default();
        assert_eq!(keymap.best(Action::BreakLine, 2), ["Ctrl+J", "Alt+Enter"]);
        assert_eq!(keymap.best(Action::NextMode, 1), ["Shift+Tab"]);
        assert_eq!(keymap.best(Action::WordRight, 3), ["Alt+Right", "Ctrl+Right", "Alt+F"]);
        keymap.set("redo", &["alt-R", "f11", "ctrl-_"]).unwrap();
        assert_eq!(keymap.best(Action::Redo, 9), ["Alt+Shift+R", "Ctrl+_", "F11"]);
        keymap.set("redo", &[]).unwrap();
        assert!(keymap.best(Action::Redo, 9).is_empty());
    }

    #[test]
    fn what_is_no_key_is_refused_and_changes_nothing() {
        let mut keymap = Keymap::default();
        for key in ["ctrl-", "x", "shift-x", "hyper-x", "f99", "", "ctrl-grr"] {
            assert!(keymap.set("editor", &[key]).unwrap_err().contains("no key"), "{key}");
        }
        assert!(keymap.set("fly", &["ctrl-x"]).unwrap_err().contains("/keys"));
        assert_eq!(keymap.action(control('g')), Some(Action::Editor));
    }

    #[test]
    fn shift_and_a_letter_is_the_letter() {
        let key = KeyEvent::new(KeyCode::Char('R'), KeyModifiers::ALT | KeyModifiers::SHIFT);
        assert_eq!(normal(key), (KeyCode::Char('R'), KeyModifiers::ALT));
    }
}
