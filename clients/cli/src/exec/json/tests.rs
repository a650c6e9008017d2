//! Golden lines: one turn with every kind of item, and every way to end.

use std::path::PathBuf;

use protocol::event::{ItemChanged, ModelRetried, QuestionWithdrawn, TurnStarted};
use protocol::ids::{ClientId, QuestionId, Seq, Timestamp};
use protocol::item::{AgentMessage, CommandOutcome, Notice, Reasoning, UserMessage};
use protocol::model::{ProviderFailure, ProviderFailureKind};
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::{Actor, TurnFailure, TurnLimits};

use super::*;
use crate::exec::signals::Signal;

struct Recorder {
    turn: TurnId,
    lines: Lines,
}

impl Recorder {
    fn new() -> Self {
        let turn = TurnId::generate();
        let mut lines = Lines::default();
        lines.follow(turn);
        Self { turn, lines }
    }

    fn event(&mut self, event: Event) -> Option<Value> {
        let record = EventRecord { seq: Seq(1), at: Timestamp(0), request_id: None, event };
        self.lines.event(&record).map(|line| serde_json::to_value(line).unwrap())
    }

    fn item(&self, id: ItemId, status: ItemStatus, body: ItemBody) -> Item {
        let at = Timestamp(0);
        Item {
            id,
            turn_id: self.turn,
            step: 0,
            status,
            started_at: at,
            completed_at: None,
            called_by: None,
            body,
        }
    }

