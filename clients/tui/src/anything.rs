//! Keys, pastes, sizes and news in any order, with text that means no good: the screen never breaks, and what it writes
//! does nothing to a terminal but to draw.

use std::cell::RefCell;
use std::fs;
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::path::Path;
use std::rc::Rc;
use std::sync::LazyLock;

use client::{DaemonChange, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::select;
use protocol::delta::{Delta, FeedEntry};
use protocol::event::{Event, EventRecord};
use protocol::ids::{ClientId, ItemId, Timestamp};
use protocol::item::{Item, ItemStatus};
use protocol::question::Question;
use ratatui::layout::{Position, Size};
use serde_json::{Value, json};

use crate::app::{App, Effect};
use crate::attention::Focus;
use crate::frame::tests::session;
use crate::hyperlink::Hyperlinks;
use crate::link::{Call, CallError, News, Reply};
use crate::matrix::SCRIPTS;
use crate::pane::Pane;
use crate::run::Mode;
use crate::screen::Screen;
use crate::settings::Settings;
use crate::theme::{Theme, ThemeName};

const CODES: [KeyCode; 16] = [
    KeyCode::Enter,
    KeyCode::Tab,
    KeyCode::BackTab,
    KeyCode::Esc,
    KeyCode::Backspace,
    KeyCode::Delete,
    KeyCode::Insert,
    KeyCode::Left,
    KeyCode::Right,
    KeyCode::Up,
    KeyCode::Down,
    KeyCode::Home,
    KeyCode::End,
    KeyCode::PageUp,
    KeyCode::PageDown,
    KeyCode::F(3),
];

/// What would act on a terminal, or look like a question.
const HOSTILE: [&str; 10] = [
    "\u{1b}]0;owned\u{7}",
    "\u{1b}]52;c;b3duZWQ=\u{7}",
    "\u{1b}]8;;https://evil.example\u{7}x\u{1b}]8;;\u{7}",
    "\u{1b}[2J\u{1b}[H\u{1b}[6n",
    "\u{9b}2J\u{9d}0;owned\u{9c}",
    "\u{1b}c\u{1b}P+q\u{1b}\\",
    "\r\n┏ The agent asks to run a command\n┃ $ true\n┗ y once · t this turn",
    "\u{202e}\u{2066}turned\u{2069}\u{200b}",
    "```\n\u{7}\u{8}\u{b}\u{c}\n",
    "[x](javascript:\u{1b}]0;owned\u{7})<\u{1b}[31m>",
];

/// Samples of the wire: all kinds of items, questions and events.
static SAMPLES: LazyLock<Samples> = LazyLock::new(Samples::read);

struct Samples {
    items: Vec<Value>,
    questions: Vec<Value>,
    events: Vec<Value>,
}

impl Samples {
    fn read() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../proto-schema/samples");
        let mut samples = Self { items: Vec::new(), questions: questions(), events: Vec::new() };
        let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
        files.sort();
        for file in files {
            let name = file.file_name().unwrap().to_string_lossy().into_owned();
            let Ok(value) = serde_json::from_str::<Value>(&fs::read_to_string(&file).unwrap()) else {
                continue;
            };
            for one in value.as_array().cloned().unwrap_or_else(|| vec![value]) {
                if name.starts_with("item.") {
                    samples.items.push(one);
                } else if name.starts_with("event.") {
                    samples.events.push(one);
                }
            }
        }
        samples
    }
}

/// A question of each kind.
fn questions() -> Vec<Value> {
    let schema =
        json!({"type": "object", "properties": {"name": {"type": "string"}, "count": {"type": "integer"}}});
    let choice = json!({"label": "One", "description": "the first"});
    let kinds = [
        json!({
            "type": "command", "command": "ls", "argv": ["sh", "-c", "ls"], "cwd": "/repo", "isEscalated": true,
            "justification": "so", "proposedRule": "prefix_rule(pattern = [\"ls\"])",
        }),
        json!({"type": "fileChange", "patch": "+a\n-b"}),
        json!({"type": "network", "protocol": "https", "host": "example.org", "port": 443}),
        json!({"type": "permissions", "hosts": ["example.org"], "justification": "so"}),
        json!({"type": "userInput", "prompts": [{"id": "1", "header": "Which", "question": "Which one?", "choices": [choice]}]}),
        json!({"type": "tool", "server": "docs", "tool": "look", "arguments": "{}"}),
        json!({"type": "elicitation", "server": "docs", "message": "Who are you?", "schema": schema}),
        json!({"type": "somethingNew"}),
    ];
    let ids = json!("019b0000-0000-7000-8000-000000000004");
    let question = |kind| json!({"id": ids, "turnId": ids, "itemId": ids, "askedAt": 0, "reason": "it asks", "kind": kind});
    kinds.into_iter().map(question).collect()
}

