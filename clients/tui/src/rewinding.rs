//! Going back to before a turn: which one, what of it, and what becomes of files that somebody else changed since.

use protocol::ids::{Timestamp, TurnId};
use protocol::rewind::{ConflictChoice, RewindParams, RewindResult, RewindScope, RewindTarget};
use protocol::session::SessionSnapshot;
use protocol::turn::{InputPart, Turn};
use view::words;

use crate::app::{App, Effect, Tone};
use crate::command::Choice;
use crate::link::Call;
use crate::list::Row;

/// Within which time Esc must come again.
const TWICE_MS: u64 = 800;

/// A place to go back to.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Place {
    pub(crate) target: RewindTarget,
    /// What was said there.
    said: String,
}

/// One way of going back.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Way {
    place: Place,
    scope: RewindScope,
    conflicts: Option<ConflictChoice>,
}

impl App {
    /// Esc, where it has nothing else to do or stops a turn: twice is the list of turns.
    pub(crate) fn escape_twice(&mut self, now: Timestamp) -> Option<Effect> {
        let is_second = now.0 < self.last_escape.0 + TWICE_MS;
        self.last_escape = now;
        let is_still = !self.is_busy() || self.is_stopping;
        if !is_second || !is_still || !self.composer.is_empty() || self.dialog.is_some() {
            return None;
        }
        self.choose_turn(now)
    }

    /// Shows the turns that can be gone back to.
    pub(crate) fn choose_turn(&mut self, now: Timestamp) -> Option<Effect> {
        self.last_escape = Timestamp(0);
        self.choose(Choice::Turn, now);
        Some(Effect::Call(Call::Turns))
    }

    /// Asks what going back there would do.
    pub(crate) fn preview(&self, place: Place) -> Option<Effect> {
        let params =
            self.rewind_params(Way { place: place.clone(), scope: RewindScope::Both, conflicts: None })?;
        Some(Effect::Call(Call::Preview(Box::new(params), place)))
    }

    /// Goes back.
    pub(crate) fn go_back(&self, way: Way) -> Option<Effect> {
        let params = self.rewind_params(way.clone())?;
        Some(Effect::Call(Call::Rewind(Box::new(params), way.place)))
    }

    fn rewind_params(&self, way: Way) -> Option<RewindParams> {
        let session_id = self.view.status().session?;
        let Way { place: Place { target, .. }, scope, conflicts } = way;
        Some(RewindParams { session_id, target, scope, conflicts, request_id: None })
    }

    /// What going back did, or why it did nothing.
    pub(crate) fn went_back(
        &mut self,
        scope: &RewindScope,
        place: &Place,
        result: &RewindResult,
        now: Timestamp,
    ) {
        if !result.is_done {
            let text = format!(
                "Nothing was taken back: {} changed by somebody else meanwhile; `/rewind` asks again",
                words::count(result.conflicts, "file was", "files were"),
            );
            return self.notify(Tone::Bad, text, now);
        }
        if scope.has_chat() && place.target != RewindTarget::Undo && self.composer.is_empty() {
            self.composer.set_text(&place.said);
        }
        let left = result.left.len();
        if left > 0 {
            let first = result.left.first().map(|left| format!("`{}` {}", left.path.display(), left.reason));
            let text = format!("{left} files could not be taken back: {}", first.unwrap_or_default());
            self.notify(Tone::Bad, text, now);
        }
    }
}

/// The turns that can be gone back to, the newest first, and the last rewind, if there was one.
pub(crate) fn places(snapshot: &SessionSnapshot, now: Timestamp) -> Vec<(Row, Place)> {
    let row = |turn: &Turn| {
        let said = said(turn);
        let age = words::span(now.since(turn.started_at));
        let label = view::escape::short_line(said.trim(), 100);
        (Row::new(label, format!("{age} ago")), Place { target: target(turn.id), said })
    };
    let mut places: Vec<_> = snapshot.turns.iter().rev().filter(|turn| !turn.is_rewound).map(row).collect();
    if snapshot.turns.iter().any(|turn| turn.is_rewound) {
        let undo = Place { target: RewindTarget::Undo, said: String::new() };
        places.push((Row::new("undo the last rewind", "what was taken back comes again"), undo));
    }
    places
}

