//! A program at a terminal of its own: a pty, and what a terminal would show of it. Knows what terminals answer when they
//! are asked, nothing of the program.
//!
//! A thread reads what the program writes, draws it as a terminal does, and answers. Who waits looks at whole frames
//! only: what comes within a synchronized update is not looked at before its end. Keys are typed as bytes; nothing is
//! slept.
//!
//! `expectrl`, which drives programs at a pty too, looks for patterns in the bytes that come. It has no screen, no
//! answers to what a program asks its terminal and no end of a frame, so all of this but the opening of the pty would
//! still be here.

use std::fmt::Display;
use std::io::{self, Read, Write};
use std::num::NonZeroU16;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pty_process::Size;
use pty_process::blocking::{Command, Pty, open};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, waitid};
use rustix::termios::{LocalModes, tcgetattr};
use vt100::{Callbacks, Parser, Screen};

use crate::environment::process::Invocation;
use crate::error::HarnessError;

/// How long is waited for something on the screen.
pub const LIMIT: Duration = Duration::from_secs(30);
/// Lines above the screen that a terminal keeps.
const SCROLLBACK: usize = 5000;

/// Keys as a terminal sends them.
pub mod keys {
    /// Enter.
    pub const ENTER: &str = "\r";
    /// Escape.
    pub const ESCAPE: &str = "\x1b";
    /// Tab.
    pub const TAB: &str = "\t";
    /// The arrow up.
    pub const UP: &str = "\x1b[A";
    /// The arrow down.
    pub const DOWN: &str = "\x1b[B";
    /// Ctrl+C.
    pub const CTRL_C: &str = "\x03";
    /// Ctrl+D.
    pub const CTRL_D: &str = "\x04";
    /// Ctrl+O.
    pub const CTRL_O: &str = "\x0f";
    /// Ctrl+T.
    pub const CTRL_T: &str = "\x14";
    /// Ctrl+Z.
    pub const CTRL_Z: &str = "\x1a";
}

/// What the terminal was asked to do beside its screen.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Titles that it was given.
    pub titles: Vec<String>,
    /// What was put into the clipboard, as it came, or asked of it.
    pub clipboard: Vec<String>,
    /// Where links went, as their parts came; empty where one ended.
    pub links: Vec<String>,
    /// How often it rang.
    pub bells: usize,
    /// Whether it tells of its focus.
    pub tells_focus: bool,
    /// How many times more it was told to tell keys apart than told to stop.
    pub keyboard_modes: i32,
    /// Frames, each of which was a synchronized update.
    pub frames: u64,
    /// Other sequences that it does not know.
    pub others: Vec<String>,
    is_in_update: bool,
    answers: Vec<u8>,
}

impl Callbacks for Asked {
    fn audible_bell(&mut self, _: &mut Screen) {
        self.bells += 1;
    }

    fn set_window_icon_name(&mut self, _: &mut Screen, name: &[u8]) {
        self.titles.push(String::from_utf8_lossy(name).into_owned());
    }

    fn set_window_title(&mut self, _: &mut Screen, title: &[u8]) {
        self.titles.push(String::from_utf8_lossy(title).into_owned());
    }

    fn copy_to_clipboard(&mut self, _: &mut Screen, _: &[u8], data: &[u8]) {
        self.clipboard.push(String::from_utf8_lossy(data).into_owned());
    }

    fn paste_from_clipboard(&mut self, _: &mut Screen, _: &[u8]) {
        self.clipboard.push("?".to_owned());
    }