/// Puts a text into all that people and models write.
fn poison(value: &mut Value, text: &str) {
    const WRITTEN: [&str; 20] = [
        "text",
        "summary",
        "command",
        "cwd",
        "head",
        "tail",
        "message",
        "diff",
        "path",
        "title",
        "name",
        "reason",
        "output",
        "outputSoFar",
        "patch",
        "justification",
        "explanation",
        "host",
        "arguments",
        "label",
    ];
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match field {
                    Value::String(old) if WRITTEN.contains(&name.as_str()) => old.push_str(text),
                    field => poison(field, text),
                }
            }
        }
        Value::Array(all) => all.iter_mut().for_each(|one| poison(one, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Something that happens to a screen.
#[derive(Clone, Debug)]
enum Happening {
    Key(KeyCode, u8),
    Letter(char, u8),
    Text(String),
    Paste(String),
    Mouse(u8, u16, u16),
    Resize(u16, u16),
    Focus(bool),
    Wait(u64),
    /// An item begins, or ends.
    Item(usize, bool, String),
    /// The last item grows, from so far.
    Grow(u64, String),
    Ask(usize, String),
    Event(usize, String),
    Snapshot(String),
    Link(u8),
    Pager,
    /// What was called is answered, well or not.
    Answer(bool),
}

fn texts() -> impl Strategy<Value = String> {
    let scripts: Vec<String> = SCRIPTS.iter().map(|(_, text)| (*text).to_owned()).collect();
    prop_oneof![
        3 => select(HOSTILE.map(str::to_owned).to_vec()),
        2 => select(scripts),
        1 => any::<String>(),
        1 => "[ -~\n]{0,400}",
        1 => (0..3000_usize).prop_map(|length| "x".repeat(length)),
    ]
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let commands = [
        "/help\r",
        "/status\r",
        "/theme\r",
        "/keys\r",
        "/rewind\r",
        "/resume\r",
        "/vim\r",
        "/plan\r",
        "@ma",
        "! ls",
        "# note",
    ];
    let one = prop_oneof![
        6 => (select(CODES.to_vec()), 0..8_u8).prop_map(|(code, held)| Happening::Key(code, held)),
        6 => (any::<char>(), 0..8_u8).prop_map(|(letter, held)| Happening::Letter(letter, held)),
        2 => select(commands.map(str::to_owned).to_vec()).prop_map(Happening::Text),
        2 => texts().prop_map(Happening::Paste),
        1 => (any::<u8>(), 0..220_u16, 0..60_u16).prop_map(|(kind, x, y)| Happening::Mouse(kind, x, y)),
        2 => (0..220_u16, 0..60_u16).prop_map(|(width, height)| Happening::Resize(width, height)),
        1 => any::<bool>().prop_map(Happening::Focus),
        2 => (0..3000_u64).prop_map(Happening::Wait),
        4 => (any::<usize>(), any::<bool>(), texts()).prop_map(|(which, is_over, text)| Happening::Item(which, is_over, text)),
        4 => (0..40_u64, texts()).prop_map(|(from, text)| Happening::Grow(from, text)),
        2 => (any::<usize>(), texts()).prop_map(|(which, text)| Happening::Ask(which, text)),
        4 => (any::<usize>(), texts()).prop_map(|(which, text)| Happening::Event(which, text)),
        1 => texts().prop_map(Happening::Snapshot),
        1 => any::<u8>().prop_map(Happening::Link),
        1 => (0..1_u8).prop_map(|_| Happening::Pager),
        2 => any::<bool>().prop_map(Happening::Answer),
    ];
    proptest::collection::vec(one, 1..60)
}

/// What the terminal was asked beside drawing.
#[derive(Default)]
struct Deeds(Vec<String>);

impl vt100::Callbacks for Deeds {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0.push("bell".to_owned());
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.0.push(format!("title {title:?}"));
    }

    fn set_window_icon_name(&mut self, _: &mut vt100::Screen, name: &[u8]) {
        self.0.push(format!("name {name:?}"));
    }

    fn copy_to_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8], data: &[u8]) {
        self.0.push(format!("clipboard {data:?}"));
    }

    fn paste_from_clipboard(&mut self, _: &mut vt100::Screen, _: &[u8]) {
        self.0.push("asked for the clipboard".to_owned());
    }

    fn resize(&mut self, _: &mut vt100::Screen, _: (u16, u16)) {
        self.0.push("resize".to_owned());
    }

    fn unhandled_escape(&mut self, _: &mut vt100::Screen, first: Option<u8>, _: Option<u8>, byte: u8) {
        // The end of a link.
        if (first, byte) != (None, b'\\') {
            self.0.push(format!("escape {first:?} {byte}"));
        }
    }

    fn unhandled_csi(
        &mut self,
        _: &mut vt100::Screen,
        first: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        letter: char,
    ) {
        // Colours and synchronized updates are ours.
        if letter != 'm' && !(first == Some(b'?') && parameters == [&[2026]]) {
            self.0.push(format!("CSI {first:?} {parameters:?} {letter}"));
        }
    }

    fn unhandled_osc(&mut self, _: &mut vt100::Screen, parameters: &[&[u8]]) {
        // A link goes where people can go, and holds nothing that acts.
        let target = parameters.get(2..).map(|parts| parts.join(&b';')).unwrap_or_default();
        let schemes = [&b"http://"[..], b"https://", b"file://"];
        let is_link = parameters.first() == Some(&&b"8"[..])
            && (target.is_empty() || schemes.iter().any(|scheme| target.starts_with(scheme)))
            && target.iter().all(u8::is_ascii_graphic);
        if !is_link {
            self.0.push(format!("OSC {parameters:?}"));
        }
    }
}

