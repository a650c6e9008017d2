//! Streams as they are recorded, whole and cut.

use super::*;
use crate::fixtures::assert_robust;
use crate::retry::Again;
use crate::sse::Events;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use model::contract;
use protocol::model::ProviderFailureKind;

/// An answer with everything in it, as the provider sends it.
const RECORDED: &str = include_str!("recorded.txt");

fn decoder() -> Decoder {
    Decoder::new("responses:p".into())
}

/// The events of a stream that comes in these pieces.
async fn read(pieces: Vec<&[u8]>) -> Vec<ModelEvent> {
    let pieces: Vec<_> = pieces.into_iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    let mut events = Events::new(stream::iter(pieces).boxed());
    let mut decoder = decoder();
    let mut all = VecDeque::new();
    while let Some(data) = events.next().await {
        decoder.take(&data.unwrap(), &mut all).unwrap();
    }
    all.into()
}

/// What a few events mean, given without their frame.
fn decode(events: &[&str]) -> Result<Vec<ModelEvent>, Failure> {
    let mut decoder = decoder();
    let mut all = VecDeque::new();
    for event in events {
        decoder.take(event, &mut all)?;
    }
    Ok(all.into())
}

fn failure(event: &str) -> Failure {
    decode(&[event]).unwrap_err()
}

#[tokio::test]
async fn a_recorded_answer_is_understood() {
    let summary = |text: &str| ModelEvent::SummaryDelta { index: 0, text: text.into() };
    let said = |text: &str| ModelEvent::TextDelta { index: 1, text: text.into() };
    let item = |index, item| ModelEvent::OutputItem { index, item };
    let call = |index, call_id: &str, name: &str, input| {
        item(index, OutputItem::ToolCall(ToolCall { call_id: call_id.into(), name: name.into(), input }))
    };
    let opaque = serde_json::json!({
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "**Look**"}, {"type": "summary_text", "text": "Then act"}],
        "encrypted_content": "gAAAA=",
    });
    let reasoning = OutputItem::Reasoning {
        summary: "**Look**\n\nThen act".into(),
        opaque: Some(OpaqueReasoning { wire_api: "responses:p".into(), item: opaque }),
    };
    let searched = serde_json::json!({
        "id": "ws_1", "type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "x"},
    });
    let search = WebSearch {
        queries: vec!["x".into()],
        opaque: Some(OpaqueReasoning { wire_api: "responses:p".into(), item: searched }),
        ..WebSearch::default()
    };
    let wanted = vec![
        summary("**Look"),
        summary("**"),
        summary("\n\nThen act"),
        item(0, reasoning),
        said("Grüße, "),
        said("世界"),
        item(1, OutputItem::Message("Grüße, 世界".into())),
        call(2, "call_1", "shell", CallInput::Json("{\"command\":\"ls\"}".into())),
        call(3, "call_2", "apply_patch", CallInput::Freeform("*** Begin Patch\n".into())),
        item(4, OutputItem::WebSearch(search)),
        ModelEvent::Completed {
            usage: Usage {
                input_tokens: 1200,
                cached_input_tokens: 1024,
                cache_write_input_tokens: 0,
                output_tokens: 85,
                reasoning_output_tokens: 64,
            },
            stop: StopReason::Finished,
        },
    ];
    assert_eq!(read(vec![RECORDED.as_bytes()]).await, wanted);
    assert_eq!(contract::check(&wanted.into_iter().map(Ok).collect::<Vec<_>>()), Ok(()));
}

#[tokio::test]
async fn it_does_not_matter_where_the_bytes_are_cut() {
    let whole = read(vec![RECORDED.as_bytes()]).await;
    for at in 0..=RECORDED.len() {
        let (first, second) = RECORDED.as_bytes().split_at(at);
        assert_eq!(read(vec![first, second]).await, whole, "cut at {at}");
    }
    assert_eq!(read(RECORDED.as_bytes().chunks(1).collect()).await, whole);
}

#[test]
fn outputs_without_numbers_are_told_apart_by_their_ids() {
    let events = decode(&[
        r#"{"type":"response.output_item.added","item":{"type":"message","id":"a"}}"#,
        r#"{"type":"response.output_item.added","item":{"type":"message","id":"b"}}"#,
        r#"{"type":"response.output_text.delta","item_id":"b","delta":"B"}"#,
        r#"{"type":"response.output_text.delta","item_id":"a","delta":"A"}"#,
        r#"{"type":"response.output_item.done","item":{"type":"message","id":"b","content":[{"text":"B"}]}}"#,
    ]);
    let index = |event| match event {
        ModelEvent::TextDelta { index, .. } | ModelEvent::OutputItem { index, .. } => index,
        _ => panic!("{event:?}"),
    };
    assert_eq!(events.unwrap().into_iter().map(index).collect::<Vec<_>>(), [1, 0, 1]);
}

