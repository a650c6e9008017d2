//! What lies over a session, as a terminal shows it: lists, a word that is completed, questions, the pager, and all of
//! the terminal; in all widths and themes. What it is to look like stands in `tests/screens`, as for `matrix`.

use std::num::NonZeroU16;

use client::Update;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use protocol::agent::{AgentNode, AgentOrigin, AgentStatus};
use protocol::ids::{ClientId, ItemId, SessionId, TurnId};
use protocol::question::{Question, QuestionKind};
use protocol::session::{SessionSnapshot, SessionStatus, SessionSummary};
use protocol::skill::{Skill, SkillSource, SkillState};
use ratatui::layout::Size;

use crate::app::App;
use crate::frame::tests::session;
use crate::highlight::Syntaxes;
use crate::hyperlink::Hyperlinks;
use crate::link::{Call, News, Reply};
use crate::matrix::{NOW, THEMES, WIDTHS, rows, styled};
use crate::pane::Pane;
use crate::run::Mode;
use crate::settings::Settings;
use crate::theme::{Theme, ThemeName};

const ROWS: u16 = 24;

/// How something comes to be shown.
type Show = fn(&mut App);

/// What is shown.
const SHOWN: [(&str, Show); 11] = [
    ("sessions", sessions),
    ("permissions", |app| typed(app, "/permissions")),
    ("agents", agents),
    ("skills", skills),
    ("nothing there", |app| {
        typed(app, "/skills");
        tell(app, Call::Skills("/repo".into()), Reply::Skills(Vec::new()));
    }),
    ("a command", |app| letters(app, "/m")),
    ("a skill", |app| {
        skills(app);
        press(app, KeyCode::Esc, KeyModifiers::NONE);
        letters(app, "use $r");
    }),
    ("hooks", hooks),
    ("an output", output),
    ("a question", question),
    ("the pager", |app| {
        press(app, KeyCode::Char('t'), KeyModifiers::CONTROL);
        tell(app, Call::Page(0), Reply::Page(Box::new(session("One.\n\n- a\n- b\n\n**The** end"))));
    }),
];

fn press(app: &mut App, code: KeyCode, modifiers: KeyModifiers) {
    app.key(KeyEvent::new(code, modifiers), NOW);
}

fn letters(app: &mut App, text: &str) {
    for letter in text.chars() {
        press(app, KeyCode::Char(letter), KeyModifiers::NONE);
    }
}

/// A command that is written and sent.
fn typed(app: &mut App, command: &str) {
    letters(app, command);
    press(app, KeyCode::Esc, KeyModifiers::NONE);
    press(app, KeyCode::Enter, KeyModifiers::NONE);
}

fn tell(app: &mut App, call: Call, reply: Reply) {
    app.news(News::Told(call, Ok(reply)), NOW);
}

fn summary(title: &str, status: SessionStatus) -> SessionSummary {
    let mut summary = session("").summary;
    (summary.title, summary.status) = (Some(title.to_owned()), status);
    summary
}

fn sessions(app: &mut App) {
    typed(app, "/resume");
    let listed = vec![
        summary("mend the build", SessionStatus::Running { turn_id: TurnId::generate() }),
        summary(
            "日本語 title that is \u{1b}[2J quite long, so that a narrow screen cuts it",
            SessionStatus::Idle,
        ),
        summary("an old one", SessionStatus::Archived),
    ];
    let first = listed[0].id;
    tell(app, Call::Sessions(None, crate::browser::Archived::Hidden), Reply::Sessions(listed));
    tell(app, Call::Peek(first), Reply::Peeked(Box::new(session("What was said last."))));
}

fn agents(app: &mut App) {
    typed(app, "/agents");
    let (root, parent) = (SessionId::generate(), SessionId::generate());
    let node = |name: Option<(&str, u32)>, status, message: Option<&str>, cost| {
        let mut summary = summary("mend the build", SessionStatus::Idle);
        summary.agent = name.map(|(name, depth)| AgentOrigin {
            parent,
            item_id: ItemId::generate(),
            root,
            depth,
            name: name.to_owned(),
        });
        AgentNode { summary, status, message: message.map(str::to_owned), cost }
    };
    let nodes = vec![
        node(None, AgentStatus::Running, None, 0.5),
        node(Some(("reader", 1)), AgentStatus::Completed, Some("It is in src/lib.rs\nline 3"), 0.25),
        node(Some(("helper", 2)), AgentStatus::Waiting, Some("May I?"), 0.0),
        node(Some(("writer", 1)), AgentStatus::Failed, None, 0.125),
    ];
    tell(app, Call::Agents, Reply::Agents(nodes));
}

fn skills(app: &mut App) {
    typed(app, "/skills");
    let skill = |name: &str, source, state| Skill {
        name: name.to_owned(),
        description: format!("What {name} is for"),
        path: format!("/skills/{name}/SKILL.md").into(),
        source,
        tokens: 20,
        body_tokens: 1200,
        state,
    };
    let listed = vec![
        skill("release", SkillSource::Folder, SkillState::On),
        skill("review", SkillSource::User, SkillState::ByName),
        skill("risky", SkillSource::Folder, SkillState::Untrusted),
    ];
    tell(app, Call::Skills("/repo".into()), Reply::Skills(listed));
}

