//! Keys and news, and what they ask for.

use client::{DaemonChange, Update};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use proptest::prelude::{any, prop_assert, proptest};
use protocol::delta::{Delta, FeedEntry};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::event::{Event, EventRecord, InputQueued, TurnEnded};
use protocol::ids::{ItemId, QueuedId};
use protocol::item::ItemBody;
use protocol::mcp::{
    McpPromptId, McpPromptQuestion, McpPromptResult, McpPromptsResult, McpResourcesParams, McpResourcesResult,
};
use protocol::model::Usage;
use protocol::question::{Decision, GrantScope};
use protocol::session::QueuedInput;
use protocol::turn::{Actor, InputPart, TurnOutcome};
use ratatui::layout::{Position, Size};

use super::*;
use crate::browser::Archived;
use crate::command::Choice;
use crate::files::Found;
use crate::frame::tests::{app, idle, question, session};
use crate::hyperlink::Hyperlinks;
use crate::image::Note;
use crate::link::{CallError, News, Reply};
use crate::screen::Screen;
use crate::visit::Visited;

const NOW: Timestamp = Timestamp(100_000);

fn key(app: &mut App, code: KeyCode) -> Option<Effect> {
    app.key(KeyEvent::from(code), NOW)
}

fn control(app: &mut App, letter: char, now: Timestamp) -> Option<Effect> {
    app.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), now)
}

fn write(app: &mut App, text: &str) {
    for letter in text.chars() {
        assert_eq!(key(app, KeyCode::Char(letter)), None);
    }
}

fn refusal() -> CallError {
    CallError::Client(ProtocolError::new(ErrorCode::Conflict, "A turn runs already").into())
}

#[test]
fn enter_starts_a_turn_and_steers_one_that_runs_or_is_about_to() {
    let mut app = idle();
    write(&mut app, "go");
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Start("go".to_owned().into()))));
    // The call was answered, and the turn's first event is still on its way.
    app.news(News::Told(Call::Start("go".to_owned().into()), Ok(Reply::Done)), NOW);
    write(&mut app, "left");
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Steer("left".to_owned().into()))));
    let mut app = self::app(Mode::Drive, "x");
    write(&mut app, "right");
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Steer("right".to_owned().into()))));
    assert_eq!(key(&mut app, KeyCode::Enter), None, "nothing is written");
}

#[test]
fn tab_queues_while_a_turn_runs() {
    let mut app = app(Mode::Drive, "x");
    write(&mut app, "later");
    assert_eq!(key(&mut app, KeyCode::Tab), Some(Effect::Call(Call::Enqueue("later".to_owned().into()))));
    let mut app = idle();
    write(&mut app, "later");
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert_eq!(app.composer.text(), "later");
}

#[test]
fn lines_are_broken_by_three_keys() {
    let mut app = idle();
    write(&mut app, "a");
    control(&mut app, 'j', NOW);
    app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::ALT), NOW);
    app.key(KeyEvent::new(KeyCode::Enter, KeyModifiers::SHIFT), NOW);
    assert_eq!(app.composer.text(), "a\n\n\n");
}

#[test]
fn control_c_stops_the_turn_once_and_leaves_only_twice() {
    let mut app = app(Mode::Drive, "x");
    let turn = app.view.status().activity.turn().unwrap();
    assert_eq!(control(&mut app, 'c', NOW), Some(Effect::Call(Call::Interrupt(turn))));
    assert_eq!(control(&mut app, 'c', NOW), None);
    assert_eq!(control(&mut app, 'c', Timestamp(NOW.0 + 5000)), None, "too late");
    assert_eq!(control(&mut app, 'c', Timestamp(NOW.0 + 6000)), Some(Effect::Leave));
}

#[test]
fn control_c_throws_away_what_is_written_before_it_leaves() {
    let mut app = idle();
    write(&mut app, "a");
    assert_eq!(control(&mut app, 'c', NOW), None);
    assert!(app.composer.is_empty());
    assert_eq!(control(&mut app, 'c', NOW), None);
    assert_eq!(control(&mut app, 'c', NOW), Some(Effect::Leave));
}

