//! What a run of `exec` tells while it goes: JSON lines for programs, text for people.

use std::io;

use protocol::delta::FeedEntry;
use protocol::ids::TurnId;
use protocol::session::SessionSummary;

use crate::exec::human::Human;
use crate::exec::json::{Line, Lines};
use crate::exec::outcome::Ending;
use crate::output::Output;

/// Who is told.
pub(crate) enum Reporter {
    /// A program.
    Json(Json),
    /// A person.
    Human(Box<Human>),
}

/// Lines on standard output.
pub(crate) struct Json {
    lines: Lines,
    output: Output,
}

impl Json {
    fn print(&self, line: &Line) -> io::Result<()> {
        self.output.line(serde_json::to_string(line).map_err(io::Error::other)?)
    }
}

impl Reporter {
    /// For programs.
    pub(crate) fn json(output: Output) -> Self {
        Self::Json(Json { lines: Lines::default(), output })
    }

    /// For people.
    pub(crate) fn human(output: Output) -> Self {
        Self::Human(Box::new(Human::new(output)))
    }

    /// The session is known.
    pub(crate) fn session(&mut self, summary: &SessionSummary) -> io::Result<()> {
        match self {
            Self::Json(json) => {
                let line = json.lines.thread(summary.id);
                json.print(&line)
            }
            Self::Human(human) => human.session(summary),
        }
    }

    /// The turn was accepted; what is told from now on is about it.
    pub(crate) fn turn(&mut self, turn: TurnId) {
        match self {
            Self::Json(json) => json.lines.follow(turn),
            Self::Human(human) => human.follow(turn),
        }
    }

    /// The turn was accepted and will not be followed.
    pub(crate) fn detached(&mut self, summary: &SessionSummary) -> io::Result<()> {
        match self {
            Self::Json(json) => json.print(&Line::TurnStarted),
            Self::Human(human) => human.detached(summary),
        }
    }

    /// Something happened.
    pub(crate) fn entry(&mut self, entry: &FeedEntry) -> io::Result<()> {
        match (self, entry) {
            (Self::Json(json), FeedEntry::Event(record)) => match json.lines.event(record) {
                Some(line) => json.print(&line),
                None => Ok(()),
            },
            (Self::Human(human), FeedEntry::Event(record)) => human.event(&record.event),
            (Self::Human(human), FeedEntry::Delta(delta)) => human.delta(delta),
            (Self::Json(_), FeedEntry::Delta(_))
            | (_, FeedEntry::Presence(_) | FeedEntry::Budget(_) | FeedEntry::Unknown(_)) => Ok(()),
        }
    }

    /// The run has ended.
    pub(crate) fn ending(&mut self, ending: &Ending) -> io::Result<()> {
        match self {
            Self::Json(json) => {
                if let Ending::Error(error) = ending {
                    error.report(json.output);
                }
                Lines::last(ending).map_or(Ok(()), |line| json.print(&line))
            }
            Self::Human(human) => human.ending(ending),
        }
    }
}
