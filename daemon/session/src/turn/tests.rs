//! `step` as a table of cases: inputs go in, what follows comes out as short words. Everything is folded as the
//! actor folds it, so the cases run the whole way.

use std::collections::VecDeque;
use std::time::Duration;

use model::event::StopReason;
use protocol::event::{Event, EventRecord, SessionCreated};
use protocol::ids::{ClientId, ItemId, QuestionId, RequestId, Seq, SessionId, Timestamp, TurnId};
use protocol::item::{
    Command, CommandExit, CommandOutcome, CommandOutput, Item, ItemBody, ItemStatus, OtherToolCall,
};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::profile::{ApprovalPolicy, NetworkAccess, SandboxMode};
use protocol::question::{Decision, GrantScope};
use protocol::session::{AfterCrash, ModelPrice, SessionSettings};
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::{Actor, InputPart, InterruptReason, TurnFailure, TurnLimits, TurnOutcome};

use crate::effect::{Effect, Reply};
use crate::input::{Answer, Input, Request};
use crate::moment::{Moment, Rules};
use crate::state::SessionState;
use crate::turn::step::step;

/// A session without a store, a model or tools.
struct Bench {
    state: SessionState,
    clock: u64,
}

fn settings() -> SessionSettings {
    SessionSettings {
        cwd: "/repo".into(),
        additional_roots: Vec::new(),
        provider: "p".into(),
        model: "m".into(),
        reasoning_effort: None,
        reasoning_summary: None,
        sandbox: SandboxMode::WorkspaceWrite,
        network: NetworkAccess::Off,
        approval: ApprovalPolicy::OnRequest,
        is_tmp_writable: true,
        limits: TurnLimits::default(),
        price: None,
        is_ephemeral: false,
        after_crash: AfterCrash::Wait,
        question_timeout_ms: None,
    }
}

fn actor() -> Actor {
    Actor { client_id: ClientId(uuid::Uuid::nil()), name: "test".into() }
}

fn text(text: &str) -> Vec<InputPart> {
    vec![InputPart::Text { text: text.into() }]
}

fn shell(command: &str, is_escalated: bool) -> (ToolCall, ItemBody) {
    let call = ToolCall {
        call_id: "c".into(),
        name: "shell".into(),
        input: CallInput::Json(format!("{{\"command\":\"{command}\",\"escalate\":{is_escalated}}}")),
    };
    let body = ItemBody::Command(Command {
        call: call.clone(),
        command: command.into(),
        argv: vec!["/bin/bash".into(), "-c".into(), command.into()],
        cwd: "/repo".into(),
        is_escalated,
        justification: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome: None,
        message: None,
    });
    (call, body)
}

impl Bench {
    fn new() -> Self {
        Self::with(settings())
    }

    fn with(settings: SessionSettings) -> Self {
        let created = SessionCreated { actor: actor(), title: None, settings, instructions: Vec::new() };
        let record = EventRecord {
            seq: Seq(1),
            at: Timestamp(0),
            request_id: None,
            event: Event::SessionCreated(created),
        };
        let id = SessionId(uuid::Uuid::nil());
        Self { state: SessionState::create(id, &record).expect("state"), clock: 0 }
    }

    /// Takes an input and all that follows at once, as the actor does.
    fn take(&mut self, input: Input) -> String {
        self.clock += 1;
        let mut words = Vec::new();
        let mut request_id = input.request_id();
        let mut open = VecDeque::from([input]);
        let mut moment = Moment::new(Timestamp(self.clock), Rules::default(), self.clock);
        while let Some(input) = open.pop_front() {
            for effect in step(&self.state, input, &mut moment) {
                match &effect {
                    Effect::Append(events) => {
                        for event in events {
                            words.push(event_word(event));
                            let seq = self.state.seq.next();
                            let record = EventRecord { seq, at: moment.at, request_id, event: event.clone() };
                            self.state.apply(&record).expect("the next event fits");
                        }
                    }
                    Effect::Publish(delta) => self.state.grow(delta),
                    Effect::Continue => open.push_back(Input::Continue),
                    Effect::Reply(_) => request_id = None,
                    Effect::CallModel
                    | Effect::RunTool { .. }
                    | Effect::CancelWork
                    | Effect::AllowAlways(_)
                    | Effect::StartQuestionTimer { .. }
                    | Effect::StartDeadline { .. } => {}
                }
                words.extend(effect_word(&effect));
            }
        }
        words.join(" ")
    }