#[test]
fn control_d_leaves_when_nothing_is_written() {
    let mut app = idle();
    write(&mut app, "a");
    assert_eq!(control(&mut app, 'd', NOW), None);
    key(&mut app, KeyCode::Backspace);
    assert_eq!(control(&mut app, 'd', NOW), Some(Effect::Leave));
}

#[test]
fn what_could_not_be_said_comes_back() {
    let mut app = idle();
    write(&mut app, "go");
    let Some(Effect::Call(call)) = key(&mut app, KeyCode::Enter) else { panic!("no call") };
    app.news(News::Told(call, Err(refusal())), NOW);
    assert_eq!(app.composer.text(), "go");
    assert!(app.notice.as_ref().unwrap().text.contains("A turn runs already"));
    assert!(!app.is_busy());
}

#[test]
fn a_question_is_answered_by_a_key_and_only_once() {
    let mut app = app(Mode::Drive, "x");
    let id = question(&mut app, NOW);
    let later = Timestamp(NOW.0 + 2000);
    let yes = KeyEvent::from(KeyCode::Char('y'));
    let answer = Call::Answer(id, Decision::Allow { scope: GrantScope::Once });
    assert_eq!(app.key(yes, later), Some(Effect::Call(answer)));
    assert_eq!(app.key(yes, later), None);
    assert_eq!(app.composer.text(), "y", "the second one is text");
}

#[test]
fn what_is_typed_as_a_question_comes_is_text() {
    let mut app = app(Mode::Drive, "x");
    write(&mut app, "sa");
    question(&mut app, NOW);
    write(&mut app, "y");
    assert_eq!(app.composer.text(), "say");
}

#[test]
fn a_no_can_say_what_to_do_instead() {
    let mut app = app(Mode::Drive, "x");
    write(&mut app, "draft");
    let id = question(&mut app, NOW);
    let later = Timestamp(NOW.0 + 2000);
    for letter in "iask me".chars() {
        assert_eq!(app.key(KeyEvent::from(KeyCode::Char(letter)), later), None);
    }
    let message = Some("ask me".to_owned());
    let answer = Call::Answer(id, Decision::Deny { message });
    assert_eq!(app.key(KeyEvent::from(KeyCode::Enter), later), Some(Effect::Call(answer)));
    assert_eq!(app.composer.text(), "draft");
}

#[test]
fn a_wrong_command_is_told_and_can_be_mended() {
    let mut app = idle();
    write(&mut app, "/sandbox of");
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    assert_eq!(app.composer.text(), "/sandbox of");
    assert!(app.notice.as_ref().unwrap().text.contains("read-only"));
}

#[test]
fn who_looks_on_changes_nothing() {
    let mut app = app(Mode::Watch, "x");
    question(&mut app, NOW);
    let later = Timestamp(NOW.0 + 5000);
    for code in [KeyCode::Char('y'), KeyCode::Enter, KeyCode::Tab, KeyCode::Up] {
        assert_eq!(app.key(KeyEvent::from(code), later), None);
    }
    app.paste("text", later);
    assert!(app.composer.is_empty());
    assert_eq!(app.key(KeyEvent::from(KeyCode::Char('q')), later), Some(Effect::Leave));
}

#[test]
fn an_idle_screen_does_not_wake() {
    let mut app = idle();
    assert_eq!(app.wakes_at(NOW), None);
    app.notify(Tone::Calm, "x", NOW);
    let wakes_at = app.wakes_at(NOW).unwrap();
    app.tick(wakes_at);
    assert_eq!(app.wakes_at(wakes_at), None);
}

#[test]
fn an_answer_that_came_to_nothing_can_be_given_again() {
    let mut app = app(Mode::Drive, "x");
    question(&mut app, NOW);
    let later = Timestamp(NOW.0 + 2000);
    let yes = KeyEvent::from(KeyCode::Char('y'));
    let Some(Effect::Call(call)) = app.key(yes, later) else { panic!("no call") };
    app.news(News::Told(call.clone(), Err(refusal())), later);
    assert_eq!(app.key(yes, later), Some(Effect::Call(call)));
}

