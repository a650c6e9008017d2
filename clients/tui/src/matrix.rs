//! A session with one of everything, as a terminal shows it: in all widths and themes, and text of all scripts. What it
//! is to look like stands in `tests/screens`; `INSTA_UPDATE=always` writes it anew, and is read before it is kept.

use std::num::NonZeroU16;

use client::Update;
use crossterm::event::{KeyCode, KeyEvent};
use protocol::ids::{ClientId, Timestamp};
use protocol::item::Item;
use protocol::model::{ReasoningEffort, Usage};
use protocol::profile::SandboxMode;
use protocol::session::SessionSnapshot;
use ratatui::layout::Size;
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

use crate::app::App;
use crate::frame::tests::session;
use crate::highlight::Syntaxes;
use crate::hyperlink::Hyperlinks;
use crate::link::News;
use crate::run::Mode;
use crate::screen::Screen;
use crate::settings::Settings;
use crate::status_line::Field;
use crate::theme::{Theme, ThemeName};

pub(crate) const NOW: Timestamp = Timestamp(12_000);
pub(crate) const WIDTHS: [u16; 4] = [60, 80, 120, 200];
pub(crate) const THEMES: [ThemeName; 3] = [ThemeName::Dark, ThemeName::Light, ThemeName::None];
/// More rows than a session with one of everything takes.
const ROWS: u16 = 140;

/// Text that terminals and programs count differently.
pub(crate) const SCRIPTS: [(&str, &str); 8] = [
    ("wide", "日本語のテキスト 한국어 全角ＡＢＣ"),
    ("joined emoji", "👩\u{200d}💻 👨\u{200d}👩\u{200d}👧\u{200d}👦 🏳\u{fe0f}\u{200d}🌈 👍🏽 🇩🇪"),
    ("marks", "e\u{301} a\u{308}\u{304} Z\u{351}\u{343} กำลัง हिन्दी"),
    ("right to left", "مرحبا بالعالم שלום עולם abc"),
    ("tabs", "a\tb\t\tc"),
    ("of no width", "a\u{200b}b\u{2060}c\u{feff}d\u{ad}e"),
    ("turned", "a\u{202e}b\u{2066}c\u{2069}d"),
    ("of two widths", "①②③ ±×÷ “quoted” … — ☎ ☺ ✓"),
];

fn markdown() -> String {
    let scripts: Vec<String> = SCRIPTS.iter().map(|(name, text)| format!("- {name}: {text}")).collect();
    format!(
        "# A head\n\nSome **bold**, *slanted* and ~~gone~~ text with `code` and [a link](https://example.org/page).\n\n\
         1. One thing that is long enough to be broken at the end of a line of sixty columns\n2. Another\n\n\
         > Said by somebody\n\n\
         | name | count |\n|:-----|------:|\n| first | 1 |\n| 日本語 | 20,000 |\n\n\
         ```rust\nfn main() {{\n    println!(\"hello\");\n}}\n```\n\n{}",
        scripts.join("\n")
    )
}

/// A body with what all items have.
fn item(turn: &Value, status: &str, body: &Value) -> Item {
    let id = protocol::ids::ItemId::generate();
    let item = json!({
        "id": id, "turnId": turn, "step": 0, "status": status, "startedAt": 0, "completedAt": 1, "body": body,
    });
    serde_json::from_value(item).unwrap()
}

fn call(name: &str) -> Value {
    json!({"callId": "1", "name": name, "input": {"json": "{\"path\":\"src/main.rs\"}"}})
}

/// A running turn with one of everything, and a question.
fn everything() -> SessionSnapshot {
    let mut snapshot = session("What is said now, and **goes on");
    let turn = json!(snapshot.turns[0].id);
    let output: String = (1..=20).map(|line| format!("test number {line} … ok\n")).collect();
    let diff = "@@ -1,3 +1,4 @@\n fn main() {\n-    old();\n+    new();\n+    more();\n }\n";
    let bodies = [
        (
            "completed",
            json!({"type": "reasoning", "summary": "**Looking around**\n\nFirst.\n\nSecond.\n\nThird."}),
        ),
        ("completed", json!({"type": "agentMessage", "text": markdown()})),
        (
            "failed",
            json!({
                "type": "command", "call": call("shell"), "command": "cargo test --all\necho done", "argv": [],
                "cwd": "/repo", "outcome": {
                    "exit": {"type": "code", "code": 101}, "durationMs": 2450,
                    "output": {"head": output, "totalBytes": 500},
                },
            }),
        ),
        (
            "completed",
            json!({
                "type": "fileChange", "call": call("apply_patch"),
                "changes": [{"path": "/repo/src/main.rs", "kind": "update", "diff": diff}],
            }),
        ),
        (
            "completed",
            json!({"type": "toolCall", "call": call("look_up"), "server": "docs", "output": "three lines\nof\noutput"}),
        ),
        (
            "completed",
            json!({
                "type": "plan", "call": call("update_plan"), "steps": [
                    {"text": "look", "status": "completed"}, {"text": "mend", "status": "inProgress"},
                    {"text": "test", "status": "pending"},
                ],
            }),
        ),
        ("completed", json!({"type": "notice", "level": "warning", "text": "Something deserves a look"})),
    ];
    let growing = snapshot.turns[0].items.pop().unwrap();
    snapshot.turns[0].items.extend(bodies.map(|(status, body)| item(&turn, status, &body)));
    let asked = growing.id;
    snapshot.turns[0].items.push(growing);
    let question = json!({
        "id": protocol::ids::QuestionId::generate(), "turnId": turn, "itemId": asked, "askedAt": 0,
        "reason": "it leaves the sandbox", "kind": {
            "type": "command", "command": "rm -rf build", "argv": ["sh", "-c", "rm -rf build"], "cwd": "/repo",
            "isEscalated": true, "justification": "It is in the way.",
        },
    });
    snapshot.questions.push(serde_json::from_value(question).unwrap());
    let queued = json!({
        "id": protocol::ids::QueuedId::generate(), "input": [{"type": "text", "text": "and then this"}],
        "actor": {"clientId": ClientId::generate(), "name": "other"}, "queuedAt": 0,
    });
    snapshot.queue.push(serde_json::from_value(queued).unwrap());
    snapshot
}

