//! The screen against a terminal.

use std::num::NonZeroU16;

use ratatui::style::Style;
use ratatui::text::Span;

use super::*;
use crate::wrap::{Break, wrap};

struct Bench {
    screen: Screen<Vec<u8>>,
    terminal: vt100::Parser,
}

fn lines(range: std::ops::Range<usize>, name: &str) -> Vec<Line<'static>> {
    range.map(|n| Line::raw(format!("{name} {n}"))).collect()
}

impl Bench {
    fn new(columns: u16, rows: u16, row: u16) -> Self {
        let size = Size::new(columns, rows);
        let mut terminal = terminal(columns, rows);
        terminal.process(format!("before\x1b[{};1H", row + 1).as_bytes());
        Self { screen: Screen::new(Vec::new(), size, row, Hyperlinks::Told), terminal }
    }

    /// Draws, and tells how many bytes that took.
    fn draw(&mut self, finished: &[Line<'static>], viewport: &[Line<'static>]) -> usize {
        self.screen.draw(finished, viewport, Position::ORIGIN).unwrap();
        let bytes = std::mem::take(&mut self.screen.out);
        self.terminal.process(&bytes);
        bytes.len()
    }

    fn rows(&self) -> Vec<String> {
        let text = self.terminal.screen().contents();
        text.lines().map(str::to_owned).collect()
    }

    /// All that the terminal keeps, its scrollback first.
    fn everything(&mut self) -> Vec<String> {
        self.terminal.screen_mut().set_scrollback(usize::MAX);
        let above = self.terminal.screen().scrollback();
        let mut all = Vec::new();
        for offset in (1..=above).rev() {
            self.terminal.screen_mut().set_scrollback(offset);
            all.push(self.terminal.screen().rows(0, 200).next().unwrap_or_default());
        }
        self.terminal.screen_mut().set_scrollback(0);
        all.extend(self.rows());
        all
    }
}

fn terminal(columns: u16, rows: u16) -> vt100::Parser {
    vt100::Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(columns).unwrap(), 1000)
}

#[test]
fn what_was_on_the_terminal_stays_above() {
    let mut bench = Bench::new(20, 6, 1);
    bench.draw(&lines(0..1, "done"), &lines(0..2, "live"));
    assert_eq!(bench.rows(), ["before", "done 0", "live 0", "live 1"]);
}

#[test]
fn finished_lines_go_into_the_scrollback_in_order_and_once() {
    let mut bench = Bench::new(20, 6, 1);
    for n in 0..10 {
        bench.draw(&lines(3 * n..3 * n + 3, "done"), &lines(0..n % 4 + 1, "live"));
    }
    let mut wanted = vec!["before".to_owned()];
    wanted.extend(lines(0..30, "done").iter().map(ToString::to_string));
    wanted.extend(lines(0..2, "live").iter().map(ToString::to_string));
    assert_eq!(bench.everything(), wanted);
}

#[test]
fn more_lines_than_the_screen_has_at_once() {
    let mut bench = Bench::new(20, 4, 1);
    bench.draw(&lines(0..20, "done"), &lines(0..2, "live"));
    assert_eq!(bench.rows(), ["done 18", "done 19", "live 0", "live 1"]);
    assert_eq!(bench.everything().len(), 23);
}

#[test]
fn a_viewport_that_grows_pushes_up_and_one_that_shrinks_leaves_nothing() {
    let mut bench = Bench::new(20, 5, 3);
    bench.draw(&lines(0..1, "done"), &lines(0..4, "live"));
    assert_eq!(bench.rows(), ["done 0", "live 0", "live 1", "live 2", "live 3"]);
    bench.draw(&[], &lines(7..8, "live"));
    assert_eq!(bench.rows(), ["done 0", "live 7"]);
}

#[test]
fn nothing_is_written_when_nothing_changed_and_little_when_little_did() {
    let mut bench = Bench::new(80, 24, 0);
    bench.draw(&[], &lines(0..10, "live"));
    assert_eq!(bench.draw(&[], &lines(0..10, "live")), 0);
    let mut next = lines(0..10, "live");
    next[4] = Line::raw("live 5");
    assert!(bench.draw(&[], &next) < 80);
}

#[test]
fn a_frame_is_one_synchronized_update() {
    let mut screen = Screen::new(Vec::new(), Size::new(20, 5), 0, Hyperlinks::Told);
    screen.draw(&lines(0..9, "done"), &lines(0..2, "live"), Position::ORIGIN).unwrap();
    let text = String::from_utf8(screen.out).unwrap();
    assert!(text.starts_with("\x1b[?2026h") && text.ends_with("\x1b[?2026l"), "{text:?}");
    assert_eq!(text.matches("\x1b[?2026").count(), 2);
}

#[test]
fn after_a_resize_the_viewport_is_where_the_cursor_is() {
    let mut bench = Bench::new(20, 6, 1);
    bench.draw(&lines(0..2, "done"), &lines(0..2, "live"));
    // The terminal lost two rows at its top, and told where its cursor is.
    let kept: Vec<String> = bench.rows()[2..].to_vec();
    bench.terminal = terminal(20, 4);
    bench.terminal.process(kept.join("\r\n").as_bytes());
    bench.screen.resize(Size::new(20, 4), Some(Position::new(0, 1)));
    bench.draw(&lines(2..3, "done"), &lines(5..7, "live"));
    assert_eq!(bench.rows(), ["done 1", "done 2", "live 5", "live 6"]);
}