#[test]
fn what_is_unknown_is_left_out() {
    let events = decode(&[
        r#"{"type":"response.shiny.new","delta":{"not":"text"},"item":7}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"web_search_call","id":"ws"}}"#,
        r#"{"type":"response.output_text.delta","output_index":1,"delta":""}"#,
        "[DONE]",
    ]);
    assert_eq!(events, Ok(Vec::new()));
}

#[test]
fn half_a_call_is_left_out() {
    let half = r#"{"type":"response.output_item.done","output_index":0,"item":
        {"type":"custom_tool_call","status":"incomplete","call_id":"c","name":"shell","input":"rm -r ./bui"}}"#;
    assert_eq!(decode(&[half]), Ok(Vec::new()));
}

#[test]
fn an_answer_that_was_ended_early_tells_why() {
    let stop = |event: &str| match decode(&[event]).unwrap().pop() {
        Some(ModelEvent::Completed { stop: StopReason::Stopped(reason), usage }) => {
            (reason, usage.input_tokens)
        }
        other => panic!("{other:?}"),
    };
    let known = r#"{"type":"response.incomplete","response":
        {"usage":{"input_tokens":3},"incomplete_details":{"reason":"max_output_tokens"}}}"#;
    assert_eq!(stop(known), ("max_output_tokens".to_owned(), 3));
    let bare = r#"{"type":"response.incomplete","response":{"usage":null,"incomplete_details":null}}"#;
    assert_eq!(stop(bare), ("incomplete".to_owned(), 0));
}

#[test]
fn a_refusal_is_a_message() {
    let events = decode(&[
        r#"{"type":"response.refusal.delta","output_index":0,"delta":"I won't"}"#,
        r#"{"type":"response.output_item.done","output_index":0,"item":
            {"type":"message","content":[{"type":"refusal","refusal":"I won't"}]}}"#,
    ]);
    let item = OutputItem::Message("I won't".into());
    let wanted = [
        ModelEvent::TextDelta { index: 0, text: "I won't".into() },
        ModelEvent::OutputItem { index: 0, item },
    ];
    assert_eq!(events.unwrap(), wanted);
}

