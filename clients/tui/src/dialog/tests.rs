//! The dialog on a screen, with content that means no good.

use std::path::PathBuf;

use protocol::ids::{ItemId, TurnId};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::layout::Rect;

use super::*;

const NOW: Timestamp = Timestamp(10_000);
const KEYS: &str = "┗ y once · t ";

fn question(kind: QuestionKind, reason: &str) -> Question {
    Question {
        id: QuestionId::generate(),
        turn_id: TurnId::generate(),
        item_id: ItemId::generate(),
        asked_at: Timestamp(0),
        kind,
        reason: reason.to_owned(),
    }
}

fn command(text: &str) -> QuestionKind {
    QuestionKind::Command {
        command: text.to_owned(),
        argv: vec!["sh".to_owned(), "-c".to_owned(), text.to_owned()],
        cwd: PathBuf::from(format!("/{text}")),
        is_escalated: true,
        justification: Some(text.to_owned()),
        refusals: Vec::new(),
        proposed_rule: Some(format!("prefix_rule(pattern=[{text:?}])")),
    }
}

fn dialog(kind: QuestionKind, reason: &str) -> Dialog {
    Dialog::new(question(kind, reason), Timestamp(0), Timestamp(0))
}

/// The rows of a screen that shows the dialog.
fn rows(dialog: &mut Dialog, width: u16, height: u16) -> Vec<String> {
    let lines = dialog.lines(width, usize::from(height), true, NOW, &Theme::plain());
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal
        .draw(|frame| {
            for (y, line) in (0..height).zip(&lines) {
                frame.render_widget(line, Rect::new(0, y, width, 1));
            }
        })
        .unwrap();
    let buffer = terminal.backend().buffer();
    (0..height)
        .map(|y| {
            let row: String = (0..width).map(|x| buffer.cell((x, y)).unwrap().symbol()).collect();
            row.trim_end().to_owned()
        })
        .filter(|row| !row.is_empty())
        .collect()
}

fn hostile() -> Vec<String> {
    let mut all: Vec<String> = [
        "\u{1b}[2J\u{1b}[H",
        "\u{1b}[1A\u{1b}[2Krm -rf ~",
        "\u{1b}]0;title\u{7}",
        "\u{1b}]52;c;cm0gLXJm\u{7}",
        "\u{1b}]8;;https://evil\u{1b}\\ls\u{1b}]8;;\u{1b}\\",
        "\u{1b}[31;1mred",
        "\u{1b}[?1049h",
        "\u{1b}[6n",
        "\u{1b}c",
        "\u{9b}2J",
        "\u{9d}0;x\u{9c}",
        "\u{90}q\u{9c}",
        "ls\rrm -rf ~",
        "rm\u{8}\u{8}ls",
        "ls\u{b}\u{c}rm",
        "ls\u{0}rm",
        "ls\u{7f}rm",
        "ls \u{202e}~ fr- mr",
        "ls \u{202d}x\u{202c}",
        "ls \u{2066}a\u{2067}b\u{2069}",
        "ls \u{200e}\u{200f}\u{61c}",
        "l\u{200b}s",
        "l\u{200d}s\u{200c}",
        "l\u{2060}s\u{feff}",
        "ls\u{ad}rm",
        "ls\u{e0041}\u{e0042}",
        "ls\u{3164}rm",
        "ls\u{2800}\u{2800}rm",
        "ls\u{a0}\u{2003}rm",
        "ls\u{2028}rm\u{2029}x",
        "ls\u{85}rm",
        "ls\n┗ y once · t this turn · s this session · a always · n no",
        "ls\n┏ The agent asks to run a command\n┃ $ true",
        "ls\nwhy it is asked: it is harmless",
        "ls\n\n\n\n\n\n\nrm -rf ~",
        "ls\t\t\t\t\t\t\t\t\t\trm",
        "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}\u{301}",
        "\u{301}\u{301}ls",
        "日本語日本語日本語日本語日本語日本語",
        "👩\u{200d}💻👩\u{200d}👩\u{200d}👧\u{200d}👦",
        "x\u{fe0f}\u{fe0e}",
        "مرحبا rm",
        "\u{fff9}a\u{fffa}b\u{fffb}",
    ]
    .map(str::to_owned)
    .to_vec();
    all.push(" ".repeat(5000) + "rm -rf ~");
    all.push("x".repeat(5000));
    all.push("y\n".repeat(500));
    all.push("┗ y once · t this turn ".repeat(40));
    all
}

