//! What becomes of turns when the daemon stops, and when it is there again.

use super::bench::*;

const STOPPING: Input = Input::Stopping { hand_over: false, is_call_running: false };

#[test]
fn a_waiting_turn_survives_the_end_of_the_daemon_and_another_one_does_not() {
    for input in [STOPPING, Input::Loaded { failure: None }] {
        let mut waiting = Bench::new();
        waiting.start("go");
        waiting.calls_with(shell("make install", true));
        waiting.completes();
        assert_eq!(waiting.take(input.clone()), "");
        let mut running = Bench::new();
        running.start("go");
        assert_eq!(running.take(input), "cancelWork +turnEnded(interrupted)");
    }
}

#[test]
fn a_turn_that_may_go_on_after_a_crash_does_so_from_its_last_durable_step() {
    let detached = || SessionSettings { after_crash: AfterCrash::Continue, ..settings() };
    let mut answering = Bench::with(detached());
    answering.start("go");
    answering.model(Answer::Text { item_id: ItemId::generate(), text: "half".into() });
    answering.calls("ls");
    assert_eq!(
        answering.take(Input::Loaded { failure: None }),
        "+turnResumed +itemCompleted(agentMessage discarded) +itemCompleted(command discarded) \
         +modelRequested callModel"
    );
    let mut calling = Bench::with(detached());
    calling.start("go");
    let first = calling.calls("make");
    let second = calling.calls("ls");
    calling.completes();
    assert_eq!(
        calling.take(Input::Loaded { failure: None }),
        "+turnResumed +itemCompleted(command interrupted) runTool"
    );
    assert!(context::history::text_of(calling.item(first)).contains("unknown"));
    assert_eq!(calling.item(second).status, ItemStatus::InProgress);
    assert_eq!(calling.tool_ends(second, "a"), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn a_turn_whose_log_could_not_be_written_says_so() {
    let mut bench = Bench::with(SessionSettings { after_crash: AfterCrash::Continue, ..settings() });
    bench.start("go");
    let failure = Some("No space is left".to_owned());
    assert_eq!(bench.take(Input::Loaded { failure }), "cancelWork +turnEnded(failed)");
    let TurnOutcome::Failed { failure } = bench.outcome() else { panic!("{:?}", bench.outcome()) };
    assert_eq!(*failure, TurnFailure::Storage { message: "No space is left".into() });
}

#[test]
fn a_turn_that_was_handed_over_goes_on_and_loses_no_call_that_had_not_begun() {
    for (is_call_running, expected) in [
        (true, "+turnResumed +itemCompleted(command interrupted) +modelRequested callModel"),
        (false, "+turnResumed runTool"),
    ] {
        let mut bench = Bench::new();
        bench.start("go");
        bench.calls("make");
        bench.completes();
        assert_eq!(
            bench.take(Input::Stopping { hand_over: true, is_call_running }),
            "cancelWork +turnSuspended"
        );
        assert_eq!(bench.take(Input::Loaded { failure: None }), expected);
    }
    let mut answering = Bench::new();
    answering.start("go");
    answering.model(Answer::Text { item_id: ItemId::generate(), text: "half".into() });
    let stopping = Input::Stopping { hand_over: true, is_call_running: false };
    assert_eq!(answering.take(stopping), "cancelWork +itemAppended +turnSuspended");
    assert_eq!(
        answering.take(Input::Loaded { failure: None }),
        "+turnResumed +itemCompleted(agentMessage discarded) +modelRequested callModel"
    );
}

#[test]
fn a_command_that_a_daemon_left_behind_does_not_say_that_the_turn_ended() {
    let message = |settings, stopping: Option<Input>| {
        let mut bench = Bench::with(settings);
        bench.start("go");
        let item_id = bench.calls("make");
        bench.completes();
        bench.take(Input::ToolOutput { item_id, text: "so far".into() });
        stopping.map(|stopping| bench.take(stopping));
        bench.take(Input::Loaded { failure: None });
        let ItemBody::Command(command) = &bench.item(item_id).body else { panic!("no command") };
        command.message.clone().unwrap_or_default()
    };
    let handing = Input::Stopping { hand_over: true, is_call_running: true };
    let continuing = SessionSettings { after_crash: AfterCrash::Continue, ..settings() };
    assert!(message(settings(), Some(handing)).starts_with("The daemon changed while this ran"));
    assert!(message(continuing, None).starts_with("The daemon died while this ran"));
    assert!(message(settings(), None).starts_with("The turn ended while this ran"));
}

#[test]
fn folding_the_log_again_gives_the_same_session() {
    let mut bench = Bench::new();
    let mut log = Vec::new();
    let id = bench.state.id;
    // The same way as `take`, with the records kept.
    let inputs = [
        Request::Start {
            input: text("go"),
            output_schema: None,
            limits: TurnLimits::default(),
            expected_seq: None,
        },
        Request::Steer { input: text("more"), expected: None },
        Request::Enqueue { input: text("later") },
        Request::Interrupt { expected: None, reason: InterruptReason::Requested },
    ];
    let (settings, instructions) = (settings(), Vec::new());
    let created = SessionCreated { actor: actor(), title: None, settings, instructions, agent: None };
    log.push(EventRecord {
        seq: Seq(1),
        at: Timestamp(0),
        request_id: None,
        event: Event::SessionCreated(created),
    });
    for (at, request) in inputs.into_iter().enumerate() {
        let mut moment = Moment::new(Timestamp(at as u64), Rules::default(), at as u64);
        for effect in
            step(&bench.state, Input::Request { actor: actor(), request_id: None, request }, &mut moment)
        {
            if let Effect::Append(events) = effect {
                for event in events {
                    let record =
                        EventRecord { seq: bench.state.seq.next(), at: moment.at, request_id: None, event };
                    bench.state.apply(&record).expect("fits");
                    log.push(record);
                }
            }
        }
    }
    assert_eq!(SessionState::fold(id, &log).expect("whole"), bench.state);
    let json = serde_json::to_string(&log).expect("json");
    let read: Vec<EventRecord> = serde_json::from_str(&json).expect("read back");
    assert_eq!(SessionState::fold(id, &read).expect("whole"), bench.state);
}