/// Something happens, chosen by a number.
fn happen(app: &mut App, choice: u8, letter: char, now: Timestamp) {
    const CODES: [KeyCode; 12] = [
        KeyCode::Enter,
        KeyCode::Tab,
        KeyCode::Esc,
        KeyCode::Backspace,
        KeyCode::Delete,
        KeyCode::Left,
        KeyCode::Right,
        KeyCode::Up,
        KeyCode::Down,
        KeyCode::PageDown,
        KeyCode::Home,
        KeyCode::F(1),
    ];
    let own = ClientId::generate();
    let effect = match choice {
        0..12 => app.key(KeyEvent::from(CODES[usize::from(choice)]), now),
        12..16 => app.key(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), now),
        16..20 => app.key(KeyEvent::from(KeyCode::Char(letter)), now),
        20 => {
            app.paste(&format!("{letter}\n").repeat(20), now);
            None
        }
        21 => {
            question(app, now);
            None
        }
        22 => {
            let snapshot = Box::new(session(&format!("text {letter}\n\n```\n{letter}")));
            app.news(News::Update(Update::Snapshot(snapshot), own), now)
        }
        23 => app.news(News::Update(Update::Lost, own), now),
        24 => app.news(News::Update(Update::Back(DaemonChange::Restarted), own), now),
        25 => {
            let item_id =
                app.view.live().next().and_then(view::Block::item_id).unwrap_or_else(ItemId::generate);
            let text = format!("{letter} ").repeat(40);
            let delta = FeedEntry::Delta(Delta { item_id, offset_bytes: 9, text });
            app.news(News::Update(Update::Entries(vec![delta]), own), now)
        }
        26 => {
            app.composer.insert("/help");
            None
        }
        27 => {
            let all = [Choice::Session, Choice::History, Choice::Theme, Choice::Permissions];
            app.choose(all[usize::from(letter.is_ascii()) + usize::from(letter.is_alphabetic())], now);
            None
        }
        28 => Some(app.open_pager()),
        _ => app.key(KeyEvent::from(KeyCode::Char('i')), now),
    };
    if let Some(Effect::Call(call)) = effect {
        let result = match &call {
            Call::Page(_) => Ok(Reply::Page(Box::new(session("page")))),
            _ if letter.is_ascii() => Ok(Reply::Done),
            _ => Err(refusal()),
        };
        app.news(News::Told(call, result), now);
    }
}

fn chores(app: &mut App) -> Vec<Chore> {
    std::mem::take(&mut app.chores)
}

fn happened(app: &mut App, event: Event) -> Option<Effect> {
    let seq = app.view.seq().next();
    let record = EventRecord { seq, at: Timestamp(0), request_id: None, event };
    let own = app.own.unwrap();
    app.news(News::Update(Update::Entries(vec![FeedEntry::Event(record)]), own), NOW)
}

fn turn_ended(app: &App) -> Event {
    let turn_id = app.view.status().activity.turn().unwrap();
    let (outcome, usage) = (TurnOutcome::Completed, Usage::default());
    Event::TurnEnded(TurnEnded { turn_id, outcome, usage, cost: None, duration_ms: 1 })
}

#[test]
fn a_person_who_looks_elsewhere_is_called_and_one_who_looks_is_not() {
    for (focus, is_called) in [(Focus::Here, false), (Focus::Elsewhere, true), (Focus::Unknown, true)] {
        let mut app = app(Mode::Drive, "x");
        app.set_focus(focus);
        let ended = turn_ended(&app);
        happened(&mut app, ended);
        let is_ring = |chore: &Chore| matches!(chore, Chore::Ring(_));
        assert_eq!(chores(&mut app).iter().any(is_ring), is_called, "{focus:?}");
    }
    let mut app = app(Mode::Drive, "x");
    app.settings.has_notifications = false;
    let ended = turn_ended(&app);
    happened(&mut app, ended);
    assert_eq!(chores(&mut app), []);
}

