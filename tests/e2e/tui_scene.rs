//! What tests of the terminal UI begin with: the real program at a terminal, and words for what is seen of it. Knows the
//! marks of `clients/tui/styles.md`.

use std::time::{Duration, Instant};

use skein_tests::TestEnv;
use skein_tests::environment::terminal::{LIMIT, Terminal, keys};
use skein_tests::scripted_model::reply::{Answer, Reply};

/// What stands in an empty composer while nothing runs.
pub(crate) const READY: &str = "Ask for something";

/// Settings without what differs from one start to the next.
pub(crate) const PLAIN: &str = "tui.tips = false\n";

/// `skein` with arguments, with its first frame drawn.
pub(crate) fn screen(env: &TestEnv, arguments: &[&str]) -> Terminal {
    screen_of(env, arguments, (80, 24))
}

/// As `screen`, at a terminal of so many columns and rows.
pub(crate) fn screen_of(env: &TestEnv, arguments: &[&str], (columns, rows): (u16, u16)) -> Terminal {
    let terminal = env.command(arguments.iter().copied()).at_terminal(columns, rows).unwrap();
    terminal.wait_until("a composer", |_, asked| asked.frames > 0).unwrap();
    terminal.wait_until("a composer", |screen, _| screen.contents().contains("› ")).unwrap();
    terminal
}

/// Types a text and sends it.
pub(crate) fn send(terminal: &Terminal, text: &str) {
    terminal.press(text).unwrap();
    terminal.wait_until(text, |screen, _| screen.contents().contains(text)).unwrap();
    terminal.press(keys::ENTER).unwrap();
}

/// Sends a text, and waits until this is seen and the turn is over.
pub(crate) fn turn(terminal: &Terminal, text: &str, answer: &str) {
    send(terminal, text);
    terminal.wait_for(answer).unwrap();
    idle(terminal);
}

/// Waits until nothing runs.
pub(crate) fn idle(terminal: &Terminal) {
    terminal
        .wait_until("an idle session", |screen, _| {
            let contents = screen.contents();
            contents.contains(READY)
                && contents.trim_end().lines().last().is_some_and(|it| it.contains("  idle"))
        })
        .unwrap();
}

/// Waits for the end of a turn, as it is seen through a program that draws the terminal anew.
pub(crate) fn over_within(terminal: &Terminal, answer: &str) {
    terminal
        .wait_until("the turn's end", |screen, _| {
            let contents = screen.contents();
            contents.contains(answer) && contents.contains(READY) && contents.contains("  idle")
        })
        .unwrap();
}

/// An answer of 300 points that comes in pieces.
pub(crate) fn many_points() -> Reply {
    let lines: String = (1..=300).map(|line| format!("- point {line} of it\n")).collect();
    Reply::from(Answer::new().text(format!("{lines}\nThat is all.")).in_pieces(200))
}

/// Fails unless these rows have all of its points in their order and once, after the question, and one composer.
pub(crate) fn expect_many_points(rows: &[String], question: &str) {
    let points: Vec<&String> = rows.iter().filter(|row| row.contains(" of it")).collect();
    assert_eq!(points.len(), 300, "{rows:#?}");
    for (at, row) in points.iter().enumerate() {
        assert!(row.ends_with(&format!("- point {} of it", at + 1)), "{row}");
    }
    assert_eq!(rows.iter().filter(|row| row.ends_with(&format!(" {question}"))).count(), 1, "{rows:#?}");
    let composers = rows.iter().filter(|row| row.contains(READY) || row.contains("Enter says it")).count();
    assert_eq!(composers, 1, "what was drawn anew is not kept: {rows:#?}");
}

/// Waits until a question is asked and keys are meant for it.
pub(crate) fn asked(terminal: &Terminal) {
    let is_asked = |screen: &vt100::Screen| {
        let (rows, _) = screen.size();
        let begins = |row: &u16, mark: &str| screen.cell(*row, 0).is_some_and(|cell| cell.contents() == mark);
        let keys = (0..rows.get()).rfind(|row| begins(row, "┗"));
        // Where there is little room, only the end of the keys is above the composer.
        let end = (1..rows.get()).rfind(|row| begins(row, "›")).map(|row| row - 1);
        keys.or(end).and_then(|row| screen.cell(row, 2)).is_some_and(vt100::Cell::bold)
    };
    terminal.wait_until("a question that listens", |screen, _| is_asked(screen)).unwrap();
}

/// Leaves, and waits for the end.
pub(crate) fn leave(mut terminal: Terminal) -> Vec<String> {
    terminal.press(keys::CTRL_D).unwrap();
    let status = terminal.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{:#?}", terminal.rows());
    restored(&terminal);
    terminal.everything()
}

/// Fails unless the terminal is as a shell wants it.
pub(crate) fn restored(terminal: &Terminal) {
    assert!(terminal.is_as_shells_want().unwrap(), "raw: {:#?}", terminal.rows());
    terminal.look(|screen, asked| {
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        assert!(!asked.tells_focus && asked.keyboard_modes == 0, "{asked:?}");
    });
}

/// What a person reads of a session on a screen that is idle: from the first thing that was said to the composer, without
/// the blank rows.
pub(crate) fn said_so_far(terminal: &Terminal) -> Vec<String> {
    let all = terminal.everything();
    let first = all.iter().position(|row| row.starts_with("› ")).unwrap_or_default();
    let composer = all.iter().rposition(|row| row.starts_with("› ")).unwrap_or_default();
    all[first..composer].iter().filter(|row| !row.is_empty()).cloned().collect()
}

/// Waits until a text is on the screen or above it. A message with code is there as a whole only when its code has its
/// colours; until then its last rows are shown.
pub(crate) fn wait_for_row(terminal: &Terminal, text: &str) {
    let begin = Instant::now();
    while !terminal.everything().iter().any(|row| row.contains(text)) {
        assert!(begin.elapsed() < LIMIT, "{text}: {:#?}", terminal.everything());
        let _ = terminal.wait_for_silence(STILL);
    }
}

/// Nothing is written for so long when nothing happens.
pub(crate) const STILL: Duration = Duration::from_millis(150);
