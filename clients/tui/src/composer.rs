//! The text that a person is writing, what was sent before, and what was changed. Knows nothing of keys and colours.

use std::mem;
use std::ops::Range;

use crate::draft::{Draft, Layout, Motion, is_chip};
use crate::image::{Image, Note, Said};

/// Inputs that are remembered.
const HISTORY: usize = 1000;
/// Changes that can be taken back.
const UNDO: usize = 100;

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

impl Composer {
    /// Whether nothing is written.
    pub(crate) fn is_empty(&self) -> bool {
        self.draft.letters().is_empty()
    }

    /// Whether there is nothing to send.
    pub(crate) fn is_blank(&self) -> bool {
        self.text().trim().is_empty() && !self.has_images() && self.draft.notes().is_empty()
    }

    /// What was written, pastes included, and notes not.
    pub(crate) fn text(&self) -> String {
        self.draft.whole()
    }

    /// Puts an image to where the cursor is.
    pub(crate) fn put_image(&mut self, image: Image) {
        self.note(Change::Other);
        self.cursor = self.draft.insert_image(self.cursor, image);
    }

    /// Lets a note go along with what is written.
    pub(crate) fn put_note(&mut self, note: Note) {
        self.note(Change::Other);
        self.cursor = self.draft.insert_note(self.cursor, note);
    }

    /// Whether nothing but notes stands before a place.
    pub(crate) fn is_first(&self, place: usize) -> bool {
        self.draft.is_beside(0..place)
    }

    /// Whether an image is among what was written.
    pub(crate) fn has_images(&self) -> bool {
        !self.draft.images().is_empty()
    }

    /// Takes what was written, and remembers its text.
    pub(crate) fn send(&mut self) -> Said {
        let said = self.take();
        self.remember(&said.text);
        said
    }