#[test]
fn the_daemon_hears_of_the_focus_once_and_again_after_another_connection() {
    let mut app = app(Mode::Drive, "x");
    assert_eq!(app.set_focus(Focus::Elsewhere), None, "it takes it for that");
    assert_eq!(app.set_focus(Focus::Here), Some(Effect::Call(Call::Focus(true))));
    assert_eq!(app.set_focus(Focus::Here), None);
    let other = ClientId::generate();
    let back = News::Update(Update::Back(DaemonChange::Restarted), other);
    assert_eq!(app.news(back, NOW), None, "the feed is not there yet");
    let there = News::Update(Update::Presence(Default::default()), other);
    assert_eq!(app.news(there, NOW), Some(Effect::Call(Call::Focus(true))));
    assert_eq!(app.set_focus(Focus::Elsewhere), Some(Effect::Call(Call::Focus(false))));
}

#[test]
fn what_is_queued_comes_back_to_be_changed() {
    let mut app = app(Mode::Drive, "x");
    let id = QueuedId::generate();
    let input = vec![InputPart::Text { text: "later".to_owned() }];
    let actor = Actor { client_id: ClientId::generate(), name: "x".to_owned() };
    let queued = QueuedInput { id, input, actor, queued_at: Timestamp(0) };
    happened(&mut app, Event::InputQueued(InputQueued { queued }));
    let Some(Effect::Call(call)) = key(&mut app, KeyCode::Up) else { panic!("no call") };
    assert_eq!(call, Call::Unqueue(id, "later".to_owned()));
    assert_eq!(app.composer.text(), "later");
    app.news(News::Told(call, Err(refusal())), NOW);
    assert!(app.composer.is_empty(), "it has begun");
}

#[test]
fn a_command_is_completed_and_carried_out() {
    let mut app = idle();
    write(&mut app, "/resu");
    assert!(matches!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Sessions(Some(_), _)))));
    assert!(app.picker.is_some() && app.completion.is_none());
    key(&mut app, KeyCode::Esc);
    write(&mut app, "/model");
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert_eq!(app.composer.text(), "/model ");
    write(&mut app, "m-2");
    let Some(Effect::Call(Call::Change(change))) = key(&mut app, KeyCode::Enter) else { panic!("no change") };
    assert_eq!(change.model.as_deref(), Some("m-2"));
}

#[test]
fn what_waits_is_chosen_and_comes_back_to_be_changed() {
    let mut app = app(Mode::Drive, "x");
    let queued = |text: &str| {
        let actor = Actor { client_id: ClientId::generate(), name: "skein".to_owned() };
        let input = vec![InputPart::Text { text: text.to_owned() }];
        QueuedInput { id: QueuedId::generate(), input, actor, queued_at: NOW }
    };
    let (one, two) = (queued("first this"), queued("then that"));
    let id = one.id;
    for queued in [one, two] {
        happened(&mut app, Event::InputQueued(InputQueued { queued }));
    }
    write(&mut app, "/queue");
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    let effect = key(&mut app, KeyCode::Enter);
    assert_eq!(effect, Some(Effect::Call(Call::Unqueue(id, "first this".to_owned()))));
    assert_eq!(app.composer.text(), "first this");
}

#[test]
fn a_command_by_hand_is_remembered_and_not_said() {
    let mut app = idle();
    write(&mut app, "! ls");
    let effect = key(&mut app, KeyCode::Enter);
    let Some(Effect::Visit(visit)) = effect else { panic!("{effect:?}") };
    assert_eq!(visit.title, "ls");
    assert_eq!(chores(&mut app), [Chore::Remember("! ls".to_owned())]);
    write(&mut app, "!");
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    assert_eq!(app.composer.text(), "!");
}

fn note(text: &str) -> Note {
    Note { text: text.into(), chip: "[ran] ".into() }
}

