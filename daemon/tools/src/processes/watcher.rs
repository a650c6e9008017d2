//! Somebody who waits for a process to print something, or to end, and takes nothing of its output away.

use regex::Regex;
use sandbox::{Exit, SandboxError};
use tokio::sync::oneshot;

use crate::plain;

/// Bytes of a line that are looked at.
const MAX_LINE: usize = 8 * 1024;

/// Who waits. Whoever drops the receiver waits no more.
#[derive(Debug)]
pub(crate) struct Watcher {
    /// What is to be printed; absent: only the end counts.
    pattern: Option<Regex>,
    /// The line that is not complete yet.
    line: Vec<u8>,
    /// Absent once it was told.
    reply: Option<oneshot::Sender<Noticed>>,
}

/// What there was to notice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Noticed {
    /// This line was printed, and fits.
    Printed(String),
    /// The process has ended, and how.
    Ended(String),
}

impl Watcher {
    /// Waits for a line with this, or for the end.
    pub(crate) fn new(pattern: Option<Regex>, reply: oneshot::Sender<Noticed>) -> Self {
        Self { pattern, line: Vec::new(), reply: Some(reply) }
    }

    /// Hears what was printed.
    pub(crate) fn hear(&mut self, bytes: &[u8]) {
        let Some(pattern) = &self.pattern else { return };
        self.line.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(&self.line);
        let text = plain::spoken(&text);
        if let Some(line) = text.lines().find(|line| pattern.is_match(line)) {
            let line = line.to_owned();
            self.tell(Noticed::Printed(line));
            return;
        }
        let done = self.line.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.line.drain(..done.max(self.line.len().saturating_sub(MAX_LINE)));
    }

    /// Hears that the process has ended; for a person, if one ended it with a client of this name.
    pub(crate) fn hear_end(&mut self, end: &Result<Exit, SandboxError>, by: Option<&str>) {
        self.tell(Noticed::Ended(match (end, by) {
            (Ok(Exit::Code(code)), _) => format!("with exit code {code}"),
            (Ok(Exit::Signal(_)), Some(name)) => format!("because the user ended it (from `{name}`)"),
            (Ok(Exit::Signal(signal)), None) => format!("by signal {signal}"),
            (Err(error), _) => format!("without an exit code: {error}"),
        }));
    }

    /// Whether it has nothing more to wait for.
    pub(crate) fn is_done(&self) -> bool {
        self.reply.as_ref().is_none_or(oneshot::Sender::is_closed)
    }

    fn tell(&mut self, noticed: Noticed) {
        // Who is gone needs no answer.
        let _ = self.reply.take().map(|reply| reply.send(noticed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_noticed_in_whatever_pieces_it_comes() {
        let (reply, mut noticed) = oneshot::channel();
        let mut watcher = Watcher::new(Regex::new("ready on [0-9]+").ok(), reply);
        for piece in ["one\ntwo\nre", "\u{1b}[1mady", " on ", "80"] {
            assert!(!watcher.is_done());
            watcher.hear(piece.as_bytes());
        }
        assert!(watcher.is_done());
        assert_eq!(noticed.try_recv(), Ok(Noticed::Printed("ready on 80".to_owned())));
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_room_than_it_may() {
        let (reply, _noticed) = oneshot::channel();
        let mut watcher = Watcher::new(Regex::new("never").ok(), reply);
        for _ in 0..10 {
            watcher.hear(&vec![b'x'; 64 * 1024]);
            assert!(watcher.line.len() <= MAX_LINE);
        }
    }

    #[test]
    fn an_end_is_noticed_by_who_waits_for_a_line() {
        let (reply, mut noticed) = oneshot::channel();
        let mut watcher = Watcher::new(Regex::new("never").ok(), reply);
        watcher.hear_end(&Ok(Exit::Code(3)), None);
        assert_eq!(noticed.try_recv(), Ok(Noticed::Ended("with exit code 3".to_owned())));
    }
}