    /// Takes what was written.
    pub(crate) fn take(&mut self) -> Said {
        let (images, notes) = (self.draft.images(), self.draft.notes());
        let text = self.text();
        self.draft = Draft::default();
        self.cursor = 0;
        self.forget_changes();
        Said { text, notes, images }
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

    /// Where the cursor is.
    pub(crate) fn place(&self) -> usize {
        self.cursor
    }

    /// The end of the text.
    pub(crate) fn end(&self) -> usize {
        self.draft.end()
    }

    /// Where a motion leads.
    pub(crate) fn target(&self, motion: Motion) -> usize {
        self.draft.target(motion, self.cursor)
    }

    /// Where a motion leads from another place.
    pub(crate) fn target_from(&self, motion: Motion, at: usize) -> usize {
        self.draft.target(motion, at)
    }

    /// The place in the line below, or above; absent if there is none.
    pub(crate) fn vertical(&self, at: usize, is_down: bool) -> Option<usize> {
        if is_down { self.draft.below(at) } else { self.draft.above(at) }
    }

    /// The line that the cursor is in.
    pub(crate) fn line(&self) -> Range<usize> {
        self.draft.line(self.cursor)
    }

    /// The line that a place is in.
    pub(crate) fn line_of(&self, at: usize) -> Range<usize> {
        self.draft.line(at)
    }

    /// The text of a part, without its long pastes.
    pub(crate) fn part(&self, range: Range<usize>) -> String {
        self.draft.part(range)
    }

    /// The text of a part, a letter for each long paste.
    pub(crate) fn part_as_it_is(&self, range: Range<usize>) -> &str {
        &self.draft.letters()[range]
    }

    /// Puts the cursor at a place between two letters.
    pub(crate) fn go_to(&mut self, place: usize) {
        self.last_change = None;
        self.cursor = place;
    }

    /// Removes a part, to be put somewhere else.
    pub(crate) fn cut(&mut self, range: Range<usize>) {
        self.removed = self.draft.part(range.clone());
        self.last_change = None;
        self.remove(range.start, range.end);
    }

    /// Writes something else instead of a part.
    pub(crate) fn replace(&mut self, range: Range<usize>, text: &str) {
        self.note(Change::Other);
        self.cursor = self.draft.remove(range);
        self.put_text(text);
    }

    /// What was removed last.
    pub(crate) fn removed(&self) -> &str {
        &self.removed
    }

    /// Lets this be what was removed last.
    pub(crate) fn set_removed(&mut self, text: String) {
        self.removed = text;
    }

    /// The word that ends at the cursor, and where it begins.
    pub(crate) fn word(&self) -> (usize, &str) {
        let before = &self.draft.letters()[..self.cursor];
        let from = before.rfind(|letter: char| letter.is_whitespace() || is_chip(letter)).map_or(0, |at| {
            let blank = before[at..].chars().next().map_or(1, char::len_utf8);
            at + blank
        });
        (from, &before[from..])
    }

    /// Whether the cursor stands behind all text.
    pub(crate) fn is_at_end(&self) -> bool {
        self.cursor == self.draft.end()
    }

    /// Writes something else instead of the text between a place before the cursor, and the cursor.
    pub(crate) fn replace_from(&mut self, from: usize, text: &str) {
        if from <= self.cursor && self.draft.letters().is_char_boundary(from) {
            self.note(Change::Other);
            self.cursor = self.draft.remove(from..self.cursor);
            self.put_text(text);
        }
    }

    /// Lets what went along with a text that was no input go along with the next one.
    pub(crate) fn keep_company(&mut self, said: &Said) {
        if !said.notes.is_empty() || !said.images.is_empty() {
            self.give_back(&Said { text: String::new(), ..said.clone() });
        }
    }

    /// Puts a text back that could not be sent, before what was written since.
    pub(crate) fn give_back(&mut self, said: &Said) {
        self.note(Change::Other);
        let rest = mem::take(&mut self.draft);
        self.cursor = 0;
        for note in &said.notes {
            self.cursor = self.draft.insert_note(self.cursor, note.clone());
        }
        self.put(&said.text);
        for image in &said.images {
            self.cursor = self.draft.insert_image(self.cursor, image.clone());
        }
        if !rest.letters().is_empty() && !said.text.is_empty() {
            self.put_text("\n");
        }
        self.draft.join(rest);
        self.cursor = self.draft.end();
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
        self.cursor = self.draft.insert_paste(self.cursor, text);
    }

    fn put_text(&mut self, text: &str) {
        self.cursor = self.draft.insert(self.cursor, text);
    }

    /// Removes the letter before the cursor.
    pub(crate) fn backspace(&mut self) {
        self.remove(self.draft.target(Motion::Left, self.cursor), self.cursor);
    }

    /// Removes the letter after the cursor.
    pub(crate) fn delete(&mut self) {
        self.remove(self.cursor, self.draft.target(Motion::Right, self.cursor));
    }

    /// Removes what a motion would pass over.
    pub(crate) fn remove_to(&mut self, motion: Motion) {
        let to = self.draft.target(motion, self.cursor);
        let (from, to) = (to.min(self.cursor), to.max(self.cursor));
        if from < to {
            self.removed = self.draft.part(from..to);
        }
        self.remove(from, to);
    }

    /// Moves the cursor.
    pub(crate) fn go(&mut self, motion: Motion) {
        self.last_change = None;
        self.cursor = self.draft.target(motion, self.cursor);
    }

    /// One line up, or to what was sent before.
    pub(crate) fn up(&mut self) {
        match self.draft.above(self.cursor) {
            Some(above) => self.cursor = above,
            None => self.recall_older(),
        }
    }

    /// One line down, or back from what was sent before.
    pub(crate) fn down(&mut self) {
        match self.draft.below(self.cursor) {
            Some(below) => self.cursor = below,
            None => self.recall_newer(),
        }
    }

    /// What was written, in rows of a width.
    pub(crate) fn layout(&self, width: u16) -> Layout {
        self.draft.layout(self.cursor, width)
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

    fn show(&mut self, draft: Draft) {
        self.forget_changes();
        self.cursor = draft.end();
        self.draft = draft;
    }

    fn show_sent(&mut self, at: usize) {
        let text = self.history.get(at).cloned().unwrap_or_default();
        self.show(Draft::default());
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
            self.show(written);
        }
    }

    fn remove(&mut self, from: usize, to: usize) {
        if from < to {
            self.note(Change::Removed);
            self.cursor = self.draft.remove(from..to);
        }
    }
}

#[cfg(test)]
mod tests;
