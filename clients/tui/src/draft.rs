//! A text with places in it: letters, lines, words, and long pastes. Knows nothing of what was written before, nor of
//! keys and colours.
//!
//! A long paste is one letter here, of a range that Unicode leaves to private use, and shown as a chip; typed or
//! pasted text can't hold such letters.

use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};
use unicode_width::UnicodeWidthStr;
use view::{escape, words};

use crate::image::{Image, Note};

/// The letter of the first paste; the others follow.
const FIRST_CHIP: char = '\u{f0000}';
const LAST_CHIP: char = '\u{ffffd}';
/// A paste with more lines or more bytes is a chip.
const CHIP_LINES: usize = 8;
const CHIP_BYTES: usize = 1000;

/// What was written, with its pastes. Places are in bytes, between two letters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Draft {
    text: String,
    pastes: Vec<Paste>,
}

/// A long paste, an image, or a note.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Paste {
    text: Arc<str>,
    /// What is shown for it.
    chip: Arc<str>,
    kind: PasteKind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum PasteKind {
    Text,
    Image(Image),
    /// Goes along, and is no part of the text.
    Note,
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
    /// The line's first letter that is no blank.
    FirstLetter,
    /// Where the next word begins.
    NextWord,
    /// The last letter of this word, or of the next one.
    WordEnd,
}

impl Draft {
    /// The text, a letter for each long paste.
    pub(crate) fn letters(&self) -> &str {
        &self.text
    }

    /// The text, pastes included, without notes.
    pub(crate) fn whole(&self) -> String {
        let mut text = String::with_capacity(self.text.len());
        for letter in self.text.chars() {
            match self.paste_of(letter) {
                Some(Paste { kind: PasteKind::Note, .. }) => {}
                Some(paste) => text.push_str(&paste.text),
                None => text.push(letter),
            }
        }
        text
    }

    /// Whether there is nothing but notes in a part.
    pub(crate) fn is_beside(&self, range: Range<usize>) -> bool {
        let is_note =
            |letter| self.paste_of(letter).is_some_and(|paste| matches!(paste.kind, PasteKind::Note));
        self.text[range].chars().all(is_note)
    }

    /// The text of a part, without its pastes.
    pub(crate) fn part(&self, range: Range<usize>) -> String {
        self.text[range].chars().filter(|letter| !is_chip(*letter)).collect()
    }

    /// Writes text at a place, and returns where it ends.
    pub(crate) fn insert(&mut self, at: usize, text: &str) -> usize {
        let text: String = text.chars().filter(|letter| !is_chip(*letter)).collect();
        self.text.insert_str(at, &text);
        self.place_at(at + text.len())
    }

    /// Writes text at a place, as one letter if it is long, and returns where it ends.
    pub(crate) fn insert_paste(&mut self, at: usize, text: &str) -> usize {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        let lines = text.lines().count();
        if text.len() <= CHIP_BYTES && lines <= CHIP_LINES {
            return self.insert(at, &text);
        }
        let chip = match lines {
            0 | 1 => format!("[pasted {} letters]", words::thousands(text.chars().count() as u64)),
            lines => format!("[pasted {} lines]", words::thousands(lines as u64)),
        };
        self.put(at, Paste { text: text.into(), chip: chip.into(), kind: PasteKind::Text })
    }

    /// Puts an image to a place, and returns where it ends.
    pub(crate) fn insert_image(&mut self, at: usize, image: Image) -> usize {
        let chip = image.chip().into();
        self.put(at, Paste { text: "".into(), chip, kind: PasteKind::Image(image) })
    }

    /// Puts a note to a place, and returns where it ends.
    pub(crate) fn insert_note(&mut self, at: usize, note: Note) -> usize {
        self.put(at, Paste { text: note.text, chip: note.chip, kind: PasteKind::Note })
    }

    /// The images, in their order.
    pub(crate) fn images(&self) -> Vec<Image> {
        let image = |letter| match &self.paste_of(letter)?.kind {
            PasteKind::Image(image) => Some(image.clone()),
            PasteKind::Text | PasteKind::Note => None,
        };
        self.text.chars().filter_map(image).collect()
    }

    /// The notes, in their order.
    pub(crate) fn notes(&self) -> Vec<Note> {
        let note = |letter| {
            let paste = self.paste_of(letter).filter(|paste| matches!(paste.kind, PasteKind::Note))?;
            Some(Note { text: Arc::clone(&paste.text), chip: Arc::clone(&paste.chip) })
        };
        self.text.chars().filter_map(note).collect()
    }

    /// Puts a paste to a place as one letter, and returns where it ends. Of more pastes than there are letters for them
    /// the text stays.
    fn put(&mut self, at: usize, paste: Paste) -> usize {
        let number = u32::try_from(self.pastes.len()).unwrap_or(u32::MAX);
        let letter = u32::from(FIRST_CHIP).checked_add(number).and_then(char::from_u32);
        let Some(letter) = letter.filter(|letter| is_chip(*letter)) else {
            return self.insert(at, &paste.text);
        };
        self.pastes.push(paste);
        self.text.insert(at, letter);
        at + letter.len_utf8()
    }