/// After which turns a new session can begin: all of them, and then each one that is over, the newest first.
pub(crate) fn forks(snapshot: &SessionSnapshot, now: Timestamp) -> Vec<(Row, Option<TurnId>)> {
    let all = (Row::new("as it is now", "with every turn that is over"), None);
    let row = |turn: &Turn| {
        let label = view::escape::short_line(said(turn).trim(), 100);
        (
            Row::new(format!("after: {label}"), format!("{} ago", words::span(now.since(turn.started_at)))),
            Some(turn.id),
        )
    };
    let is_over = |turn: &&Turn| !turn.is_rewound && turn.outcome.is_some();
    std::iter::once(all).chain(snapshot.turns.iter().rev().filter(is_over).map(row)).collect()
}

/// What can be taken back, after what going back would do: the headline, and the ways.
pub(crate) fn ways(place: &Place, result: &RewindResult) -> (String, Vec<(Row, Way)>) {
    let turns = u32::try_from(result.turns.len()).unwrap_or(u32::MAX);
    let counted = words::turns_and_files(turns, result.count);
    let headline = match &place.target {
        RewindTarget::Undo => format!("Undoes the last rewind: {counted}"),
        RewindTarget::LastTurn | RewindTarget::Turn { .. } | RewindTarget::Unknown(_) => {
            format!("Takes back {counted}")
        }
    };
    let way = |scope, conflicts| Way { place: place.clone(), scope, conflicts };
    let mut ways = Vec::new();
    let mut with_code = |scope: RewindScope, label: &str| {
        if result.conflicts == 0 {
            ways.push((Row::new(label, ""), way(scope, None)));
            return;
        }
        let files = words::count(result.conflicts, "file that", "files that");
        for (choice, what) in [
            (ConflictChoice::Keep, "stay as they are"),
            (ConflictChoice::Theirs, "are taken back too"),
            (ConflictChoice::Both, "are taken back, and kept beside as `.kept`"),
        ] {
            let detail = format!("{files} somebody else changed since: {what}");
            ways.push((Row::new(label, detail), way(scope.clone(), Some(choice))));
        }
    };
    with_code(RewindScope::Both, "what was said, and the files");
    if place.target != RewindTarget::Undo {
        with_code(RewindScope::Code, "the files only");
        ways.push((Row::new("what was said only", "the files stay"), way(RewindScope::Chat, None)));
    }
    (headline, ways)
}

fn target(turn_id: TurnId) -> RewindTarget {
    RewindTarget::Turn { turn_id }
}