#[test]
fn what_a_command_by_hand_printed_goes_along_with_the_next_input_and_with_no_command() {
    let mut app = idle();
    let problem = Some("It ended with exit code 1".to_owned());
    app.visited(Visited { note: Some(note("I ran this")), problem }, NOW);
    assert!(app.notice.as_ref().unwrap().text.contains("exit code 1"));
    app.visited(Visited::default(), NOW);
    assert!(app.notice.is_none(), "what was told before may be mended by what ran");
    write(&mut app, "!! ls");
    assert!(matches!(key(&mut app, KeyCode::Enter), Some(Effect::Visit(_))));
    write(&mut app, "/he");
    assert!(app.completion.is_some());
    key(&mut app, KeyCode::Esc);
    write(&mut app, "lp");
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    assert_eq!(app.asides, [Aside::Help]);
    write(&mut app, "why");
    let Some(Effect::Call(call)) = key(&mut app, KeyCode::Enter) else { panic!("nothing is said") };
    let Call::Start(said) = &call else { panic!("{call:?}") };
    let parts: Vec<InputPart> =
        ["why", "I ran this"].map(|text| InputPart::Text { text: text.to_owned() }).to_vec();
    assert_eq!(said.parts(), parts);
    assert_eq!(app.composer.history().last().map(String::as_str), Some("why"));
    app.news(News::Told(call, Err(refusal())), NOW);
    assert_eq!(app.composer.take().notes, [note("I ran this")], "it comes back with the text");
}

#[test]
fn a_line_behind_a_hash_goes_into_the_instructions_and_nothing_is_lost() {
    let mut app = idle();
    app.settings.folder = Some("/home/me/config".into());
    let ask = |app: &mut App| {
        write(app, "# use tabs");
        assert_eq!(key(app, KeyCode::Enter), None);
    };
    ask(&mut app);
    key(&mut app, KeyCode::Esc);
    assert_eq!(app.composer.text(), "# use tabs");
    app.composer.clear();
    ask(&mut app);
    key(&mut app, KeyCode::Down);
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    let file = PathBuf::from("/home/me/config/AGENTS.md");
    assert_eq!(app.chores.pop(), Some(Chore::Learn(file.clone(), "use tabs".to_owned())));
    app.learned(&file, "use tabs", Ok(()), NOW);
    assert!(app.composer.take().notes[0].text.contains("use tabs"), "the agent of this session is told too");
    app.learned(&file, "use tabs", Err("no".to_owned()), NOW);
    assert_eq!(app.composer.text(), "# use tabs");
    app.composer.clear();
    ask(&mut app);
    key(&mut app, KeyCode::Up);
    let said = key(&mut app, KeyCode::Enter);
    assert_eq!(said, Some(Effect::Call(Call::Start("# use tabs".to_owned().into()))));
}

#[test]
fn what_the_command_line_does_is_left_to_it() {
    let mut app = idle();
    for (text, title) in [("/login openai", "skein login -- openai"), ("/mcp", "skein mcp list")] {
        write(&mut app, text);
        let effect = key(&mut app, KeyCode::Enter);
        let Some(Effect::Visit(visit)) = effect else { panic!("{effect:?}") };
        assert_eq!(visit.title, title);
    }
}

#[test]
fn letters_are_commands_in_vi_and_text_again_after_it_is_sent() {
    let mut app = idle();
    write(&mut app, "/vim");
    key(&mut app, KeyCode::Enter);
    write(&mut app, "one two");
    assert_eq!(key(&mut app, KeyCode::Esc), None);
    write(&mut app, "0dw");
    assert_eq!(app.composer.text(), "two");
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Start("two".to_owned().into()))));
    write(&mut app, "dw");
    assert_eq!(app.composer.text(), "dw");
}

#[test]
fn a_dropped_image_goes_along_and_one_that_is_none_is_its_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shot.png");
    let mut app = idle();
    app.paste(&path.to_string_lossy(), NOW);
    let Some(Chore::Attach(asked, text)) = chores(&mut app).pop() else { panic!("nothing is read") };
    app.attach(crate::image::Image::read(&asked), &text, NOW);
    assert_eq!(app.composer.text(), path.to_string_lossy(), "there is no such file");
    app.composer.clear();
    std::fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
    app.attach(crate::image::Image::read(&asked), &text, NOW);
    let Some(Effect::Call(Call::Start(said))) = key(&mut app, KeyCode::Enter) else { panic!("no turn") };
    assert_eq!((said.text.as_str(), said.images.len()), ("", 1));
}

