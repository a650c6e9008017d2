//! The text that a person is writing: letters, lines, pastes, and what was sent before. Knows nothing of keys and
//! colours.
//!
//! A long paste is one letter here, of a range that Unicode leaves to private use, and shown as a chip; typed or
//! pasted text can't hold such letters.

use std::mem;
use std::sync::Arc;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;
use view::{escape, words};

/// The letter of the first paste; the others follow.
const FIRST_CHIP: char = '\u{f0000}';
const LAST_CHIP: char = '\u{ffffd}';
/// A paste with more lines or more bytes is a chip.
const CHIP_LINES: usize = 8;
const CHIP_BYTES: usize = 1000;
/// Inputs that are remembered.
const HISTORY: usize = 1000;
/// Changes that can be taken back.
const UNDO: usize = 100;

/// What was written, with its pastes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    text: String,
    pastes: Vec<Paste>,
}

/// A long paste.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paste {
    text: Arc<str>,
    /// What is shown for it.
    chip: Arc<str>,
}

/// A state to go back to.
#[derive(Clone, Debug)]
struct Moment {
    draft: Draft,
    cursor: usize,
}

/// What kind of change the last one was: letters that are typed one after the other are taken back together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Typed,
    Removed,
    Other,
}

/// The text that a person is writing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composer {
    draft: Draft,
    /// In bytes. Invariant: between two letters.
    cursor: usize,
    history: Vec<String>,
    /// Which of them is shown, and what was written before it was.
    recalled: Option<(usize, Draft)>,
    before: Vec<Moment>,
    /// What was taken back, the last one last.
    after: Vec<Moment>,
    last_change: Option<Change>,
    /// What was removed last, to be put somewhere else.
    removed: String,
}

/// What was written, in rows.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// Harmless text.
    pub(crate) rows: Vec<String>,
    /// The cursor's row and column.
    pub(crate) cursor: (usize, usize),
}

/// Where the cursor goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    Left,
    Right,
    WordLeft,
    WordRight,
    LineStart,
    LineEnd,
}