#[test]
fn reasoning_that_can_not_be_found_again_is_not_kept() {
    let done = |item: &str| {
        let event = format!(r#"{{"type":"response.output_item.done","output_index":0,"item":{item}}}"#);
        match decode(&[&event]).unwrap().pop() {
            Some(ModelEvent::OutputItem { item: OutputItem::Reasoning { opaque, .. }, .. }) => opaque,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(done(r#"{"type":"reasoning","id":"rs","summary":[],"encrypted_content":null}"#), None);
    let kept = done(r#"{"type":"reasoning","id":"rs","summary":[],"status":null,"content":[]}"#).unwrap();
    assert_eq!(kept.item.to_string(), r#"{"content":[],"id":"rs","summary":[],"type":"reasoning"}"#);
}

#[test]
fn failures_within_the_stream_carry_the_providers_words() {
    let failed = failure(
        r#"{"type":"response.failed","response":{"error":{"code":"server_error","message":"It broke."}}}"#,
    );
    assert_eq!((failed.kind, failed.again), (ProviderFailureKind::Failed, Again::Soon));
    assert_eq!(failed.message, "It broke. (server_error)");
    for event in [
        r#"{"type":"error","code":"context_length_exceeded","message":"Too long.","param":null}"#,
        r#"{"type":"error","error":{"type":"x","code":"context_length_exceeded","message":"Too long."}}"#,
        r#"{"error":{"code":"context_length_exceeded","message":"Too long."}}"#,
    ] {
        let failure = failure(event);
        assert_eq!((failure.kind, failure.again), (ProviderFailureKind::ContextTooLong, Again::Never));
        assert_eq!(failure.message, "Too long. (context_length_exceeded)");
    }
}

#[test]
fn what_can_not_be_read_is_malformed() {
    for (event, wanted) in [
        ("{\"type\":", "An event can't be read"),
        ("[]", "An event can't be read"),
        ("{}", "An event has no type"),
        (
            r#"{"type":"response.output_text.delta"}"#,
            "`response.output_text.delta` can't be read: missing field",
        ),
        (r#"{"type":"response.output_item.done"}"#, "missing field `item`"),
        (r#"{"type":"response.completed"}"#, "missing field `response`"),
        (
            r#"{"type":"response.output_item.done","item":{"type":"function_call","name":"x"}}"#,
            "missing field",
        ),
    ] {
        let failure = failure(event);
        assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Malformed, Again::Never), "{event}");
        assert!(failure.message.contains(wanted), "{}", failure.message);
    }
}

#[test]
fn no_event_that_is_missing_twice_or_early_breaks_the_answer() {
    assert_robust(&decoder(), RECORDED);
}

const COMPLETED: &str = r#"{"type":"response.completed","response":{}}"#;

#[test]
fn what_a_text_goes_by_stands_behind_it_as_links() {
    let done = |text: &str, annotations: &serde_json::Value| {
        let part = serde_json::json!({"type": "output_text", "text": text, "annotations": annotations});
        let item = serde_json::json!({"type": "message", "id": "m", "content": [part]});
        serde_json::json!({"type": "response.output_item.done", "output_index": 0, "item": item}).to_string()
    };
    let cite =
        |url: &str, title: &str| serde_json::json!({"type": "url_citation", "url": url, "title": title});
    let said = |text: &str, annotations: &serde_json::Value| {
        let delta = r#"{"type":"response.output_text.delta","output_index":0,"delta":"It"}"#;
        match decode(&[delta, &done(text, annotations)]).unwrap().pop() {
            Some(ModelEvent::OutputItem { item: OutputItem::Message(text), .. }) => text,
            other => panic!("no message: {other:?}"),
        }
    };
    let cited = serde_json::json!([
        cite("https://a.org/x", "A [one]\u{1b}"),
        cite("https://a.org/x", "again"),
        cite("https://in.text/", "linked"),
        cite("javascript:alert(1)", "no"),
        {"type": "file_citation", "file_id": "f"},
    ]);
    let text = "It is so ([here](https://in.text/)).";
    assert_eq!(said(text, &cited), format!("{text}\n\nSources:\n- [A one](https://a.org/x)"));
    assert_eq!(said("It", &serde_json::Value::Null), "It");
    let json = "{\"it\": 1}";
    assert!(matches!(&decode(&[&done(json, &cited)]).unwrap()[..],
        [ModelEvent::OutputItem { item: OutputItem::Message(text), .. }] if text == json));
}

#[test]
fn text_that_only_the_whole_output_has_is_filled_in() {
    let whole = r#"{"type":"response.output_item.done","output_index":0,"item":{"type":"message","content":[{"text":"Hello"}]}}"#;
    let delta =
        |text: &str| format!(r#"{{"type":"response.output_text.delta","output_index":0,"delta":"{text}"}}"#);
    let said = |text: &str| ModelEvent::TextDelta { index: 0, text: text.into() };
    let message = ModelEvent::OutputItem { index: 0, item: OutputItem::Message("Hello".into()) };
    assert_eq!(decode(&[whole]), Ok(vec![message.clone()]));
    assert_eq!(decode(&[&delta("Hel"), whole]), Ok(vec![said("Hel"), said("lo"), message.clone()]));
    assert_eq!(
        decode(&[&delta("Hello"), whole, whole, &delta("!")]),
        Ok(vec![said("Hello"), message.clone()])
    );
    // Only deltas, and then the end.
    let events = decode(&[&delta("Hello"), COMPLETED]).unwrap();
    assert_eq!(events[..2], [said("Hello"), message]);
}

#[test]
fn all_at_the_end_is_all_the_same() {
    let end = r#"{"type":"response.completed","response":{"output":[
        {"type":"message","content":[{"text":"Hi"}]},
        {"type":"function_call","call_id":"c","name":"t","arguments":"{}"}]}}"#;
    let events = decode(&[r#"{"type":"response.created"}"#, r#"{"type":"response.created"}"#, end]).unwrap();
    let items: Vec<_> = events.iter().map(|event| matches!(event, ModelEvent::OutputItem { .. })).collect();
    assert_eq!(items, [true, true, false]);
}

#[test]
fn a_call_that_breaks_off_at_the_end_is_an_answer_cut_by_length() {
    let call = |index: u32| {
        format!(
            r#"{{"type":"response.output_item.done","output_index":{index},"item":
            {{"type":"function_call","call_id":"c{index}","name":"t","arguments":"{{\"a\": \"b"}}}}"#
        )
    };
    let events = decode(&[&call(0), COMPLETED]).unwrap();
    let stop = StopReason::Stopped("max_output_tokens".into());
    assert_eq!(events, [ModelEvent::Completed { usage: Usage::default(), stop }]);
    // The first of two is what the model wrote; the tool says what is wrong with it.
    let events = decode(&[&call(0), &call(1), COMPLETED]).unwrap();
    assert!(matches!(&events[..], [ModelEvent::OutputItem { index: 0, .. }, ModelEvent::Completed { .. }]));
}

#[test]
fn a_numbered_event_that_comes_twice_counts_once() {
    let delta = r#"{"type":"response.output_text.delta","output_index":0,"delta":"ha","sequence_number":4}"#;
    let unnumbered = r#"{"type":"response.output_text.delta","output_index":0,"delta":"ha"}"#;
    assert_eq!(decode(&[delta, delta]).unwrap().len(), 1);
    assert_eq!(decode(&[unnumbered, unnumbered]).unwrap().len(), 2);
}