    /// Adds another draft at the end.
    pub(crate) fn join(&mut self, mut rest: Self) {
        // The chips of the rest count on from those before.
        let before = u32::try_from(self.pastes.len()).unwrap_or(u32::MAX);
        let moved = rest.text.chars().map(|letter| {
            let code = u32::from(letter);
            let code = if is_chip(letter) { code.saturating_add(before) } else { code };
            char::from_u32(code).unwrap_or(letter)
        });
        self.text.extend(moved);
        self.pastes.append(&mut rest.pastes);
    }

    /// Removes a part, and returns the place where it was.
    pub(crate) fn remove(&mut self, range: Range<usize>) -> usize {
        let from = range.start;
        self.text.replace_range(range, "");
        self.place_at(from)
    }

    /// The end of the text.
    pub(crate) fn end(&self) -> usize {
        self.text.len()
    }

    /// Where a motion leads from a place.
    pub(crate) fn target(&self, motion: Motion, at: usize) -> usize {
        let is_word = |word: &&str| !word.trim().is_empty();
        match motion {
            Motion::Left => self.letter_before(at),
            Motion::Right => self.letter_after(at),
            Motion::LineStart => self.line_start(at),
            Motion::LineEnd => self.line_end(at),
            Motion::WordLeft => {
                let before = &self.text[..at];
                let word = before.split_word_bound_indices().rfind(|(_, word)| is_word(word));
                word.map_or(0, |(at, _)| at)
            }
            Motion::WordRight => {
                let after = &self.text[at..];
                let word = after.split_word_bound_indices().find(|(_, word)| is_word(word));
                word.map_or(self.end(), |(from, word)| at + from + word.len())
            }
            Motion::FirstLetter => {
                let (start, end) = (self.line_start(at), self.line_end(at));
                let line = &self.text[start..end];
                start + (line.len() - line.trim_start().len())
            }
            Motion::NextWord => {
                let next = self.words().find(|(from, _)| *from > at);
                next.map_or(self.end(), |(from, _)| from)
            }
            Motion::WordEnd => {
                let lasts = self.words().map(|(from, word)| self.letter_before(from + word.len()));
                lasts.into_iter().find(|last| *last > at).unwrap_or(self.end())
            }
        }
    }

    /// The words, and where they begin.
    fn words(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.split_word_bound_indices().filter(|(_, word)| !word.trim().is_empty())
    }

    /// The line that a place is in, without its break.
    pub(crate) fn line(&self, at: usize) -> Range<usize> {
        self.line_start(at)..self.line_end(at)
    }

    /// The place a line above, in the same column if that line is long enough; absent in the first line.
    pub(crate) fn above(&self, at: usize) -> Option<usize> {
        let end = self.line_start(at).checked_sub(1)?;
        Some(self.in_column_of(at, end))
    }

    /// The place a line below; absent in the last line.
    pub(crate) fn below(&self, at: usize) -> Option<usize> {
        let next = self.line_end(at) + 1;
        (next <= self.end()).then(|| self.in_column_of(at, self.line_end(next)))
    }

    /// In rows of a width, with the cursor at a place.
    pub(crate) fn layout(&self, at: usize, width: u16) -> Layout {
        let width = usize::from(width.max(2));
        let mut rows = vec![String::new()];
        let mut column = 0;
        let mut cursor = (0, 0);
        for (from, letter) in self.text.grapheme_indices(true) {
            if from == at {
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
        if at == self.text.len() {
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
        self.pastes.get(usize::try_from(number).ok()?)
    }

    /// This place, or the next one between two letters: around it letters may have joined.
    fn place_at(&self, at: usize) -> usize {
        let mut letters = GraphemeCursor::new(at, self.text.len(), true);
        if letters.is_boundary(&self.text, 0).unwrap_or(true) { at } else { self.letter_after(at) }
    }

    fn letter_before(&self, at: usize) -> usize {
        let mut letters = GraphemeCursor::new(at, self.text.len(), true);
        letters.prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0)
    }

    fn letter_after(&self, at: usize) -> usize {
        let end = self.text.len();
        GraphemeCursor::new(at, end, true).next_boundary(&self.text, 0).ok().flatten().unwrap_or(end)
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |at| at + 1)
    }

    fn line_end(&self, at: usize) -> usize {
        let rest = &self.text[at..];
        at + rest.find('\n').unwrap_or(rest.len())
    }

    /// The place of the line that ends at `end` which is in the column of `at`, if that line is long enough.
    fn in_column_of(&self, at: usize, end: usize) -> usize {
        let column = self.text[self.line_start(at)..at].graphemes(true).count();
        let start = self.line_start(end);
        let line = &self.text[start..end];
        line.grapheme_indices(true).nth(column).map_or(end, |(at, _)| start + at)
    }
}

/// Whether a letter stands for a paste.
pub(crate) fn is_chip(letter: char) -> bool {
    (FIRST_CHIP..=LAST_CHIP).contains(&letter)
}