    fn request(&mut self, request: Request) -> String {
        self.take(Input::Request { actor: actor(), request_id: None, request })
    }

    fn start(&mut self, input: &str) -> String {
        self.start_with(input, TurnLimits::default())
    }

    fn start_with(&mut self, input: &str, limits: TurnLimits) -> String {
        self.request(Request::Start { input: text(input), output_schema: None, limits, expected_seq: None })
    }

    fn model(&mut self, event: Answer) -> String {
        let turn_id = self.turn_id();
        self.take(Input::Model { turn_id, event })
    }

    fn says(&mut self, text: &str) -> String {
        self.model(Answer::Message { item_id: ItemId::generate(), text: text.into() })
    }

    fn calls(&mut self, command: &str) -> ItemId {
        self.calls_with(shell(command, false))
    }

    fn calls_with(&mut self, (call, body): (ToolCall, ItemBody)) -> ItemId {
        let item_id = ItemId::generate();
        let made = self.model(Answer::Call { item_id, call, prepared: Ok(Box::new(body)) });
        assert_eq!(made, "+itemStarted(command)");
        item_id
    }

    fn completes(&mut self) -> String {
        self.completes_with(Usage { input_tokens: 90, output_tokens: 10, ..Usage::default() })
    }

    fn completes_with(&mut self, usage: Usage) -> String {
        self.model(Answer::Completed { usage, stop: StopReason::Finished })
    }

    /// The running tool ends with this output.
    fn tool_ends(&mut self, item_id: ItemId, output: &str) -> String {
        let Some(ItemBody::Command(mut command)) = self.state.item(item_id).map(|item| item.body.clone())
        else {
            panic!("no command");
        };
        let output = CommandOutput {
            head: output.into(),
            total_bytes: output.len() as u64,
            ..CommandOutput::default()
        };
        let duration_ms = self.clock;
        command.outcome = Some(CommandOutcome { exit: CommandExit::Code { code: 0 }, duration_ms, output });
        self.take(Input::ToolEnded {
            item_id,
            status: ItemStatus::Completed,
            body: ItemBody::Command(command),
        })
    }

    fn turn_id(&self) -> TurnId {
        self.state.turns.last().map_or_else(TurnId::generate, |turn| turn.id)
    }

    fn question(&self) -> QuestionId {
        self.state.questions[0].id
    }

    fn item(&self, id: ItemId) -> &Item {
        let items = self.state.turns.iter().flat_map(|turn| &turn.items);
        items.rev().find(|item| item.id == id).expect("item")
    }

    fn outcome(&self) -> &TurnOutcome {
        self.state.turns.last().and_then(|turn| turn.outcome.as_ref()).expect("outcome")
    }
}

fn event_word(event: &Event) -> String {
    let json = serde_json::to_value(event).expect("json");
    let kind = json["type"].as_str().unwrap_or("?");
    let item = json.get("item").map(|item| {
        let kind = item["body"]["type"].as_str().unwrap_or("?");
        match item["status"].as_str() {
            Some("inProgress" | "completed") | None => format!("({kind})"),
            Some(status) => format!("({kind} {status})"),
        }
    });
    let outcome = json.get("outcome").map(|outcome| format!("({})", outcome["type"].as_str().unwrap_or("?")));
    format!("+{kind}{}{}", item.unwrap_or_default(), outcome.unwrap_or_default())
}

