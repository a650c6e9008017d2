//! What comes to the text that is being written by other ways than keys: pastes, images, files that were found, and what
//! became of what was asked for beside.

use std::path::Path;

use protocol::ids::Timestamp;
use view::escape;

use crate::app::{App, Chore, Tone};
use crate::completion::Kind;
use crate::files::Found;
use crate::image::{self, Image, Note};
use crate::run::Mode;
use crate::visit::Visited;

impl App {
    /// Text was pasted.
    pub(crate) fn paste(&mut self, text: &str, now: Timestamp) {
        if self.mode == Mode::Watch || self.pager.is_some() || self.picker.is_some() {
            return;
        }
        self.last_key = now;
        if let Some(dialog) = self.dialog.as_mut().filter(|dialog| dialog.reply.is_none())
            && dialog.listens(now)
            && dialog.paste(text)
        {
            return;
        }
        if let Some(path) = image::path_of(text).filter(|_| self.dialog.is_none()) {
            self.chores.push(Chore::Attach(path, text.to_owned()));
            return;
        }
        self.paste_text(text, now);
    }

    /// An image was read, or could not be; then it is the text that was pasted.
    pub(crate) fn attach(&mut self, image: Result<Image, String>, text: &str, now: Timestamp) {
        match image {
            Ok(image) => self.composer.put_image(image),
            Err(reason) => {
                self.paste_text(text, now);
                self.notify(Tone::Bad, reason, now);
            }
        }
    }

    /// A lesson was added to a file, or could not be.
    pub(crate) fn learned(&mut self, file: &Path, line: &str, outcome: Result<(), String>, now: Timestamp) {
        match outcome {
            Ok(()) => {
                let text = format!("I added this to `{}`, for all sessions to come: {line}", file.display());
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let chip = format!("[added to {}] ", escape::short_line(&name, 40));
                self.composer.put_note(Note { text: text.into(), chip: chip.into() });
                self.notify(Tone::Calm, format!("added to {}", file.display()), now);
            }
            Err(reason) => {
                self.composer.insert(&format!("# {line}"));
                self.notify(Tone::Bad, reason, now);
            }
        }
    }

    /// An image of the clipboard was read, or could not be.
    pub(crate) fn pasted_image(&mut self, image: Result<Image, String>, now: Timestamp) {
        match image {
            Ok(image) => self.composer.put_image(image),
            Err(reason) => self.notify(Tone::Bad, reason, now),
        }
    }

    /// Another program gave the terminal back.
    pub(crate) fn visited(&mut self, visited: Visited, now: Timestamp) {
        // What was told before may be mended now.
        self.notice = None;
        if let Some(note) = visited.note {
            self.composer.put_note(note);
        }
        if let Some(problem) = visited.problem {
            self.notify(Tone::Bad, problem, now);
        }
    }

    fn paste_text(&mut self, text: &str, now: Timestamp) {
        let unseen = escape::unseen(text);
        if unseen > 0 {
            let text = format!("Pasted text holds {unseen} letters that are not seen, or act on a terminal");
            self.notify(Tone::Bad, text, now);
        }
        self.writing().paste(text);
        self.complete();
    }

    /// Files were found.
    pub(crate) fn found(&mut self, found: Found) {
        let asked = self.files_asked;
        if let Some(completion) = &mut self.completion
            && let Kind::Files { number, is_complete, paths, .. } = &mut completion.kind
            && found.number == asked
        {
            (*number, *is_complete, *paths) = (found.number, found.is_complete, found.paths);
            self.offer_mentions();
        }
    }
}
