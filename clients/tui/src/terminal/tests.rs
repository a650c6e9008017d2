//! The device against a pty: this program starts itself there, and breaks.

use std::io::{Read, Write};
use std::num::NonZeroU16;

use pty_process::Size;
use pty_process::blocking::{Command, open};
use rustix::termios::{LocalModes, tcgetattr};

use super::*;

/// Set where this program is the one that breaks.
const BREAKS: &str = "SKEIN_TUI_TEST_BREAKS";

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
    let mut child = command.env(BREAKS, "1").spawn(pts).unwrap();
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
