//! What follows from the answers of models and the outcomes of tools.

use super::bench::*;

#[test]
fn a_turn_without_tools_is_one_question_and_one_answer() {
    let mut bench = Bench::new();
    assert_eq!(bench.start("hello"), format!("{BEGUN} =started"));
    let item_id = ItemId::generate();
    let piece = |text: &str| Answer::Text { item_id, text: text.into() };
    assert_eq!(bench.model(piece("He")), "+itemStarted(agentMessage) ~He@0");
    assert_eq!(bench.model(piece("llo")), "~llo@2");
    assert_eq!(bench.take(Input::Checkpoint), "+itemAppended");
    assert_eq!(bench.take(Input::Checkpoint), "");
    assert_eq!(
        bench.model(Answer::Message { item_id, text: "Hello".into() }),
        "+itemCompleted(agentMessage)"
    );
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
    assert_eq!(bench.state.title.as_deref(), Some("hello"));
    assert_eq!(bench.state.usage.total_tokens(), 100);
}

#[test]
fn calls_run_one_after_the_other_and_then_the_model_is_asked_again() {
    let mut bench = Bench::new();
    bench.start("go");
    let first = bench.calls("ls");
    let second = bench.calls("pwd");
    assert_eq!(bench.completes(), "+modelResponded runTool");
    assert_eq!(bench.take(Input::ToolOutput { item_id: first, text: "a\n".into() }), "~a\n@0");
    assert_eq!(bench.tool_ends(first, "a\n"), "+itemCompleted(command) runTool");
    assert_eq!(bench.tool_ends(second, "/"), "+itemCompleted(command) +modelRequested callModel");
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
}

#[test]
fn a_call_that_makes_no_sense_is_answered_and_the_turn_goes_on() {
    let mut bench = Bench::new();
    bench.start("go");
    let (call, _) = shell("x", false);
    let made =
        Answer::Call { item_id: ItemId::generate(), call, prepared: Err("There is no tool `x`".into()) };
    assert_eq!(bench.model(made), "+itemCompleted(toolCall failed)");
    assert_eq!(bench.completes(), "+modelResponded +modelRequested callModel");
}

#[test]
fn an_interrupt_keeps_what_was_said_and_leaves_the_queue_waiting() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = ItemId::generate();
    bench.model(Answer::Text { item_id, text: "half a".into() });
    bench.request(Request::Enqueue { input: text("later") });
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert_eq!(
        bench.request(interrupt),
        "cancelWork +itemCompleted(agentMessage interrupted) +modelResponded +turnEnded(interrupted) =interrupted"
    );
    let ItemBody::AgentMessage(message) = &bench.item(item_id).body else { panic!("no message") };
    assert_eq!(message.text, "half a");
    assert_eq!(bench.state.queue.len(), 1);
    assert_eq!(
        bench.request(Request::Enqueue { input: text("more") }),
        format!("+inputQueued =queued2 {BEGUN}")
    );
}

#[test]
fn what_comes_after_the_end_of_a_turn_comes_too_late() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = bench.calls("sleep 9");
    bench.completes();
    let body = bench.item(item_id).body.clone();
    let turn_id = bench.turn_id();
    bench.request(Request::Interrupt { expected: None, reason: InterruptReason::Requested });
    assert_eq!(bench.take(Input::ToolOutput { item_id, text: "x".into() }), "");
    assert_eq!(bench.take(Input::ToolEnded { item_id, status: ItemStatus::Completed, body }), "");
    assert_eq!(bench.take(Input::Deadline { turn_id }), "");
    let late = Answer::Message { item_id: ItemId::generate(), text: "x".into() };
    assert_eq!(bench.take(Input::Model { turn_id, event: late }), "");
}