fn effect_word(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Append(_) | Effect::Continue => None,
        Effect::Publish(delta) => Some(format!("~{}@{}", delta.text, delta.offset_bytes)),
        Effect::Reply(Ok(reply)) => Some(format!(
            "={}",
            match reply {
                Reply::Started { .. } => "started".to_owned(),
                Reply::Steered { .. } => "steered".to_owned(),
                Reply::Queued { position, .. } => format!("queued{position}"),
                Reply::Interrupted { turn_id } => {
                    if turn_id.is_some() { "interrupted".to_owned() } else { "nothing".to_owned() }
                }
                Reply::Answered { .. } => "answered".to_owned(),
                Reply::Done => "done".to_owned(),
            }
        )),
        Effect::Reply(Err(error)) => Some(format!("!{:?}", error.code)),
        Effect::CallModel => Some("callModel".into()),
        Effect::RunTool { .. } => Some("runTool".into()),
        Effect::CancelWork => Some("cancelWork".into()),
        Effect::StartDeadline { after_ms, .. } => Some(format!("deadline{after_ms}")),
        Effect::StartQuestionTimer { after_ms, .. } => Some(format!("timer{after_ms}")),
        Effect::AllowAlways(_) => Some("rule".into()),
    }
}

const BEGUN: &str = "+turnStarted +itemCompleted(userMessage) +modelRequested callModel";

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
fn an_interrupt_keeps_what_was_said_and_leaves_the_queue_waiting() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = ItemId::generate();
    bench.model(Answer::Text { item_id, text: "half a".into() });
    bench.request(Request::Enqueue { input: text("later") });
    let interrupt = Request::Interrupt { expected: None, reason: InterruptReason::Requested };
    assert_eq!(
        bench.request(interrupt),
        "cancelWork +itemCompleted(agentMessage interrupted) +turnEnded(interrupted) =interrupted"
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
fn a_question_waits_for_the_first_answer_and_later_ones_are_told_of_it() {
    for (scope, asks_again) in [
        (GrantScope::Once, true),
        (GrantScope::Turn, false),
        (GrantScope::Session, false),
        (GrantScope::Always, false),
    ] {
        let mut bench = Bench::new();
        bench.start("go");
        let item_id = bench.calls_with(shell("make install", true));
        assert_eq!(bench.completes(), "+modelResponded +questionAsked");
        let question_id = bench.question();
        let decision = Decision::Allow { scope: scope.clone() };
        let answer = || Request::Answer { question_id, decision: decision.clone() };
        let rule = if scope == GrantScope::Always { " rule" } else { "" };
        assert_eq!(bench.request(answer()), format!("+questionAnswered{rule} =answered runTool"));
        assert_eq!(bench.request(answer()), "!Conflict");
        bench.tool_ends(item_id, "ok");
        bench.calls_with(shell("make install", true));
        let expected = if asks_again { "+modelResponded +questionAsked" } else { "+modelResponded runTool" };
        assert_eq!(bench.completes(), expected, "{scope:?}");
    }
}

#[test]
fn a_declined_call_is_told_to_the_model_and_the_turn_goes_on() {
    let mut bench = Bench::new();
    bench.start("go");
    let item_id = bench.calls_with(shell("make install", true));
    bench.completes();
    let decision = Decision::Deny { message: Some("use a venv".into()) };
    let question_id = bench.question();
    assert_eq!(
        bench.request(Request::Answer { question_id, decision }),
        "+questionAnswered +itemCompleted(command declined) =answered +modelRequested callModel"
    );
    assert!(context::history::text_of(bench.item(item_id)).contains("use a venv"));
}

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
fn a_question_that_waits_too_long_counts_as_declined() {
    let mut bench = Bench::with(SessionSettings { question_timeout_ms: Some(500), ..settings() });
    bench.start("go");
    bench.calls_with(shell("make install", true));
    assert_eq!(bench.completes(), "+modelResponded +questionAsked timer500");
    let question_id = bench.question();
    assert_eq!(
        bench.take(Input::QuestionExpired { question_id }),
        "+questionWithdrawn +itemCompleted(command declined) +modelRequested callModel"
    );
    assert_eq!(bench.take(Input::QuestionExpired { question_id }), "");
}

#[test]
fn never_asks_nobody_and_refuses_what_would_need_an_answer() {
    let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::Never, ..settings() });
    bench.start("go");
    bench.calls_with(shell("make install", true));
    assert_eq!(
        bench.completes(),
        "+modelResponded +itemCompleted(command declined) +modelRequested callModel"
    );
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
    assert_eq!(bench.model(Answer::Failed(failure)), "+turnEnded(failed)");
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
fn ceilings_end_a_turn_before_it_goes_on() {
    let price = Some(ModelPrice { input: 1e4, cached_input: 0.0, output: 0.0 });
    let cases = [
        (
            TurnLimits { max_tokens: Some(100), ..TurnLimits::default() },
            "+itemCompleted(command) +turnEnded(limitReached)",
        ),
        (
            TurnLimits { max_tokens: Some(101), ..TurnLimits::default() },
            "+itemCompleted(command) +modelRequested callModel",
        ),
        (
            TurnLimits { max_cost: Some(0.9), ..TurnLimits::default() },
            "+itemCompleted(command) +turnEnded(limitReached)",
        ),
        (
            TurnLimits { max_cost: Some(0.91), ..TurnLimits::default() },
            "+itemCompleted(command) +modelRequested callModel",
        ),
    ];
    for (limits, expected) in cases {
        let mut bench = Bench::with(SessionSettings { price, ..settings() });
        bench.start_with("go", limits.clone());
        let item_id = bench.calls("ls");
        bench.completes();
        assert_eq!(bench.tool_ends(item_id, ""), expected, "{limits:?}");
    }
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tool_calls: Some(1), ..TurnLimits::default() });
    let item_id = bench.calls("ls");
    bench.calls("pwd");
    bench.completes();
    assert_eq!(
        bench.tool_ends(item_id, ""),
        "+itemCompleted(command) +itemCompleted(command interrupted) +turnEnded(limitReached)"
    );
}