#[test]
fn a_file_is_mentioned_by_a_few_letters() {
    let mut app = idle();
    write(&mut app, "see @ma");
    let number = app.files_asked;
    assert_eq!(chores(&mut app).pop(), Some(Chore::Find { number, text: "ma".to_owned() }));
    let found = |number| Found { number, paths: vec!["src/main.rs".to_owned()], is_complete: true };
    app.found(found(number - 1));
    assert!(app.completion.as_ref().unwrap().list.is_empty(), "that was another question");
    app.found(found(number));
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.text(), "see src/main.rs ");
    write(&mut app, "@x");
    key(&mut app, KeyCode::Esc);
    write(&mut app, "y");
    assert!(app.completion.is_none(), "it was closed");
}

#[test]
fn what_servers_have_to_read_is_asked_for_once_and_again_while_one_is_being_started() {
    let mut app = idle();
    write(&mut app, "@m");
    let asked: Vec<bool> = chores(&mut app)
        .into_iter()
        .filter_map(|chore| match chore {
            Chore::Call(Call::Resources(params)) => Some(params.starts),
            _ => None,
        })
        .collect();
    assert_eq!(asked, [true]);
    let call = || Call::Resources(McpResourcesParams::default());
    let listed = |value| serde_json::from_value::<McpResourcesResult>(value).unwrap();
    let starting = listed(serde_json::json!({"resources": [], "starting": ["memory"]}));
    app.news(News::Told(call(), Ok(Reply::Resources(starting))), NOW);
    let later = app.wakes_at(NOW).unwrap();
    assert!(app.tick(later).is_none());
    let asked = chores(&mut app);
    assert!(matches!(&asked[..], [Chore::Call(Call::Resources(params))] if !params.starts), "{asked:?}");
    let resource = serde_json::json!({"server": "memory", "uri": "memo://one", "name": "One"});
    let known = listed(serde_json::json!({"resources": [resource]}));
    let found = |number| Found { number, paths: vec!["memo.md".to_owned()], is_complete: true };
    app.found(found(app.files_asked));
    app.news(News::Told(call(), Ok(Reply::Resources(known))), later);
    assert_eq!(app.wakes_at(later), None, "all is known");
    let chosen = |app: &App| app.completion.as_ref().unwrap().list.chosen_row().unwrap().label.clone();
    assert_eq!(chosen(&app), "memo.md", "what is chosen stays where news come");
    write(&mut app, "e");
    app.found(found(app.files_asked));
    assert_eq!(chosen(&app), "@memory:memo://one", "and not where another word is written");
    key(&mut app, KeyCode::Tab);
    assert_eq!(app.composer.text(), "@memory:memo://one ");
    assert!(app.completion.is_none());
}

#[test]
fn keys_that_were_meant_for_a_list_do_not_answer_a_question() {
    let mut app = app(Mode::Drive, "x");
    app.choose(Choice::History, NOW);
    question(&mut app, NOW);
    let later = Timestamp(NOW.0 + 5000);
    assert_eq!(app.key(KeyEvent::from(KeyCode::Char('y')), later), None);
    assert_eq!(app.key(KeyEvent::from(KeyCode::Esc), later), None);
    assert_eq!(app.key(KeyEvent::from(KeyCode::Char('y')), later), None);
    assert_eq!(app.composer.text(), "y");
}

#[test]
fn a_paste_says_what_is_not_seen_in_it() {
    let mut app = idle();
    app.paste("rm \u{202e}x", NOW);
    assert!(app.notice.as_ref().unwrap().text.contains("1 letters that are not seen"));
}

proptest! {
    #[test]
    fn no_order_of_keys_and_news_breaks_the_screen(
        happenings in proptest::collection::vec((0..30_u8, any::<char>(), 1..90_u16, 1..30_u16, 0..2000_u64), 0..60)
    ) {
        let mut app = App::new(Mode::Drive, Theme::sixteen(), Settings::default());
        let mut screen = Screen::new(Vec::new(), Size::new(80, 24), 3, Hyperlinks::Told);
        let mut now = NOW;
        for (choice, letter, width, height, pause) in happenings {
            now = Timestamp(now.0 + pause);
            app.tick(now);
            happen(&mut app, choice, letter, now);
            if choice % 5 == 0 {
                screen.resize(Size::new(width, height), Some(Position::new(0, height)));
            }
            let size = screen.size();
            if let Some(pager) = &mut app.pager {
                let lines = pager.screen(size, &app.theme, &app.syntaxes);
                prop_assert!(lines.len() <= usize::from(size.height));
            }
            let frame = app.frame(size, now);
            prop_assert!(frame.viewport.len() <= usize::from(size.height));
            prop_assert!(usize::from(frame.cursor.y) < frame.viewport.len() && frame.cursor.x < size.width);
            screen.draw(&frame.finished, &frame.viewport, frame.cursor).unwrap();
        }
    }
}