    /// The lines of an item that begins and ends.
    fn both(&mut self, status: ItemStatus, begin: ItemBody, end: ItemBody) -> Vec<Value> {
        let id = ItemId::generate();
        let started = self.item(id, ItemStatus::InProgress, begin);
        let completed = self.item(id, status, end);
        [
            self.event(Event::ItemStarted(ItemChanged { item: started })),
            self.event(Event::ItemCompleted(ItemChanged { item: completed })),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}

fn call(name: &str, input: CallInput) -> ToolCall {
    ToolCall { call_id: "c".to_owned(), name: name.to_owned(), input }
}

fn command(outcome: Option<CommandOutcome>, message: Option<&str>) -> ItemBody {
    ItemBody::Command(Command {
        call: call("shell", CallInput::Json("{}".to_owned())),
        command: "cargo test".to_owned(),
        argv: Vec::new(),
        cwd: PathBuf::from("/repo"),
        is_escalated: false,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome,
        message: message.map(str::to_owned),
    })
}

fn outcome(exit: CommandExit, head: &str, tail: &str, omitted_bytes: u64) -> Option<CommandOutcome> {
    let total_bytes = (head.len() + tail.len()) as u64 + omitted_bytes;
    let output = CommandOutput {
        head: head.to_owned(),
        tail: tail.to_owned(),
        omitted_bytes,
        total_bytes,
        blob: None,
    };
    Some(CommandOutcome { exit, duration_ms: 5, output, refusals: Vec::new() })
}

#[test]
fn a_turn_begins_with_its_thread() {
    let session = SessionId::generate();
    let line = serde_json::to_string(&Lines::default().thread(session)).unwrap();
    assert_eq!(line, format!("{{\"type\":\"thread.started\",\"thread_id\":\"{session}\"}}"));
    let mut recorder = Recorder::new();
    let actor = Actor { client_id: ClientId::generate(), name: "x".to_owned() };
    let started = |turn_id| {
        Event::TurnStarted(TurnStarted {
            turn_id,
            actor: actor.clone(),
            limits: TurnLimits::default(),
            output_schema: None,
            queued_id: None,
        })
    };
    let ours = recorder.turn;
    assert_eq!(recorder.event(started(ours)), Some(json!({"type": "turn.started"})));
    assert_eq!(recorder.event(started(TurnId::generate())), None);
}

#[test]
fn a_command_is_told_when_it_begins_and_when_it_ends() {
    let mut recorder = Recorder::new();
    let end = command(outcome(CommandExit::Code { code: 101 }, "begin", "end\n", 7), None);
    assert_eq!(
        recorder.both(ItemStatus::Failed, command(None, None), end),
        [
            json!({"type": "item.started", "item": {
                "id": "item_0", "type": "command_execution", "command": "cargo test",
                "aggregated_output": "", "exit_code": null, "status": "in_progress"}}),
            json!({"type": "item.completed", "item": {
                "id": "item_0", "type": "command_execution", "command": "cargo test",
                "aggregated_output": "begin\n[… 7 bytes left out …]\nend\n", "exit_code": 101,
                "status": "failed"}}),
        ]
    );
}

#[test]
fn a_command_without_an_exit_code_has_null() {
    for (status, end, output, shown) in [
        (ItemStatus::Declined, command(None, Some("not allowed")), "not allowed", "declined"),
        (
            ItemStatus::Failed,
            command(outcome(CommandExit::TimedOut { after_ms: 9 }, "some", "", 0), None),
            "some",
            "failed",
        ),
        (
            ItemStatus::Interrupted,
            command(outcome(CommandExit::Interrupted, "some", "", 0), None),
            "some",
            "failed",
        ),
    ] {
        let mut recorder = Recorder::new();
        let last = recorder.both(status, command(None, None), end).pop().unwrap();
        let item = &last["item"];
        assert_eq!(
            (&item["exit_code"], &item["aggregated_output"], &item["status"]),
            (&Value::Null, &json!(output), &json!(shown))
        );
    }
}

#[test]
fn messages_and_reasoning_are_told_when_complete() {
    let mut recorder = Recorder::new();
    let reasoning =
        |summary: &str| ItemBody::Reasoning(Reasoning { summary: summary.to_owned(), opaque: None });
    let message = |text: &str| ItemBody::AgentMessage(AgentMessage { text: text.to_owned() });
    assert_eq!(
        recorder.both(ItemStatus::Completed, reasoning(""), reasoning("Let me see")),
        [
            json!({"type": "item.completed", "item": {"id": "item_0", "type": "reasoning", "text": "Let me see"}})
        ]
    );
    assert_eq!(recorder.both(ItemStatus::Completed, reasoning(""), reasoning("")), [Value::Null; 0]);
    assert_eq!(recorder.both(ItemStatus::Discarded, message(""), message("half a wo")), [Value::Null; 0]);
    assert_eq!(
        recorder.both(ItemStatus::Completed, message(""), message("Done")),
        [
            json!({"type": "item.completed", "item": {"id": "item_1", "type": "agent_message", "text": "Done"}})
        ]
    );
}

#[test]
fn a_change_of_files_names_them_absolutely() {
    let change = |kind, name: &str| ChangedFile {
        path: PathBuf::from("/repo").join(name),
        kind,
        moved_to: None,
        diff: String::new(),
    };
    let body = |changes| {
        ItemBody::FileChange(FileChange {
            call: call("apply_patch", CallInput::Freeform(String::new())),
            changes,
            message: None,
        })
    };
    let all =
        vec![change(ChangeKind::Add, "a"), change(ChangeKind::Delete, "b"), change(ChangeKind::Update, "c")];
    let mut recorder = Recorder::new();
    let lines = recorder.both(ItemStatus::Completed, body(Vec::new()), body(all));
    assert_eq!(
        lines[0]["item"],
        json!({"id": "item_0", "type": "file_change", "changes": [], "status": "in_progress"})
    );
    assert_eq!(
        lines[1]["item"],
        json!({"id": "item_0", "type": "file_change", "changes": [
            {"path": "/repo/a", "kind": "add"},
            {"path": "/repo/b", "kind": "delete"},
            {"path": "/repo/c", "kind": "update"},
        ], "status": "completed"})
    );
    let lines = recorder.both(ItemStatus::Declined, body(Vec::new()), body(Vec::new()));
    assert_eq!(lines[1]["item"]["status"], "failed");
}

#[test]
fn a_call_of_another_tool_has_the_shape_of_mcp() {
    let body = |output: Option<&str>| {
        ItemBody::ToolCall(OtherToolCall {
            call: call("look", CallInput::Json("{\"a\":1}".to_owned())),
            server: None,
            consent: None,
            output: output.map(str::to_owned),
            content: Vec::new(),
            structured: None,
        })
    };
    let mut recorder = Recorder::new();
    let lines = recorder.both(ItemStatus::Completed, body(None), body(Some("seen")));
    assert_eq!(
        lines[1]["item"],
        json!({"id": "item_0", "type": "mcp_tool_call", "server": "skein", "tool": "look",
            "arguments": {"a": 1}, "error": null, "status": "completed",
            "result": {"content": [{"type": "text", "text": "seen"}], "structured_content": null}})
    );
    let lines = recorder.both(ItemStatus::Failed, body(None), body(Some("no such tool")));
    assert_eq!(lines[1]["item"]["error"], json!({"message": "no such tool"}));
    assert_eq!(lines[1]["item"]["result"], Value::Null);
}

#[test]
fn a_review_is_an_item_with_its_findings() {
    let answer = r#"{"findings": [
        {"file": "a.rs", "startLine": 3, "endLine": 5, "severity": "high", "title": "Wrong", "text": "So."}, 7
    ], "verdict": "needsWork", "summary": "One."}"#;
    let body = || ItemBody::Review(Review::read(answer, std::path::Path::new("/repo")));
    assert_eq!(
        Recorder::new().both(ItemStatus::Failed, body(), body()),
        [json!({"type": "item.completed", "item": {
            "id": "item_0", "type": "review", "verdict": "needsWork", "summary": "One.",
            "message": "1 of 2 findings of the model can't be read",
            "findings": [{
                "file": "a.rs", "start_line": 3, "end_line": 5, "severity": "high", "title": "Wrong", "text": "So.",
            }],
        }})]
    );
}