fn app(theme: ThemeName, snapshot: SessionSnapshot) -> App {
    let mut app = App::new(Mode::Drive, Theme::named(theme), Settings::default());
    // Code has one style: when its colours come is no matter of width and theme.
    app.syntaxes = Syntaxes::Off;
    app.news(News::Update(Update::Snapshot(Box::new(snapshot)), ClientId::generate()), NOW);
    app
}

/// Draws the next frame on a terminal.
fn draw(app: &mut App, width: u16, rows: u16) -> vt100::Parser {
    let size = Size::new(width, rows);
    let mut bytes = Vec::new();
    let frame = app.frame(size, NOW);
    Screen::new(&mut bytes, size, 0, Hyperlinks::Plain)
        .draw(&frame.finished, &frame.viewport, frame.cursor)
        .unwrap();
    let mut terminal =
        vt100::Parser::new(NonZeroU16::new(rows).unwrap(), NonZeroU16::new(width).unwrap(), 1000);
    terminal.process(&bytes);
    terminal
}

pub(crate) fn rows(screen: &vt100::Screen) -> Vec<String> {
    let (_, columns) = screen.size();
    let rows: Vec<String> = screen.rows(0, columns.get()).map(|row| row.trim_end().to_owned()).collect();
    let last = rows.iter().rposition(|row| !row.is_empty()).map_or(0, |last| last + 1);
    rows[..last].to_vec()
}

/// How a cell looks; nothing if it looks as any.
fn look(cell: &vt100::Cell) -> String {
    let colour = |colour| match colour {
        vt100::Color::Default => String::new(),
        vt100::Color::Idx(index) => format!("{index}"),
        vt100::Color::Rgb(red, green, blue) => format!("#{red:02x}{green:02x}{blue:02x}"),
    };
    let mut look = vec![colour(cell.fgcolor())];
    if cell.bgcolor() != vt100::Color::Default {
        look.push(format!("on {}", colour(cell.bgcolor())));
    }
    for (is_so, name) in [
        (cell.bold(), "bold"),
        (cell.dim(), "dim"),
        (cell.italic(), "italic"),
        (cell.underline(), "underlined"),
        (cell.inverse(), "reversed"),
    ] {
        if is_so {
            look.push(name.to_owned());
        }
    }
    look.retain(|part| !part.is_empty());
    look.join(" ")
}

/// The rows of a screen, each with how its pieces look.
pub(crate) fn styled(screen: &vt100::Screen) -> String {
    let (_, columns) = screen.size();
    let mut text = String::new();
    for (row, plain) in (0..).zip(rows(screen)) {
        text.push_str(&plain);
        text.push('\n');
        let mut pieces: Vec<(String, String)> = Vec::new();
        for cell in (0..columns.get()).filter_map(|column| screen.cell(row, column)) {
            let look = look(cell);
            match pieces.last_mut() {
                Some((last, text)) if *last == look => text.push_str(cell.contents()),
                Some(_) | None => pieces.push((look, cell.contents().to_owned())),
            }
        }
        for (look, piece) in
            pieces.iter().filter(|(look, piece)| !look.is_empty() && !piece.trim().is_empty())
        {
            text.push_str(&format!("        {look}: {}\n", piece.trim()));
        }
    }
    text
}