fn hooks(app: &mut App) {
    let listed = serde_json::from_value(serde_json::json!({
        "hooks": [
            {"event": "PreToolUse", "matcher": "Bash", "command": "./check \u{1b}[2J", "isOwn": true, "isAsync": false,
             "timeoutMs": 60000, "runs": 4, "failures": 1, "totalMs": 100,
             "last": {"at": 0, "tookMs": 12, "outcome": "blocked"}},
            {"event": "Stop", "matcher": "", "command": "notify", "isOwn": false, "isAsync": true,
             "timeoutMs": 60000, "runs": 0, "failures": 0, "totalMs": 0},
        ],
        "problems": ["`hooks.json`: The matcher `(` is no regular expression"],
    }))
    .unwrap();
    tell(app, Call::Hooks("/repo".into()), Reply::Hooks(Box::new(listed)));
}

fn output(app: &mut App) {
    let blob = protocol::ids::BlobId("sha256:1".to_owned());
    app.pager = Some(crate::pager::Pager::of_output(blob.clone(), "$ cargo test".to_owned()));
    let read = protocol::output::OutputReadResult {
        text: "test one ... ok\ntest two ... \u{1b}[31mFAILED\n".to_owned(),
        next_offset_bytes: Some(44),
        total_bytes: 300_000,
    };
    tell(app, Call::Output(blob, 0), Reply::Output(Box::new(read)));
}

fn question(app: &mut App) {
    let mut snapshot = session("One.");
    snapshot.questions.push(Question {
        id: protocol::ids::QuestionId::generate(),
        turn_id: snapshot.turns[0].id,
        item_id: ItemId::generate(),
        asked_at: protocol::ids::Timestamp(0),
        kind: QuestionKind::FileChange { patch: "+a new line\n-an old line".to_owned() },
        reason: "you want to see every change".to_owned(),
    });
    snapshot.summary.status = SessionStatus::Waiting { turn_id: snapshot.turns[0].id };
    look_at(app, snapshot);
}

fn look_at(app: &mut App, snapshot: SessionSnapshot) {
    app.news(News::Update(Update::Snapshot(Box::new(snapshot)), ClientId::generate()), NOW);
}

fn app(theme: ThemeName, is_fullscreen: bool) -> App {
    let settings = Settings { is_fullscreen, ..Settings::default() };
    let mut app = App::new(Mode::Drive, Theme::named(theme), settings);
    app.syntaxes = Syntaxes::Off;
    let mut snapshot = session("One.\n\nTwo, and **more** of it.");
    snapshot.turns[0].outcome = Some(protocol::turn::TurnOutcome::Completed);
    for item in &mut snapshot.turns[0].items {
        item.status = protocol::item::ItemStatus::Completed;
    }
    snapshot.summary.status = SessionStatus::Idle;
    look_at(&mut app, snapshot);
    app
}

/// All of a terminal, with what it shows.
fn drawn(app: &mut App, width: u16) -> vt100::Parser {
    let size = Size::new(width, ROWS);
    let mut bytes = Vec::new();
    let lines = match &mut app.pager {
        Some(pager) => pager.screen(size, &app.theme, &app.syntaxes),
        None => {
            let frame = app.frame(size, NOW);
            let above = usize::from(ROWS).saturating_sub(frame.viewport.len());
            let from = frame.finished.len().saturating_sub(above);
            frame.finished.into_iter().skip(from).chain(frame.viewport).collect()
        }
    };
    let mut pane = Pane::enter(&mut bytes, Hyperlinks::Plain).unwrap();
    pane.draw(&lines, size, None).unwrap();
    let mut terminal = vt100::Parser::new(NonZeroU16::new(ROWS).unwrap(), NonZeroU16::new(width).unwrap(), 0);
    drop(pane);
    // Before it is left.
    let leave = bytes.windows(8).position(|part| part == b"\x1b[?1049l").unwrap();
    terminal.process(&bytes[..leave]);
    terminal
}

#[test]
fn what_lies_over_a_session_is_shown_in_each_width_and_theme() {
    insta::with_settings!({snapshot_path => "../tests/screens", prepend_module_to_snapshot => false}, {
        for width in WIDTHS {
            let mut words: Vec<String> = Vec::new();
            for theme in THEMES {
                let (mut text, mut looks) = (String::new(), String::new());
                for (name, show) in SHOWN {
                    for is_fullscreen in [false, true] {
                        let mut app = app(theme, is_fullscreen);
                        show(&mut app);
                        let terminal = drawn(&mut app, width);
                        let screen = terminal.screen();
                        let broken = (0..ROWS).find(|row| screen.row_wrapped(*row));
                        assert_eq!(broken, None, "{name} is wider than {width} columns: {:#?}", rows(screen));
                        let kind = if is_fullscreen { "all of the terminal" } else { "inline" };
                        text.push_str(&format!("=== {name}, {kind}\n{}\n", rows(screen).join("\n")));
                        looks.push_str(&format!("=== {name}, {kind}\n{}", styled(screen)));
                    }
                }
                if width == 80 {
                    insta::assert_snapshot!(format!("over-styles-{}", theme.as_str()), looks);
                }
                words.push(text);
            }
            assert!(words.iter().all(|text| *text == words[0]), "the words depend on the theme");
            insta::assert_snapshot!(format!("over-columns-{width}"), words[0]);
        }
    });
}
