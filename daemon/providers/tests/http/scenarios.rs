//! The same scenes on every wire API: the same answers yield the same events, and what is sent next holds all that
//! was said. Where an API has no way to say a thing, its scene says how it differs.

use futures_util::StreamExt;
use model::contract;
use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::{CallKind, InputContent, InputItem, ModelRequest};
use protocol::model::ProviderFailureKind;
use protocol::tool::{ToolCall, ToolInput, ToolSpecification};
use serde_json::{Value, json};

use crate::apis::{APIS, Answer, Api, End, calls, says};
use crate::server::{Reply, Server};
use crate::{request, settings};

/// What a scene comes to.
struct Played {
    /// All events in words.
    events: Vec<String>,
    /// All requests.
    bodies: Vec<String>,
    conversation: Vec<InputItem>,
}

fn tools() -> std::sync::Arc<[ToolSpecification]> {
    let tool = |name: &str, input| ToolSpecification { name: name.into(), description: "Does".into(), input };
    let schema = json!({"type": "object", "properties": {"command": {"type": "string"}}});
    let json = || ToolInput::Json { schema: schema.clone() };
    [tool("shell", json()), tool("look", json()), tool("apply_patch", ToolInput::Freeform { grammar: None })]
        .into()
}

/// What a tool gives.
fn output(call: &ToolCall) -> Vec<InputContent> {
    let text = InputContent::Text(format!("output of {}", call.input.text()));
    let image = InputContent::Image { media_type: "image/png".into(), data: "aW1hZ2U=".into() };
    if call.name == "look" { vec![text, image] } else { vec![text] }
}

fn words(event: &ModelEvent) -> String {
    match event {
        ModelEvent::TextDelta { text, .. } => format!("+{text}"),
        ModelEvent::SummaryDelta { text, .. } => format!("~{text}"),
        ModelEvent::OutputItem { item: OutputItem::Message(text), .. } => format!("message {text}"),
        ModelEvent::OutputItem { item: OutputItem::Reasoning { summary, opaque }, .. } => {
            format!("reasoning {summary} {}", opaque.is_some())
        }
        ModelEvent::OutputItem { item: OutputItem::ToolCall(call), .. } => {
            format!("call {} {} {}", call.call_id, call.name, call.input.text())
        }
        ModelEvent::OutputItem { item: OutputItem::WebSearch(search), .. } => {
            format!("search {}", search.queries.join(" "))
        }
        ModelEvent::OutputItem { item: OutputItem::Compaction(all), .. } => {
            format!("compaction {}", all.len())
        }
        ModelEvent::ReasoningDropped => "dropped".to_owned(),
        ModelEvent::Spent { .. } => "spent".to_owned(),
        ModelEvent::Retrying { .. } => "retrying".to_owned(),
        ModelEvent::Completed { stop: StopReason::Finished, usage } => {
            format!("finished {}/{}", usage.input_tokens, usage.output_tokens)
        }
        ModelEvent::Completed { stop: StopReason::Stopped(reason), .. } => format!("stopped {reason}"),
    }
}

/// Asks until no tool is called any more.
async fn play(api: &Api, answers: &[Answer], mut request: ModelRequest) -> Played {
    let replies = answers.iter().map(|answer| {
        let events = (api.say)(answer);
        Reply::stream(&events.iter().map(String::as_str).collect::<Vec<_>>())
    });
    let mut server = Server::start(replies).await;
    let client = (api.make)(settings(server.base_url())).unwrap();
    let mut all = Vec::new();
    loop {
        let events: Vec<_> = client.stream(request.clone()).collect().await;
        assert_eq!(contract::check(&events), Ok(()), "{}", api.name);
        let (mut said, mut outputs) = (Vec::new(), Vec::new());
        for event in &events {
            match event {
                // How often it is told is the API's own affair.
                Ok(ModelEvent::Spent { .. }) => {}
                Ok(event) => all.push(words(event)),
                Err(failure) => all.push(format!("failed {:?}", failure.kind)),
            }
            let Ok(ModelEvent::OutputItem { item, .. }) = event else { continue };
            match item.clone() {
                OutputItem::Message(text) => said.push(InputItem::AgentMessage(text)),
                OutputItem::Reasoning { opaque, .. } => said.extend(opaque.map(InputItem::Reasoning)),
                OutputItem::WebSearch(search) => said.extend(search.opaque.map(InputItem::Reasoning)),
                OutputItem::Compaction(all) => said.extend(all.into_iter().map(InputItem::Reasoning)),
                OutputItem::ToolCall(call) => {
                    outputs.push(InputItem::ToolOutput {
                        call_id: call.call_id.clone(),
                        name: call.name.clone(),
                        kind: CallKind::of(&call.input),
                        output: output(&call),
                    });
                    said.push(InputItem::ToolCall(call));
                }
            }
        }
        let goes_on = !outputs.is_empty();
        request.input.extend(said);
        request.input.extend(outputs);
        if !goes_on {
            let bodies = server.received().into_iter().map(|request| request.body).collect();
            return Played { events: all, bodies, conversation: request.input };
        }
    }
}

