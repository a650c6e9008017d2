//! An MCP server asks the session's model in the middle of a call.

use protocol::question::QuestionKind;

use super::bench::*;
use super::questions::allow;

fn wants_an_answer() -> QuestionKind {
    QuestionKind::Sampling { server: "docs".into(), prompt: "[user]\nWhich?".into(), max_tokens: 20 }
}

fn spent(item_id: ItemId, tokens: u64) -> Input {
    Input::ModelAnsweredTool { item_id, usage: Usage { input_tokens: tokens, ..Usage::default() } }
}

#[test]
fn a_person_lets_a_server_ask_once_or_for_the_session() {
    let mut bench = Bench::new();
    let item_id = bench.running_call();
    let (question, asked) = bench.tool_asks(item_id, wants_an_answer());
    assert_eq!(asked, "+questionAsked");
    assert_eq!(bench.answers(question, allow(GrantScope::Once)), "+questionAnswered =answered toolAllowed");
    let (question, asked) = bench.tool_asks(item_id, wants_an_answer());
    assert_eq!(asked, "+questionAsked", "once is once");
    bench.answers(question, allow(GrantScope::Session));
    assert_eq!(bench.tool_asks(item_id, wants_an_answer()).1, "toolAllowed");
    let other =
        QuestionKind::Sampling { server: "other".into(), prompt: "[user]\nWhich?".into(), max_tokens: 20 };
    assert_eq!(bench.tool_asks(item_id, other).1, "+questionAsked", "of one server");
}

#[test]
fn a_session_that_asks_nobody_lets_no_server_ask() {
    let mut bench = Bench::with(SessionSettings { approval: ApprovalPolicy::Never, ..settings() });
    bench.is_answerable = true;
    let item_id = bench.running_call();
    assert_eq!(bench.tool_asks(item_id, wants_an_answer()).1, "toolDenied");
}

#[test]
fn what_the_model_answered_a_server_counts_as_the_turns() {
    let mut bench = Bench::new();
    let item_id = bench.running_call();
    let before = (bench.state.usage, bench.state.turns[0].usage, bench.state.spent.usage);
    assert_eq!(bench.take(spent(item_id, 30)), "+modelResponded");
    let after = (bench.state.usage, bench.state.turns[0].usage, bench.state.spent.usage);
    assert_eq!(after.0.input_tokens, before.0.input_tokens + 30);
    assert_eq!(after.1.input_tokens, before.1.input_tokens + 30);
    assert_eq!(after.2.input_tokens, before.2.input_tokens + 30);
    // The turn still waits for its call.
    assert_eq!(bench.tool_ends(item_id, ""), "+itemCompleted(command) +modelRequested callModel");
}

#[test]
fn a_ceiling_that_is_reached_lets_no_server_ask_whatever_a_person_said() {
    let mut bench = Bench::new();
    bench.start_with("go", TurnLimits { max_tokens: Some(1_000), ..TurnLimits::default() });
    let item_id = bench.calls("ls");
    bench.completes();
    let (question, _) = bench.tool_asks(item_id, wants_an_answer());
    bench.answers(question, allow(GrantScope::Session));
    assert_eq!(bench.tool_asks(item_id, wants_an_answer()).1, "toolAllowed");
    bench.take(spent(item_id, 2_000));
    assert_eq!(bench.tool_asks(item_id, wants_an_answer()).1, "toolDenied");
    assert_eq!(bench.tool_ends(item_id, ""), "+itemCompleted(command) +turnEnded(limitReached)");
}

#[test]
fn an_answer_that_comes_after_its_turn_counts_for_that_turn() {
    let mut bench = Bench::new();
    let item_id = bench.running_call();
    bench.tool_ends(item_id, "");
    bench.says("done");
    bench.completes();
    bench.start("on");
    let before: Vec<_> = bench.state.turns.iter().map(|turn| turn.usage.input_tokens).collect();
    assert_eq!(bench.take(spent(item_id, 30)), "+modelResponded");
    let after: Vec<_> = bench.state.turns.iter().map(|turn| turn.usage.input_tokens).collect();
    assert_eq!(after, [before[0] + 30, before[1]]);
    // The new turn still waits for the model.
    bench.says("done");
    assert_eq!(bench.completes(), "+modelResponded +turnEnded(completed)");
}
