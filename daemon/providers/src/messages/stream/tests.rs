//! Streams as they are recorded, whole and cut, and what an answer can come to.

use super::*;
use crate::fixtures::{assert_recorded, assert_robust, body, calls, decode, request, user};
use crate::messages::Messages;
use crate::retry::Again;
use protocol::model::ProviderFailureKind;
use protocol::tool::{CallInput, ToolCall};

/// An answer with everything in it, as the provider sends it.
const RECORDED: &str = include_str!("recorded.txt");

const TEXT: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"a"}}"#;
const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;

fn decoder() -> Decoder {
    Decoder::new(&request("m", Vec::new()))
}

fn ended(reason: &str) -> String {
    format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}"}},"usage":{{"output_tokens":5}}}}"#
    )
}

#[tokio::test]
async fn a_recorded_answer_is_understood_wherever_it_is_cut() {
    let summary = |text: &str| ModelEvent::SummaryDelta { index: 0, text: text.into() };
    let said = |text: &str| ModelEvent::TextDelta { index: 2, text: text.into() };
    let item = |index, item| ModelEvent::OutputItem { index, item };
    let reasoning = |summary: &str, item| OutputItem::Reasoning {
        summary: summary.into(),
        opaque: Some(OpaqueReasoning { wire_api: "messages".into(), item }),
    };
    let call = |index, call_id: &str, name: &str, input| {
        item(index, OutputItem::ToolCall(ToolCall { call_id: call_id.into(), name: name.into(), input }))
    };
    let thinking = json!({"type": "thinking", "thinking": "Ich schaue", "signature": "EqQB=="});
    let wanted = [
        summary("Ich "),
        summary("schaue"),
        item(0, reasoning("Ich schaue", thinking)),
        item(1, reasoning("", json!({"type": "redacted_thinking", "data": "EmwK"}))),
        said("Grüße, "),
        said("世界"),
        item(2, OutputItem::Message("Grüße, 世界".into())),
        call(3, "toolu_1", "shell", CallInput::Json("{\"command\": \"ls\"}".into())),
        call(4, "toolu_2", "apply_patch", CallInput::Freeform("*** Begin Patch\n".into())),
        ModelEvent::Completed {
            usage: Usage {
                input_tokens: 1200,
                cached_input_tokens: 1024,
                cache_write_input_tokens: 76,
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
fn every_end_is_told() {
    let stop = |reason: &str| match decode(decoder(), &[TEXT, STOP, &ended(reason)]).unwrap().pop() {
        Some(ModelEvent::Completed { stop, usage }) => {
            assert_eq!(usage.output_tokens, 5);
            stop
        }
        other => panic!("{other:?}"),
    };
    for reason in ["end_turn", "tool_use", "stop_sequence"] {
        assert_eq!(stop(reason), StopReason::Finished);
    }
    for reason in ["max_tokens", "refusal", "model_context_window_exceeded", "something_new"] {
        assert_eq!(stop(reason), StopReason::Stopped(reason.into()));
    }
}

#[test]
fn half_a_call_is_left_out_when_the_answer_was_cut_short() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"t","name":"x","input":{}}}"#;
    let half = r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#;
    let answer = |reason: &str| calls(&decode(decoder(), &[start, half, STOP, &ended(reason)]).unwrap());
    assert_eq!(answer("max_tokens"), []);
    // Malformed input of an answer that is complete is for the tool to judge.
    assert_eq!(answer("tool_use")[0].2, CallInput::Json("{\"a\":".into()));
}

#[test]
fn input_may_stand_in_the_block_or_be_nothing() {
    let start = |input: &str| {
        format!(
            r#"{{"type":"content_block_start","index":0,"content_block":{{"type":"tool_use","id":"t","name":"x","input":{input}}}}}"#
        )
    };
    for input in ["{}", r#"{"a":1}"#] {
        let answer = calls(&decode(decoder(), &[&start(input), STOP, &ended("tool_use")]).unwrap());
        assert_eq!(answer[0].2, CallInput::Json(input.into()));
    }
}

#[test]
fn thinking_without_a_signature_is_not_kept() {
    let start = r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"Hm","signature":""}}"#;
    let events = decode(decoder(), &[start, STOP, &ended("end_turn")]).unwrap();
    let item = OutputItem::Reasoning { summary: "Hm".into(), opaque: None };
    assert_eq!(events[1], ModelEvent::OutputItem { index: 0, item });
}