    fn unhandled_csi(
        &mut self,
        screen: &mut Screen,
        first: Option<u8>,
        second: Option<u8>,
        parameters: &[&[u16]],
        letter: char,
    ) {
        let number = parameters.first().and_then(|numbers| numbers.first()).copied().unwrap_or_default();
        match (first, second, number, letter) {
            (None, None, 6, 'n') => {
                let (row, column) = screen.cursor_position();
                self.answer(format_args!("\x1b[{};{}R", row + 1, column + 1));
            }
            (Some(b'?'), Some(b'$'), mode, 'p') => {
                let is_known = u8::from(mode == 1004) * 2;
                self.answer(format_args!("\x1b[?{mode};{is_known}$y"));
            }
            (Some(b'?'), None, 2026, 'h') => self.is_in_update = true,
            (Some(b'?'), None, 2026, 'l') => {
                self.is_in_update = false;
                self.frames += 1;
            }
            (Some(b'?'), None, 1004, 'h' | 'l') => self.tells_focus = letter == 'h',
            (Some(b'>'), None, _, 'u') => self.keyboard_modes += 1,
            (Some(b'<'), None, _, 'u') => self.keyboard_modes -= 1,
            // Colours that it does not know.
            (None, None, _, 'm') => {}
            _ => self.others.push(format!("CSI {first:?} {second:?} {parameters:?} {letter}")),
        }
    }

    fn unhandled_osc(&mut self, _: &mut Screen, parameters: &[&[u8]]) {
        match parameters {
            [b"8", ..] => self.links.push(text_of(parameters.get(2..).unwrap_or_default())),
            [b"11", b"?"] => self.answer("\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\"),
            _ => {
                self.others.push(format!("OSC {}", text_of(parameters)));
            }
        }
    }

    fn unhandled_escape(&mut self, _: &mut Screen, first: Option<u8>, _: Option<u8>, byte: u8) {
        // The end of another sequence.
        if (first, byte) != (None, b'\\') {
            self.others.push(format!("ESC {first:?} {}", char::from(byte)));
        }
    }
}

impl Asked {
    fn answer(&mut self, text: impl Display) {
        self.answers.extend_from_slice(text.to_string().as_bytes());
    }
}

/// A program at a terminal. Dropping it kills the program, and what is in its process group with it.
pub struct Terminal {
    name: String,
    child: Child,
    pid: Pid,
    pty: Arc<Pty>,
    shared: Arc<Shared>,
    /// The reader ends when this does.
    stop: Option<OwnedFd>,
    reader: Option<JoinHandle<()>>,
    is_collected: bool,
}

struct Shared {
    heard: Mutex<Heard>,
    changed: Condvar,
}

struct Heard {
    parser: Parser<Asked>,
    bytes: u64,
    /// Whether nobody can write any more.
    is_closed: bool,
}

impl Invocation {
    /// Starts it at a terminal of so many columns and rows, which is its controlling one. What it reads is what is typed.
    ///
    /// # Errors
    /// `Command`.
    pub fn at_terminal(self, columns: u16, rows: u16) -> Result<Terminal, HarnessError> {
        let name = self.name();
        let wrap = |source: io::Error| HarnessError::Command { command: name.clone(), source };
        let (pty, pts) = open().map_err(|error| wrap(io::Error::other(error)))?;
        pty.resize(Size::new(rows, columns)).map_err(|error| wrap(io::Error::other(error)))?;
        let command = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.folder)
            .env_clear()
            .env("TERM", "xterm-256color")
            .envs(self.variables);
        let child = command.spawn(pts).map_err(|error| wrap(io::Error::other(error)))?;
        let pid = Pid::from_child(&child);
        let pty = Arc::new(pty);
        // A program that is started later must not hold the end that stops the reader.
        let ends = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC);
        let (stopped, stop) = ends.map_err(|errno| wrap(errno.into()))?;
        let parser = Parser::new_with_callbacks(
            at_least_one(rows),
            at_least_one(columns),
            SCROLLBACK,
            Asked::default(),
        );
        let shared = Arc::new(Shared {
            heard: Mutex::new(Heard { parser, bytes: 0, is_closed: false }),
            changed: Condvar::new(),
        });
        let (read, heard) = (Arc::clone(&pty), Arc::clone(&shared));
        let reader = std::thread::spawn(move || listen(&read, &heard, &stopped));
        Ok(Terminal {
            name,
            child,
            pid,
            pty,
            shared,
            stop: Some(stop),
            reader: Some(reader),
            is_collected: false,
        })
    }
}