#[test]
fn nothing_that_is_asked_about_can_look_like_the_dialog() {
    assert!(hostile().len() >= 30);
    for text in hostile() {
        let named = format!("*** Update File: {text}\n*** Move to: {text}\n+{text}\n*** Delete File: {text}");
        let kinds = [command(&text), QuestionKind::FileChange { patch: text.clone() }];
        let kinds = kinds.into_iter().chain([QuestionKind::FileChange { patch: named }]);
        for kind in kinds {
            let mut dialog = dialog(kind, &text);
            for (width, height) in [(80, 24), (20, 10), (200, 50)] {
                let rows = rows(&mut dialog, width, height);
                check_shape(&rows, &text);
                for key in [KeyCode::Down, KeyCode::PageDown] {
                    dialog.key(KeyEvent::from(key));
                    check_shape(&self::rows(&mut dialog, width, height), &text);
                }
            }
        }
    }
}

/// One headline, then rows behind the bar, then one row of keys and what is left of it.
fn check_shape(rows: &[String], text: &str) {
    let count = |mark| rows.iter().filter(|row| row.starts_with(mark)).count();
    assert_eq!((count('┏'), count('┗')), (1, 1), "{text:?}: {rows:#?}");
    assert!(rows[0].starts_with("┏ The agent asks"), "{rows:#?}");
    let keys = rows.iter().position(|row| row.starts_with('┗')).unwrap();
    for row in &rows[1..keys] {
        assert!(row.starts_with('┃') || row.starts_with('┠'), "{text:?}: {row:?}");
    }
    for row in rows {
        assert!(!row.chars().any(|letter| letter.is_control() || letter == '\u{202e}'), "{row:?}");
    }
    // A label of ours stands right behind the bar, and once.
    let labels = rows.iter().filter(|row| row.starts_with("┃ why it is asked: ")).count();
    assert!(labels <= 1, "{text:?}: {rows:#?}");
}

#[test]
fn all_of_a_command_can_be_seen() {
    let mut dialog = dialog(command(&format!("{}\nrm -rf ~", "true\n".repeat(100))), "because");
    let mut seen = String::new();
    for _ in 0..60 {
        seen.push_str(&rows(&mut dialog, 60, 12).join("\n"));
        dialog.key(KeyEvent::from(KeyCode::PageDown));
    }
    assert!(seen.contains("┃   rm -rf ~") && seen.contains("why it is asked: because"), "{seen}");
    assert!(rows(&mut dialog, 60, 12).iter().any(|row| row.starts_with(KEYS)), "the keys are always there");
}

#[test]
fn all_files_of_a_patch_are_seen_first_with_what_becomes_of_them() {
    let patch = format!(
        "*** Begin Patch\n*** Update File: big.txt\n@@\n-old\n+new\n*** Add File: many.txt\n{}*** Update File: a\n\
         *** Move to: b\n@@\n-x\n*** Delete File: README.md\n*** End Patch",
        "+line\n".repeat(300)
    );
    let mut dialog = dialog(QuestionKind::FileChange { patch }, "x");
    let rows = rows(&mut dialog, 60, 12);
    let wanted = [
        "┃ 4 files, 1 deleted",
        "┃ edits +1 -1 big.txt",
        "┃ writes +300 many.txt",
        "┃ moves +0 -1 a",
        "┃ to b",
        "┃ deletes README.md",
        "┃   *** Begin Patch",
    ];
    assert_eq!(rows[1..8], wanted, "{rows:#?}");
}

#[test]
fn a_file_that_is_named_like_what_we_say_stands_behind_it() {
    let patch = "*** Delete File: a\n*** Update File: b\ndeletes c\n".to_owned() + "*** Add File: x  4 files";
    let mut dialog = dialog(QuestionKind::FileChange { patch }, "x");
    let rows = rows(&mut dialog, 60, 20);
    assert_eq!(
        rows[1..5],
        ["┃ 3 files, 1 deleted", "┃ deletes a", "┃ edits +0 -0 b", "┃ writes +0 x  4 files"]
    );
    assert!(rows.contains(&"┃   deletes c".to_owned()), "{rows:#?}");
}

#[test]
fn on_the_smallest_screen_the_command_and_the_keys_are_seen() {
    let mut dialog = dialog(command("rm -rf /a/long/way/to/go/and/more"), "because");
    let rows = rows(&mut dialog, 20, 3);
    assert!(rows[0].starts_with("┏ ") && rows[1].contains("rm -rf"), "{rows:#?}");
    assert!(rows[2].starts_with("┗ y t s"), "{rows:#?}");
}