#[test]
fn what_is_unknown_is_left_out_and_what_was_not_ended_is() {
    let events = decode(
        decoder(),
        &[
            r#"{"type":"shiny_new","index":9}"#,
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"server_tool_use","input":{}}}"#,
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"shiny_delta","x":1}}"#,
            STOP,
            r#"{"type":"content_block_start","index":1,"content_block":{"type":"text","text":""}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"text_delta","text":"a"}}"#,
            r#"{"type":"content_block_delta","index":1,"delta":{"type":"citations_delta","citation":{}}}"#,
            &ended("end_turn"),
        ],
    );
    let events = events.unwrap();
    assert_eq!(events[1], ModelEvent::OutputItem { index: 1, item: OutputItem::Message("a".into()) });
    assert_eq!(events.len(), 3);
}

#[test]
fn an_answer_is_whole_with_its_stop_reason() {
    let mut events = VecDeque::new();
    let mut decoder = decoder();
    let mut take = |data: &str| decoder.take(data, &mut events).unwrap();
    assert_eq!(take(TEXT), Progress::Open);
    assert_eq!(take(&ended("end_turn")), Progress::Whole);
    assert_eq!(take(r#"{"type":"message_stop"}"#), Progress::Over);
}

#[test]
fn an_answer_that_paused_goes_on() {
    let request = request("claude-opus-5", vec![user("hi")]);
    let sent = Bytes::from(body(&Messages, &request));
    let mut decoder = Decoder::new(&request);
    let mut events = VecDeque::new();
    let search = r#"{"type":"content_block_start","index":1,"content_block":{"type":"server_tool_use","id":"s","name":"web_search","input":{}}}"#;
    let query = r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"q\":1}"}}"#;
    for data in [TEXT, STOP, search, query, &ended("pause_turn")] {
        decoder.take(data, &mut events).unwrap();
    }
    let follow_up = decoder.close(&sent, &mut events).unwrap();
    let content = concat!(
        r#",{"content":[{"text":"a","type":"text"},"#,
        r#"{"id":"s","input":{"q":1},"name":"web_search","type":"server_tool_use"}],"role":"assistant"}]}"#,
    );
    let head = std::str::from_utf8(&sent).unwrap().strip_suffix("]}").unwrap();
    assert_eq!(follow_up, format!("{head}{content}"));
    for data in [TEXT, STOP, &ended("end_turn")] {
        decoder.take(data, &mut events).unwrap();
    }
    assert_eq!(decoder.close(&follow_up, &mut events), None);
    let all: Vec<_> = events.into_iter().map(Ok).collect();
    assert_eq!(model::contract::check(&all), Ok(()));
    let Some(Ok(ModelEvent::Completed { usage, stop })) = all.last() else { panic!("{all:?}") };
    assert_eq!((usage.output_tokens, stop), (10, &StopReason::Finished));
}

#[test]
fn an_answer_does_not_pause_for_ever() {
    let sent = Bytes::from_static(b"{\"messages\":[]}");
    let mut decoder = decoder();
    let mut events = VecDeque::new();
    for _ in 0..MOST_PAUSES {
        for data in [TEXT, STOP, &ended("pause_turn")] {
            decoder.take(data, &mut events).unwrap();
        }
        assert!(decoder.close(&sent, &mut events).is_some());
    }
    for data in [TEXT, STOP, &ended("pause_turn")] {
        decoder.take(data, &mut events).unwrap();
    }
    assert_eq!(decoder.close(&sent, &mut events), None);
    let Some(ModelEvent::Completed { stop, .. }) = events.back() else { panic!("{events:?}") };
    assert_eq!(*stop, StopReason::Stopped("pause_turn".into()));
}

#[test]
fn errors_within_the_stream_carry_the_providers_words() {
    for (event, kind, again, message) in [
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
            ProviderFailureKind::Failed,
            Again::Soon,
            "Overloaded (overloaded_error)",
        ),
        (
            r#"{"error":{"type":"invalid_request_error","message":"No"}}"#,
            ProviderFailureKind::Rejected,
            Again::Never,
            "No (invalid_request_error)",
        ),
        ("{\"type\":", ProviderFailureKind::Malformed, Again::Never, "An event can't be read: EOF"),
        ("{}", ProviderFailureKind::Malformed, Again::Never, "An event has no type"),
        (STOP, ProviderFailureKind::Malformed, Again::Never, "A piece of block 0 came before the block"),
    ] {
        let failure = decode(decoder(), &[event]).unwrap_err();
        assert_eq!((failure.kind, failure.again), (kind, again), "{event}");
        assert!(failure.message.starts_with(message), "{}", failure.message);
    }
}
