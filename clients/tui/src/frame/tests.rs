//! Whole frames, as text.

use std::path::PathBuf;

use client::Update;
use crossterm::event::{KeyCode, KeyEvent};
use protocol::delta::FeedEntry;
use protocol::event::{Event, EventRecord, InputQueued, QuestionAsked};
use protocol::ids::{ClientId, ItemId, QuestionId, QueuedId, Seq, SessionId, TurnId};
use protocol::item::{AgentMessage, Item, ItemBody, ItemStatus, UserMessage};
use protocol::model::Usage;
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::question::{Question, QuestionKind};
use protocol::session::{
    AfterCrash, Presence, QueuedInput, SessionSettings, SessionSnapshot, SessionStatus, SessionSummary,
};
use protocol::turn::{Actor, InputPart, Turn, TurnLimits};

use super::*;
use crate::help;
use crate::link::News;
use crate::settings::Settings;

const NOW: Timestamp = Timestamp(12_000);

fn actor() -> Actor {
    Actor { client_id: ClientId::generate(), name: "other".to_owned() }
}

fn item(turn_id: TurnId, status: ItemStatus, body: ItemBody) -> Item {
    let (started_at, completed_at) = (Timestamp(0), None);
    Item { id: ItemId::generate(), turn_id, step: 0, status, started_at, completed_at, called_by: None, body }
}

/// A session in the middle of a turn.
pub(crate) fn session(text: &str) -> SessionSnapshot {
    let turn_id = TurnId::generate();
    let said = UserMessage {
        content: vec![InputPart::Text { text: "make it work".to_owned() }],
        actor: actor(),
        is_steer: false,
    };
    let answer = AgentMessage { text: text.to_owned() };
    SessionSnapshot {
        summary: SessionSummary {
            id: SessionId::generate(),
            title: None,
            status: SessionStatus::Running { turn_id },
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            seq: Seq(5),
            turn_count: 1,
            usage: Usage::default(),
            settings: SessionSettings {
                cwd: PathBuf::from("/repo"),
                additional_roots: Vec::new(),
                provider: "local".to_owned(),
                model: "m-1".to_owned(),
                reasoning_effort: None,
                reasoning_summary: None,
                developer_instructions: None,
                sandbox: SandboxMode::WorkspaceWrite,
                network: NetworkAccess::Off,
                approval: ApprovalPolicy::OnRequest,
                is_tmp_writable: true,
                permissions: None,
                budget: protocol::turn::Budget::default(),
                limits: TurnLimits::default(),
                price: None,
                is_ephemeral: false,
                after_crash: AfterCrash::Wait,
                question_timeout_ms: None,
                model_context: protocol::context::ModelContext::default(),
            },
            agent: None,
            background: Vec::new(),
        },
        turns: vec![Turn {
            id: turn_id,
            actor: actor(),
            started_at: Timestamp(0),
            ended_at: None,
            outcome: None,
            usage: Usage::default(),
            cost: None,
            is_rewound: false,
            items: vec![
                item(turn_id, ItemStatus::Completed, ItemBody::UserMessage(said)),
                item(turn_id, ItemStatus::InProgress, ItemBody::AgentMessage(answer)),
            ],
        }],
        earlier_turns: 0,
        questions: Vec::new(),
        queue: Vec::new(),
        presence: Presence::default(),
        context_tokens: None,
    }
}

pub(crate) fn app(mode: Mode, text: &str) -> App {
    let mut app = App::new(mode, Theme::plain(), Settings::default());
    let update = Update::Snapshot(Box::new(session(text)));
    app.news(News::Update(update, ClientId::generate()), NOW);
    app
}

/// With nothing going on.
pub(crate) fn idle() -> App {
    let mut app = App::new(Mode::Drive, Theme::plain(), Settings::default());
    let mut snapshot = session("x");
    snapshot.turns.clear();
    snapshot.summary.status = SessionStatus::Idle;
    app.news(News::Update(Update::Snapshot(Box::new(snapshot)), ClientId::generate()), NOW);
    app
}

/// Asks something.
pub(crate) fn question(app: &mut App, now: Timestamp) -> QuestionId {
    let question = Question {
        id: QuestionId::generate(),
        turn_id: TurnId::generate(),
        item_id: ItemId::generate(),
        asked_at: Timestamp(0),
        kind: QuestionKind::FileChange { patch: "+a\n-b".to_owned() },
        reason: "you want to see it".to_owned(),
    };
    let id = question.id;
    let event = Event::QuestionAsked(QuestionAsked { question, has_begun: false });
    let seq = app.view.seq().next();
    let record = EventRecord { seq, at: Timestamp(0), request_id: None, event };
    let update = Update::Entries(vec![FeedEntry::Event(record)]);
    app.news(News::Update(update, ClientId::generate()), now);
    id
}