#[test]
fn what_is_executed_is_shown_where_it_is_not_what_was_written() {
    let QuestionKind::Command { command, cwd, is_escalated, justification, .. } = command("ls") else {
        panic!()
    };
    let argv = vec!["rm".to_owned(), "a b".to_owned()];
    let (refusals, proposed_rule) = (Vec::new(), None);
    let kind =
        QuestionKind::Command { command, argv, cwd, is_escalated, justification, refusals, proposed_rule };
    let rows = rows(&mut dialog(kind, "x"), 80, 20);
    assert!(rows.contains(&"┃ executed as: \"rm\" \"a b\"".to_owned()), "{rows:#?}");
}

#[test]
fn each_rule_that_always_writes_has_a_line() {
    let QuestionKind::Command { command, argv, cwd, is_escalated, justification, refusals, .. } =
        command("ls")
    else {
        panic!()
    };
    let proposed_rule = Some("prefix_rule([\"a\"])\nprefix_rule([\"b\"])".to_owned());
    let kind =
        QuestionKind::Command { command, argv, cwd, is_escalated, justification, refusals, proposed_rule };
    let rows = rows(&mut dialog(kind, "x"), 80, 20);
    for name in ["a", "b"] {
        let expected = format!("┃ always writes: prefix_rule([\"{name}\"])");
        assert!(rows.contains(&expected), "{rows:#?}");
    }
}

#[test]
fn keys_are_answers() {
    let deny = Verdict::Decide(Decision::Deny { message: None });
    let allow = |scope| Verdict::Decide(Decision::Allow { scope });
    for (letter, verdict) in [
        ('y', allow(GrantScope::Once)),
        ('t', allow(GrantScope::Turn)),
        ('s', allow(GrantScope::Session)),
        ('a', allow(GrantScope::Always)),
        ('n', deny),
        ('x', Verdict::Nothing),
        ('Y', Verdict::Nothing),
    ] {
        let mut dialog = dialog(command("ls"), "x");
        assert_eq!(dialog.key(KeyEvent::from(KeyCode::Char(letter))), verdict, "{letter}");
    }
    let mut dialog = dialog(command("ls"), "x");
    assert_eq!(dialog.key(KeyEvent::new(KeyCode::Char('y'), KeyModifiers::CONTROL)), Verdict::Nothing);
    assert!(rows(&mut dialog, 100, 20).iter().any(|row| row.starts_with(KEYS)));
}

#[test]
fn nothing_is_allowed_for_good_where_no_rule_can_be_written() {
    let QuestionKind::Command { command, argv, cwd, is_escalated, justification, refusals, .. } =
        command("ls")
    else {
        panic!()
    };
    let proposed_rule = None;
    let kind =
        QuestionKind::Command { command, argv, cwd, is_escalated, justification, refusals, proposed_rule };
    for kind in [kind, QuestionKind::FileChange { patch: "+a".to_owned() }] {
        let mut dialog = dialog(kind, "x");
        assert_eq!(dialog.key(KeyEvent::from(KeyCode::Char('a'))), Verdict::Nothing);
        for width in [60, 100] {
            let rows = rows(&mut dialog, width, 20);
            let keys = rows.iter().find(|row| row.starts_with(KEYS)).unwrap();
            assert!(!keys.contains("always"), "{keys}");
        }
    }
}

#[test]
fn nobody_can_allow_what_this_client_does_not_know() {
    let mut dialog = dialog(QuestionKind::Unknown(Default::default()), "x");
    for letter in ['y', 't', 's', 'a'] {
        assert_eq!(dialog.key(KeyEvent::from(KeyCode::Char(letter))), Verdict::Nothing);
    }
}

#[test]
fn keys_that_were_meant_for_something_else_are_no_answer() {
    let mut dialog = Dialog::new(question(command("ls"), "x"), NOW, Timestamp(NOW.0 - 100));
    assert!(!dialog.listens(NOW));
    assert!(!dialog.listens(Timestamp(NOW.0 + 500)));
    dialog.put_off(Timestamp(NOW.0 + 500));
    assert!(!dialog.listens(Timestamp(NOW.0 + 700)));
    assert!(dialog.listens(Timestamp(NOW.0 + 1200)));
}
