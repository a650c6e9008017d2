//! However often a client loses its connection, lags, and attaches again, with whatever it hears twice: it shows what one
//! shows that heard everything once.

use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

use super::View;
use super::tests::{Daemon, everything, read, run, started};
use crate::block::{Block, BlockBody};
use protocol::session::SessionSnapshot;

/// What happens on a client's way through what the daemon sends.
#[derive(Clone, Copy, Debug)]
enum Hop {
    /// So many entries come.
    Hear(usize),
    /// It attaches again from a while ago, and hears so many entries once more.
    HearAgain(usize),
    /// So many are lost, and a snapshot comes instead.
    Lag(usize),
    /// A snapshot comes while nothing is lost.
    Attach,
    /// The screen takes what is finished.
    Take,
}

/// So many turns have a page that no session of these tests fills.
const ALL: usize = 1000;

fn hops() -> impl Strategy<Value = Vec<Hop>> {
    let hop = (0..5_u8, 0..20_usize).prop_map(|(kind, count)| match kind {
        0 => Hop::Hear(count),
        1 => Hop::HearAgain(count),
        2 => Hop::Lag(count),
        3 => Hop::Attach,
        _ => Hop::Take,
    });
    proptest::collection::vec(hop, 0..40)
}

fn choices() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..160)
}

/// The last page of a session.
fn page(snapshot: &SessionSnapshot, turns: usize) -> SessionSnapshot {
    let mut page = snapshot.clone();
    let left_out = page.turns.len().saturating_sub(turns.max(1));
    page.turns.drain(..left_out);
    page.earlier_turns = u32::try_from(left_out).unwrap();
    page
}

/// Goes that way to its end, with so many turns in a page; what was handed out, and the view that is left.
fn travel(
    daemon: &Daemon,
    history: &[(usize, SessionSnapshot)],
    hops: &[Hop],
    turns: usize,
) -> (Vec<Block>, View) {
    let mut view = started(history);
    let mut handed = Vec::new();
    let mut at = 0;
    let end = daemon.sent.len();
    for hop in hops.iter().chain(&[Hop::Hear(end)]) {
        match *hop {
            Hop::Hear(count) => {
                let to = (at + count).min(end);
                daemon.sent[at..to].iter().for_each(|entry| view.apply(entry.clone()));
                at = to;
            }
            Hop::HearAgain(count) => {
                daemon.sent[at.saturating_sub(count)..at].iter().for_each(|entry| view.apply(entry.clone()));
            }
            Hop::Lag(count) => {
                let lost = (at + count).min(end);
                let (sent, snapshot) = history.iter().find(|(sent, _)| *sent >= lost).unwrap();
                view.snapshot(page(snapshot, turns));
                at = *sent;
            }
            Hop::Attach => {
                let (sent, snapshot) = history.iter().find(|(sent, _)| *sent >= at).unwrap();
                view.snapshot(page(snapshot, turns));
                at = *sent;
            }
            Hop::Take => handed.extend(view.take_finished()),
        }
    }
    (handed, view)
}

fn heard_all(daemon: &Daemon, history: &[(usize, SessionSnapshot)]) -> View {
    let mut view = started(history);
    daemon.sent.iter().for_each(|entry| view.apply(entry.clone()));
    view
}

proptest! {
    #[test]
    fn any_way_through_a_session_ends_in_the_same_view(choices in choices(), hops in hops()) {
        let (daemon, history) = run(&choices);
        let (handed, mut view) = travel(&daemon, &history, &hops, ALL);
        let mut whole = heard_all(&daemon, &history);
        prop_assert_eq!(view.status(), whole.status());
        prop_assert_eq!(view.questions(), whole.questions());
        prop_assert_eq!(view.seq(), whole.seq());
        prop_assert_eq!(everything(handed, &mut view), everything(Vec::new(), &mut whole));
    }

    #[test]
    fn a_page_that_does_not_reach_back_leaves_a_gap_that_is_told_and_nothing_else(choices in choices(), hops in hops(), turns in 1..4_usize) {
        let (daemon, history) = run(&choices);
        let (mut handed, mut view) = travel(&daemon, &history, &hops, turns);
        let mut whole = heard_all(&daemon, &history);
        prop_assert_eq!(view.status(), whole.status());
        handed.extend(view.take_finished());
        handed.extend(view.live().cloned());
        let has_gap = handed.iter().any(|block| matches!(block.body, BlockBody::Earlier { .. }));
        let (shown, all) = (read(handed), everything(Vec::new(), &mut whole));
        if !has_gap {
            prop_assert_eq!(&shown, &all);
        }
        // In order, and each thing once; of a message that a gap cuts, a part.
        let mut rest = all.iter();
        for text in &shown {
            prop_assert!(rest.any(|one| one.contains(text.as_str())), "{:?} in {:?}", shown, all);
        }
        // A page always reaches back to the beginning of the last turn.
        let mut last = View::new();
        last.snapshot(page(&daemon.session, 1));
        let last = everything(Vec::new(), &mut last);
        prop_assert!(shown.ends_with(&last), "{:?} at the end of {:?}", last, shown);
    }
}