impl Composer {
    /// Whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.draft.text.is_empty()
    }

    /// What was written, pastes included.
    pub(crate) fn text(&self) -> String {
        let mut text = String::with_capacity(self.draft.text.len());
        for letter in self.draft.text.chars() {
            match self.paste_of(letter) {
                Some(paste) => text.push_str(&paste.text),
                None => text.push(letter),
            }
        }
        text
    }

    /// Takes what was written, and remembers it.
    pub(crate) fn send(&mut self) -> String {
        let text = self.text();
        self.draft = Draft::default();
        self.cursor = 0;
        self.forget_changes();
        self.remember(&text);
        text
    }

    /// Adds a text to what was sent before.
    pub(crate) fn remember(&mut self, text: &str) {
        self.recalled = None;
        if !text.trim().is_empty() && self.history.last().is_none_or(|last| last != text) {
            self.history.push(text.to_owned());
            if self.history.len() > HISTORY {
                self.history.remove(0);
            }
        }
    }

    /// What was sent before this composer was there comes before what was sent since.
    pub(crate) fn precede_history(&mut self, mut earlier: Vec<String>) {
        earlier.append(&mut self.history);
        earlier.drain(..earlier.len().saturating_sub(HISTORY));
        self.history = earlier;
        self.recalled = None;
    }

    /// What was sent before, the oldest first.
    pub(crate) fn history(&self) -> &[String] {
        &self.history
    }

    /// Throws away what was written; it can be taken back.
    pub(crate) fn clear(&mut self) {
        self.set_text("");
    }

    /// Writes something else instead.
    pub(crate) fn set_text(&mut self, text: &str) {
        self.note(Change::Other);
        self.recalled = None;
        self.draft = Draft::default();
        self.cursor = 0;
        self.put(text);
    }

    /// Takes the last change back.
    pub(crate) fn undo(&mut self) {
        if let Some(moment) = self.before.pop() {
            let now = self.restore(moment);
            self.after.push(now);
        }
    }

    /// Makes the last change again that was taken back.
    pub(crate) fn redo(&mut self) {
        if let Some(moment) = self.after.pop() {
            let now = self.restore(moment);
            self.before.push(now);
        }
    }

    /// Puts what was removed last to where the cursor is.
    pub(crate) fn put_removed(&mut self) {
        self.note(Change::Other);
        let removed = self.removed.clone();
        self.put_text(&removed);
    }

    /// The word that ends at the cursor, and where it begins.
    pub(crate) fn word(&self) -> (usize, &str) {
        let before = &self.draft.text[..self.cursor];
        let from = before.rfind(char::is_whitespace).map_or(0, |at| {
            let blank = before[at..].chars().next().map_or(1, char::len_utf8);
            at + blank
        });
        (from, &before[from..])
    }

    /// Whether the cursor stands behind all text.
    pub(crate) fn is_at_end(&self) -> bool {
        self.cursor == self.draft.text.len()
    }

    /// Writes something else instead of the text between a place before the cursor, and the cursor.
    pub(crate) fn replace_from(&mut self, from: usize, text: &str) {
        if from <= self.cursor && self.draft.text.is_char_boundary(from) {
            self.note(Change::Other);
            self.draft.text.replace_range(from..self.cursor, "");
            self.cursor = from;
            self.put_text(text);
        }
    }

    /// Puts a text back that could not be sent, before what was written since.
    pub(crate) fn give_back(&mut self, text: &str) {
        self.note(Change::Other);
        let mut rest = mem::take(&mut self.draft);
        self.cursor = 0;
        self.put(text);
        if !rest.text.is_empty() {
            self.put_text("\n");
        }
        // The chips of the rest count on from those before.
        let before = u32::try_from(self.draft.pastes.len()).unwrap_or(u32::MAX);
        let moved: String = rest
            .text
            .chars()
            .map(|letter| {
                let code = u32::from(letter);
                let code = if is_chip(letter) { code.saturating_add(before) } else { code };
                char::from_u32(code).unwrap_or(letter)
            })
            .collect();
        self.draft.text.push_str(&moved);
        self.draft.pastes.append(&mut rest.pastes);
        self.cursor = self.draft.text.len();
    }

    /// Types text.
    pub(crate) fn insert(&mut self, text: &str) {
        let is_letter = text.chars().count() == 1 && text != "\n" && text != " ";
        self.note(if is_letter { Change::Typed } else { Change::Other });
        self.put_text(text);
    }

    /// Pastes text, as one piece if it is long.
    pub(crate) fn paste(&mut self, text: &str) {
        self.note(Change::Other);
        self.put(text);
    }

    fn put(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if text.len() <= CHIP_BYTES && lines <= CHIP_LINES {
            return self.put_text(&text);
        }
        let number = u32::try_from(self.draft.pastes.len()).unwrap_or(u32::MAX);
        let letter = u32::from(FIRST_CHIP).checked_add(number).and_then(char::from_u32);
        let Some(letter) = letter.filter(|letter| is_chip(*letter)) else { return self.put_text(&text) };
        let chip = match lines {
            0 | 1 => format!("[pasted {} letters]", words::thousands(text.chars().count() as u64)),
            lines => format!("[pasted {} lines]", words::thousands(lines as u64)),
        };
        self.draft.pastes.push(Paste { text: text.into(), chip: chip.into() });
        self.draft.text.insert(self.cursor, letter);
        self.cursor += letter.len_utf8();
    }

    fn put_text(&mut self, text: &str) {
        let text: String = text.chars().filter(|letter| !is_chip(*letter)).collect();
        self.draft.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.mend_cursor();
    }

    /// Removes the letter before the cursor.
    pub(crate) fn backspace(&mut self) {
        let from = self.letter_before(self.cursor);
        self.remove(from, self.cursor);
    }

    /// Removes the letter after the cursor.
    pub(crate) fn delete(&mut self) {
        self.remove(self.cursor, self.letter_after(self.cursor));
    }

    /// Removes what a motion would pass over.
    pub(crate) fn remove_to(&mut self, motion: Motion) {
        let to = self.target(motion);
        let (from, to) = (to.min(self.cursor), to.max(self.cursor));
        if from < to {
            self.removed = self.draft.text[from..to].chars().filter(|letter| !is_chip(*letter)).collect();
        }
        self.remove(from, to);
    }

    /// Moves the cursor.
    pub(crate) fn go(&mut self, motion: Motion) {
        self.last_change = None;
        self.cursor = self.target(motion);
    }

    /// One line up, or to what was sent before.
    pub(crate) fn up(&mut self) {
        match self.line_start().checked_sub(1) {
            Some(end) => self.go_to_column(end),
            None => self.recall_older(),
        }
    }

    /// One line down, or back from what was sent before.
    pub(crate) fn down(&mut self) {
        let end = self.line_end();
        if end < self.draft.text.len() {
            let next = end + 1;
            let line = &self.draft.text[next..];
            self.go_to_column(next + line.find('\n').unwrap_or(line.len()));
        } else {
            self.recall_newer();
        }
    }

    /// What was written, in rows of a width.
    pub(crate) fn layout(&self, width: u16) -> Layout {
        let width = usize::from(width.max(2));
        let mut rows = vec![String::new()];
        let mut column = 0;
        let mut cursor = (0, 0);
        for (at, letter) in self.draft.text.grapheme_indices(true) {
            if at == self.cursor {
                cursor = (rows.len() - 1, column);
            }
            if letter == "\n" {
                rows.push(String::new());
                column = 0;
                continue;
            }
            // What is wider than a row, as a chip on a narrow screen, is broken like everything else.
            for part in self.shown(letter).graphemes(true) {
                if column + part.width() > width {
                    rows.push(String::new());
                    column = 0;
                }
                column += part.width();
                if let Some(row) = rows.last_mut() {
                    row.push_str(part);
                }
            }
        }
        if self.cursor == self.draft.text.len() {
            if column >= width {
                rows.push(String::new());
                column = 0;
            }
            cursor = (rows.len() - 1, column);
        }
        if cursor.1 >= width {
            cursor.1 = width - 1;
        }
        Layout { rows, cursor }
    }

    fn shown(&self, letter: &str) -> String {
        let paste = letter.chars().next().and_then(|letter| self.paste_of(letter));
        match paste {
            Some(paste) => paste.chip.to_string(),
            None if letter == "\t" => "    ".to_owned(),
            None => escape::prose(letter).into_owned(),
        }
    }

    fn paste_of(&self, letter: char) -> Option<&Paste> {
        let number = u32::from(letter).checked_sub(u32::from(FIRST_CHIP))?;
        self.draft.pastes.get(usize::try_from(number).ok()?)
    }

    /// Before a change: it can be taken back.
    fn note(&mut self, change: Change) {
        self.after.clear();
        let goes_on = change != Change::Other && self.last_change == Some(change);
        self.last_change = Some(change);
        if !goes_on {
            self.before.push(Moment { draft: self.draft.clone(), cursor: self.cursor });
            if self.before.len() > UNDO {
                self.before.remove(0);
            }
        }
    }

    fn forget_changes(&mut self) {
        self.before.clear();
        self.after.clear();
        self.last_change = None;
    }

    /// Goes to a moment, and returns the one that was.
    fn restore(&mut self, moment: Moment) -> Moment {
        self.last_change = None;
        let draft = mem::replace(&mut self.draft, moment.draft);
        let cursor = mem::replace(&mut self.cursor, moment.cursor);
        Moment { draft, cursor }
    }

    fn replace(&mut self, draft: Draft) {
        self.forget_changes();
        self.cursor = draft.text.len();
        self.draft = draft;
    }

    fn show_sent(&mut self, at: usize) {
        let text = self.history.get(at).cloned().unwrap_or_default();
        self.replace(Draft::default());
        self.put(&text);
    }

    fn recall_older(&mut self) {
        let at = match &self.recalled {
            Some((at, _)) => *at,
            None => self.history.len(),
        };
        let Some(older) = at.checked_sub(1) else { return };
        let written = match self.recalled.take() {
            Some((_, written)) => written,
            None => mem::take(&mut self.draft),
        };
        self.recalled = Some((older, written));
        self.show_sent(older);
    }

    fn recall_newer(&mut self) {
        let Some((at, written)) = self.recalled.take() else { return };
        if at + 1 < self.history.len() {
            self.recalled = Some((at + 1, written));
            self.show_sent(at + 1);
        } else {
            self.replace(written);
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        if from < to {
            self.note(Change::Removed);
            self.draft.text.replace_range(from..to, "");
            self.cursor = from;
            self.mend_cursor();
        }
    }

    /// Letters may have joined around the cursor.
    fn mend_cursor(&mut self) {
        let text = &self.draft.text;
        let mut letters = GraphemeCursor::new(self.cursor, text.len(), true);
        if !letters.is_boundary(text, 0).unwrap_or(true) {
            self.cursor = self.letter_after(self.cursor);
        }
    }

    fn letter_before(&self, at: usize) -> usize {
        GraphemeCursor::new(at, self.draft.text.len(), true)
            .prev_boundary(&self.draft.text, 0)
            .ok()
            .flatten()
            .unwrap_or(0)
    }

    fn letter_after(&self, at: usize) -> usize {
        let end = self.draft.text.len();
        GraphemeCursor::new(at, end, true).next_boundary(&self.draft.text, 0).ok().flatten().unwrap_or(end)
    }

    fn line_start(&self) -> usize {
        self.draft.text[..self.cursor].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        let rest = &self.draft.text[self.cursor..];
        self.cursor + rest.find('\n').unwrap_or(rest.len())
    }

    fn target(&self, motion: Motion) -> usize {
        let text = &self.draft.text;
        let is_word = |word: &&str| !word.trim().is_empty();
        match motion {
            Motion::Left => self.letter_before(self.cursor),
            Motion::Right => self.letter_after(self.cursor),
            Motion::LineStart => self.line_start(),
            Motion::LineEnd => self.line_end(),
            Motion::WordLeft => {
                let before = &text[..self.cursor];
                let word = before.split_word_bound_indices().rfind(|(_, word)| is_word(word));
                word.map_or(0, |(at, _)| at)
            }
            Motion::WordRight => {
                let after = &text[self.cursor..];
                let word = after.split_word_bound_indices().find(|(_, word)| is_word(word));
                word.map_or(text.len(), |(at, word)| self.cursor + at + word.len())
            }
        }
    }

    /// Goes to the line that ends there, into the same column if it is long enough.
    fn go_to_column(&mut self, end: usize) {
        let column = self.draft.text[self.line_start()..self.cursor].graphemes(true).count();
        let start = self.draft.text[..end].rfind('\n').map_or(0, |at| at + 1);
        let line = &self.draft.text[start..end];
        self.cursor = line.grapheme_indices(true).nth(column).map_or(end, |(at, _)| start + at);
    }
}

fn is_chip(letter: char) -> bool {
    (FIRST_CHIP..=LAST_CHIP).contains(&letter)
}

#[cfg(test)]
mod tests;