#[test]
fn an_answer_within_a_ceiling_that_it_reaches_is_an_answer() {
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tokens: Some(1), ..TurnLimits::default() });
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
}

#[test]
fn a_cost_can_only_be_limited_where_the_price_is_known() {
    let limits = TurnLimits { max_cost: Some(1.0), ..TurnLimits::default() };
    assert_eq!(Bench::new().start_with("go", limits), "!InvalidRequest");
}

#[test]
fn a_deadline_ends_the_turn_whatever_it_does() {
    let mut bench = Bench::new();
    let limits = TurnLimits { deadline_ms: Some(1500), ..TurnLimits::default() };
    assert_eq!(
        bench.start_with("go", limits),
        "+turnStarted +itemCompleted(userMessage) +modelRequested deadline1500 callModel =started"
    );
    let turn_id = bench.turn_id();
    assert_eq!(bench.take(Input::Deadline { turn_id }), "cancelWork +turnEnded(limitReached)");
}

#[test]
fn a_model_that_repeats_itself_is_told_and_then_stopped() {
    let mut bench = Bench::new();
    bench.start("go");
    let mut trace = Vec::new();
    for _ in 0..7 {
        let item_id = bench.calls("ls");
        let mut words = bench.completes();
        if words.ends_with("runTool") {
            words = bench.tool_ends(item_id, "a");
        }
        trace.push(words);
        if bench.state.running.is_none() {
            break;
        }
    }
    let ran = "+itemCompleted(command) +modelRequested callModel";
    let told = "+modelResponded +itemCompleted(command declined) +modelRequested callModel";
    let ended = "+modelResponded +itemCompleted(command interrupted) +turnEnded(failed)";
    assert_eq!(trace, [ran, ran, ran, told, told, told, ended]);
}

#[test]
fn a_repeated_call_with_another_outcome_is_no_loop() {
    let mut bench = Bench::new();
    bench.start("go");
    for number in 0..20 {
        let item_id = bench.calls("date");
        assert_eq!(bench.completes(), "+modelResponded runTool");
        bench.tool_ends(item_id, &number.to_string());
    }
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
fn a_tool_without_a_policy_question_just_runs() {
    let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::Untrusted, ..settings() });
    bench.start("go");
    let call = ToolCall { call_id: "c".into(), name: "look".into(), input: CallInput::Json("{}".into()) };
    let body = ItemBody::ToolCall(OtherToolCall { call: call.clone(), output: None });
    bench.model(Answer::Call { item_id: ItemId::generate(), call, prepared: Ok(Box::new(body)) });
    assert_eq!(bench.completes(), "+modelResponded runTool");
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
    let created =
        SessionCreated { actor: actor(), title: None, settings: settings(), instructions: Vec::new() };
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
