//! The text that a person is writing: letters, lines, pastes, and what was sent before. Knows nothing of keys and
//! colours.
//!
//! A long paste is one letter here, of a range that Unicode leaves to private use, and shown as a chip; typed or
//! pasted text can't hold such letters.

use std::mem;

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
const HISTORY: usize = 100;

/// What was written, with its pastes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Draft {
    text: String,
    pastes: Vec<String>,
}

/// The text that a person is writing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Composer {
    draft: Draft,
    /// In bytes. Invariant: between two letters.
    cursor: usize,
    history: Vec<Draft>,
    /// Which of them is shown, and what was written before it was.
    recalled: Option<(usize, Draft)>,
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
                Some(paste) => text.push_str(paste),
                None => text.push(letter),
            }
        }
        text
    }

    /// Takes what was written, and remembers it.
    pub(crate) fn send(&mut self) -> String {
        let text = self.text();
        let draft = mem::take(&mut self.draft);
        self.cursor = 0;
        self.recalled = None;
        if !text.trim().is_empty() && self.history.last() != Some(&draft) {
            self.history.push(draft);
            if self.history.len() > HISTORY {
                self.history.remove(0);
            }
        }
        text
    }

    /// Throws away what was written.
    pub(crate) fn clear(&mut self) {
        self.replace(Draft::default());
        self.recalled = None;
    }

    /// Puts a text back that could not be sent, before what was written since.
    pub(crate) fn give_back(&mut self, text: &str) {
        let mut rest = mem::take(&mut self.draft);
        self.cursor = 0;
        self.paste(text);
        if !rest.text.is_empty() {
            self.insert("\n");
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
        let text: String = text.chars().filter(|letter| !is_chip(*letter)).collect();
        self.draft.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
        self.mend_cursor();
    }

    /// Pastes text, as one piece if it is long.
    pub(crate) fn paste(&mut self, text: &str) {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        if text.len() <= CHIP_BYTES && text.lines().count() <= CHIP_LINES {
            return self.insert(&text);
        }
        let number = u32::try_from(self.draft.pastes.len()).unwrap_or(u32::MAX);
        let chip = u32::from(FIRST_CHIP).checked_add(number).and_then(char::from_u32);
        let Some(chip) = chip.filter(|chip| is_chip(*chip)) else { return self.insert(&text) };
        self.draft.pastes.push(text);
        self.draft.text.insert(self.cursor, chip);
        self.cursor += chip.len_utf8();
    }

    /// Removes the letter before the cursor.
    pub(crate) fn backspace(&mut self) {
        let from = self.before(self.cursor);
        self.remove(from, self.cursor);
    }

    /// Removes the letter after the cursor.
    pub(crate) fn delete(&mut self) {
        self.remove(self.cursor, self.after(self.cursor));
    }

    /// Removes what a motion would pass over.
    pub(crate) fn remove_to(&mut self, motion: Motion) {
        let to = self.target(motion);
        self.remove(to.min(self.cursor), to.max(self.cursor));
    }

    /// Moves the cursor.
    pub(crate) fn go(&mut self, motion: Motion) {
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
            Some(paste) => match paste.lines().count() {
                1 => format!("[pasted {} letters]", words::thousands(paste.chars().count() as u64)),
                lines => format!("[pasted {} lines]", words::thousands(lines as u64)),
            },
            None if letter == "\t" => "    ".to_owned(),
            None => escape::prose(letter).into_owned(),
        }
    }

    fn paste_of(&self, letter: char) -> Option<&str> {
        let number = u32::from(letter).checked_sub(u32::from(FIRST_CHIP))?;
        self.draft.pastes.get(usize::try_from(number).ok()?).map(String::as_str)
    }

    fn replace(&mut self, draft: Draft) {
        self.cursor = draft.text.len();
        self.draft = draft;
    }

    fn recall_older(&mut self) {
        let at = match &self.recalled {
            Some((at, _)) => *at,
            None => self.history.len(),
        };
        let Some(older) = at.checked_sub(1) else { return };
        let Some(draft) = self.history.get(older).cloned() else { return };
        let written = match self.recalled.take() {
            Some((_, written)) => written,
            None => mem::take(&mut self.draft),
        };
        self.recalled = Some((older, written));
        self.replace(draft);
    }

    fn recall_newer(&mut self) {
        let Some((at, written)) = self.recalled.take() else { return };
        match self.history.get(at + 1).cloned() {
            Some(draft) => {
                self.recalled = Some((at + 1, written));
                self.replace(draft);
            }
            None => self.replace(written),
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        self.draft.text.replace_range(from..to, "");
        self.cursor = from;
        self.mend_cursor();
    }

    /// Letters may have joined around the cursor.
    fn mend_cursor(&mut self) {
        let text = &self.draft.text;
        let mut letters = GraphemeCursor::new(self.cursor, text.len(), true);
        if !letters.is_boundary(text, 0).unwrap_or(true) {
            self.cursor = self.after(self.cursor);
        }
    }

    fn before(&self, at: usize) -> usize {
        GraphemeCursor::new(at, self.draft.text.len(), true)
            .prev_boundary(&self.draft.text, 0)
            .ok()
            .flatten()
            .unwrap_or(0)
    }

    fn after(&self, at: usize) -> usize {
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
            Motion::Left => self.before(self.cursor),
            Motion::Right => self.after(self.cursor),
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
mod tests {
    use proptest::prelude::{any, prop_assert, proptest};

    use super::*;

    fn typed(text: &str) -> Composer {
        let mut composer = Composer::default();
        composer.insert(text);
        composer
    }

    #[test]
    fn a_long_paste_is_one_letter_and_is_sent_whole() {
        let paste = "line\r\n".repeat(120);
        let mut composer = typed("see ");
        composer.paste(&paste);
        composer.insert(" there");
        assert_eq!(composer.layout(40).rows, ["see [pasted 120 lines] there"]);
        assert_eq!(composer.text(), format!("see {} there", "line\n".repeat(120)));
        for _ in 0..7 {
            composer.backspace();
        }
        assert_eq!(composer.send(), "see ");
    }

    #[test]
    fn a_short_paste_is_text_and_nothing_pasted_is_a_chip() {
        let mut composer = Composer::default();
        composer.paste("a\u{f0000}\rb");
        assert_eq!(composer.text(), "a\nb");
    }

    #[test]
    fn the_cursor_moves_by_letters_as_people_see_them() {
        let mut composer = typed("a👩\u{200d}💻e\u{301}");
        composer.go(Motion::Left);
        composer.backspace();
        assert_eq!(composer.text(), "ae\u{301}");
        composer.delete();
        assert_eq!(composer.text(), "a");
    }

    #[test]
    fn words_are_passed_and_removed() {
        let mut composer = typed("one two  three");
        composer.remove_to(Motion::WordLeft);
        assert_eq!(composer.text(), "one two  ");
        composer.go(Motion::WordLeft);
        composer.remove_to(Motion::LineStart);
        assert_eq!(composer.text(), "two  ");
        composer.go(Motion::WordRight);
        composer.remove_to(Motion::LineEnd);
        assert_eq!(composer.text(), "two");
    }

    #[test]
    fn up_and_down_go_through_lines_and_then_through_what_was_sent() {
        let mut composer = typed("first");
        composer.send();
        composer.insert("second");
        composer.send();
        composer.insert("ab\ncd");
        composer.up();
        assert_eq!(composer.layout(10).cursor, (0, 2));
        composer.up();
        assert_eq!(composer.text(), "second");
        composer.up();
        composer.up();
        assert_eq!(composer.text(), "first");
        composer.down();
        composer.down();
        assert_eq!(composer.text(), "ab\ncd");
    }

    #[test]
    fn what_could_not_be_sent_comes_back_before_what_was_written_since() {
        let mut composer = typed("new ");
        composer.paste(&"x\n".repeat(20));
        composer.give_back(&"y\n".repeat(20));
        assert_eq!(composer.text(), format!("{}\nnew {}", "y\n".repeat(20), "x\n".repeat(20)));
    }

    #[test]
    fn rows_are_as_wide_as_the_screen_and_the_cursor_is_on_one() {
        assert_eq!(typed("abcd").layout(4).rows, ["abcd", ""]);
        assert_eq!(typed("日本語").layout(4).rows, ["日本", "語"]);
        assert_eq!(
            typed("a\n\nb").layout(4),
            Layout { rows: vec!["a".to_owned(), String::new(), "b".to_owned()], cursor: (2, 1) }
        );
    }

    proptest! {
        #[test]
        fn no_order_of_edits_breaks_it(edits in proptest::collection::vec((0..14_u8, any::<char>()), 0..60)) {
            let mut composer = Composer::default();
            for (edit, letter) in edits {
                match edit {
                    0 => composer.backspace(),
                    1 => composer.delete(),
                    2 => composer.up(),
                    3 => composer.down(),
                    4 => composer.go(Motion::Left),
                    5 => composer.go(Motion::WordLeft),
                    6 => composer.remove_to(Motion::WordRight),
                    7 => composer.paste(&format!("{letter}\n").repeat(20)),
                    8 => composer.insert("\u{301}"),
                    9 => composer.give_back("back"),
                    10 => drop(composer.send()),
                    11 => composer.insert("\n"),
                    _ => composer.insert(letter.encode_utf8(&mut [0; 4])),
                }
                let layout = composer.layout(7);
                prop_assert!(layout.cursor.0 < layout.rows.len() && layout.cursor.1 < 7);
            }
        }
    }
}