#[test]
fn an_interrupted_command_keeps_its_output_and_the_calls_after_it_were_not_run() {
    let mut bench = Bench::new();
    bench.start("go");
    let first = bench.calls("make");
    let second = bench.calls("ls");
    bench.completes();
    bench.take(Input::ToolOutput { item_id: first, text: "so far".into() });
    bench.take(Input::Loaded { failure: None });
    let ItemBody::Command(command) = &bench.item(first).body else { panic!("no command") };
    let outcome = command.outcome.as_ref().expect("outcome");
    assert_eq!((outcome.output.head.as_str(), &outcome.exit), ("so far", &CommandExit::Interrupted));
    let ItemBody::Command(command) = &bench.item(second).body else { panic!("no command") };
    assert!(command.outcome.is_none() && command.message.as_deref().unwrap_or("").starts_with("Not run"));
    let TurnOutcome::Interrupted { reason, .. } = bench.outcome() else { panic!("{:?}", bench.outcome()) };
    assert_eq!(*reason, InterruptReason::DaemonStopped);
}

#[test]
fn a_retry_voids_the_answer_so_far() {
    let mut bench = Bench::new();
    bench.start("go");
    bench.says("I will");
    let item_id = ItemId::generate();
    bench.model(Answer::Text { item_id, text: "and".into() });
    bench.calls("ls");
    let failure = ProviderFailure {
        provider: "p".into(),
        kind: ProviderFailureKind::Cut,
        status: None,
        message: "cut".into(),
    };
    let retrying =
        Answer::Retrying { attempt: 1, max_attempts: 5, delay: Duration::ZERO, failure: failure.clone() };
    assert_eq!(
        bench.model(retrying),
        "+itemCompleted(agentMessage discarded) +itemCompleted(agentMessage discarded) \
         +itemCompleted(command discarded) +modelRetried"
    );
    bench.says("again");
    // Nobody told what the half answers took, and that is told.
    assert_eq!(bench.model(Answer::Failed(failure)), "+modelResponded +turnEnded(failed)");
    assert_eq!(bench.state.spent.untold_requests, 2);
}

#[test]
fn an_answer_that_the_provider_ended_early_fails_the_turn_with_its_word() {
    let mut bench = Bench::new();
    bench.start("go");
    bench.says("half");
    let stop = StopReason::Stopped("max_output_tokens".into());
    let usage = Usage { output_tokens: 7, ..Usage::default() };
    assert_eq!(bench.model(Answer::Completed { usage, stop }), "+modelResponded +turnEnded(failed)");
    let TurnOutcome::Failed { failure } = bench.outcome() else { panic!("{:?}", bench.outcome()) };
    assert_eq!(*failure, TurnFailure::ModelStopped { reason: "max_output_tokens".into() });
    assert_eq!(bench.state.turns[0].usage.output_tokens, 7);
}

#[test]
fn what_an_answer_took_that_was_cut_off_is_counted() {
    let usage = Usage { input_tokens: 50, ..Usage::default() };
    let failure = |kind| ProviderFailure { provider: "p".into(), kind, status: None, message: "cut".into() };
    let mut bench = Bench::new();
    bench.start("go");
    bench.spent_so_far = usage;
    let retrying = Answer::Retrying {
        attempt: 1,
        max_attempts: 5,
        delay: Duration::ZERO,
        failure: failure(ProviderFailureKind::Cut),
    };
    assert_eq!(bench.model(retrying), "+modelRetried");
    assert_eq!(bench.state.usage.total_tokens(), 50);
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert_eq!(bench.request(interrupt), "cancelWork +modelResponded +turnEnded(interrupted) =interrupted");
    assert_eq!((bench.state.usage.total_tokens(), bench.state.spent.requests), (100, 2));
    assert_eq!(bench.state.turns[0].usage.total_tokens(), 100);
    bench.start("again");
    let ended = bench.model(Answer::Failed(failure(ProviderFailureKind::Cut)));
    assert_eq!(ended, "+modelResponded +turnEnded(failed)");
    bench.start("and again");
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)", "it is not counted twice");
    assert_eq!(bench.state.usage.total_tokens(), 250);
}
