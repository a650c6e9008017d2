//! What the terminal says of itself, asked once before the first frame: where its cursor is, how light its background
//! is, and whether it tells of its focus. One round trip; a terminal that does not answer is not waited for long. What
//! was typed meanwhile is kept.

#[cfg(unix)]
use std::time::Duration;

use crossterm::event::{KeyCode, KeyEvent};
use ratatui::layout::Position;

use crate::theme::Background;

/// How long it may take; a terminal at the other end of the world needs a third of it.
#[cfg(unix)]
const LIMIT: Duration = Duration::from_millis(1000);
/// Bytes that are read at most.
#[cfg(unix)]
const MOST_BYTES: usize = 64 * 1024;

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answers {
    pub(crate) cursor: Option<Position>,
    pub(crate) background: Background,
    pub(crate) reports_focus: bool,
    /// Keys that were typed before.
    pub(crate) typed: Vec<KeyEvent>,
}

/// Asks the terminal, which must be raw and have no other reader.
pub(crate) fn ask() -> Answers {
    let variable = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    // A multiplexer may ask the terminal outside, and answer when nobody listens any more.
    let is_multiplexed = variable("TMUX") || variable("STY") || variable("ZELLIJ");
    let is_apple = std::env::var_os("TERM_PROGRAM").is_some_and(|program| program == "Apple_Terminal");
    let mut query = String::new();
    if !is_apple {
        // DECRQM of focus reporting; Apple's terminal prints the end of it.
        query.push_str("\x1b[?1004$p");
    }
    if !is_multiplexed {
        query.push_str("\x1b]11;?\x1b\\");
    }
    // Answered by all terminals, and after the others.
    query.push_str("\x1b[6n");
    parse(&exchange(&query))
}

#[cfg(unix)]
fn exchange(query: &str) -> Vec<u8> {
    use std::io::Write;
    use std::time::Instant;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    let mut out = std::io::stdout();
    let mut bytes = Vec::new();
    if out.write_all(query.as_bytes()).and_then(|()| out.flush()).is_err() {
        return bytes;
    }
    let input = std::io::stdin();
    let until = Instant::now() + LIMIT;
    while parse(&bytes).cursor.is_none() && bytes.len() < MOST_BYTES {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(left) = Timespec::try_from(left) else { break };
        let mut waiting = [PollFd::new(&input, PollFlags::IN)];
        match poll(&mut waiting, Some(&left)) {
            Ok(1..) => {}
            // Something else happened to this process, such as the end of one that it started.
            Err(rustix::io::Errno::INTR) => continue,
            Ok(_) | Err(_) => break,
        }
        let mut buffer = [0; 1024];
        match rustix::io::read(&input, &mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
    bytes
}

#[cfg(not(unix))]
fn exchange(_query: &str) -> Vec<u8> {
    match crossterm::cursor::position() {
        Ok((x, y)) => format!("\x1b[{};{}R", y.saturating_add(1), x.saturating_add(1)).into_bytes(),
        Err(_) => Vec::new(),
    }
}

/// Takes apart what came: answers, and keys between them.
fn parse(bytes: &[u8]) -> Answers {
    let mut answers =
        Answers { cursor: None, background: Background::Unknown, reports_focus: false, typed: Vec::new() };
    let text = String::from_utf8_lossy(bytes);
    let mut rest = &*text;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("\x1b[") {
            let Some(end) = after.find(|letter: char| ('@'..='~').contains(&letter)) else { break };
            control(&after[..=end], &mut answers);
            rest = &after[end + 1..];
        } else if let Some(after) = rest.strip_prefix("\x1b]") {
            let ends = ["\x1b\\", "\x07"].into_iter().filter_map(|end| Some((after.find(end)?, end.len())));
            let Some((end, length)) = ends.min() else { break };
            if let Some(colour) = after[..end].strip_prefix("11;") {
                answers.background = background(colour);
            }
            rest = &after[end + length..];
        } else {
            let code = match letter {
                '\r' => Some(KeyCode::Enter),
                '\t' => Some(KeyCode::Tab),
                '\x7f' => Some(KeyCode::Backspace),
                letter if letter.is_control() || letter == char::REPLACEMENT_CHARACTER => None,
                letter => Some(KeyCode::Char(letter)),
            };
            answers.typed.extend(code.map(KeyEvent::from));
            rest = &rest[letter.len_utf8()..];
        }
    }
    answers
}

fn control(sequence: &str, answers: &mut Answers) {
    if let Some(mode) = sequence.strip_prefix("?1004;").and_then(|rest| rest.strip_suffix("$y")) {
        // DECRPM: 0 is unknown to it, 4 is off for good.
        answers.reports_focus = matches!(mode, "1" | "2" | "3");
    } else if let Some(place) = sequence.strip_suffix('R')
        && let Some((row, column)) = place.split_once(';')
        && let (Ok(row), Ok(column)) = (row.parse::<u16>(), column.parse::<u16>())
    {
        answers.cursor = Some(Position::new(column.saturating_sub(1), row.saturating_sub(1)));
    }
}

/// How light a colour is, as `rgb:RRRR/GGGG/BBBB` with one to four digits each.
fn background(colour: &str) -> Background {
    let Some(parts) = colour.strip_prefix("rgb:").or_else(|| colour.strip_prefix("rgba:")) else {
        return Background::Unknown;
    };
    let part = |digits: &str| {
        let most = 16_u32.checked_pow(u32::try_from(digits.len()).ok()?)?.checked_sub(1)?;
        let value = u32::from_str_radix(digits, 16).ok()?;
        Some(f64::from(value) / f64::from(most.max(1)))
    };
    let parts: Option<Vec<f64>> = parts.split('/').take(3).map(part).collect();
    match parts.as_deref() {
        Some([red, green, blue]) => {
            if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.5 {
                Background::Light
            } else {
                Background::Dark
            }
        }
        _ => Background::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_told_from_what_was_typed() {
        let answers = parse(b"ls\x1b[?1004;2$y\x1b]11;rgb:1e1e/1e1e/2e2e\x1b\\\r\x1b[12;5R\x7fx");
        assert_eq!(answers.cursor, Some(Position::new(4, 11)));
        assert_eq!(answers.background, Background::Dark);
        assert!(answers.reports_focus);
        let codes: Vec<KeyCode> = answers.typed.iter().map(|key| key.code).collect();
        let letter = KeyCode::Char;
        assert_eq!(codes, [letter('l'), letter('s'), KeyCode::Enter, KeyCode::Backspace, letter('x')]);
    }

    #[test]
    fn backgrounds_are_light_or_dark() {
        for (colour, wanted) in [
            ("rgb:ffff/ffff/ffff", Background::Light),
            ("rgb:f/f/d", Background::Light),
            ("rgba:0000/0000/0000/ffff", Background::Dark),
            ("rgb:00/2b/36", Background::Dark),
            ("rgb:", Background::Unknown),
            ("rgb:ffffffffff/0/0", Background::Unknown),
            ("#ffffff", Background::Unknown),
        ] {
            assert_eq!(background(colour), wanted, "{colour}");
        }
    }

    #[test]
    fn a_terminal_that_knows_nothing_says_nothing() {
        for bytes in
            [&b""[..], b"\x1b[", b"\x1b]11;rgb", b"\x1b[?1004;0$y", b"\xff\xfe", b"\x1b[;R", b"\x1b[9R"]
        {
            let answers = parse(bytes);
            assert_eq!((answers.cursor, answers.reports_focus), (None, false), "{bytes:?}");
            assert!(answers.typed.is_empty());
        }
    }
}