impl Terminal {
    /// Its process id, which is its group's and its session's too.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// Types. Blocks while the program does not read.
    ///
    /// # Errors
    /// `Command` when the terminal is closed.
    pub fn press(&self, text: &str) -> Result<(), HarnessError> {
        (&*self.pty).write_all(text.as_bytes()).map_err(|source| self.wrap(source))
    }

    /// Pastes, as terminals do for who asked them to tell.
    ///
    /// # Errors
    /// `Command` when the terminal is closed.
    pub fn paste(&self, text: &str) -> Result<(), HarnessError> {
        self.press(&format!("\x1b[200~{text}\x1b[201~"))
    }

    /// Gives the terminal another size, and tells the program.
    ///
    /// # Errors
    /// `Command` when the terminal is closed.
    pub fn resize(&self, columns: u16, rows: u16) -> Result<(), HarnessError> {
        let mut heard = lock(&self.shared.heard);
        heard.parser.set_size(at_least_one(rows), at_least_one(columns));
        self.pty.resize(Size::new(rows, columns)).map_err(|error| self.wrap(io::Error::other(error)))
    }

    /// Waits until a text is on the screen.
    ///
    /// # Errors
    /// `NotPrinted` when it did not come in time, or the terminal was closed before.
    pub fn wait_for(&self, text: &str) -> Result<(), HarnessError> {
        self.wait_until(text, |screen, _| screen.contents().contains(text))
    }

    /// Waits until a text is not on the screen.
    ///
    /// # Errors
    /// `NotPrinted` when it did not go in time, or the terminal was closed before.
    pub fn wait_for_end_of(&self, text: &str) -> Result<(), HarnessError> {
        self.wait_until(&format!("nothing of {text}"), |screen, _| !screen.contents().contains(text))
    }