/// What a person said first in a turn.
fn said(turn: &Turn) -> String {
    let message = turn.items.iter().find_map(|item| item.body.user_message());
    let parts = message.into_iter().flat_map(|message| &message.content).filter_map(|part| match part {
        InputPart::Text { text } => Some(text.as_str()),
        InputPart::Image { .. }
        | InputPart::StoredImage { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
    });
    parts.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use crossterm::event::{KeyCode, KeyEvent};

    use super::*;
    use crate::frame::tests::{idle, session};
    use crate::link::{News, Reply};

    const NOW: Timestamp = Timestamp(100_000);

    fn result(conflicts: u32, is_done: bool) -> RewindResult {
        RewindResult {
            is_done,
            turns: vec![TurnId::generate()],
            files: Vec::new(),
            count: 2,
            conflicts,
            left: Vec::new(),
        }
    }

    fn key(app: &mut App, code: KeyCode) -> Option<Effect> {
        app.key(KeyEvent::from(code), NOW)
    }

    /// The list of ways back to before the only turn.
    fn previewed(conflicts: u32) -> (App, Place) {
        let mut app = idle();
        assert_eq!(key(&mut app, KeyCode::Esc), None);
        assert_eq!(key(&mut app, KeyCode::Esc), Some(Effect::Call(Call::Turns)));
        app.news(News::Told(Call::Turns, Ok(Reply::Turns(Box::new(session("x"))))), NOW);
        let Some(Effect::Call(Call::Preview(params, place))) = key(&mut app, KeyCode::Enter) else {
            panic!("none")
        };
        let told = Ok(Reply::Rewind(Box::new(result(conflicts, false))));
        app.news(News::Told(Call::Preview(params, place.clone()), told), NOW);
        assert!(app.picker.is_some());
        (app, place)
    }

    #[test]
    fn escape_twice_goes_back_and_brings_what_was_said_there() {
        let (mut app, place) = previewed(0);
        let Some(Effect::Call(Call::Rewind(params, _))) = key(&mut app, KeyCode::Enter) else {
            panic!("none")
        };
        assert_eq!((&params.scope, &params.conflicts), (&RewindScope::Both, &None));
        app.news(News::Told(Call::Rewind(params, place), Ok(Reply::Rewind(Box::new(result(0, true))))), NOW);
        assert_eq!(app.composer.text(), "make it work");
    }

    #[test]
    fn what_somebody_else_changed_is_asked_about() {
        let (mut app, place) = previewed(1);
        key(&mut app, KeyCode::Down);
        let Some(Effect::Call(Call::Rewind(params, _))) = key(&mut app, KeyCode::Enter) else {
            panic!("none")
        };
        assert_eq!(params.conflicts, Some(ConflictChoice::Theirs));
        app.news(News::Told(Call::Rewind(params, place), Ok(Reply::Rewind(Box::new(result(1, false))))), NOW);
        assert!(app.notice.as_ref().unwrap().text.contains("1 file was changed"));
        assert!(app.composer.is_empty());
    }

    #[test]
    fn one_escape_and_one_over_a_text_go_nowhere() {
        let mut app = idle();
        assert_eq!(key(&mut app, KeyCode::Esc), None);
        app.composer.insert("x");
        assert_eq!(key(&mut app, KeyCode::Esc), None);
        app.composer.clear();
        let later = Timestamp(NOW.0 + 5000);
        assert_eq!(app.key(KeyEvent::from(KeyCode::Esc), later), None);
    }

    #[test]
    fn a_fork_begins_after_a_turn_that_is_over() {
        let mut app = idle();
        app.composer.insert("/fork");
        key(&mut app, KeyCode::Esc);
        assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Turns)));
        let mut snapshot = session("x");
        let mut over = snapshot.turns[0].clone();
        (over.id, over.outcome) = (TurnId::generate(), Some(protocol::turn::TurnOutcome::Completed));
        let wanted = over.id;
        snapshot.turns.insert(0, over);
        app.news(News::Told(Call::Turns, Ok(Reply::Turns(Box::new(snapshot)))), NOW);
        key(&mut app, KeyCode::Down);
        assert_eq!(key(&mut app, KeyCode::Enter), Some(Effect::Call(Call::Fork(Some(wanted), None))));
        let forked = protocol::ids::SessionId::generate();
        let effect = app.news(News::Told(Call::Fork(None, None), Ok(Reply::Forked(forked))), NOW);
        assert_eq!(effect, Some(Effect::Switch(crate::run::SessionChoice::Existing(forked), None)));
    }

    #[test]
    fn a_rewind_can_be_undone() {
        let mut snapshot = session("x");
        snapshot.turns[0].is_rewound = true;
        let places = places(&snapshot, NOW);
        assert_eq!(places.len(), 1);
        assert_eq!(places[0].1.target, RewindTarget::Undo);
        assert_eq!(ways(&places[0].1, &result(0, false)).1.len(), 1);
    }
}
