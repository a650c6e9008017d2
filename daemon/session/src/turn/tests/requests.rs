//! What clients ask for, once or twice, too early or too late.

use super::bench::*;

#[test]
fn a_busy_session_refuses_another_start_and_takes_steers_and_queued_inputs() {
    let mut bench = Bench::new();
    bench.start("go");
    assert_eq!(bench.start("me too"), "!Conflict");
    let steer = |expected| Request::Steer { input: text("faster"), expected };
    assert_eq!(bench.request(steer(Some(TurnId::generate()))), "!Conflict");
    assert_eq!(bench.request(steer(None)), "+itemCompleted(userMessage) =steered");
    assert_eq!(bench.request(Request::Enqueue { input: text("later") }), "+inputQueued =queued1");
    bench.says("first");
    assert_eq!(bench.completes(), "+modelResponded +modelRequested callModel", "the steer is heard");
    bench.says("second");
    assert_eq!(
        bench.completes(),
        format!("+modelResponded +turnEnded(completed) {BEGUN}"),
        "the queue goes on"
    );
    assert!(bench.state.queue.is_empty());
}

#[test]
fn an_idle_session_has_nothing_to_steer_interrupt_or_answer() {
    let mut bench = Bench::new();
    assert_eq!(bench.request(Request::Steer { input: text("x"), expected: None }), "!Conflict");
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert_eq!(bench.request(interrupt), "=nothing");
    let decision = Decision::Deny { message: None };
    let answer = Request::Answer { question_id: QuestionId::generate(), decision };
    assert_eq!(bench.request(answer), "!NotFound");
    assert_eq!(bench.start("  \n"), "!InvalidRequest");
}

#[test]
fn a_request_that_is_sent_again_is_answered_and_not_carried_out_again() {
    let mut bench = Bench::new();
    let mut send = |request: Request, id: RequestId| {
        bench.take(Input::Request { actor: actor(), request_id: Some(id), request })
    };
    let start = || Request::Start {
        input: text("go"),
        output_schema: None,
        limits: TurnLimits::default(),
        expected_seq: None,
    };
    let [first, second, third, fourth] = [(); 4].map(|()| RequestId::generate());
    assert_eq!(send(start(), first), format!("{BEGUN} =started"));
    assert_eq!(send(start(), first), "=started");
    assert_eq!(send(start(), second), "!Conflict");
    let steer = || Request::Steer { input: text("more"), expected: None };
    assert_eq!(send(steer(), second), "+itemCompleted(userMessage) =steered");
    assert_eq!(send(steer(), second), "=steered");
    let enqueue = || Request::Enqueue { input: text("later") };
    assert_eq!(send(enqueue(), third), "+inputQueued =queued1");
    assert_eq!(send(enqueue(), third), "=queued1");
    let interrupt = || Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert_eq!(send(interrupt(), fourth), "cancelWork +turnEnded(interrupted) =interrupted");
    assert_eq!(send(interrupt(), fourth), "=interrupted");
}

#[test]
fn the_queue_can_be_edited_reordered_and_cancelled() {
    let mut bench = Bench::new();
    bench.start("go");
    for input in ["a", "b", "c"] {
        bench.request(Request::Enqueue { input: text(input) });
    }
    let waits = |bench: &Bench| -> Vec<Vec<InputPart>> {
        bench.state.queue.iter().map(|queued| queued.input.clone()).collect()
    };
    let [a, b, c] = [0, 1, 2].map(|at| bench.state.queue[at].id);
    let change = |queued_id, input, position| Request::ChangeQueued { queued_id, input, position };
    assert_eq!(bench.request(change(c, None, Some(0))), "+queuedInputChanged =done");
    assert_eq!(bench.request(change(a, Some(text("A")), None)), "+queuedInputChanged =done");
    assert_eq!(waits(&bench), [text("c"), text("A"), text("b")]);
    assert_eq!(bench.request(Request::CancelQueued { queued_id: b }), "+queuedInputCancelled =done");
    assert_eq!(bench.request(Request::CancelQueued { queued_id: b }), "!NotFound");
    assert_eq!(bench.request(change(a, Some(text(" ")), None)), "!InvalidRequest");
    assert_eq!(waits(&bench), [text("c"), text("A")]);
    bench.says("done");
    assert_eq!(bench.completes(), format!("+modelResponded +turnEnded(completed) {BEGUN}"));
    assert_eq!(waits(&bench), [text("A")]);
}

#[test]
fn an_old_picture_is_no_ground_to_act_on() {
    let mut bench = Bench::new();
    let start = |seq| Request::Start {
        input: text("go"),
        output_schema: None,
        limits: TurnLimits::default(),
        expected_seq: Some(Seq(seq)),
    };
    assert_eq!(bench.request(start(7)), "!Conflict");
    assert_eq!(bench.request(start(1)), format!("{BEGUN} =started"));
}

#[test]
fn an_archived_session_comes_back_with_the_next_turn() {
    let mut bench = Bench::new();
    assert_eq!(bench.request(Request::Archive), "+sessionArchived =done");
    assert_eq!(bench.request(Request::Archive), "=done");
    assert_eq!(bench.start("go"), format!("+sessionUnarchived {BEGUN} =started"));
    assert_eq!(bench.request(Request::Archive), "!Conflict");
}

#[test]
fn an_interrupt_that_found_nothing_is_not_carried_out_later() {
    let mut bench = Bench::new();
    let interrupt = || Input::Request {
        actor: actor(),
        request_id: Some(RequestId(uuid::Uuid::from_u128(1))),
        request: Request::Interrupt { expected: None, reason: InterruptReason::Requested },
    };
    assert_eq!(bench.take(interrupt()), "remembered =nothing");
    bench.start("go");
    assert_eq!(bench.take(interrupt()), "=nothing");
    assert!(bench.state.running.is_some());
}
