//! What goes into the scrollback is the same whatever the pieces that it comes in, and whatever a client lost meanwhile.

use client::Update;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop_assert_eq, prop_oneof, proptest};
use protocol::delta::{Delta, FeedEntry};
use protocol::ids::ClientId;
use protocol::item::{AgentMessage, ItemBody};
use protocol::session::SessionSnapshot;

use super::tests::session;
use super::*;
use crate::highlight::Syntaxes;
use crate::link::News;
use crate::settings::Settings;

const NOW: Timestamp = Timestamp(12_000);

/// How the next part of a text comes.
#[derive(Clone, Copy, Debug)]
enum Way {
    Delta,
    /// It was lost, and a snapshot has it.
    Snapshot,
}

fn app() -> App {
    let mut app = App::new(Mode::Drive, Theme::plain(), Settings::default());
    app.syntaxes = Syntaxes::Off;
    app
}

fn update(app: &mut App, update: Update) {
    app.news(News::Update(update, ClientId::generate()), NOW);
}

fn with_text(whole: &SessionSnapshot, text: &str) -> SessionSnapshot {
    let mut snapshot = whole.clone();
    snapshot.turns[0].items[1].body = ItemBody::AgentMessage(AgentMessage { text: text.to_owned() });
    snapshot
}

fn rows(lines: &[Line<'static>]) -> Vec<String> {
    lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
}

/// What a terminal has of a text that comes at once.
fn at_once(text: &str, width: u16) -> Vec<String> {
    let mut app = app();
    update(&mut app, Update::Snapshot(Box::new(session(text))));
    rows(&app.last_lines(Size::new(width, 30), NOW))
}

/// What a terminal has of a text that comes in parts, with a frame after each.
fn in_parts(text: &str, width: u16, parts: &[(Way, usize)]) -> Vec<String> {
    let whole = session("");
    let mut app = app();
    update(&mut app, Update::Snapshot(Box::new(whole.clone())));
    let item_id = whole.turns[0].items[1].id;
    let mut shown = Vec::new();
    let mut heard = 0;
    for (way, length) in parts.iter().copied().cycle() {
        let mut to = (heard + length).min(text.len());
        while !text.is_char_boundary(to) {
            to += 1;
        }
        let next = match way {
            Way::Delta => {
                let text = text[heard..to].to_owned();
                let delta = Delta { item_id, offset_bytes: heard as u64, text };
                Update::Entries(vec![FeedEntry::Delta(delta)])
            }
            Way::Snapshot => Update::Snapshot(Box::new(with_text(&whole, &text[..to]))),
        };
        update(&mut app, next);
        heard = to;
        let frame = app.frame(Size::new(width, 30), NOW);
        shown.extend(rows(&frame.finished));
        if heard == text.len() {
            break;
        }
    }
    shown.extend(rows(&app.last_lines(Size::new(width, 30), NOW)));
    shown
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\n\n".to_owned()),
        Just("\n".to_owned()),
        Just("```rust\n".to_owned()),
        Just("\n```\n\n".to_owned()),
        Just("# head\n\n".to_owned()),
        (1..2500_usize).prop_map(|count| "word ".repeat(count)),
        (1..900_usize).prop_map(|count| "é wörd, and 12 more - ".repeat(count)),
        (1..600_usize).prop_map(|count| "- an item of a list\n".repeat(count)),
        (1..600_usize).prop_map(|count| "let x = y;\n".repeat(count)),
    ];
    proptest::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

fn parts() -> impl Strategy<Value = Vec<(Way, usize)>> {
    let way = prop_oneof![3 => Just(Way::Delta), 1 => Just(Way::Snapshot)];
    proptest::collection::vec((way, 100..6000_usize), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn a_text_has_the_same_rows_whatever_the_parts_that_it_comes_in(
        text in text(),
        parts in parts(),
        width in 12..130_u16,
    ) {
        let (shown, wanted) = (in_parts(&text, width, &parts), at_once(&text, width));
        let other = shown.iter().zip(&wanted).find(|(shown, wanted)| shown != wanted);
        prop_assert_eq!(other, None);
        prop_assert_eq!(shown.len(), wanted.len());
    }
}

#[test]
fn a_paragraph_that_is_handed_out_in_pieces_has_no_short_row() {
    for width in [30, 100] {
        let mut rows = in_parts(&"word ".repeat(8000), width, &[(Way::Delta, 700), (Way::Snapshot, 900)]);
        rows.retain(|row| row.contains("word"));
        let (last, rows) = rows.split_last().unwrap();
        let length = rows[0].chars().count();
        for row in rows {
            assert_eq!(row.chars().count(), length, "{row}");
        }
        let words: usize = rows.iter().chain([last]).map(|row| row.matches("word").count()).sum();
        assert_eq!(words, 8000);
    }
}

#[test]
fn a_burst_comes_in_frames_of_a_few_hundred_lines() {
    let mut app = app();
    update(&mut app, Update::Snapshot(Box::new(session(&"one\n\n".repeat(5000)))));
    let mut frames = 0;
    loop {
        let frame = app.frame(Size::new(80, 24), NOW);
        frames += 1;
        assert!(frame.finished.len() < 2 * FINISHED_LINES && frame.viewport.len() <= 24);
        if !frame.has_more {
            break;
        }
    }
    assert!(frames > 5, "{frames}");
}
