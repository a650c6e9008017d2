//! Streams as they are recorded, whole and cut, and what an answer can come to.

use super::*;
use crate::fixtures::{assert_recorded, assert_robust, calls, decode, request};
use protocol::item::OpaqueReasoning;
use protocol::tool::{CallInput, ToolCall};
use serde_json::json;

/// An answer with everything in it, as the provider sends it.
const RECORDED: &str = include_str!("recorded.txt");

fn decoder() -> Decoder {
    Decoder::new(&request("m", Vec::new()))
}

/// A chunk with these parts.
fn parts(parts: &str) -> String {
    format!(r#"{{"candidates":[{{"content":{{"parts":[{parts}]}}}}]}}"#)
}

fn finish(reason: &str) -> String {
    format!(r#"{{"candidates":[{{"finishReason":"{reason}","finishMessage":"So it is"}}]}}"#)
}

#[tokio::test]
async fn a_recorded_answer_is_understood_wherever_it_is_cut() {
    let summary = |text: &str| ModelEvent::SummaryDelta { index: 0, text: text.into() };
    let said = |text: &str| ModelEvent::TextDelta { index: 1, text: text.into() };
    let item = |index, item| ModelEvent::OutputItem { index, item };
    let kept = |index, kept| {
        let opaque = Some(OpaqueReasoning { wire_api: "gemini".into(), item: kept });
        item(index, OutputItem::Reasoning { summary: String::new(), opaque })
    };
    let call = |index, call_id: &str, name: &str, input| {
        item(index, OutputItem::ToolCall(ToolCall { call_id: call_id.into(), name: name.into(), input }))
    };
    let wanted = [
        summary("Ich "),
        summary("schaue"),
        item(0, OutputItem::Reasoning { summary: "Ich schaue".into(), opaque: None }),
        said("Grüße, "),
        said("世界"),
        item(1, OutputItem::Message("Grüße, 世界".into())),
        kept(2, json!({"text": "", "thoughtSignature": "CoYB=="})),
        kept(3, json!({"callId": "fc1", "thoughtSignature": "AbCd=="})),
        call(4, "fc1", "shell", CallInput::Json("{\"command\":\"ls\"}".into())),
        call(5, "call_skein_0", "apply_patch", CallInput::Freeform("*** Begin Patch\n".into())),
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
fn a_signature_is_kept_with_what_it_came_on() {
    let kept = |part: &str| {
        let item = |event| match event {
            ModelEvent::OutputItem { item: OutputItem::Reasoning { summary, opaque }, .. } => {
                Some((summary, opaque.unwrap().item))
            }
            _ => None,
        };
        let events = decode(decoder(), &[&parts(part), &finish("STOP")]).unwrap();
        events.into_iter().find_map(item).unwrap()
    };
    let thought = json!({"text": "Hm", "thought": true, "thoughtSignature": "s"});
    assert_eq!(kept(r#"{"text":"Hm","thought":true,"thoughtSignature":"s"}"#), ("Hm".into(), thought));
    let hidden = json!({"text": "", "thought": true, "thoughtSignature": "s"});
    assert_eq!(kept(r#"{"text":"","thought":true,"thoughtSignature":"s"}"#), (String::new(), hidden));
    let message = json!({"text": "lo", "thoughtSignature": "s"});
    assert_eq!(kept(r#"{"text":"Hel"},{"text":"lo","thoughtSignature":"s"}"#), (String::new(), message));
}

#[test]
fn every_end_is_told() {
    let stop = |reason: &str| match decode(decoder(), &[&finish(reason)]).unwrap().pop() {
        Some(ModelEvent::Completed { stop, .. }) => stop,
        other => panic!("{other:?}"),
    };
    assert_eq!(stop("STOP"), StopReason::Finished);
    for reason in ["MAX_TOKENS", "OTHER", "TOO_MANY_TOOL_CALLS", "SOMETHING_NEW"] {
        assert_eq!(stop(reason), StopReason::Stopped(reason.into()));
    }
}

#[test]
fn what_is_blocked_fails_for_good_and_tells_why() {
    for (chunk, wanted) in [
        (
            r#"{"promptFeedback":{"blockReason":"SAFETY","safetyRatings":[
                {"category":"HARM_CATEGORY_DANGEROUS_CONTENT","probability":"HIGH","blocked":true},
                {"category":"HARM_CATEGORY_HARASSMENT","probability":"LOW"}]}}"#,
            "The prompt was blocked: SAFETY [HARM_CATEGORY_DANGEROUS_CONTENT]",
        ),
        (
            r#"{"promptFeedback":{"blockReason":"OTHER","blockReasonMessage":"We can't"}}"#,
            "The prompt was blocked: We can't (OTHER)",
        ),
        (&finish("RECITATION"), "The answer was blocked: So it is (RECITATION)"),
        (r#"{"candidates":[{"finishReason":"SAFETY"}]}"#, "The answer was blocked: SAFETY"),
    ] {
        let failure = decode(decoder(), &[chunk]).unwrap_err();
        assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Blocked, Again::Never));
        assert_eq!(failure.message, wanted);
    }
}

#[test]
fn nonsense_of_the_model_is_asked_for_again() {
    let failure = decode(decoder(), &[&finish("MALFORMED_FUNCTION_CALL")]).unwrap_err();
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Failed, Again::Soon));
    assert_eq!(failure.message, "So it is (MALFORMED_FUNCTION_CALL)");
}

#[test]
fn what_is_unknown_is_left_out() {
    let events = decode(
        decoder(),
        &[
            r#"{"shiny":true}"#,
            r#"{"candidates":[{"index":1,"content":{"parts":[{"text":"of another answer"}]}}]}"#,
            &parts(r#"{"executableCode":{"code":"x"}}"#),
            r#"{"candidates":[{"content":{"role":"model"}}]}"#,
            r#"{"promptFeedback":{"safetyRatings":[]}}"#,
            &finish("STOP"),
        ],
    );
    assert_eq!(events.unwrap().len(), 1);
}

#[test]
fn a_call_may_have_no_arguments() {
    let events = decode(decoder(), &[&parts(r#"{"functionCall":{"name":"t"}}"#), &finish("STOP")]).unwrap();
    assert_eq!(calls(&events)[0].2, CallInput::Json("{}".into()));
}

#[test]
fn an_answer_is_whole_with_its_finish_reason() {
    let mut events = VecDeque::new();
    let mut decoder = decoder();
    let mut take = |data: &str| decoder.take(data, &mut events).unwrap();
    assert_eq!(take(&parts(r#"{"text":"a"}"#)), Progress::Open);
    assert_eq!(take(&finish("FINISH_REASON_UNSPECIFIED")), Progress::Open);
    assert_eq!(take(&finish("STOP")), Progress::Whole);
}

#[test]
fn errors_within_the_stream_carry_the_providers_words() {
    let error = r#"{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}"#;
    let failure = decode(decoder(), &[error]).unwrap_err();
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Failed, Again::Soon));
    assert_eq!(failure.message, "The model is overloaded. (UNAVAILABLE)");
    let failure = decode(decoder(), &["<html>"]).unwrap_err();
    assert_eq!((failure.kind, failure.again), (ProviderFailureKind::Malformed, Again::Never));
}