    /// Waits until a frame fits.
    ///
    /// # Errors
    /// `NotPrinted`, with what was waited for, when none did in time, or the terminal was closed before.
    pub fn wait_until(&self, what: &str, fits: impl Fn(&Screen, &Asked) -> bool) -> Result<(), HarnessError> {
        let is_there = |heard: &Heard| {
            let (screen, asked) = (heard.parser.screen(), heard.parser.callbacks());
            !asked.is_in_update && fits(screen, asked)
        };
        let begin = Instant::now();
        let mut heard = lock(&self.shared.heard);
        while !is_there(&heard) {
            let left = LIMIT.saturating_sub(begin.elapsed());
            if left.is_zero() || heard.is_closed {
                return Err(HarnessError::NotPrinted {
                    command: self.name.clone(),
                    wanted: what.to_owned(),
                    limit: begin.elapsed(),
                    seen: rows_of(heard.parser.screen()).join("\n"),
                });
            }
            let waited = self.shared.changed.wait_timeout(heard, left);
            heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        Ok(())
    }

    /// Waits until the program has written nothing for so long, and tells how many bytes it wrote before.
    #[must_use]
    pub fn wait_for_silence(&self, span: Duration) -> u64 {
        let mut heard = lock(&self.shared.heard);
        let begin = heard.bytes;
        loop {
            let before = heard.bytes;
            let waited = self.shared.changed.wait_timeout_while(heard, span, |heard| heard.bytes == before);
            let (now, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
            if timeout.timed_out() || now.is_closed {
                return now.bytes - begin;
            }
            heard = now;
        }
    }

    /// The rows of the screen, without blanks at their ends, and without those below that are empty.
    #[must_use]
    pub fn rows(&self) -> Vec<String> {
        self.look(|screen, _| rows_of(screen))
    }

    /// All that the terminal keeps, what scrolled away first.
    #[must_use]
    pub fn everything(&self) -> Vec<String> {
        let mut heard = self.whole();
        let screen = heard.parser.screen_mut();
        let (_, columns) = screen.size();
        screen.set_scrollback(usize::MAX);
        let mut all = Vec::new();
        for offset in (1..=screen.scrollback()).rev() {
            screen.set_scrollback(offset);
            let row = screen.rows(0, columns.get()).next().unwrap_or_default();
            all.push(row.trim_end().to_owned());
        }
        screen.set_scrollback(0);
        all.extend(rows_of(screen));
        all
    }

    /// What the terminal shows, and what it was asked, at this moment.
    pub fn look<T>(&self, look: impl FnOnce(&Screen, &Asked) -> T) -> T {
        let heard = self.whole();
        look(heard.parser.screen(), heard.parser.callbacks())
    }

    /// What came so far, with the frame that is just coming to its end.
    fn whole(&self) -> MutexGuard<'_, Heard> {
        let is_coming = |heard: &mut Heard| heard.parser.callbacks().is_in_update && !heard.is_closed;
        let waited = self.shared.changed.wait_timeout_while(lock(&self.shared.heard), LIMIT, is_coming);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Whether the terminal edits lines and shows what is typed, as a shell finds it.
    ///
    /// # Errors
    /// `Command` when the terminal does not say.
    pub fn is_as_shells_want(&self) -> Result<bool, HarnessError> {
        let modes = tcgetattr(&*self.pty).map_err(|errno| self.wrap(errno.into()))?.local_modes;
        Ok(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG))
    }

    /// Sends the program a signal: SIGTERM, SIGHUP, SIGKILL and the like.
    ///
    /// # Errors
    /// `Command`.
    pub fn signal(&self, signal: Signal) -> Result<(), HarnessError> {
        kill_process(self.pid, signal).map_err(|errno| self.wrap(errno.into()))
    }

    /// Waits for the program's end, and for all that it wrote. After the limit it is killed.
    ///
    /// # Errors
    /// `Command`, `NotPrinted` when it did not end.
    pub fn wait(&mut self) -> Result<ExitStatus, HarnessError> {
        let pid = self.pid;
        let (tell, told) = std::sync::mpsc::channel();
        let watcher = std::thread::spawn(move || {
            let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
            while let Err(rustix::io::Errno::INTR) = waitid(WaitId::Pid(pid), options) {}
            // Nobody listens after the limit.
            let _ = tell.send(());
        });
        let is_in_time = told.recv_timeout(LIMIT).is_ok();
        if !is_in_time {
            self.end_group();
        }
        // It ends with the child; it has no way to panic.
        let _ = watcher.join();
        let status = self.child.wait().map_err(|source| self.wrap(source))?;
        self.is_collected = true;
        let heard = lock(&self.shared.heard);
        let waited = self.shared.changed.wait_timeout_while(heard, LIMIT, |heard| !heard.is_closed);
        let heard = waited.unwrap_or_else(PoisonError::into_inner).0;
        if is_in_time {
            return Ok(status);
        }
        let (wanted, seen) = ("its end".to_owned(), rows_of(heard.parser.screen()).join("\n"));
        Err(HarnessError::NotPrinted { command: self.name.clone(), wanted, limit: LIMIT, seen })
    }

    fn end_group(&self) {
        // Fails only when the group is gone already.
        let _ = kill_process_group(self.pid, Signal::KILL);
    }

    fn wrap(&self, source: io::Error) -> HarnessError {
        HarnessError::Command { command: self.name.clone(), source }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if !self.is_collected {
            self.end_group();
            // An error means that there is nothing to collect.
            let _ = self.child.wait();
        }
        self.stop = None;
        if let Some(reader) = self.reader.take() {
            // It panics only where a test has its reasons in the output already.
            let _ = reader.join();
        }
    }
}

impl std::fmt::Debug for Terminal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Terminal").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Reads, draws and answers until nobody writes any more, or the other end of `stopped` is gone.
fn listen(pty: &Pty, shared: &Shared, stopped: &OwnedFd) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let mut waiting = [PollFd::new(pty, PollFlags::IN), PollFd::new(stopped, PollFlags::empty())];
        if poll(&mut waiting, None).is_err() {
            continue;
        }
        if waiting[0].revents().is_empty() && !waiting[1].revents().is_empty() {
            break;
        }
        let read = match (&*pty).read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // No program has the terminal any more.
            Err(_) => break,
        };
        let answers = {
            let mut heard = lock(&shared.heard);
            heard.parser.process(&buffer[..read]);
            heard.bytes += read as u64;
            std::mem::take(&mut heard.parser.callbacks_mut().answers)
        };
        shared.changed.notify_all();
        // A program that is gone needs no answer.
        let _gone = (&*pty).write_all(&answers);
    }
    lock(&shared.heard).is_closed = true;
    shared.changed.notify_all();
}