#[test]
fn a_terminal_of_one_cell_is_survived() {
    let mut bench = Bench::new(1, 1, 0);
    bench.draw(&lines(0..3, "done"), &lines(0..3, "live"));
    bench.screen.resize(Size::new(0, 0), None);
    bench.draw(&lines(0..3, "done"), &lines(0..3, "live"));
}

#[test]
fn trailing_blanks_are_not_written() {
    let mut screen = Screen::new(Vec::new(), Size::new(40, 5), 0, Hyperlinks::Told);
    screen.draw(&[Line::raw("ab          ")], &[Line::raw("c")], Position::ORIGIN).unwrap();
    assert!(!String::from_utf8(screen.out).unwrap().contains("   "));
}

#[test]
fn a_link_is_written_around_its_own_letters_on_each_line() {
    let mut screen = Screen::new(Vec::new(), Size::new(12, 5), 0, Hyperlinks::Told);
    let address = "https://a.bc/defg";
    let span = Span::styled(address, hyperlink::linked(Style::new(), address));
    let lines = wrap(&[Span::raw("at "), span, Span::raw(" x")], 12, &[], &[], Break::Letters);
    screen.draw(&lines, &[Line::default()], Position::ORIGIN).unwrap();
    let text = String::from_utf8(std::mem::take(&mut screen.out)).unwrap();
    assert_eq!(text.matches(";https://a.bc/defg\x1b\\").count(), 2, "{text:?}");
    assert_eq!(text.matches("\x1b]8;;\x1b\\").count(), 2);
    assert!(!text.contains("48;2"), "the number is no colour: {text:?}");
    let mut terminal = terminal(12, 5);
    terminal.process(text.as_bytes());
    assert_eq!(terminal.screen().contents().trim_end(), "at https://a\n.bc/defg x");
    screen.hyperlinks = Hyperlinks::Plain;
    screen.draw(&lines, &[Line::default()], Position::ORIGIN).unwrap();
    let text = String::from_utf8(std::mem::take(&mut screen.out)).unwrap();
    assert!(!text.contains("\x1b]8") && !text.contains("48;2"), "{text:?}");
}

#[test]
fn what_is_drawn_anew_takes_nothing_of_what_was_said() {
    let mut bench = Bench::new(20, 6, 1);
    bench.draw(&lines(0..3, "done"), &lines(0..2, "live"));
    bench.screen.forget().unwrap();
    bench.draw(&[], &lines(0..2, "live"));
    assert_eq!(bench.rows(), ["live 0", "live 1"]);
    let said: Vec<String> = bench.everything().into_iter().filter(|row| !row.is_empty()).collect();
    assert_eq!(said, ["before", "done 0", "done 1", "done 2", "live 0", "live 1"]);
}

#[test]
fn a_row_that_the_terminal_did_not_break_takes_no_row_from_above() {
    let typed = "x".repeat(17);
    let check = |told: Position, wanted: &[&str]| {
        let mut bench = Bench::new(20, 6, 1);
        bench.draw(&lines(0..1, "done"), &[Line::raw(typed.clone())]);
        bench.screen.cursor = Position::new(17, 0);
        bench.screen.resize(Size::new(10, 6), Some(told));
        bench.terminal = terminal(10, 6);
        bench.terminal.process(b"before\r\ndone 0\r\n");
        bench.draw(&[], &[Line::raw("typed")]);
        assert_eq!(bench.rows(), wanted, "{told:?}");
    };
    // Broken in two, it has the cursor in its second row; as it was, in its only one.
    check(Position::new(7, 3), &["before", "done 0", "typed"]);
    check(Position::new(9, 2), &["before", "done 0", "typed"]);
}

#[test]
fn where_each_row_that_is_broken_moves_the_cursor_the_viewport_is_found() {
    let mut bench = Bench::new(20, 8, 1);
    bench.screen = bench.screen.breaking(Reflow::XtermJs);
    let long = "y".repeat(15);
    bench.draw(&lines(0..1, "done"), &[Line::raw(long.clone()), Line::raw("typed"), Line::raw(long)]);
    bench.screen.cursor = Position::new(5, 1);
    // Two rows more, one of them below it: two rows further down.
    bench.screen.resize(Size::new(10, 8), Some(Position::new(5, 5)));
    assert_eq!(bench.screen.top, 2);
}

#[test]
fn a_row_that_gets_shorter_leaves_no_blanks_where_they_count_as_text() {
    let draw = |reflow| {
        let mut bench = Bench::new(20, 6, 1);
        bench.screen = bench.screen.breaking(reflow);
        bench.draw(&[], &[Line::raw("a long row")]);
        bench.screen.draw(&[], &[Line::raw("a")], Position::ORIGIN).unwrap();
        String::from_utf8(bench.screen.out).unwrap()
    };
    assert!(draw(Reflow::XtermJs).contains("\x1b[2;2H\x1b[K") && !draw(Reflow::Usual).contains("\x1b[K"));
}

#[test]
fn rows_that_continue_others_are_replaced_where_they_would_be_joined() {
    let mut bench = Bench::new(20, 6, 1);
    bench.screen = bench.screen.breaking(Reflow::Zellij);
    bench.draw(&[], &[Line::raw("z".repeat(15)), Line::raw("two")]);
    bench.screen.resize(Size::new(10, 6), Some(Position::new(0, 1)));
    bench.screen.draw(&[], &[Line::raw("one")], Position::ORIGIN).unwrap();
    let bytes = String::from_utf8(bench.screen.out).unwrap();
    assert!(bytes.contains("\x1b[3;1H\x1b[3M"), "{bytes:?}");
}
