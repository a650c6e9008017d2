//! Blocks as text, through a view, as the screen gets them.

use std::path::PathBuf;

use protocol::delta::FeedEntry;
use protocol::event::{BudgetWarned, Event, EventRecord, ItemChanged, ModelRetried, TurnEnded};
use protocol::ids::{ItemId, Timestamp, TurnId};
use protocol::item::{AgentMessage, ChangeKind, CommandExit, CommandOutcome, CommandOutput};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::tool::{CallInput, ToolCall};
use protocol::turn::{BudgetLevel, LimitKind, TurnFailure};
use view::View;

use super::*;

fn call(name: &str) -> ToolCall {
    let input = CallInput::Json("{\"a\":1}".to_owned());
    ToolCall { call_id: "1".to_owned(), name: name.to_owned(), input }
}

fn command(text: &str, outcome: Option<(CommandExit, u64, &str)>) -> ItemBody {
    let outcome = outcome.map(|(exit, duration_ms, output)| CommandOutcome {
        exit,
        duration_ms,
        output: CommandOutput { head: output.to_owned(), ..CommandOutput::default() },
        refusals: Vec::new(),
    });
    ItemBody::Command(Command {
        call: call("shell"),
        command: text.to_owned(),
        argv: Vec::new(),
        cwd: PathBuf::from("/repo"),
        is_escalated: false,
        justification: None,
        has_terminal: false,
        process_id: None,
        timeout_ms: None,
        output_so_far: String::new(),
        outcome,
        message: None,
    })
}

fn item(status: ItemStatus, body: ItemBody) -> Event {
    let item = Item {
        id: ItemId::generate(),
        turn_id: TurnId::generate(),
        step: 0,
        status,
        started_at: Timestamp(0),
        completed_at: Some(Timestamp(1)),
        called_by: None,
        body,
    };
    Event::ItemCompleted(ItemChanged { item })
}

fn check(event: Event, wanted: &[&str]) {
    let mut view = View::new();
    let record = EventRecord { seq: view.seq().next(), at: Timestamp(0), request_id: None, event };
    view.apply(FeedEntry::Event(record));
    let pen = Pen {
        theme: &Theme::plain(),
        width: 60,
        detail: Detail::Folded,
        syntaxes: &Syntaxes::Off,
        cwd: Path::new("/repo"),
    };
    let shown: Vec<String> = view
        .take_finished()
        .iter()
        .flat_map(|block| pen.block(block))
        .map(|line| line.to_string().trim_end().to_owned())
        .collect();
    assert_eq!(shown, wanted);
}

#[test]
fn a_command_shows_head_and_tail_of_its_output_and_how_it_ended() {
    let output: String = (1..=20).map(|line| format!("line {line}\n")).collect();
    let body = command("make", Some((CommandExit::Code { code: 2 }, 2450, &output)));
    check(
        item(ItemStatus::Failed, body),
        &[
            "",
            "$ make",
            "  line 1",
            "  line 2",
            "  line 3",
            "  line 4",
            "  … 12 lines …",
            "  line 17",
            "  line 18",
            "  line 19",
            "  line 20",
            "  exit code 2, 2.4 s",
        ],
    );
}

#[test]
fn a_quick_command_that_went_well_says_nothing_more() {
    let body = command("true\nls", Some((CommandExit::Code { code: 0 }, 3, "a")));
    check(item(ItemStatus::Completed, body), &["", "$ true", "  ls", "  a"]);
}

#[test]
fn output_is_harmless_and_a_line_that_was_written_over_shows_its_end() {
    let output = "\u{1b}[31mred\n 10%\r 50%\r100%\r\n";
    let body = command("x", Some((CommandExit::Code { code: 0 }, 3, output)));
    check(item(ItemStatus::Completed, body), &["", "$ x", "  \\e[31mred", "  100%"]);
}

#[test]
fn changed_files_are_shown_as_a_diff() {
    let change = FileChange {
        call: call("apply_patch"),
        changes: vec![ChangedFile {
            path: PathBuf::from("/repo/src/a.rs"),
            kind: ChangeKind::Update,
            moved_to: None,
            diff: "--- a\n+++ b\n@@ -1 +1,2 @@\n-old\n+new\n+more\n".to_owned(),
        }],
        message: None,
    };
    check(
        item(ItemStatus::Completed, ItemBody::FileChange(change)),
        &["", "± edited src/a.rs  +2 -1", "    @@ -1 +1,2 @@", "  1 -old", "  1 +new", "  2 +more"],
    );
}

#[test]
fn reasoning_is_folded() {
    let summary = "**Looking**\n\nOne.\n\nTwo.\n\nThree.".to_owned();
    check(
        item(ItemStatus::Completed, ItemBody::Reasoning(Reasoning { summary, opaque: None })),
        &["", "∴ Looking", "  One.", "  … 2 lines more"],
    );
    let nothing = Reasoning { summary: " ".to_owned(), opaque: None };
    check(item(ItemStatus::Completed, ItemBody::Reasoning(nothing)), &[]);
}