fn asks(input: Vec<InputItem>) -> ModelRequest {
    ModelRequest { tools: tools(), input, ..request() }
}

fn user(text: &str) -> InputItem {
    InputItem::UserMessage(vec![InputContent::Text(text.into())])
}

/// Plays a scene on every API and checks that its events are these.
async fn check(answers: &[Answer], wanted: &[&str]) -> Vec<Played> {
    let mut all = Vec::new();
    for api in &APIS {
        let played = play(api, answers, asks(vec![user("begin")])).await;
        assert_eq!(joined(played.events.clone()), wanted, "{}", api.name);
        assert_stable(api, &played.bodies);
        all.push(played);
    }
    all
}

/// Deltas of one thing as one, since each API cuts them its own way.
fn joined(events: Vec<String>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for event in events {
        let mark = event.chars().next().filter(|mark| matches!(mark, '+' | '~'));
        match all.last_mut().filter(|last| mark.is_some_and(|mark| last.starts_with(mark))) {
            Some(last) => last.push_str(&event[1..]),
            None => all.push(event),
        }
    }
    all
}

/// Checks that each request begins with all that the one before held, but for the marks of Anthropic's cache.
fn assert_stable(api: &Api, bodies: &[String]) {
    let bare: Vec<_> =
        bodies.iter().map(|body| body.replace(r#","cache_control":{"type":"ephemeral"}"#, "")).collect();
    for pair in bare.windows(2) {
        let beginning = pair[0].trim_end_matches(['}', ']']);
        assert!(pair[1].starts_with(beginning), "{}\n{}\n{}", api.name, pair[0], pair[1]);
    }
}

#[tokio::test]
async fn plain_text() {
    check(&[says("Grüße, 世界")], &["+Grüße, 世界", "message Grüße, 世界", "finished 7/2"]).await;
}

#[tokio::test]
async fn reasoning_goes_back_as_it_came() {
    let thinks = Answer { reasoning: Some("Hm"), ..calls(&[("c1", "shell", "{}")]) };
    let wanted = [
        "~Hm",
        "reasoning Hm true",
        "call c1 shell {}",
        "finished 7/2",
        "+Done",
        "message Done",
        "finished 7/2",
    ];
    let all = check(&[thinks, says("Done")], &wanted).await;
    for (api, played) in APIS.iter().zip(all) {
        // The field of Chat Completions holds the words themselves.
        let sealed = if api.name == "chat" { r#""reasoning_content":"Hm""# } else { "sealed" };
        assert!(played.bodies[1].contains(sealed), "{}: {}", api.name, played.bodies[1]);
    }
}

#[tokio::test]
async fn one_tool() {
    let wanted = [
        "+I look",
        "message I look",
        r#"call c1 shell {"command":"ls"}"#,
        "finished 7/2",
        "+Done",
        "message Done",
        "finished 7/2",
    ];
    let answer = Answer { text: Some("I look".into()), ..calls(&[("c1", "shell", r#"{"command":"ls"}"#)]) };
    for played in check(&[answer, says("Done")], &wanted).await {
        assert!(played.bodies[1].contains("output of "), "{}", played.bodies[1]);
    }
}

#[tokio::test]
async fn twenty_tools_in_a_row() {
    let ids: Vec<String> = (0..20).map(|number| format!("c{number}")).collect();
    let mut answers: Vec<_> = ids.iter().map(|id| calls(&[(id, "shell", "{}")])).collect();
    answers.push(says("Done"));
    let mut wanted: Vec<String> =
        ids.iter().flat_map(|id| [format!("call {id} shell {{}}"), "finished 7/2".to_owned()]).collect();
    wanted.extend(["+Done", "message Done", "finished 7/2"].map(str::to_owned));
    let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
    for played in check(&answers, &wanted).await {
        assert_eq!(played.bodies.len(), 21);
        assert_eq!(played.bodies[20].matches("output of ").count(), 20);
    }
}

#[tokio::test]
async fn four_tools_at_once() {
    let ids = ["c0", "c1", "c2", "c3"];
    let mut wanted: Vec<String> = ids.iter().map(|id| format!("call {id} shell {{}}")).collect();
    wanted.extend(["finished 7/2", "+Done", "message Done", "finished 7/2"].map(str::to_owned));
    let wanted: Vec<_> = wanted.iter().map(String::as_str).collect();
    let at_once = calls(&ids.map(|id| (id, "shell", "{}")));
    for played in check(&[at_once, says("Done")], &wanted).await {
        assert_eq!(played.bodies.len(), 2);
    }
}

#[tokio::test]
async fn a_patch_is_text_on_every_api() {
    let patch = "*** Begin Patch\n*** Add File: é\n+\"x\"\n*** End Patch";
    let wanted = [
        format!("call c1 apply_patch {patch}").leak(),
        "finished 7/2",
        "+Done",
        "message Done",
        "finished 7/2",
    ];
    for played in check(&[calls(&[("c1", "apply_patch", patch)]), says("Done")], &wanted).await {
        let call = played.conversation.iter().find_map(|item| match item {
            InputItem::ToolCall(call) => Some(CallKind::of(&call.input)),
            _ => None,
        });
        assert_eq!(call, Some(CallKind::Freeform));
    }
}

#[tokio::test]
async fn images_go_in_and_come_out_of_a_tool() {
    let image = InputContent::Image { media_type: "image/jpeg".into(), data: "cGhvdG8=".into() };
    let question = InputItem::UserMessage(vec![InputContent::Text("what is it".into()), image]);
    for api in &APIS {
        let answers = [calls(&[("c1", "look", "{}"), ("c2", "look", "{}")]), says("Nice"), says("never")];
        let played = play(api, &answers, asks(vec![question.clone()])).await;
        assert_stable(api, &played.bodies);
        let counts: Vec<_> = played
            .bodies
            .iter()
            .map(|body| (body.matches("cGhvdG8=").count(), body.matches("aW1hZ2U=").count()))
            .collect();
        assert_eq!(counts, [(1, 0), (1, 2)], "{}", api.name);
    }
}

#[tokio::test]
async fn structured_output_is_asked_for_and_is_text() {
    let schema = json!({"type": "object", "properties": {"answer": {"type": "integer"}}});
    for api in &APIS {
        let asked = ModelRequest { output_schema: Some(schema.clone()), ..asks(vec![user("begin")]) };
        let played = play(api, &[says(r#"{"answer":42}"#)], asked).await;
        let wanted = [r#"+{"answer":42}"#, r#"message {"answer":42}"#, "finished 7/2"];
        assert_eq!(joined(played.events), wanted, "{}", api.name);
        let body: Value = serde_json::from_str(&played.bodies[0]).unwrap();
        let place = match api.name {
            "responses" => "/text/format/schema",
            "chat" => "/response_format/json_schema/schema",
            "messages" => "/output_config/format/schema",
            _ => "/generationConfig/responseJsonSchema",
        };
        assert_eq!(body.pointer(place), Some(&schema), "{}", api.name);
    }
}

#[tokio::test]
async fn a_refusal_is_told() {
    for api in &APIS {
        let refusal = Answer { end: End::Refusal, ..says("I won't") };
        let events = joined(play(api, &[refusal], asks(vec![user("begin")])).await.events);
        let mut wanted = vec!["+I won't".to_owned(), "message I won't".to_owned()];
        // OpenAI's is a message like another. Anthropic gives it as the reason of the end, Gemini as a block that
        // voids the answer.
        match api.name {
            "messages" => wanted.push("stopped refusal".to_owned()),
            "gemini" => {
                wanted.pop();
                wanted.push(format!("failed {:?}", ProviderFailureKind::Blocked));
            }
            _ => wanted.push("finished 7/2".to_owned()),
        }
        assert_eq!(events, wanted, "{}", api.name);
    }
}

#[tokio::test]
async fn an_answer_that_was_cut_by_length_is_told_in_the_providers_word() {
    for api in &APIS {
        let cut = Answer { end: End::Length, ..says("Half a") };
        let events = joined(play(api, &[cut], asks(vec![user("begin")])).await.events);
        let word = match api.name {
            "responses" => "max_output_tokens",
            "chat" => "length",
            "messages" => "max_tokens",
            _ => "MAX_TOKENS",
        };
        assert_eq!(events, ["+Half a", "message Half a", &format!("stopped {word}")], "{}", api.name);
    }
}

#[tokio::test]
async fn what_is_said_into_a_turn_stands_behind_the_outputs() {
    for api in &APIS {
        let first =
            play(api, &[calls(&[("c1", "look", "{}")]), says("never")], asks(vec![user("begin")])).await;
        // As a session has it: the step with its outputs, then what was said meanwhile.
        let mut input = first.conversation;
        input.truncate(3);
        input.push(user("stop that"));
        let played = play(api, &[says("Stopped")], asks(input)).await;
        let body = &played.bodies[0];
        let (output, said) = (body.find("output of ").unwrap(), body.find("stop that").unwrap());
        assert!(output < said, "{}: {body}", api.name);
        assert_stable(api, &[first.bodies[1].clone(), body.clone()]);
    }
}

#[tokio::test]
async fn an_interrupted_answer_closes_its_connection_and_is_not_missed() {
    for api in &APIS {
        let events = (api.say)(&says("Hello there"));
        let events: Vec<_> = events.iter().map(String::as_str).collect();
        let begun = events.iter().position(|event| event.contains("Hello")).unwrap();
        let whole = Reply::stream(&events);
        let mut server = Server::start([Reply::stalled_stream(&events[..=begun]), whole]).await;
        let client = (api.make)(settings(server.base_url())).unwrap();
        let mut stream = client.stream(asks(vec![user("begin")]));
        let mut first = stream.next().await;
        if let Some(Ok(ModelEvent::Spent { .. })) = first {
            first = stream.next().await;
        }
        assert!(matches!(first, Some(Ok(ModelEvent::TextDelta { .. }))), "{}", api.name);
        drop(stream);
        assert_eq!(server.closed().await, 0);
        let again: Vec<_> = client.stream(asks(vec![user("begin")])).collect().await;
        assert_eq!(contract::check(&again), Ok(()));
        assert!(again.last().is_some_and(Result::is_ok), "{}", api.name);
    }
}

#[tokio::test]
async fn reasoning_that_another_api_made_is_left_out_and_said_so() {
    let thinks = Answer { reasoning: Some("Hm"), ..says("Done") };
    for (index, api) in APIS.iter().enumerate() {
        let before = play(api, std::slice::from_ref(&thinks), asks(vec![user("begin")])).await;
        assert!(!before.events.contains(&"dropped".to_owned()));
        let mut input = before.conversation;
        input.push(user("more"));
        let other = &APIS[(index + 1) % APIS.len()];
        let played = play(other, &[says("Fine")], asks(input.clone())).await;
        assert_eq!(
            joined(played.events),
            ["dropped", "+Fine", "message Fine", "finished 7/2"],
            "{}",
            other.name
        );
        let same = play(api, &[says("Fine")], asks(input)).await;
        assert_eq!(joined(same.events)[0], "+Fine", "{}", api.name);
    }
}
