//! What people do to commands that go on in the background.

use protocol::error::{ErrorCode, ProtocolError};

use super::bench::*;

const END: Request = Request::EndCommand { process_id: 3 };

/// Why it is refused.
fn refused(bench: &Bench) -> ProtocolError {
    let input = Input::Request { actor: actor(), request_id: None, request: END };
    match step(&bench.state, input, &mut bench.moment()).as_slice() {
        [Effect::Reply(Err(error))] => error.clone(),
        other => panic!("{other:?}"),
    }
}

/// With a turn that is over, and a command that it left.
fn over() -> Bench {
    let mut bench = Bench::new();
    bench.start("go");
    bench.completes();
    bench.process = Standing::GoesOn { command: "npm run watch".into() };
    bench
}

#[test]
fn a_command_in_the_background_is_ended_and_people_and_the_model_are_told() {
    let mut bench = over();
    let ended = "+itemCompleted(notice) end3(test) =done";
    assert_eq!(bench.request(END), ended, "the turn is over");
    let items = bench.state.turns.iter().flat_map(|turn| &turn.items);
    let told: Vec<_> = items
        .filter_map(|item| match &item.body {
            ItemBody::Notice(notice) => Some(notice.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(told, ["You ended process 3, which went on in the background (from `test`): npm run watch"]);
    let shown = format!("{:?}", context::history::conversation(&bench.state.turns, &|_| None, &|_| true));
    assert!(shown.contains("the user ended process 3") && shown.contains("npm run watch"), "{shown}");
    bench.start("more");
    assert_eq!(bench.request(END), ended, "a turn runs");
    assert!(bench.state.running.is_some(), "and goes on");
}

#[test]
fn a_command_that_does_not_go_on_there_is_not_ended_and_that_says_why() {
    for (process, code, said) in [
        (Standing::Unknown, ErrorCode::NotFound, "No process 3 goes on"),
        (Standing::Ended, ErrorCode::Conflict, "has ended already"),
        (
            Standing::EndedBy { name: "skein stop".into() },
            ErrorCode::Conflict,
            "ended already, from `skein stop`",
        ),
        (Standing::InCall, ErrorCode::Conflict, "still waits for process 3"),
    ] {
        let mut bench = over();
        bench.process = process;
        let error = refused(&bench);
        assert_eq!(error.code, code);
        assert!(error.message.contains(said), "{}", error.message);
    }
}

#[test]
fn a_request_that_is_sent_again_ends_nothing_more() {
    let mut bench = over();
    let request_id = Some(RequestId::generate());
    let input = || Input::Request { actor: actor(), request_id, request: END };
    bench.take(input());
    bench.process = Standing::EndedBy { name: "test".into() };
    assert_eq!(bench.take(input()), "=done");
}
