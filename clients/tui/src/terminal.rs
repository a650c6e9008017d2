//! The terminal as a device: raw while this lives, as it was before afterwards, also after a panic. Knows nothing
//! of what is shown.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Wake, Waker};
use std::time::{Duration, Instant};

use crossterm::event::{
    DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste, EnableFocusChange,
    EnableMouseCapture, Event, EventStream, KeyboardEnhancementFlags, PopKeyboardEnhancementFlags,
    PushKeyboardEnhancementFlags,
};
use crossterm::terminal::LeaveAlternateScreen;
use crossterm::{cursor, event, execute, terminal};
use futures_util::StreamExt;
use ratatui::layout::{Position, Size};

use crate::probe::{self, Answers};

/// Whether the alternate screen is shown: a panic must leave it, and only then.
static IS_ALTERNATE: AtomicBool = AtomicBool::new(false);

/// Whether the terminal tells of its mouse.
static HAS_MOUSE: AtomicBool = AtomicBool::new(false);

/// Whether the terminal was told to tell keys apart: what was told once is taken back once, else what an outer program
/// told it is taken back too.
static TELLS_KEYS_APART: AtomicBool = AtomicBool::new(false);

/// Notes that the alternate screen was entered or left.
pub(crate) fn note_alternate(is_shown: bool) {
    IS_ALTERNATE.store(is_shown, Ordering::Relaxed);
}

/// Sizes that a terminal may have while it is asked where its cursor is; one whose window is being dragged changes it all
/// How long is waited for the sign that the stream has ended, where it is still to be taken.
const AWAKE: Duration = Duration::from_millis(1);
/// Events that are kept while the terminal is asked something.
const MOST_EARLY: usize = 4096;
/// the time.
const SIZE_CHANGES: u32 = 8;

/// How long tmux may show another size than it tells: it tells of no second change sooner than 250 ms after the first.
const TMUX_SETTLES: Duration = Duration::from_millis(300);

/// How long the thread of an event stream may take to end.
const READER_ENDS: Duration = Duration::from_secs(2);

/// What an event stream's thread rings when it has done with the terminal: who waits for the stream is woken. As long as
/// the thread waits for the terminal, it holds one.
#[derive(Default)]
struct Bell {
    waker: Mutex<Option<Waker>>,
    rung: Condvar,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // A poisoned waker is whole: each change is one call.
        let waker = self.waker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
        self.rung.notify_all();
    }
}

/// A terminal in raw mode.
pub(crate) struct Terminal {
    /// Absent while the terminal is asked something: there is one reader.
    events: Option<EventStream>,
    /// What the stream's thread rings.
    bell: Arc<Bell>,
    /// What came while the terminal was asked something.
    early: VecDeque<Event>,
    /// Questions for the cursor that were given up; their answers may still come.
    given_up: u32,
    watches_mouse: bool,
    /// How it was when it was given to somebody else.
    #[cfg(unix)]
    given_as: Option<rustix::termios::Termios>,
}

/// What others are told of who sits here: `terminal pts/3`. Absent where the terminal has no name.
#[cfg(unix)]
pub(crate) fn name() -> Option<String> {
    let path = rustix::termios::ttyname(io::stdin(), Vec::new()).ok()?.into_string().ok()?;
    Some(format!("terminal {}", path.strip_prefix("/dev/")?))
}

/// What others are told of who sits here.
#[cfg(not(unix))]
pub(crate) fn name() -> Option<String> {
    None
}

impl Terminal {
    /// Whether this process has a terminal that can be drawn on.
    pub(crate) fn is_there() -> bool {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
    }