#[test]
fn warnings_are_items_and_retries_are_errors() {
    let mut recorder = Recorder::new();
    let notice = |level| ItemBody::Notice(Notice { level, text: "weaker".to_owned(), context: None });
    assert_eq!(
        recorder.both(ItemStatus::Completed, notice(NoticeLevel::Warning), notice(NoticeLevel::Warning)),
        [json!({"type": "item.completed", "item": {"id": "item_0", "type": "error", "message": "weaker"}})]
    );
    let turn_id = recorder.turn;
    let retried = Event::ModelRetried(ModelRetried {
        usage: None,
        turn_id,
        attempt: 1,
        max_attempts: 4,
        delay_ms: 2000,
        failure: ProviderFailure {
            provider: "p".to_owned(),
            kind: ProviderFailureKind::RateLimited,
            status: Some(429),
            message: "slow down".to_owned(),
        },
    });
    assert_eq!(
        recorder.event(retried),
        Some(json!({"type": "error", "message":
            "The provider `p` takes no more requests now (HTTP 429): slow down; retry 1 of 4 in 2.0 s"}))
    );
}

#[test]
fn what_others_say_and_ask_is_no_line() {
    let mut recorder = Recorder::new();
    let actor = Actor { client_id: ClientId::generate(), name: "x".to_owned() };
    let said = ItemBody::UserMessage(UserMessage { content: Vec::new(), actor, is_steer: false });
    assert_eq!(recorder.both(ItemStatus::Completed, said.clone(), said), [Value::Null; 0]);
    let withdrawn = Event::QuestionWithdrawn(QuestionWithdrawn { question_id: QuestionId::generate() });
    assert_eq!(recorder.event(withdrawn), None);
}

#[test]
fn every_run_has_a_last_line() {
    let usage = Usage {
        input_tokens: 5,
        cached_input_tokens: 4,
        cache_write_input_tokens: 3,
        output_tokens: 2,
        reasoning_output_tokens: 1,
    };
    let ended = |outcome| {
        let turn_id = TurnId::generate();
        Ending::Turn(Box::new(TurnEnded { turn_id, outcome, usage, cost: None, duration_ms: 1 }))
    };
    let last = |ending: &Ending| serde_json::to_value(Lines::last(ending).unwrap()).unwrap();
    assert_eq!(
        last(&ended(TurnOutcome::Completed)),
        json!({"type": "turn.completed", "usage": {"input_tokens": 5, "cached_input_tokens": 4,
            "cache_write_input_tokens": 3, "output_tokens": 2, "reasoning_output_tokens": 1}})
    );
    let stopped = TurnFailure::ModelStopped { reason: "max_output_tokens".to_owned() };
    assert_eq!(
        last(&ended(TurnOutcome::Failed { failure: stopped })),
        json!({"type": "turn.failed", "error": {
            "message": "The model stopped early: max_output_tokens", "code": "model_stopped"}})
    );
    assert_eq!(
        last(&Ending::Signal(Signal::Terminate)),
        json!({"type": "turn.failed", "error": {"message": "Terminated", "code": "terminated"}})
    );
}
