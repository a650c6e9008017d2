//! Whole scripts, from text to events.

use super::*;
use crate::contract;
use crate::event::{ModelEvent, OutputItem, StopReason};
use crate::request::{CallKind, InputContent, InputItem};
use protocol::model::{ProviderFailure, ProviderFailureKind, Usage};
use protocol::tool::{CallInput, ToolCall};
use tokio::time::Instant;

type Event = Result<ModelEvent, ProviderFailure>;

const SCRIPT: &str = r#"
    [[step]]
    expect.user = "pass"
    reasoning = "First I look."
    say = "I run the tests."
    usage = { input = 900, cached = 100, output = 60, reasoning = 20 }
    [[step.call]]
    tool = "shell"
    arguments = { command = ["cargo", "test"] }
    [[step.call]]
    tool = "apply_patch"
    input = "*** Begin Patch"
    [[step.call]]
    tool = "shell"
    raw_arguments = "{broken"

    [[step]]
    expect.output = ["1 failed", "left: 4"]
    expect.anywhere = ["Be good", "cargo"]
    say = "Done."
    stop = "max_output_tokens"
"#;

fn user(text: &str) -> InputItem {
    InputItem::UserMessage(vec![InputContent::Text(text.into())])
}

fn called(id: &str) -> InputItem {
    let input = CallInput::Json("{\"command\":[\"cargo\"]}".into());
    InputItem::ToolCall(ToolCall { call_id: id.into(), name: "shell".into(), input })
}

fn output(id: &str, output: &str) -> InputItem {
    let (call_id, name) = (id.into(), "shell".into());
    InputItem::ToolOutput {
        call_id,
        name,
        kind: CallKind::Json,
        output: vec![InputContent::Text(output.into())],
    }
}

fn request(input: Vec<InputItem>) -> ModelRequest {
    ModelRequest {
        model: "scripted".into(),
        instructions: "Be good.".into(),
        tools: Vec::new().into(),
        input,
        reasoning_effort: None,
        reasoning_summary: None,
        output_schema: None,
        cache_key: "key".into(),
    }
}

async fn ask(script: &str, input: Vec<InputItem>) -> Vec<Event> {
    let replay = Replay(toml::from_str(script).unwrap());
    let events: Vec<Event> = replay.stream(request(input)).collect().await;
    assert_eq!(contract::check(&events), Ok(()));
    events
}

async fn failure(script: &str, input: Vec<InputItem>) -> ProviderFailure {
    ask(script, input).await.pop().unwrap().unwrap_err()
}

/// The complete things of an answer.
fn items(events: Vec<Event>) -> Vec<OutputItem> {
    let item = |event: Event| match event.unwrap() {
        ModelEvent::OutputItem { item, .. } => Some(item),
        _ => None,
    };
    events.into_iter().filter_map(item).collect()
}