    /// Makes it raw, and asks it what it is.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn enter() -> io::Result<(Self, Answers)> {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            restore();
            before(panic);
        }));
        let mut entered = Self {
            events: None,
            bell: Arc::default(),
            early: VecDeque::new(),
            given_up: 0,
            watches_mouse: false,
            #[cfg(unix)]
            given_as: None,
        };
        terminal::enable_raw_mode()?;
        let answers = probe::ask();
        entered.come_back()?;
        Ok((entered, answers))
    }

    /// Gives the terminal to somebody else for a while, as it was before.
    pub(crate) fn give_away(&mut self) {
        self.stop_reading();
        restore();
        #[cfg(unix)]
        {
            self.given_as = rustix::termios::tcgetattr(io::stdin()).ok();
        }
    }

    /// Takes it back.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn come_back(&mut self) -> io::Result<()> {
        // Who had it may have been killed while it hid what is typed. What it is now is what it will be left as.
        #[cfg(unix)]
        if let Some(given_as) = self.given_as.take() {
            use rustix::termios::{OptionalActions, tcsetattr};
            let _gone = tcsetattr(io::stdin(), OptionalActions::Now, &given_as);
        }
        terminal::enable_raw_mode()?;
        // Terminals that do not know the last one ignore it: then Shift+Enter is Enter.
        let flags = KeyboardEnhancementFlags::DISAMBIGUATE_ESCAPE_CODES;
        TELLS_KEYS_APART.store(true, Ordering::Relaxed);
        execute!(io::stdout(), EnableBracketedPaste, EnableFocusChange, PushKeyboardEnhancementFlags(flags))?;
        if self.watches_mouse {
            HAS_MOUSE.store(true, Ordering::Relaxed);
            execute!(io::stdout(), EnableMouseCapture)?;
        }
        Ok(())
    }

    /// From now on the terminal tells of its mouse, while this process has it.
    ///
    /// # Errors
    /// When the terminal refuses.
    pub(crate) fn watch_mouse(&mut self) -> io::Result<()> {
        self.watches_mouse = true;
        HAS_MOUSE.store(true, Ordering::Relaxed);
        execute!(io::stdout(), EnableMouseCapture)
    }

    /// How long the terminal may have another size than it tells after it told of one, where that is known of it. Until
    /// then a row is not where the size says, and what is drawn there goes over what stays.
    pub(crate) fn settling() -> Option<Duration> {
        std::env::var_os("TMUX").is_some_and(|value| !value.is_empty()).then_some(TMUX_SETTLES)
    }

    /// How large it is.
    ///
    /// # Errors
    /// When it does not know.
    pub(crate) fn size() -> io::Result<Size> {
        let (width, height) = terminal::size()?;
        Ok(Size { width, height })
    }

    /// How large it is, and where its cursor is, as of one moment.
    ///
    /// # Errors
    /// When it does not know its size.
    pub(crate) fn size_and_cursor(&mut self) -> io::Result<(Size, Option<Position>)> {
        let mut size = Self::size()?;
        for _ in 0..SIZE_CHANGES {
            let cursor = self.cursor();
            let before = std::mem::replace(&mut size, Self::size()?);
            if size == before {
                return Ok((size, cursor));
            }
        }
        Ok((size, None))
    }

    /// Where its cursor is; absent if it does not say so within 2 s.
    pub(crate) fn cursor(&mut self) -> Option<Position> {
        // The answer comes between the keys, and the stream would take it.
        self.stop_reading();
        // Ending the stream wakes whoever reads next, who would take that for the end of the wait. What came before is kept.
        while self.early.len() < MOST_EARLY && matches!(event::poll(AWAKE), Ok(true)) {
            let Ok(event) = event::read() else { break };
            self.early.push_back(event);
        }
        let mut place = None;
        // The answers that come first are those to questions before.
        for _ in 0..=self.given_up {
            match cursor::position() {
                Ok(told) => place = Some(Position::from(told)),
                Err(_) => {
                    self.given_up += 1;
                    return None;
                }
            }
        }
        place
    }

    /// The next event; absent when the terminal is gone. Cancel safe.
    pub(crate) async fn next(&mut self) -> Option<io::Result<Event>> {
        if let Some(event) = self.early.pop_front() {
            return Some(Ok(event));
        }
        let Self { events, bell, .. } = self;
        let events = events.get_or_insert_with(EventStream::new);
        std::future::poll_fn(|context| {
            *bell.waker.lock().unwrap_or_else(PoisonError::into_inner) = Some(context.waker().clone());
            let waker = Waker::from(Arc::clone(bell));
            events.poll_next_unpin(&mut Context::from_waker(&waker))
        })
        .await
    }

    /// Ends the stream of events, and waits for its thread. That one goes on if it has not begun to wait yet and somebody
    /// else takes the sign to stop: it would take the next key, and keep all others from reading until that comes.
    fn stop_reading(&mut self) {
        if self.events.take().is_none() {
            return;
        }
        let begin = Instant::now();
        let mut waker = self.bell.waker.lock().unwrap_or_else(PoisonError::into_inner);
        *waker = None;
        while Arc::strong_count(&self.bell) > 1 && begin.elapsed() < READER_ENDS {
            let waited = self.bell.rung.wait_timeout(waker, Duration::from_millis(5));
            waker = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.give_away();
    }
}

/// Stops this process as Ctrl+Z does, with all that the shell started beside it; returns when it goes on.
pub(crate) fn suspend() {
    #[cfg(unix)]
    {
        // Where it can't be stopped, it goes on.
        let _running = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
    }
}

/// Makes the terminal what it was. A terminal that is gone can't be, and needs not.
fn restore() {
    let mut out = io::stdout();
    if IS_ALTERNATE.swap(false, Ordering::Relaxed) {
        let _gone = execute!(out, LeaveAlternateScreen);
    }
    if HAS_MOUSE.swap(false, Ordering::Relaxed) {
        let _gone = execute!(out, DisableMouseCapture);
    }
    if TELLS_KEYS_APART.swap(false, Ordering::Relaxed) {
        let _gone = execute!(out, PopKeyboardEnhancementFlags);
    }
    let _gone = execute!(out, DisableFocusChange, DisableBracketedPaste, cursor::Show);
    let _gone = terminal::disable_raw_mode();
    let _gone = out.flush();
}

#[cfg(all(test, unix))]
mod tests;