fn text_of(parts: &[&[u8]]) -> String {
    String::from_utf8_lossy(&parts.join(&b';')).into_owned()
}

fn rows_of(screen: &Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let mut rows: Vec<String> = screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
    while rows.last().is_some_and(String::is_empty) {
        rows.pop();
    }
    rows
}

fn at_least_one(cells: u16) -> NonZeroU16 {
    NonZeroU16::new(cells).unwrap_or(NonZeroU16::MIN)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Terminal {
        let invocation = Invocation::new("/bin/sh", ["-c", script], "/").variable("PATH", "/usr/bin:/bin");
        invocation.at_terminal(40, 6).unwrap()
    }

    #[test]
    fn a_program_is_typed_to_and_shown() {
        let mut terminal = shell("stty size; read -r line; echo \"got $line\"; exit 3");
        terminal.wait_for("6 40").unwrap();
        assert!(terminal.is_as_shells_want().unwrap());
        terminal.press("one\r").unwrap();
        assert_eq!(terminal.wait().unwrap().code(), Some(3));
        assert_eq!(terminal.rows(), ["6 40", "one", "got one"]);
    }

    #[test]
    fn what_scrolled_away_is_kept() {
        let mut terminal = shell("for n in 1 2 3 4 5 6 7 8 9; do echo $n; done");
        terminal.wait().unwrap();
        assert_eq!(terminal.everything(), ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }

    #[test]
    fn a_terminal_answers_and_tells_what_it_was_asked() {
        let script = "stty raw -echo; printf '\\033[6n'; dd bs=1 count=6 2>/dev/null | tr '\\033' E; \
                      printf '\\033]0;title\\007\\033]52;c;aGk=\\007\\007'; stty sane";
        let mut terminal = shell(script);
        terminal.wait().unwrap();
        assert_eq!(terminal.rows(), ["E[1;1R"]);
        let asked = terminal.look(|_, asked| asked.clone());
        assert_eq!((asked.titles.first().unwrap().as_str(), asked.bells), ("title", 1));
        assert_eq!(asked.clipboard, ["aGk="]);
    }

    #[test]
    fn half_a_frame_is_not_looked_at() {
        let terminal = shell("printf '\\033[?2026hone'; read -r x; printf ' two\\033[?2026l'; read -r x");
        terminal.press("\r").unwrap();
        terminal.wait_until("a frame", |screen, _| screen.contents().contains("one")).unwrap();
        assert!(terminal.rows().join(" ").contains("two"));
    }

    #[test]
    fn what_never_comes_is_told_with_what_came() {
        let terminal = shell("echo something else");
        let Err(HarnessError::NotPrinted { seen, .. }) = terminal.wait_for("this") else { panic!("found") };
        assert_eq!(seen, "something else");
    }

    #[test]
    fn a_size_is_told_to_the_program() {
        let mut terminal = shell("trap 'stty size; exit' WINCH; echo up; while :; do read -r x; done");
        terminal.wait_for("up").unwrap();
        terminal.resize(30, 5).unwrap();
        terminal.wait().unwrap();
        assert!(terminal.rows().contains(&"5 30".to_owned()), "{:?}", terminal.rows());
    }

    #[test]
    fn dropping_a_terminal_kills_its_program() {
        let terminal = shell("trap '' HUP; echo up; sleep 600");
        terminal.wait_for("up").unwrap();
        let pid = terminal.pid();
        drop(terminal);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
