//! Streams as they are recorded, whole and cut, and what the many servers make of the format.

use super::*;
use crate::fixtures::{assert_recorded, assert_robust, calls, decode, request};
use crate::retry::Again;
use crate::wire_api::Reader;
use protocol::model::ProviderFailureKind;
use protocol::tool::{CallInput, ToolCall};
use serde_json::json;

/// An answer with everything in it, as the provider sends it.
const RECORDED: &str = include_str!("recorded.txt");

const STOP: &str = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;

fn decoder() -> Decoder {
    Decoder::new(&request("m", Vec::new()), "acme")
}

/// A chunk with this delta.
fn delta(delta: &str) -> String {
    format!(r#"{{"choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

/// The events of an answer with these deltas and this finish reason.
fn answer(deltas: &[&str], finish: &str) -> Vec<ModelEvent> {
    let mut chunks: Vec<_> = deltas.iter().map(|text| delta(text)).collect();
    chunks.push(format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"{finish}"}}]}}"#));
    decode(decoder(), &chunks.iter().map(String::as_str).collect::<Vec<_>>()).unwrap()
}

#[tokio::test]
async fn a_recorded_answer_is_understood_wherever_it_is_cut() {
    let summary = |text: &str| ModelEvent::SummaryDelta { index: 0, text: text.into() };
    let said = |text: &str| ModelEvent::TextDelta { index: 1, text: text.into() };
    let item = |index, item| ModelEvent::OutputItem { index, item };
    let call = |index, call_id: &str, name: &str, input| {
        item(index, OutputItem::ToolCall(ToolCall { call_id: call_id.into(), name: name.into(), input }))
    };
    let opaque = json!({"provider": "acme", "reasoning_content": "Ich schaue"});
    let reasoning = OutputItem::Reasoning {
        summary: "Ich schaue".into(),
        opaque: Some(OpaqueReasoning { wire_api: "chat".into(), item: opaque }),
    };
    let wanted = [
        summary("Ich "),
        summary("schaue"),
        item(0, reasoning),
        said("Grüße, "),
        said("世界"),
        item(1, OutputItem::Message("Grüße, 世界".into())),
        call(2, "call_1", "shell", CallInput::Json("{\"command\":\"ls\"}".into())),
        call(3, "call_2", "apply_patch", CallInput::Freeform("*** Begin Patch\n".into())),
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
    assert_recorded(decoder(), RECORDED, &wanted).await;
}

#[test]
fn events_that_are_missing_doubled_or_early_break_no_contract() {
    assert_robust(&decoder(), RECORDED);
}

#[test]
fn fragments_of_calls_are_joined_however_a_server_names_them() {
    let ls = || CallInput::Json(r#"{"c":"ls"}"#.into());
    let pwd = || CallInput::Json(r#"{"c":"pwd"}"#.into());
    let cases: [(&str, &[&str]); 6] = [
        (
            "the id and the name in every fragment",
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"c\":"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"\"ls\"}"}}]}"#,
                r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"t","arguments":"{\"c\":\"pwd\"}"}}]}"#,
            ],
        ),
        (
            "no index, the id in every fragment",
            &[
                r#"{"tool_calls":[{"id":"a","function":{"name":"t","arguments":"{\"c\":"}}]}"#,
                r#"{"tool_calls":[{"id":"a","function":{"arguments":"\"ls\"}"}}]}"#,
                r#"{"tool_calls":[{"id":"b","function":{"name":"t","arguments":"{\"c\":\"pwd\"}"}}]}"#,
            ],
        ),
        (
            "no index, the id at the beginning",
            &[
                r#"{"tool_calls":[{"id":"a","function":{"name":"t","arguments":""}}]}"#,
                r#"{"tool_calls":[{"function":{"arguments":"{\"c\":\"ls\"}"}}]}"#,
                r#"{"tool_calls":[{"id":"b","function":{"name":"t","arguments":"{\"c\":\"pwd\"}"}}]}"#,
            ],
        ),
        (
            "whole calls, all numbered 0",
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{\"c\":\"ls\"}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"t","arguments":"{\"c\":\"pwd\"}"}}]}"#,
            ],
        ),
        (
            "arguments as objects",
            &[r#"{"tool_calls":[{"id":"a","function":{"name":"t","arguments":{"c":"ls"}}},
                    {"id":"b","function":{"name":"t","arguments":{"c":"pwd"}}}]}"#],
        ),
        (
            "fragments of two calls in turn",
            &[
                r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t"}},{"index":1,"id":"b"}]}"#,
                r#"{"tool_calls":[{"index":1,"function":{"name":"t","arguments":"{\"c\":\"pwd\"}"}}]}"#,
                r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"c\":\"ls\"}"}}]}"#,
            ],
        ),
    ];
    for (case, deltas) in cases {
        let wanted = [("a".to_owned(), "t".to_owned(), ls()), ("b".to_owned(), "t".to_owned(), pwd())];
        assert_eq!(calls(&answer(deltas, "tool_calls")), wanted, "{case}");
    }
}

#[test]
fn calls_without_ids_get_some() {
    let call = r#"{"tool_calls":[{"index":0,"function":{"name":"t","arguments":"{}"}}]}"#;
    let ids: Vec<_> = calls(&answer(&[call, call], "stop")).into_iter().map(|call| call.0).collect();
    assert_eq!(ids, ["call_skein_0", "call_skein_1"]);
}