/// Where what is written is picked up.
#[derive(Clone, Default)]
struct Sink(Rc<RefCell<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An app on a terminal.
struct Bench {
    written: Sink,
    app: App,
    now: Timestamp,
    size: Size,
    screen: Screen<Sink>,
    pane: Option<Pane<Sink>>,
    terminal: vt100::Parser<Deeds>,
    called: Vec<Call>,
    item: ItemId,
}

impl Bench {
    fn new(settings: Settings, theme: ThemeName, mode: Mode) -> Self {
        let size = Size::new(80, 24);
        let is_fullscreen = settings.is_fullscreen;
        let mut app = App::new(mode, Theme::named(theme), settings);
        let snapshot = Update::Snapshot(Box::new(session("begun")));
        app.news(News::Update(snapshot, ClientId::generate()), Timestamp(10_000));
        let written = Sink::default();
        Self {
            app,
            now: Timestamp(10_000),
            size,
            screen: Screen::new(written.clone(), size, 3, Hyperlinks::Told),
            pane: is_fullscreen.then(|| Pane::enter(written.clone(), Hyperlinks::Told).unwrap()),
            written,
            terminal: terminal(size),
            called: Vec::new(),
            item: ItemId::generate(),
        }
    }

    fn news(&mut self, update: Update) -> Option<Effect> {
        let own = self.app.own.unwrap();
        self.app.news(News::Update(update, own), self.now)
    }

    fn event(&mut self, event: Event) -> Option<Effect> {
        let seq = self.app.view.seq().next();
        let record = EventRecord { seq, at: self.now, request_id: None, event };
        self.news(Update::Entries(vec![FeedEntry::Event(record)]))
    }

    fn happen(&mut self, happening: Happening) {
        self.now = Timestamp(self.now.0 + 7);
        let now = self.now;
        let held = |bits: u8| {
            let all = [KeyModifiers::CONTROL, KeyModifiers::ALT, KeyModifiers::SHIFT];
            let is_held = |(bit, _): &(usize, KeyModifiers)| bits >> bit & 1 == 1;
            all.into_iter().enumerate().filter(is_held).fold(KeyModifiers::NONE, |all, (_, one)| all | one)
        };
        let effect = match happening {
            Happening::Key(code, bits) => self.app.key(KeyEvent::new(code, held(bits)), now),
            Happening::Letter(letter, bits) => {
                self.app.key(KeyEvent::new(KeyCode::Char(letter), held(bits)), now)
            }
            Happening::Text(text) => {
                let mut last = None;
                for letter in text.chars() {
                    let code = if letter == '\r' { KeyCode::Enter } else { KeyCode::Char(letter) };
                    last = self.app.key(KeyEvent::from(code), now);
                }
                last
            }
            Happening::Paste(text) => {
                self.app.paste(&text, now);
                None
            }
            Happening::Mouse(kind, column, row) => {
                let kinds = [
                    MouseEventKind::Down(MouseButton::Left),
                    MouseEventKind::Drag(MouseButton::Left),
                    MouseEventKind::Up(MouseButton::Left),
                    MouseEventKind::ScrollUp,
                    MouseEventKind::ScrollDown,
                    MouseEventKind::Moved,
                ];
                let kind = kinds[usize::from(kind) % kinds.len()];
                self.app.mouse(MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE }, now);
                None
            }
            Happening::Resize(width, height) => {
                self.size = Size::new(width, height);
                let cursor = height.checked_sub(1).map(|y| Position::new(0, y));
                self.screen.resize(self.size, cursor);
                self.terminal = terminal(self.size);
                None
            }
            Happening::Focus(is_here) => {
                self.app.set_focus(if is_here { Focus::Here } else { Focus::Elsewhere })
            }
            Happening::Wait(span) => {
                self.now = Timestamp(now.0 + span);
                self.app.tick(self.now)
            }
            Happening::Item(which, is_over, text) => self.begin(which, is_over, &text),
            Happening::Grow(offset_bytes, text) => {
                let delta = Delta { item_id: self.item, offset_bytes, text };
                self.news(Update::Entries(vec![FeedEntry::Delta(delta)]))
            }
            Happening::Ask(which, text) => {
                let mut question = SAMPLES.questions[which % SAMPLES.questions.len()].clone();
                poison(&mut question, &text);
                let mut question: Question = serde_json::from_value(question).unwrap();
                question.id = protocol::ids::QuestionId::generate();
                question.item_id = self.item;
                let asked = json!({"type": "questionAsked", "question": question});
                self.event(serde_json::from_value(asked).unwrap())
            }
            Happening::Event(which, text) => {
                let mut event = SAMPLES.events[which % SAMPLES.events.len()].clone();
                poison(&mut event, &text);
                let event = event.get("event").cloned().unwrap_or(event);
                self.event(serde_json::from_value(event).unwrap())
            }
            Happening::Snapshot(text) => self.news(Update::Snapshot(Box::new(session(&text)))),
            Happening::Link(kind) => self.news(match kind % 3 {
                0 => Update::Lost,
                1 => Update::Back(DaemonChange::Restarted),
                _ => Update::Presence(Default::default()),
            }),
            Happening::Pager => Some(self.app.open_pager()),
            Happening::Answer(is_well) => {
                let call = self.called.pop();
                call.and_then(|call| self.answer(call, is_well))
            }
        };
        if let Some(Effect::Call(call)) = effect {
            self.called.push(call);
        }
        self.app.chores.clear();
    }

    fn begin(&mut self, which: usize, is_over: bool, text: &str) -> Option<Effect> {
        let mut item = SAMPLES.items[which % SAMPLES.items.len()].clone();
        poison(&mut item, text);
        let mut item: Item = serde_json::from_value(item).unwrap();
        item.id = ItemId::generate();
        if let Some(turn) = self.app.view.status().activity.turn() {
            item.turn_id = turn;
        }
        if !is_over {
            (item.status, item.completed_at) = (ItemStatus::InProgress, None);
        }
        self.item = item.id;
        let kind = if is_over { "itemCompleted" } else { "itemStarted" };
        self.event(serde_json::from_value(json!({"type": kind, "item": item})).unwrap())
    }

    fn answer(&mut self, call: Call, is_well: bool) -> Option<Effect> {
        let reply = match &call {
            Call::Page(_) => Ok(Reply::Page(Box::new(session("page")))),
            Call::Turns => Ok(Reply::Turns(Box::new(session("turns")))),
            Call::Sessions(..) => Ok(Reply::Sessions(vec![session("listed").summary])),
            _ if is_well => Ok(Reply::Done),
            _ => Err(CallError::Write { file: "x".into(), source: io::Error::other("no") }),
        };
        self.app.news(News::Told(call, reply), self.now)
    }

    /// Draws the next frame, and says what is wrong with it.
    fn draw(&mut self) -> Result<(), String> {
        if let Some(pager) = &mut self.app.pager {
            let lines = pager.screen(self.size, &self.app.theme, &self.app.syntaxes);
            if lines.len() > usize::from(self.size.height.max(1)) {
                return Err(format!("the pager has {} lines of {:?}", lines.len(), self.size));
            }
        }
        let size = Size::new(self.size.width.max(1), self.size.height.max(1));
        let frame = self.app.frame(size, self.now);
        if frame.viewport.len() > usize::from(size.height) {
            return Err(format!("{} rows of {size:?}", frame.viewport.len()));
        }
        if usize::from(frame.cursor.y) >= frame.viewport.len() || frame.cursor.x >= size.width {
            return Err(format!("the cursor is at {:?} of {size:?}", frame.cursor));
        }
        match &mut self.pane {
            Some(pane) => pane.draw(&frame.viewport, size, Some(frame.cursor)).unwrap(),
            None => self.screen.draw(&frame.finished, &frame.viewport, frame.cursor).unwrap(),
        }
        let bytes = self.written.0.take();
        self.terminal.process(&bytes);
        let deeds = &self.terminal.callbacks().0;
        if !deeds.is_empty() {
            return Err(format!("the terminal did {deeds:?}"));
        }
        self.look()
    }

    /// What of the screen may not be.
    fn look(&self) -> Result<(), String> {
        let screen = self.terminal.screen();
        let (rows, columns) = screen.size();
        for row in 0..rows.get() {
            let first = screen.cell(row, 0).map(vt100::Cell::contents).unwrap_or_default();
            let is_of_dialog = ["┏", "┃", "┠", "┗"].contains(&first);
            // Of three columns and less nothing is promised.
            if is_of_dialog && self.app.dialog.is_none() && self.pane.is_some() && columns.get() > 3 {
                return Err(format!("a question where there is none: {}", screen.contents()));
            }
        }
        let is_turning = |letter| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        match screen.contents().chars().find(|letter| is_turning(*letter)) {
            Some(letter) => Err(format!("{} turns the text: {}", letter.escape_unicode(), screen.contents())),
            None => Ok(()),
        }
    }
}