#[test]
fn a_session_with_one_of_everything_is_shown_in_each_width_and_theme() {
    insta::with_settings!({snapshot_path => "../tests/screens", prepend_module_to_snapshot => false}, {
        let snapshot = everything();
        for width in WIDTHS {
            let mut shown: Vec<String> = Vec::new();
            for theme in THEMES {
                let terminal = draw(&mut app(theme, snapshot.clone()), width, ROWS);
                let screen = terminal.screen();
                let broken = (0..ROWS).find(|row| screen.row_wrapped(*row));
                assert_eq!(broken, None, "a line is wider than {width} columns: {:#?}", rows(screen));
                if width == 80 {
                    insta::assert_snapshot!(format!("styles-{}", theme.as_str()), styled(screen));
                }
                if theme == ThemeName::None {
                    let has_colour = (0..ROWS).flat_map(|row| (0..width).filter_map(move |column| screen.cell(row, column)))
                        .any(|cell| (cell.fgcolor(), cell.bgcolor()) != (vt100::Color::Default, vt100::Color::Default));
                    assert!(!has_colour, "a colour where there are none");
                }
                shown.push(rows(screen).join("\n"));
            }
            assert!(shown.iter().all(|text| *text == shown[0]), "the words depend on the theme");
            insta::assert_snapshot!(format!("columns-{width}"), shown[0]);
        }
    });
}

/// A session of which all can be told in the line at the bottom, in danger mode.
fn told_of(theme: ThemeName) -> App {
    let mut snapshot = everything();
    let settings = &mut snapshot.summary.settings;
    settings.sandbox = SandboxMode::DangerFullAccess;
    settings.reasoning_effort = Some(ReasoningEffort::High);
    settings.model_context.window_tokens = Some(200_000);
    settings.price =
        serde_json::from_value(json!({"input": 1.0, "cachedInput": 0.1, "output": 4.0})).unwrap();
    snapshot.summary.usage = Usage { input_tokens: 400_000, output_tokens: 20_000, ..Usage::default() };
    snapshot.presence = serde_json::from_value(json!({
        "attached": [{
            "actor": {"clientId": ClientId::generate(), "name": "editor"}, "canAnswer": true, "attachedAt": 0,
        }],
        "background": [{"processId": 1, "command": "npm run watch", "startedAt": 0}],
    }))
    .unwrap();
    let turn = snapshot.turns[0].id;
    let mut app = app(theme, snapshot);
    let usage = Usage { input_tokens: 50_000, output_tokens: 1000, ..Usage::default() };
    let responded = json!({"type": "modelResponded", "turnId": turn, "step": 0, "usage": usage});
    let entries = json!([
        {"event": {"seq": 6, "at": 0, "event": responded}},
        {"budget": {"ceilings": [{"level": "day", "limit": "cost", "used": 4.25, "allowed": 5.0}]}},
    ]);
    let entries = serde_json::from_value(entries).unwrap();
    app.news(News::Update(Update::Entries(entries), ClientId::generate()), NOW);
    app.branch = Some("main".to_owned());
    app.script_says = Some("load 0.4".to_owned());
    app
}

#[test]
fn the_line_at_the_bottom_tells_what_fits_in_each_width_and_theme() {
    insta::with_settings!({snapshot_path => "../tests/screens", prepend_module_to_snapshot => false}, {
        let mut shown = String::new();
        for width in WIDTHS {
            for (fields, which) in [(Field::USUAL.to_vec(), "usual"), (Field::ALL.to_vec(), "all")] {
                for theme in THEMES {
                    let mut app = told_of(theme);
                    app.settings.status_line = fields.clone();
                    let terminal = draw(&mut app, width, ROWS);
                    let text = styled(terminal.screen());
                    let at = text.rfind("\n  waiting").expect("the line is the last one");
                    shown.push_str(&format!("{width} columns, {which}, {}:{}", theme.as_str(), &text[at..]));
                }
            }
        }
        insta::assert_snapshot!("status-line", shown);
    });
}

#[test]
fn what_follows_a_text_of_any_script_is_where_it_belongs() {
    for (name, text) in SCRIPTS {
        for width in WIDTHS {
            let mut snapshot = session("");
            let turn = json!(snapshot.turns[0].id);
            let said = json!({"type": "agentMessage", "text": format!("{text} |END")});
            snapshot.turns[0].items = vec![item(&turn, "completed", &said)];
            let terminal = draw(&mut app(ThemeName::None, snapshot), width, 24);
            let screen = terminal.screen();
            let shown = view::escape::prose(text).replace('\t', "    ");
            let column = u16::try_from(2 + shown.width() + 1).unwrap();
            let end: String =
                (column..column + 4).filter_map(|at| screen.cell(1, at)).map(vt100::Cell::contents).collect();
            assert_eq!(end, "|END", "{name} at {width}: {:?}", rows(screen));
            assert!((0..24).all(|row| !screen.row_wrapped(row)));
        }
    }
}

#[test]
fn the_cursor_stands_behind_what_was_typed_in_any_script() {
    for (name, text) in SCRIPTS {
        for width in WIDTHS {
            let mut snapshot = session("");
            snapshot.turns.clear();
            let mut app = app(ThemeName::None, snapshot);
            for letter in text.chars().filter(|letter| *letter != '\t') {
                app.key(KeyEvent::from(KeyCode::Char(letter)), NOW);
            }
            app.key(KeyEvent::from(KeyCode::Char('|')), NOW);
            let terminal = draw(&mut app, width, 24);
            let screen = terminal.screen();
            let (row, column) = screen.cursor_position();
            let before = screen.cell(row, column - 1).map(vt100::Cell::contents);
            assert_eq!(before, Some("|"), "{name} at {width}: {:?}", rows(screen));
        }
    }
}