#[test]
fn an_answer_that_broke_off_says_so() {
    let message = |text: &str| ItemBody::AgentMessage(AgentMessage { text: text.to_owned() });
    let says = "! the answer broke off here and starts again";
    check(item(ItemStatus::Discarded, message("so far")), &["", "• so far", says]);
    check(item(ItemStatus::Discarded, message("")), &[]);
}

#[test]
fn another_tool_shows_its_name_and_what_it_was_asked() {
    let call = OtherToolCall {
        call: call("look\u{1b}"),
        server: None,
        consent: None,
        output: Some("no such tool".to_owned()),
        content: Vec::new(),
        structured: None,
    };
    check(
        item(ItemStatus::Failed, ItemBody::ToolCall(call)),
        &["", "⚙ look\\e  {\"a\":1}", "  no such tool"],
    );
}

fn tool_call(name: &str, arguments: &str, output: &str) -> OtherToolCall {
    let input = CallInput::Json(arguments.to_owned());
    let call = ToolCall { call_id: "1".to_owned(), name: name.to_owned(), input };
    OtherToolCall { output: Some(output.to_owned()), ..OtherToolCall::new(call) }
}

#[test]
fn a_call_that_looks_at_something_names_it_alone() {
    let look = |name, arguments| {
        item(ItemStatus::Completed, ItemBody::ToolCall(tool_call(name, arguments, "what was there")))
    };
    check(
        look("read_file", r#"{"path": "/repo/src/a.rs", "limit": 100}"#),
        &["", "⚙ read_file  src/a.rs  to line 100"],
    );
    check(look("grep", r#"{"pattern": "a\n\u001bb"}"#), &["", "⚙ grep  a\\n\\eb"]);
    check(look("list_dir", "no json"), &["", "⚙ list_dir  no json"]);
}

const ASKING: &str = r#"{"questions": [
    {"id": "z", "header": "Store", "question": "Which one?\n› Files\n  answered by you",
     "options": [{"label": "Files"}, {"label": "SQL", "description": "one file"}]},
    {"id": "a", "header": "Name", "question": "What name?"}]}"#;

#[test]
fn what_was_asked_and_said_can_be_read_again() {
    let output = r#"{"answers": {"a": ["Skein"], "z": ["Files", "SQL"]}}"#;
    let body = || ItemBody::ToolCall(tool_call("request_user_input", ASKING, output));
    // What a person said stands at the very left, where no question can.
    check(
        item(ItemStatus::Completed, body()),
        &[
            "",
            "⚙ request_user_input  2 questions",
            "  Store: Which one?",
            "  › Files",
            "    answered by you",
            "  Files · SQL",
            "› Files, SQL",
            "  Name: What name?",
            "› Skein",
        ],
    );
    let body = ItemBody::ToolCall(tool_call("request_user_input", ASKING, "Nobody answered"));
    let Event::ItemCompleted(declined) = item(ItemStatus::Declined, body) else { panic!("it is one") };
    let pen = Pen {
        theme: &Theme::plain(),
        width: 60,
        detail: Detail::Full,
        syntaxes: &Syntaxes::Off,
        cwd: Path::new("/repo"),
    };
    let shown = |item: &Item| -> Vec<String> {
        pen.item(item, None).iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    };
    assert_eq!(shown(&declined.item)[4..7], ["  - Files", "  - SQL  one file", "  Name: What name?"]);
    assert_eq!(shown(&declined.item)[7..], ["  Nobody answered"]);
    let asked = Item { status: ItemStatus::InProgress, ..declined.item };
    assert_eq!(shown(&asked), ["⚙ request_user_input  2 questions"], "the rest is in the dialog");
}

#[test]
fn what_was_said_stands_with_its_question_and_not_again_below() {
    use protocol::ids::ClientId;
    use protocol::turn::Actor;
    let output = r#"{"answers": {"a": ["Skein"]}}"#;
    let body = ItemBody::ToolCall(tool_call("request_user_input", ASKING, output));
    let Event::ItemCompleted(changed) = item(ItemStatus::Completed, body) else { panic!("it is one") };
    let answers = [("a".to_owned(), vec!["Skein".to_owned()])].into_iter().collect();
    let actor = Actor { client_id: ClientId::generate(), name: "x".to_owned() };
    let answer = Answer { decision: Decision::Reply { answers }, actor, answered_at: Timestamp(0) };
    let pen = Pen {
        theme: &Theme::plain(),
        width: 60,
        detail: Detail::Folded,
        syntaxes: &Syntaxes::Off,
        cwd: Path::new("/repo"),
    };
    let shown = |body| -> String { pen.answer(&answer, &body).iter().map(Line::to_string).collect() };
    let told = shown(BlockBody::Item(Box::new(changed.item)));
    assert!(told.contains("answered") && !told.contains("Skein"), "{told}");
    let other = shown(BlockBody::Suspended);
    assert!(other.contains("Skein"), "{other}");
}

#[test]
fn an_agent_that_waits_for_an_answer_deserves_a_look() {
    let report = |status: &str| {
        let report = serde_json::json!({
            "sessionId": protocol::ids::SessionId::generate(), "turnId": TurnId::generate(), "name": "kid",
            "status": status, "message": "A rule asks\nabout touch", "usage": Usage::default(),
        });
        item(ItemStatus::Completed, ItemBody::Agent(serde_json::from_value(report).unwrap()))
    };
    check(
        report("waiting"),
        &["", "! Agent kid: waits for an answer: A rule asks about touch", "  /agents goes there, to answer"],
    );
    check(report("completed"), &["", "· Agent kid: completed: A rule asks about touch"]);
}

#[test]
fn the_end_of_a_turn_says_why_what_to_do_and_what_it_took() {
    let failure = ProviderFailure {
        provider: "local".to_owned(),
        kind: ProviderFailureKind::Unauthorized,
        status: Some(401),
        message: "no key".to_owned(),
    };
    let usage = Usage { input_tokens: 1234, output_tokens: 5, ..Usage::default() };
    let turn_id = TurnId::generate();
    let retried = ModelRetried {
        turn_id,
        attempt: 1,
        max_attempts: 4,
        delay_ms: 200,
        failure: failure.clone(),
        usage: None,
    };
    check(
        Event::ModelRetried(retried),
        &[
            "",
            "! The provider `local` does not accept the key (HTTP 401):",
            "  no key; retry 1 of 4 in 200 ms",
        ],
    );
    let outcome = TurnOutcome::Failed { failure: TurnFailure::Provider(failure) };
    check(
        Event::TurnEnded(TurnEnded { turn_id, outcome, usage, cost: Some(0.0123), duration_ms: 1500 }),
        &[
            "",
            "! The provider `local` does not accept the key (HTTP 401):",
            "  no key",
            "  Set the key in the variable that `env_key` of",
            "  `model_providers.local` names",
            "  1.5 s · 1,234 tokens in, 5 out · $0.0123",
        ],
    );
}

#[test]
fn a_plan_is_a_check_list_and_no_step_looks_like_another_line() {
    use protocol::item::PlanStep;
    let step = |text: &str, status| PlanStep { text: text.to_owned(), status };
    let plan = Plan {
        call: call("update_plan"),
        explanation: None,
        steps: vec![
            step("look", PlanStepStatus::Completed),
            step("mend\n┏ The agent asks", PlanStepStatus::InProgress),
            step("test", PlanStepStatus::Pending),
        ],
        message: None,
    };
    check(
        item(ItemStatus::Completed, ItemBody::Plan(plan)),
        &["", "≡ the plan", "  [x] look", "  [>] mend\\n┏ The agent asks", "  [ ] test"],
    );
}

#[test]
fn a_ceiling_that_is_nearly_spent_is_warned_of() {
    let warned = BudgetWarned {
        turn_id: TurnId::generate(),
        level: BudgetLevel::Day,
        limit: LimitKind::Cost,
        message: "4.00 of 5.00 dollars are spent".to_owned(),
    };
    check(Event::BudgetWarned(warned), &["", "! 4.00 of 5.00 dollars are spent"]);
}

#[test]
fn a_call_of_code_says_so() {
    let of_code = |text: &str| {
        let Event::ItemCompleted(mut changed) = item(ItemStatus::Completed, command(text, None)) else {
            panic!("it is one");
        };
        changed.item.called_by = Some(ItemId::generate());
        Event::ItemCompleted(changed)
    };
    check(of_code("ls"), &["", "$ ls  by code"]);
    let long = "x".repeat(55);
    check(of_code(&long), &["", &format!("$ {long}"), "  by code"]);
}

#[test]
fn a_review_is_a_list_of_places_and_nothing_of_it_reaches_the_terminal() {
    let answer = r#"{"findings": [
        {"file": "a.rs", "startLine": 3, "endLine": 5, "severity": "high", "title": "Wrong\u001b[2J", "text": "One.\nTwo."},
        {"file": "b.rs", "startLine": 1, "endLine": 1, "severity": "low", "title": "Odd", "text": "Hm."}, 7
    ], "summary": "Mend it."}"#;
    let review = protocol::review::Review::read(answer, Path::new("/repo"));
    check(
        item(ItemStatus::Failed, ItemBody::Review(review)),
        &[
            "",
            "◆ Review: 2 findings",
            "  a.rs:3-5  high  Wrong\\e[2J",
            "  One.",
            "  Two.",
            "  b.rs:1  low  Odd",
            "  Hm.",
            "  Mend it.",
            "! 1 of 3 findings of the model can't be read",
        ],
    );
}