#[test]
fn what_was_folded_comes_once_more_in_full_and_what_is_under_way_unfolds_where_it_stands() {
    let long: String = (0..100).map(|line| format!("line {line}\n")).collect();
    let mut snapshot = session("x");
    let ItemBody::UserMessage(said) = &mut snapshot.turns[0].items[0].body else { panic!("none") };
    said.content = vec![InputPart::Text { text: long }];
    let mut app = App::new(Mode::Drive, Theme::plain(), Settings::default());
    app.view.snapshot(snapshot);
    let lines = |app: &mut App| {
        let frame = app.frame(Size::new(80, 60), NOW);
        let count =
            |lines: &[Line<'_>]| lines.iter().filter(|line| line.to_string().contains("line ")).count();
        (count(&frame.finished), count(&frame.viewport))
    };
    assert_eq!(lines(&mut app), (40, 0));
    control(&mut app, 'x', NOW);
    assert_eq!(lines(&mut app), (100, 0));
    control(&mut app, 'x', NOW);
    assert_eq!(lines(&mut app), (0, 0), "once is enough");
    assert!(app.notice.as_ref().unwrap().text.contains("nothing is folded"));
}

#[test]
fn a_prompt_of_a_server_comes_into_the_composer_and_is_not_said() {
    let mut app = idle();
    write(&mut app, "/");
    assert!(matches!(chores(&mut app)[..], [Chore::Call(Call::Prompts(_))]));
    let prompt: McpPrompt = serde_json::from_value(serde_json::json!({
        "server": "git", "name": "review", "command": "git:review",
        "arguments": [{ "name": "branch", "isRequired": true }],
    }))
    .unwrap();
    let told = Ok(Reply::Prompts(McpPromptsResult { prompts: vec![prompt], is_starting: false }));
    app.news(News::Told(Call::Prompts("/repo".into()), told), NOW);
    write(&mut app, "git:review");
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert_eq!(app.composer.text(), "/git:review ");
    assert_eq!(key(&mut app, KeyCode::Enter), None);
    assert!(app.notice.as_ref().unwrap().text.contains("needs `branch`"));
    write(&mut app, "main");
    let Some(Effect::Call(call)) = key(&mut app, KeyCode::Enter) else { panic!("nothing is asked") };
    let Call::Prompt(params, _) = &call else { panic!("{call:?}") };
    assert_eq!(params.arguments["branch"], "main");
    let asks = McpPromptResult {
        text: String::new(),
        question: Some(McpPromptQuestion {
            id: McpPromptId(uuid::Uuid::nil()),
            server: "git".to_owned(),
            message: "Since when?".to_owned(),
            schema: serde_json::json!({"type": "object", "properties": {"since": {"type": "string"}}}),
        }),
    };
    app.news(News::Told(call, Ok(Reply::Prompt(Box::new(asks)))), NOW);
    assert!(app.dialog.is_some() && app.composer.text().is_empty());
    let later = Timestamp(NOW.0 + 5000);
    for letter in "May".chars() {
        assert_eq!(app.key(KeyEvent::from(KeyCode::Char(letter)), later), None);
    }
    let Some(Effect::Call(call)) = app.key(KeyEvent::from(KeyCode::Enter), later) else {
        panic!("no answer")
    };
    let Call::AnswerPrompt(params, _) = &call else { panic!("{call:?}") };
    assert_eq!(params.decision, Decision::Content { value: serde_json::json!({"since": "May"}) });
    assert!(app.dialog.is_none(), "it is none of the session");
    let said = McpPromptResult { text: "Review main.".to_owned(), question: None };
    app.news(News::Told(call, Ok(Reply::Prompt(Box::new(said)))), later);
    assert_eq!(app.composer.text(), "Review main.");
}

#[test]
fn prompts_that_come_late_are_offered_for_what_fitted_nothing() {
    let mut app = idle();
    write(&mut app, "/fake");
    assert!(app.completion.is_none());
    let prompt: McpPrompt = serde_json::from_value(serde_json::json!({
        "server": "fake", "name": "fix", "command": "fake:fix", "arguments": [],
    }))
    .unwrap();
    let told = Ok(Reply::Prompts(McpPromptsResult { prompts: vec![prompt], is_starting: false }));
    app.news(News::Told(Call::Prompts("/repo".into()), told), NOW);
    assert_eq!(key(&mut app, KeyCode::Tab), None);
    assert_eq!(app.composer.text(), "/fake:fix ");
}

#[test]
fn who_writes_before_the_session_is_known_is_offered_its_prompts_and_skills() {
    for (text, is_asked) in [
        (
            "/f",
            (|call| matches!(call, Call::Prompts(cwd) if cwd.as_os_str() == "/repo")) as fn(&Call) -> bool,
        ),
        ("$f", |call| matches!(call, Call::Skills(cwd) if cwd.as_os_str() == "/repo")),
    ] {
        let mut app = App::new(Mode::Drive, Theme::plain(), Settings::default());
        write(&mut app, text);
        assert!(chores(&mut app).is_empty(), "no folder is known to ask about");
        let snapshot = Update::Snapshot(Box::new(session("x")));
        app.news(News::Update(snapshot, ClientId::generate()), NOW);
        let [Chore::Call(call)] = &chores(&mut app)[..] else { panic!("nothing is asked for {text}") };
        assert!(is_asked(call), "{call:?}");
    }
}

#[test]
fn prompts_of_a_server_that_is_being_started_are_asked_for_until_it_runs() {
    let mut app = idle();
    let tell = |app: &mut App, is_starting, now| {
        let told = Ok(Reply::Prompts(McpPromptsResult { prompts: Vec::new(), is_starting }));
        app.news(News::Told(Call::Prompts("/repo".into()), told), now);
    };
    write(&mut app, "/fa");
    chores(&mut app);
    tell(&mut app, true, NOW);
    let later = app.wakes_at(NOW).unwrap();
    assert!(app.tick(NOW).is_none() && chores(&mut app).is_empty(), "not yet");
    assert!(app.tick(later).is_none());
    assert!(matches!(chores(&mut app)[..], [Chore::Call(Call::Prompts(_))]));
    assert_eq!(app.wakes_at(later), None, "one call at a time");
    tell(&mut app, false, later);
    assert_eq!(app.wakes_at(later), None, "all is known");
    tell(&mut app, true, later);
    key(&mut app, KeyCode::Esc);
    app.composer.clear();
    assert_eq!(app.wakes_at(later), None, "nobody looks at them");
}

#[test]
fn another_session_stands_beside_where_there_is_room_for_it() {
    let mut app = idle();
    assert_eq!(app.obey(crate::command::Command::Split, "/split", NOW), None);
    assert!(app.notice.as_ref().unwrap().text.contains("--fullscreen"));
    app.full = Some(Fullscreen::default());
    assert!(matches!(
        app.obey(crate::command::Command::Split, "/split", NOW),
        Some(Effect::Call(Call::Sessions(..)))
    ));
    let other = session("x").summary;
    app.news(
        News::Told(Call::Sessions(None, Archived::Hidden), Ok(Reply::Sessions(vec![other.clone()]))),
        NOW,
    );
    assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Beside(Some(other.id))));
    app.beside = Some(crate::beside::Beside::new(other.id));
    let there = app.key(KeyEvent::new(KeyCode::Char('s'), KeyModifiers::ALT), NOW);
    assert_eq!(there, Some(Effect::Switch(SessionChoice::Existing(other.id), None)));
    assert_eq!(app.obey(crate::command::Command::Split, "/split", NOW), Some(Effect::Beside(None)));
}
