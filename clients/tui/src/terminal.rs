//! The terminal as a device: raw while this lives, as it was before afterwards, also after a panic. Knows nothing
//! of what is shown.

use std::io::{self, IsTerminal, Write};
use std::panic;

use crossterm::event::{
    DisableBracketedPaste, EnableBracketedPaste, Event, EventStream, KeyboardEnhancementFlags,
    PopKeyboardEnhancementFlags, PushKeyboardEnhancementFlags,
};
use crossterm::{cursor, execute, terminal};
use futures_util::StreamExt;
use ratatui::layout::{Position, Size};

/// A terminal in raw mode.
pub(crate) struct Terminal {
    /// Absent while the terminal is asked something: there is one reader.
    events: Option<EventStream>,
}

impl Terminal {
    /// Whether this process has a terminal that can be drawn on.
    pub(crate) fn is_there() -> bool {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
    }

    /// Makes it raw.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn enter() -> io::Result<Self> {
        terminal::enable_raw_mode()?;
        let entered = Self { events: None };
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        // Terminals that do not know the second one ignore it: then Shift+Enter is Enter.
        let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
        execute!(io::stdout(), EnableBracketedPaste, PushKeyboardEnhancementFlags(flags))?;
        Ok(entered)
    }

    /// How large it is.
    ///
    /// # Errors
    /// When it does not know.
    pub(crate) fn size() -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    /// Where its cursor is; absent if it does not say so within 2 s.
    pub(crate) fn cursor(&mut self) -> Option<Position> {
        // The answer comes between the keys, and the stream would take it.
        self.events = None;
        cursor::position().ok().map(Position::from)
    }

    /// The next event; absent when the terminal is gone. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Event>> {
        self.events.get_or_insert_with(EventStream::new).next().await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.events = None;
        restore();
    }
}

/// Makes the terminal what it was. A terminal that is gone can't be, and needs not.
fn restore() {
    let mut out = io::stdout();
    let _gone = execute!(out, PopKeyboardEnhancementFlags, DisableBracketedPaste, cursor::Show);
    let _gone = terminal::disable_raw_mode();
    let _gone = out.flush();
}