fn text(lines: &[Line<'static>]) -> Vec<String> {
    lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
}

#[test]
fn what_is_finished_is_above_and_what_grows_is_below() {
    let mut app = app(Mode::Drive, "One.\n\nTwo **is");
    let frame = app.frame(Size::new(80, 24), NOW);
    assert_eq!(text(&frame.finished), ["", "› make it work", "", "• One."]);
    assert_eq!(
        text(&frame.viewport),
        [
            "",
            "  Two **is",
            "",
            "› Enter says it into the turn · Tab queues it · Esc stops the turn",
            "  running 12 s · workspace-write · m-1 · on-request"
        ]
    );
    assert_eq!(frame.cursor, Position::new(2, 3));
    assert!(app.frame(Size::new(80, 24), NOW).finished.is_empty(), "nothing comes twice");
}

#[test]
fn what_a_stopped_turn_left_queued_says_how_it_goes_on() {
    let mut app = idle();
    let input = vec![InputPart::Text { text: "later".to_owned() }];
    let queued = QueuedInput { id: QueuedId::generate(), input, actor: actor(), queued_at: NOW };
    let event = Event::InputQueued(InputQueued { queued });
    let record = EventRecord { seq: app.view.seq().next(), at: NOW, request_id: None, event };
    let update = Update::Entries(vec![FeedEntry::Event(record)]);
    app.news(News::Update(update, ClientId::generate()), NOW);
    let shown = text(&app.frame(Size::new(100, 24), NOW).viewport);
    assert!(shown.contains(&"  queued: later".to_owned()), "{shown:?}");
    let hint = "› Up takes out what is queued, to send or change it · else it follows your next message";
    assert!(shown.contains(&hint.to_owned()), "{shown:?}");
}

#[test]
fn half_of_the_rows_are_enough_for_what_is_drawn_anew() {
    for height in [14, 24, 30, 60] {
        let mut app = app(Mode::Drive, &"word ".repeat(1000));
        let frame = app.frame(Size::new(80, height), NOW);
        let rows = frame.viewport.len();
        assert!(rows <= usize::from(height / 2), "{rows} of {height}");
        assert!(rows >= 7, "some of it is seen: {rows} of {height}");
    }
}

#[test]
fn who_looks_on_has_no_composer() {
    let mut app = app(Mode::Watch, "One.");
    let frame = app.frame(Size::new(80, 24), NOW);
    assert!(text(&frame.viewport).contains(&"looking on, and changing nothing · q leaves".to_owned()));
}

#[test]
fn a_question_stands_above_the_composer() {
    let mut app = app(Mode::Drive, "One.");
    question(&mut app, NOW);
    let shown = text(&app.frame(Size::new(90, 24), NOW).viewport);
    assert_eq!(
        shown[3..],
        [
            "┏ The agent asks to change files",
            "┃   +a",
            "┃   -b",
            "┃ why it is asked: you want to see it",
            "┗ y once · t this turn · s this session · n no · i no, and say what instead",
            "› the question above comes first",
            "  waiting for an answer · workspace-write · m-1 · on-request"
        ]
    );
}

#[test]
fn the_danger_of_no_sandbox_is_seen() {
    let mut app = App::new(Mode::Drive, Theme::sixteen(), Settings::default());
    let mut snapshot = session("x");
    snapshot.summary.settings.sandbox = SandboxMode::DangerFullAccess;
    app.news(News::Update(Update::Snapshot(Box::new(snapshot)), ClientId::generate()), NOW);
    let frame = app.frame(Size::new(80, 24), NOW);
    let status = frame.viewport.last().unwrap();
    let danger = status.spans.iter().find(|span| span.content == "danger-full-access").unwrap();
    assert_eq!(danger.style, app.theme.danger);
    let told = help::status(app.view.status(), None, None, 80, &app.theme);
    let danger: Vec<_> = told
        .iter()
        .flat_map(|line| &line.spans)
        .filter(|span| span.style == app.theme.danger)
        .map(|span| span.content.as_ref())
        .collect();
    assert_eq!(danger, ["danger-full-access"]);
}

#[test]
fn every_size_has_a_frame_that_fits_with_the_cursor_in_it() {
    for (width, height) in [(1, 1), (2, 2), (20, 5), (60, 10), (200, 50)] {
        let mut app = app(Mode::Drive, &"word ".repeat(300));
        for letter in "some text that is longer than a narrow screen".chars() {
            app.key(KeyEvent::from(KeyCode::Char(letter)), NOW);
        }
        let frame = app.frame(Size::new(width, height), NOW);
        assert!(frame.viewport.len() <= usize::from(height), "{width}x{height}");
        assert!(usize::from(frame.cursor.y) < frame.viewport.len() && frame.cursor.x < width);
    }
}

#[test]
fn a_hint_loses_whole_parts_where_there_is_no_room() {
    let parts = "ask · /help · Enter sends";
    for (room, wanted) in [(80, parts), (24, "ask · /help"), (11, "ask · /help"), (10, "ask"), (1, "ask")] {
        assert_eq!(fitting(parts, room), wanted, "{room}");
    }
}
