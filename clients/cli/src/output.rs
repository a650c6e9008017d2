//! The two streams that people and programs read: results on standard output, everything else on standard error.

use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

use crate::style::Style;

/// Both streams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Colours of standard output.
    pub(crate) out: Style,
    /// Colours of standard error.
    pub(crate) err: Style,
    /// Whether answers are written as they come, because a person reads along.
    pub(crate) is_streamed: bool,
    /// Whether a person sees standard error as it comes.
    pub(crate) is_err_terminal: bool,
    /// Whether progress goes to standard output too, because all of it is the result.
    is_merged: bool,
}

impl Output {
    /// Those of this process.
    pub(crate) fn new() -> Self {
        let is_out_terminal = io::stdout().is_terminal();
        let is_err_terminal = io::stderr().is_terminal();
        Self {
            out: Style::for_stream(is_out_terminal),
            err: Style::for_stream(is_err_terminal),
            is_streamed: is_out_terminal,
            is_err_terminal,
            is_merged: false,
        }
    }

    /// Everything on standard output, as it comes.
    pub(crate) fn merged(self) -> Self {
        Self { err: self.out, is_streamed: true, is_merged: true, ..self }
    }

    /// Writes a line to standard output, with one write, and flushes it.
    pub(crate) fn line(self, text: impl Display) -> io::Result<()> {
        self.write(&format!("{text}\n"))
    }

    /// Writes to standard output and flushes it.
    pub(crate) fn write(self, text: &str) -> io::Result<()> {
        let mut stdout = io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Writes a line of progress: to standard output where all of it is the result, else to standard error.
    pub(crate) fn aside(self, text: impl Display) -> io::Result<()> {
        if self.is_merged {
            return self.line(text);
        }
        self.note(text);
        Ok(())
    }

    /// Writes a line to standard error. If nobody reads it, that is no reason to stop.
    pub(crate) fn note(self, text: impl Display) {
        self.note_part(&format!("{text}\n"));
    }

    /// Writes to standard error, without a line's end.
    pub(crate) fn note_part(self, text: &str) {
        let mut stderr = io::stderr().lock();
        let _nobody_reads_it = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
    }
}