fn terminal(size: Size) -> vt100::Parser<Deeds> {
    let cells = |count: u16| NonZeroU16::new(count).unwrap_or(NonZeroU16::MIN);
    vt100::Parser::new_with_callbacks(cells(size.height), cells(size.width), 50, Deeds::default())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_typed_and_told_the_screen_holds(happenings in happenings(), looks in 0..12_u8) {
        let settings = Settings {
            is_fullscreen: looks & 1 == 1,
            has_vim: looks & 2 == 2,
            ..Settings::default()
        };
        let theme = ThemeName::ALL[usize::from(looks) % ThemeName::ALL.len()];
        let mode = if looks == 11 { Mode::Watch } else { Mode::Drive };
        let mut bench = Bench::new(settings, theme, mode);
        for happening in happenings {
            let told = format!("{happening:?}");
            bench.happen(happening);
            let drawn = bench.draw();
            prop_assert!(drawn.is_ok(), "after {told}: {drawn:?}");
        }
    }
}

#[test]
fn there_is_a_sample_of_everything() {
    let samples = &*SAMPLES;
    assert!(samples.items.len() >= 8 && samples.events.len() >= 20 && samples.questions.len() >= 8);
    for question in &samples.questions {
        let _: Question = serde_json::from_value(question.clone()).unwrap();
    }
}