#[test]
fn half_a_call_is_left_out_when_the_answer_was_cut_short() {
    let whole = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"t","arguments":"{}"}}]}"#;
    let half =
        r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"t","arguments":"{\"rm\":\"./bui"}}]}"#;
    let events = answer(&[whole, half], "length");
    assert_eq!(calls(&events).len(), 1);
    let stop = StopReason::Stopped("length".into());
    assert_eq!(events.last(), Some(&ModelEvent::Completed { usage: Usage::default(), stop }));
    // Malformed arguments of an answer that is complete are for the tool to judge.
    assert_eq!(calls(&answer(&[half], "tool_calls"))[0].2, CallInput::Json("{\"rm\":\"./bui".into()));
}

#[test]
fn every_end_is_told() {
    let stop = |finish: &str| match answer(&[], finish).pop() {
        Some(ModelEvent::Completed { stop, .. }) => stop,
        other => panic!("{other:?}"),
    };
    assert_eq!(stop("stop"), StopReason::Finished);
    assert_eq!(stop("tool_calls"), StopReason::Finished);
    assert_eq!(stop("content_filter"), StopReason::Stopped("content_filter".into()));
}

#[test]
fn an_answer_is_whole_with_its_finish_reason_and_over_with_its_usage_or_mark() {
    let mut events = VecDeque::new();
    let mut decoder = decoder();
    let mut take = |data: &str| decoder.take(data, &mut events).unwrap();
    assert_eq!(take(&delta(r#"{"content":"a"}"#)), Progress::Open);
    assert_eq!(take(STOP), Progress::Whole);
    assert_eq!(take(r#"{"choices":[],"usage":null}"#), Progress::Whole);
    assert_eq!(take(r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#), Progress::Over);
    assert_eq!(take("[DONE]"), Progress::Over);
}

#[test]
fn reasoning_is_found_under_each_of_its_names() {
    let kept = |deltas: &[&str]| -> Vec<_> {
        let item = |event| match event {
            ModelEvent::OutputItem { item: OutputItem::Reasoning { summary, opaque }, .. } => {
                Some((summary, opaque.unwrap().item))
            }
            _ => None,
        };
        answer(deltas, "stop").into_iter().filter_map(item).collect()
    };
    let bare = kept(&[r#"{"reasoning":"Hm"}"#, r#"{"content":"a"}"#]);
    assert_eq!(bare, [("Hm".to_owned(), json!({"provider": "acme", "reasoning": "Hm"}))]);
    let both = kept(&[r#"{"reasoning":"Hm","reasoning_content":"Hm"}"#]);
    assert_eq!(both, [("Hm".to_owned(), json!({"provider": "acme", "reasoning_content": "Hm"}))]);
    let details = kept(&[
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","index":0,"data":"x"}]}"#,
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","index":0,"data":"y"}]}"#,
    ]);
    let wanted = json!([{"type": "reasoning.encrypted", "index": 0, "data": "xy"}]);
    assert_eq!(details, [(String::new(), json!({"provider": "acme", "reasoning_details": wanted}))]);
}

#[test]
fn what_is_unknown_or_empty_is_left_out() {
    let events = decode(
        decoder(),
        &[
            r#"{"shiny":true}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"of another answer"}}]}"#,
            r#"{"choices":[{"delta":{"content":"","reasoning":{"odd":1},"audio":{}},"finish_reason":""}]}"#,
            r#"{"choices":[{"delta":null}]}"#,
            r#"{"choices":[{"delta":{"content":[{"type":"text","text":"a"},{"type":"odd"}]}}]}"#,
            r#"{"choices":[{"message":{"content":"b"},"finish_reason":"stop"}]}"#,
        ],
    );
    let message = ModelEvent::OutputItem { index: 0, item: OutputItem::Message("ab".into()) };
    assert_eq!(events.unwrap()[2], message);
}

#[test]
fn a_refusal_is_a_message() {
    let events = answer(&[r#"{"content":null,"refusal":"I won't"}"#], "stop");
    let message = ModelEvent::OutputItem { index: 0, item: OutputItem::Message("I won't".into()) };
    assert_eq!(events[1], message);
}

#[test]
fn errors_within_the_stream_carry_the_providers_words() {
    for (chunk, kind, message) in [
        (
            r#"{"error":{"message":"Busy","type":"server_error","code":null}}"#,
            ProviderFailureKind::Failed,
            "Busy (server_error)",
        ),
        (
            r#"{"error":{"code":429,"message":"Slow down"},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            ProviderFailureKind::RateLimited,
            "Slow down",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error","error":{"code":400,"message":"No"}}]}"#,
            ProviderFailureKind::Rejected,
            "No",
        ),
        (
            r#"{"object":"error","message":"No","type":"BadRequestError","code":400}"#,
            ProviderFailureKind::Rejected,
            "No (BadRequestError)",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"error"}]}"#,
            ProviderFailureKind::Failed,
            "It gives no reason",
        ),
    ] {
        let failure = decode(decoder(), &[chunk]).unwrap_err();
        assert_eq!((failure.kind, failure.message.as_str()), (kind, message), "{chunk}");
    }
    let failure = decode(decoder(), &["{\"choices\":"]).unwrap_err();
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Malformed, Again::Never));
}
