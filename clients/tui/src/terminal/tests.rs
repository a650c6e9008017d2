//! The device against a pty: this program starts itself there, and breaks.

use std::io::{Read, Write};
use std::num::NonZeroU16;

use futures_util::FutureExt;
use pty_process::Size;
use pty_process::blocking::{Command, open};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::*;

/// Set where this program is the one that breaks.
const BREAKS: &str = "SKEIN_TUI_TEST_BREAKS";
/// Set where this program is the one that asks.
const ASKS: &str = "SKEIN_TUI_TEST_ASKS";
/// Set where this program is the one that lends it.
const LENDS: &str = "SKEIN_TUI_TEST_LENDS";

#[test]
fn a_panic_gives_the_terminal_back_and_is_read_below() {
    if std::env::var_os(BREAKS).is_some() {
        let (mut terminal, _) = Terminal::enter().unwrap();
        terminal.watch_mouse().unwrap();
        let _pane = crate::pane::Pane::enter(io::stdout(), crate::hyperlink::Hyperlinks::Plain).unwrap();
        panic!("on purpose");
    }
    let (mut pty, pts) = open().unwrap();
    pty.resize(Size::new(24, 80)).unwrap();
    // What the terminal answers when it is asked where its cursor is.
    pty.write_all(b"\x1b[1;1R").unwrap();
    let test = "terminal::tests::a_panic_gives_the_terminal_back_and_is_read_below";
    let command = Command::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    // What was called would scroll what is looked for out of sight.
    let mut child = command.env(BREAKS, "1").env("RUST_BACKTRACE", "0").spawn(pts).unwrap();
    let mut bytes = Vec::new();
    // Ends with an error when nobody has the terminal any more.
    let _closed = pty.read_to_end(&mut bytes);
    assert!(!child.wait().unwrap().success());
    let size = |cells| NonZeroU16::new(cells).unwrap();
    let mut parser = vt100::Parser::new(size(24), size(80), 100);
    parser.process(&bytes);
    let text = String::from_utf8_lossy(&bytes);
    let screen = parser.screen();
    assert!(
        text.contains("\x1b[?1049h") && text.contains("\x1b[?1000h"),
        "it had all of the terminal: {text:?}"
    );
    assert!(!screen.alternate_screen() && !screen.bracketed_paste() && !screen.hide_cursor());
    assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    assert_eq!((text.matches("\x1b[>1u").count(), text.matches("\x1b[<1u").count()), (1, 1), "{text:?}");
    assert!(screen.contents().contains("on purpose"), "{}", screen.contents());
    let modes = tcgetattr(&pty).unwrap().local_modes;
    assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO), "{modes:?}");
}

#[test]
fn the_cursor_is_told_right_after_a_key_was_waited_for() {
    if std::env::var_os(ASKS).is_some() {
        let (mut terminal, _) = Terminal::enter().unwrap();
        for _ in 0..300 {
            assert!(terminal.next().now_or_never().is_none());
            assert_eq!(terminal.cursor(), Some(Position::ORIGIN));
        }
        drop(terminal);
        writeln!(io::stdout(), "all was told").unwrap();
        return;
    }
    let (mut pty, pts) = open().unwrap();
    pty.resize(Size::new(24, 80)).unwrap();
    let test = "terminal::tests::the_cursor_is_told_right_after_a_key_was_waited_for";
    let command = Command::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let mut child = command.env(ASKS, "1").spawn(pts).unwrap();
    let (mut bytes, mut answered) = (Vec::new(), 0);
    let mut buffer = [0; 4096];
    // Ends with an error when nobody has the terminal any more.
    while let Ok(read @ 1..) = pty.read(&mut buffer) {
        bytes.extend_from_slice(&buffer[..read]);
        let asked = bytes.windows(4).filter(|part| *part == b"\x1b[6n").count();
        for _ in answered..asked {
            pty.write_all(b"\x1b[1;1R").unwrap();
        }
        answered = asked;
    }
    let text = String::from_utf8_lossy(&bytes);
    assert!(child.wait().unwrap().success() && text.contains("all was told"), "{text}");
}

#[test]
fn what_somebody_else_did_to_the_terminal_does_not_stay() {
    if std::env::var_os(LENDS).is_some() {
        let (mut terminal, _) = Terminal::enter().unwrap();
        terminal.give_away();
        // As one does that hides what is typed, and is killed then.
        let mut modes = tcgetattr(io::stdin()).unwrap();
        modes.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(io::stdin(), OptionalActions::Now, &modes).unwrap();
        terminal.come_back().unwrap();
        return;
    }
    let (mut pty, pts) = open().unwrap();
    pty.resize(Size::new(24, 80)).unwrap();
    // What the terminal answers when it is asked where its cursor is.
    pty.write_all(b"\x1b[1;1R").unwrap();
    let test = "terminal::tests::what_somebody_else_did_to_the_terminal_does_not_stay";
    let command = Command::new(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let mut child = command.env(LENDS, "1").spawn(pts).unwrap();
    // Ends with an error when nobody has the terminal any more.
    let _closed = pty.read_to_end(&mut Vec::new());
    assert!(child.wait().unwrap().success());
    let modes = tcgetattr(&pty).unwrap().local_modes;
    assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
}
