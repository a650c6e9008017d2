//! Turns that are taken back: refused while something goes on, in the log before any file is touched, and out of the
//! model's sight.

use protocol::ids::BlobId;
use protocol::rewind::{FilesChanged, RewindEnded, RewindScope};
use protocol::session::SessionStatus;

use super::bench::*;
use crate::input::RewindPlan;

fn plan(bench: &Bench, scope: RewindScope) -> RewindPlan {
    let turns = bench.state.turns.iter().map(|turn| turn.id).collect();
    RewindPlan { seq: bench.state.seq, scope, turns, undoes: None, count: 0, changes: None }
}

fn with_a_turn() -> Bench {
    let mut bench = Bench::new();
    bench.start("go");
    bench.says("Done.");
    bench.completes();
    bench
}

#[test]
fn nothing_is_taken_back_while_a_turn_runs_or_after_something_else_happened() {
    let mut running = Bench::new();
    running.start("go");
    let while_running = plan(&running, RewindScope::Both);
    assert_eq!(running.request(Request::Rewind(while_running)), "!Conflict");
    let mut late = with_a_turn();
    let stale = plan(&late, RewindScope::Both);
    late.start("more");
    late.says("Done.");
    late.completes();
    assert_eq!(late.request(Request::Rewind(stale)), "!Conflict");
}

#[test]
fn files_are_brought_back_before_the_answer_and_the_session_is_busy_until_then() {
    let mut bench = with_a_turn();
    let changes = Some(BlobId("sha256:00".to_owned()));
    let code = RewindPlan { count: 1, changes: changes.clone(), ..plan(&bench, RewindScope::Code) };
    assert_eq!(bench.request(Request::Rewind(code)), "+sessionRewound restore =done");
    assert_eq!(bench.state.rewinding, changes);
    assert!(matches!(bench.state.status(), SessionStatus::Running { .. }));
    assert!(crate::header::write(&bench.state).is_none(), "a header would forget what is to be finished");
    assert!(!bench.state.turns[0].is_rewound, "what was said stays");
    assert_eq!(bench.take(Input::Restored(RewindEnded { restored: 1, left: Vec::new() })), "+rewindEnded");
    assert_eq!((&bench.state.rewinding, bench.state.status()), (&None, SessionStatus::Idle));
}

#[test]
fn what_was_said_is_out_of_sight_until_it_is_brought_back_also_from_a_header() {
    let mut bench = with_a_turn();
    let chat = plan(&bench, RewindScope::Chat);
    let rewound_at = bench.state.seq.next();
    assert_eq!(bench.request(Request::Rewind(chat.clone())), "+sessionRewound =done");
    assert!(bench.state.turns[0].is_rewound);
    let header = crate::header::write(&bench.state).expect("header");
    let mut turns = bench.state.turns.clone();
    turns[0].is_rewound = false;
    let read = crate::header::read(bench.state.id, bench.state.seq, &header, turns).expect("read");
    assert!(read.turns[0].is_rewound);
    let undo = RewindPlan { undoes: Some(rewound_at), seq: bench.state.seq, ..chat };
    assert_eq!(bench.request(Request::Rewind(undo)), "+sessionRewound =done");
    assert!(!bench.state.turns[0].is_rewound);
}

#[test]
fn files_that_something_runs_later_are_told_at_the_end_of_their_turn() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = bench.calls("make");
    bench.completes();
    for (paths, runs_later) in
        [(vec!["/repo/Makefile"], vec!["/repo/Makefile"]), (vec!["/repo/lib.rs"], vec![])]
    {
        let changed = FilesChanged {
            turn_id: bench.turn_id(),
            item_id,
            count: 1,
            paths: paths.into_iter().map(Into::into).collect(),
            changes: BlobId("sha256:00".to_owned()),
            runs_later: runs_later.into_iter().map(Into::into).collect(),
            is_meanwhile: false,
        };
        assert_eq!(bench.take(Input::FilesChanged(changed)), "+filesChanged");
    }
    bench.tool_ends(item_id, "");
    bench.says("Done.");
    assert_eq!(bench.completes(), "+modelResponded +itemCompleted(notice) +turnEnded(completed)");
    let notice = bench.state.turns[0].items.last().expect("item");
    assert!(matches!(&notice.body, ItemBody::Notice(notice) if notice.text.contains("later: `Makefile`.")));
    bench.start("more");
    bench.says("Done.");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)", "not told again");
}