#[tokio::test]
async fn a_step_says_and_does_what_is_written() {
    let mut events = ask(SCRIPT, vec![user("make the test pass")]).await;
    let usage = Usage {
        input_tokens: 900,
        cached_input_tokens: 100,
        cache_write_input_tokens: 0,
        output_tokens: 60,
        reasoning_output_tokens: 20,
    };
    assert_eq!(events.pop(), Some(Ok(ModelEvent::Completed { usage, stop: StopReason::Finished })));
    let call = |id: &str, name: &str, input| {
        OutputItem::ToolCall(ToolCall { call_id: id.into(), name: name.into(), input })
    };
    let wanted = [
        OutputItem::Reasoning { summary: "First I look.".into(), opaque: None },
        OutputItem::Message("I run the tests.".into()),
        call("call_1_1", "shell", CallInput::Json(r#"{"command":["cargo","test"]}"#.into())),
        call("call_1_2", "apply_patch", CallInput::Freeform("*** Begin Patch".into())),
        call("call_1_3", "shell", CallInput::Json("{broken".into())),
    ];
    assert_eq!(items(events), wanted);
}

#[tokio::test]
async fn the_conversation_tells_the_step() {
    let input = vec![
        user("make the test pass"),
        InputItem::AgentMessage("I run the tests.".into()),
        called("a"),
        called("b"),
        output("a", "1 failed"),
        output("b", "left: 4"),
        user("and hurry"),
    ];
    let events = ask(SCRIPT, input.clone()).await;
    assert_eq!(events, ask(SCRIPT, input).await, "asked again, it answers the same");
    let stop = StopReason::Stopped("max_output_tokens".into());
    let end = ModelEvent::Completed { usage: Usage::default(), stop };
    assert_eq!(events.last(), Some(&Ok(end)));
    assert_eq!(items(events), [OutputItem::Message("Done.".into())]);
}

#[tokio::test]
async fn a_condition_that_fails_tells_what_was_shown() {
    let told = failure(SCRIPT, vec![user("fail"), user("hello")]).await;
    assert_eq!(told.kind, ProviderFailureKind::Rejected);
    let wanted = "Step 1 of the script expects `pass` in the last user message, where this stands: \"hello\"";
    assert_eq!(told.message, wanted);
    let input = vec![user("pass"), called("a"), output("a", "all good"), user("left: 4")];
    let told = failure(SCRIPT, input).await;
    assert!(
        told.message.contains("`1 failed` in the tool outputs, where this stands: \"all good\""),
        "{told:?}"
    );
    let input = vec![user("pass"), called("a"), output("a", &"1 failed left: 4 é".repeat(200))];
    let told = failure(&SCRIPT.replace("Be good", "Be bad"), input).await;
    assert!(told.message.contains("`Be bad` in the request"), "{told:?}");
    assert!(told.message.contains("bytes more)") && told.message.len() < 1000, "{told:?}");
}

#[tokio::test]
async fn a_script_that_is_over_says_so() {
    let told = failure("", vec![user("hi")]).await;
    assert_eq!(told.message, "The script has 0 steps, and one more is asked for");
}

#[tokio::test]
async fn a_failure_breaks_off_what_is_said() {
    let script = r#"
        [[step]]
        say = "I will"
        fail = { kind = "failed", status = 500, message = "Boom" }
    "#;
    let events = ask(script, vec![user("hi")]).await;
    assert_eq!(events.len(), 3);
    let told = events.last().unwrap().clone().unwrap_err();
    assert_eq!((told.provider.as_str(), told.status, told.message.as_str()), ("replay", Some(500), "Boom"));
}

#[tokio::test(start_paused = true)]
async fn pauses_are_as_long_as_written() {
    let script = r#"
        pace_ms = 10
        [[step]]
        wait_ms = 1000
        retry = { kind = "rateLimited", status = 429, message = "Slow down", delay_ms = 300 }
        say = "one two three"
        [[step]]
        pace_ms = 0
        say = "one two"
    "#;
    let begun = Instant::now();
    let events = ask(script, vec![user("hi")]).await;
    assert!(matches!(&events[0], Ok(ModelEvent::Retrying { failure, .. }) if failure.status == Some(429)));
    assert_eq!(begun.elapsed().as_millis(), 1330);
    let begun = Instant::now();
    ask(script, vec![user("hi"), InputItem::AgentMessage("x".into()), user("more")]).await;
    assert_eq!(begun.elapsed().as_millis(), 0);
}

#[test]
fn a_script_that_makes_no_sense_is_refused_with_its_place() {
    for (text, wanted) in [
        ("[[step]]\nreasoning = 'hm'", "needs `say`, `call` or `fail`"),
        (
            "[[step]]\nsay = 'a'\nstop = 'b'\nfail = { kind = 'cut', message = 'c' }",
            "neither `call` nor `stop`",
        ),
        ("[[step]]\ncall = [{ tool = 'x' }]", "needs one of `arguments`"),
        ("[[step]]\ncall = [{ tool = 'x', input = 'a', raw_arguments = 'b' }]", "needs one of `arguments`"),
        ("[[step]]\nfail = { kind = 'sad', message = 'c' }", "`sad` is no kind of failure"),
        ("[[step]]\nsays = 'a'", "unknown field `says`"),
        ("\n[[step]\n", "line 2"),
    ] {
        let Err(error) = toml::from_str::<Script>(text) else { panic!("{text} was taken") };
        let told = ReplayError::Malformed { path: "demo.toml".into(), source: Box::new(error) }.to_string();
        assert!(told.contains(wanted) && told.contains("demo.toml") && told.contains("line "), "{told}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let Err(error) = load(Path::new("/nowhere/demo.toml")) else {
        panic!("a file that is not there was read")
    };
    assert_eq!(error.to_string(), "The script `/nowhere/demo.toml` can't be read");
}

#[test]
fn the_example_of_the_documentation_is_a_script() {
    let docs = include_str!("../replay.rs");
    let from = docs.find("```toml").unwrap() + "```toml".len();
    let example = docs[from..].split("//! ```").next().unwrap().replace("//!", "");
    assert_eq!(toml::from_str::<Script>(&example).unwrap().steps.len(), 3);
}
