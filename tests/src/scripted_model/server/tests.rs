//! What the server puts on the wire, for each way to answer. Knows the wire, not the renderer.

use std::io::Write;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Checks, Options, ScriptedModel, WhenEmpty};
use crate::error::HarnessError;
use crate::scripted_model::probe::{End, connect, hello, post, receive, send};
use crate::scripted_model::reply::{
    Answer, Ending, LineEnd, Point, Reply, STAMP, StatusReply, Style, Then, Usage,
};

const SOON: Duration = Duration::from_secs(20);
/// Long enough to tell a stall from a slow machine in a test that expects silence.
const SILENCE: Duration = Duration::from_millis(50);

fn serve(reply: impl Into<Reply>) -> ScriptedModel {
    ScriptedModel::start([reply.into()]).unwrap()
}

#[test]
fn a_message_comes_with_every_event_of_its_life() {
    let usage = Usage { input: 11, cached: 5, output: 7, reasoning: 3 };
    let model = serve(Answer::new().text("Hello, world").in_pieces(3).usage(usage));
    let seen = post(&model, &hello());
    assert_eq!((seen.status, seen.end), (200, End::Proper));
    assert_eq!(seen.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(
        seen.kinds(),
        [
            "response.created",
            "response.in_progress",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.completed",
        ]
    );
    let events = seen.events();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    let text: String = events[4..7].iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!(text, "Hello, world");
    assert_eq!(events[4]["item_id"], events[2]["item"]["id"]);
    assert_eq!(events[4]["output_index"], 0);
    assert_eq!(events[9]["item"]["content"][0]["text"], "Hello, world");
    let response = &events[10]["response"];
    assert_eq!(response["model"], "m");
    assert_eq!(response["output"][0], events[9]["item"]);
    assert_eq!(
        response["usage"],
        json!({
            "input_tokens": 11, "input_tokens_details": {"cached_tokens": 5},
            "output_tokens": 7, "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 18,
        })
    );
    model.verify().unwrap();
}

#[test]
fn encrypted_reasoning_is_sent_only_when_asked_for() {
    let answer = Answer::new().encrypted_reasoning(&["First.", "Second."], "opaque").text("Done");
    let model = ScriptedModel::start([answer.clone(), answer]).unwrap();
    let without = post(&model, &hello()).events();
    let mut asking = hello();
    asking["include"] = json!(["reasoning.encrypted_content"]);
    let with = post(&model, &asking).events();
    let item = |events: &[serde_json::Value]| {
        let done = events.iter().find(|event| event["type"] == "response.output_item.done");
        done.unwrap()["item"].clone()
    };
    assert_eq!(item(&without).get("encrypted_content"), None);
    assert_eq!(item(&with)["encrypted_content"], "opaque");
    assert_eq!(item(&with)["summary"][1], json!({"type": "summary_text", "text": "Second."}));
    let second = with.iter().filter(|event| event["type"] == "response.reasoning_summary_text.delta").nth(1);
    assert_eq!(second.unwrap()["summary_index"], 1);
}

#[test]
fn several_calls_come_in_fragments_each_under_its_own_index() {
    let model = serve(
        Answer::new()
            .call("shell", &json!({"command": ["ls"]}))
            .in_pieces(4)
            .freeform("apply_patch", "*** Begin Patch\n*** End Patch")
            .in_pieces(2)
            .call_id("mine"),
    );
    let events = post(&model, &hello()).events();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).cloned().collect::<Vec<_>>();
    let deltas = of("response.function_call_arguments.delta");
    let arguments: String = deltas.iter().map(|event| event["delta"].as_str().unwrap()).collect();
    assert_eq!((deltas.len(), arguments.as_str()), (4, r#"{"command":["ls"]}"#));
    let complete = &of("response.function_call_arguments.done")[0];
    assert_eq!((&complete["name"], &complete["arguments"]), (&json!("shell"), &json!(arguments)));
    let inputs = of("response.custom_tool_call_input.delta");
    assert_eq!((inputs.len(), &inputs[0]["output_index"]), (2, &json!(1)));
    assert_eq!(of("response.custom_tool_call_input.done")[0]["input"], "*** Begin Patch\n*** End Patch");
    let done = of("response.output_item.done");
    assert_eq!(done[0]["item"]["type"], "function_call");
    assert_eq!(done[0]["item"]["call_id"], "call_0_0");
    assert_eq!(done[1]["item"]["type"], "custom_tool_call");
    assert_eq!(done[1]["item"]["call_id"], "mine");
    assert_eq!(events.last().unwrap()["response"]["output"].as_array().unwrap().len(), 2);
}

#[test]
fn each_ending_is_the_last_event() {
    let (code, message) = ("server_error".to_owned(), "Sorry".to_owned());
    for (ending, last, pointer, value) in [
        (Ending::Completed, "response.completed", "/response/status", "completed"),
        (
            Ending::Incomplete("max_output_tokens".to_owned()),
            "response.incomplete",
            "/response/incomplete_details/reason",
            "max_output_tokens",
        ),
        (
            Ending::Failed { code: code.clone(), message: message.clone() },
            "response.failed",
            "/response/error/message",
            "Sorry",
        ),
        (Ending::Error { code, message }, "error", "/code", "server_error"),
        (Ending::Missing, "response.output_item.done", "/item/status", "completed"),
    ] {
        let model = serve(Answer::new().text("Hi").ending(ending));
        let seen = post(&model, &hello());
        assert_eq!(seen.end, End::Proper);
        let event = seen.events().pop().unwrap();
        assert_eq!(event["type"], last);
        assert_eq!(event.pointer(pointer).unwrap(), value);
    }
}

#[test]
fn a_stream_can_be_cut_in_the_middle_of_a_call() {
    let answer = Answer::new().call("shell", &json!({"command": ["true"]})).in_pieces(6);
    let model = serve(answer.breaks(Point::MiddleOfLastOutput, Then::Cut));
    let seen = post(&model, &hello());
    assert_eq!(seen.end, End::Cut);
    let kinds = seen.kinds();
    let deltas = kinds.iter().filter(|kind| *kind == "response.function_call_arguments.delta").count();
    assert_eq!((deltas, kinds.len()), (3, 6));
}

#[test]
fn a_stream_can_be_cut_in_the_middle_of_an_event() {
    let model = serve(Answer::new().text("Hi").breaks(Point::InsideEvent(2), Then::Cut));
    let seen = post(&model, &hello());
    assert_eq!(seen.end, End::Cut);
    assert!(
        seen.text().contains("response.in_progress") && !seen.text().ends_with("\n\n"),
        "{}",
        seen.text()
    );
}

#[test]
fn a_cut_after_much_text_still_delivers_what_came_before() {
    let model = serve(Answer::new().huge_event(300_000).breaks(Point::Events(5), Then::Cut));
    let seen = post(&model, &hello());
    assert_eq!((seen.end, seen.events().len()), (End::Cut, 5));
}

#[test]
fn headers_can_be_followed_by_nothing() {
    let model = serve(Answer::new().text("Hi").breaks(Point::Events(0), Then::Stall));
    let mut connection = connect(&model);
    connection.get_ref().set_read_timeout(Some(SILENCE)).unwrap();
    send(&mut connection, "POST /v1/responses", hello().to_string().as_bytes(), &[]);
    model.wait_for_requests(1, SOON).unwrap();
    let seen = receive(&mut connection);
    assert_eq!((seen.status, seen.end, seen.body.len()), (200, End::Stalled, 0));
}

#[test]
fn a_request_can_stay_without_any_answer_and_its_end_is_noticed() {
    let model = serve(Reply::Silence);
    let mut connection = connect(&model);
    connection.get_ref().set_read_timeout(Some(SILENCE)).unwrap();
    send(&mut connection, "POST /v1/responses", hello().to_string().as_bytes(), &[]);
    model.wait_for_requests(1, SOON).unwrap();
    let seen = receive(&mut connection);
    assert_eq!((seen.status, seen.end), (0, End::Stalled));
    assert!(matches!(model.wait_for_drop_of(0, Duration::ZERO), Err(HarnessError::NotDropped { .. })));
    drop(connection);
    model.wait_for_drop_of(0, SOON).unwrap();
}

#[test]
fn a_client_that_waits_for_the_end_is_not_taken_for_one_that_left() {
    let model = ScriptedModel::start([Reply::text("Hi"), Reply::server_error()]).unwrap();
    post(&model, &hello());
    post(&model, &hello());
    for number in 0..2 {
        assert!(matches!(model.wait_for_drop_of(number, SILENCE), Err(HarnessError::NotDropped { .. })));
    }
}

#[test]
fn the_server_can_hang_up() {
    let seen = post(&serve(Reply::HangUp), &hello());
    assert_eq!((seen.status, seen.end), (0, End::Cut));
}

#[test]
fn statuses_carry_headers_and_the_providers_error() {
    let model =
        ScriptedModel::start([Reply::rate_limited("2"), Reply::unauthorized(), Reply::server_error()])
            .unwrap();
    let limited = post(&model, &hello());
    assert_eq!((limited.status, limited.header("retry-after")), (429, Some("2")));
    assert_eq!(limited.json()["error"]["code"], "rate_limit_exceeded");
    let unauthorized = post(&model, &hello());
    assert_eq!(
        (unauthorized.status, &unauthorized.json()["error"]["code"]),
        (401, &json!("invalid_api_key"))
    );
    assert_eq!(post(&model, &hello()).status, 500);
    let plain = serve(StatusReply::new(502, "<html>Bad gateway</html>").header("content-type", "text/html"));
    let seen = post(&plain, &hello());
    assert_eq!((seen.status, seen.text()), (502, "<html>Bad gateway</html>"));
}

#[test]
fn malformed_things_are_sent_as_they_are() {
    let model = ScriptedModel::start([
        Answer::new().raw_event("{\"type\":\"response.output_te"),
        Answer::new().raw_call("shell", "{\"command\": [\"ls\""),
        Answer::new().text("Hi").content_type("text/html"),
        Answer::new().event(json!({"type": "response.novelty", "x": 1})),
    ])
    .unwrap();
    assert!(post(&model, &hello()).text().contains("\ndata: {\"type\":\"response.output_te\n\n"));
    let call = post(&model, &hello()).events();
    let done = call.iter().find(|event| event["type"] == "response.output_item.done").unwrap();
    assert_eq!(done["item"]["arguments"], "{\"command\": [\"ls\"");
    assert_eq!(post(&model, &hello()).header("content-type"), Some("text/html"));
    let novelty = post(&model, &hello()).events()[2].clone();
    assert_eq!(novelty, json!({"type": "response.novelty", "x": 1, "sequence_number": 2}));
}

#[test]
fn every_style_carries_the_same_events() {
    let answer = Answer::new().reasoning("Hm").text("Hi, 漢字 😀").in_pieces(3).call("shell", &json!({}));
    let plain = post(&serve(answer.clone()), &hello());
    for line_end in [LineEnd::Lf, LineEnd::CrLf, LineEnd::Cr] {
        let style = Style {
            line_end,
            byte_order_mark: true,
            comments: true,
            tight: true,
            data_only: true,
            chunk_bytes: Some(7),
        };
        let seen = post(&serve(answer.clone().style(style)), &hello());
        assert_eq!(seen.events(), plain.events());
        assert!(seen.text().starts_with('\u{feff}') && seen.text().contains(": a comment"));
        assert!(seen.chunks.iter().rev().skip(1).all(|size| *size == 7), "{:?}", seen.chunks);
    }
    assert_eq!(plain.chunks.len(), 1);
}

#[test]
fn a_pause_sends_each_event_by_itself() {
    let model = serve(Answer::new().text("abc").in_pieces(3).pause(Duration::from_millis(2)));
    let begin = Instant::now();
    let seen = post(&model, &hello());
    assert_eq!(seen.chunks.len(), seen.events().len());
    assert!(begin.elapsed() >= Duration::from_millis(2 * 11));
}

#[test]
fn a_huge_event_arrives_whole() {
    let seen = post(&serve(Answer::new().huge_event(5_000_000)), &hello());
    assert_eq!(seen.events()[4]["delta"].as_str().unwrap().len(), 5_000_000);
}

#[test]
fn requests_are_recorded_byte_for_byte() {
    let model = serve(Reply::text("Hi"));
    let mut connection = connect(&model);
    let body = br#"{ "stream":true,  "input":"hello", "model":"m" }"#;
    send(&mut connection, "POST /v1/responses?a=b", body, &[("x-custom", "yes")]);
    receive(&mut connection);
    let request = model.requests().remove(0);
    assert_eq!(&request.body[..], body);
    assert_eq!((request.path.as_str(), request.query.as_str()), ("/v1/responses", "a=b"));
    assert_eq!(request.header("X-Custom"), Some("yes"));
    assert_eq!(request.json()["input"], "hello");
}

#[test]
fn an_invalid_request_is_refused_keeps_its_reply_and_fails_the_test() {
    let model = serve(Reply::text("Hi"));
    let refused = post(&model, &json!({"model": "m", "stream": true}));
    assert_eq!(refused.status, 400);
    assert_eq!(
        refused.json()["error"],
        json!({
            "message": "Missing required parameter: 'input'.", "type": "invalid_request_error",
            "param": "input", "code": "missing_required_parameter",
        })
    );
    assert_eq!(post(&model, &hello()).status, 200);
    let Err(HarnessError::Complaints(complaints)) = model.verify() else { panic!("no complaint") };
    assert_eq!(complaints, ["request 0: Missing required parameter: 'input'."]);
}

#[test]
fn checks_can_be_turned_off() {
    let options = Options { checks: Checks::Off, ..Options::default() };
    let model = ScriptedModel::start_with(options, [Reply::text("Hi")]).unwrap();
    assert_eq!(post(&model, &json!({})).status, 200);
    model.verify().unwrap();
}

#[test]
fn an_empty_script_answers_500_and_says_so() {
    let model = ScriptedModel::start([] as [Reply; 0]).unwrap();
    let seen = post(&model, &hello());
    assert_eq!(seen.status, 500);
    assert_eq!(seen.json()["error"]["message"], "The script has no reply for request 0; it is empty.");
    assert!(matches!(model.verify(), Err(HarnessError::Complaints(_))));
}

#[test]
fn a_reply_that_nobody_asked_for_is_a_complaint() {
    let model = serve(Reply::text("Hi"));
    let Err(HarnessError::Complaints(complaints)) = model.verify() else { panic!("no complaint") };
    assert_eq!(complaints, ["1 reply(s) of the script were never asked for"]);
}

#[test]
fn the_last_reply_can_be_repeated() {
    let options = Options { when_empty: WhenEmpty::RepeatLast, ..Options::default() };
    let model = ScriptedModel::start_with(options, [Reply::text("one"), Reply::text("two")]).unwrap();
    let texts: Vec<_> = (0..3).map(|_| post(&model, &hello()).events()[4]["delta"].clone()).collect();
    assert_eq!(texts, ["one", "two", "two"]);
    model.verify().unwrap();
}

#[test]
fn a_closure_answers_what_it_sees() {
    let model = ScriptedModel::answering(Options::default(), |request| match request.last_output() {
        None => Reply::call("shell", &json!({"command": ["pwd"]})),
        Some(output) => Reply::text(format!("It said {output}")),
    })
    .unwrap();
    let call = post(&model, &hello()).events().pop().unwrap()["response"]["output"][0].clone();
    let mut next = hello();
    next["input"] = json!([
        {"role": "user", "content": "hello"},
        {"type": "function_call", "call_id": call["call_id"], "name": call["name"], "arguments": call["arguments"]},
        {"type": "function_call_output", "call_id": call["call_id"], "output": "/home"},
    ]);
    assert_eq!(post(&model, &next).events()[4]["delta"], "It said /home");
    let request = model.requests().remove(1);
    assert_eq!(request.user_texts(), ["hello"]);
    assert_eq!(request.output_of("call_0_0"), Some("/home"));
    model.verify().unwrap();
}

#[test]
fn a_reply_can_be_added_while_the_server_runs() {
    let model = serve(Reply::text("one"));
    post(&model, &hello());
    model.push(Reply::text("two"));
    assert_eq!(post(&model, &hello()).events()[4]["delta"], "two");
}

#[test]
fn a_wrong_key_or_path_or_content_type_is_refused() {
    let options = Options { api_key: Some("right".to_owned()), ..Options::default() };
    let model = ScriptedModel::start_with(options, [Reply::text("Hi")]).unwrap();
    let try_with = |what: &str, headers: &[(&str, &str)]| {
        let mut connection = connect(&model);
        send(&mut connection, what, hello().to_string().as_bytes(), headers);
        receive(&mut connection).status
    };
    let key = ("authorization", "Bearer right");
    assert_eq!(try_with("POST /v1/responses", &[]), 401);
    assert_eq!(try_with("POST /v1/responses", &[("authorization", "Bearer wrong")]), 401);
    assert_eq!(try_with("POST /responses", &[key]), 404);
    assert_eq!(try_with("POST /v1/responses", &[key, ("content-type", "text/plain")]), 415);
    assert_eq!(try_with("POST /v1/responses", &[key]), 200);
}

#[test]
fn models_are_listed_on_the_same_connection_as_answers() {
    let model = serve(Reply::text("Hi"));
    let mut connection = connect(&model);
    send(&mut connection, "GET /v1/models", b"", &[]);
    let list = receive(&mut connection).json();
    assert_eq!((&list["object"], &list["data"][0]["id"]), (&json!("list"), &json!("scripted")));
    send(&mut connection, "POST /v1/responses", hello().to_string().as_bytes(), &[]);
    assert_eq!(receive(&mut connection).end, End::Proper);
    model.verify().unwrap();
}

#[test]
fn too_few_requests_are_told_apart_from_enough() {
    let model = serve(Reply::text("Hi"));
    let missing = model.wait_for_requests(1, Duration::ZERO);
    assert!(matches!(missing, Err(HarnessError::TooFewRequests { wanted: 1, seen: 0, .. })));
    post(&model, &hello());
    assert_eq!(model.wait_for_requests(1, SOON).unwrap().len(), 1);
}

#[test]
fn dropping_the_server_closes_its_connections() {
    let model = serve(Reply::Silence);
    let mut connection = connect(&model);
    send(&mut connection, "POST /v1/responses", hello().to_string().as_bytes(), &[]);
    model.wait_for_requests(1, SOON).unwrap();
    drop(model);
    let seen = receive(&mut connection);
    assert_eq!((seen.status, seen.end), (0, End::Cut));
    // Writing to it may still succeed once; what matters is that it was not left open.
    let _ = connection.get_mut().write_all(b"x");
}

#[test]
fn a_pace_is_kept_on_average_and_stamps_tell_when() {
    let text = format!("{STAMP} ").repeat(200);
    let model = serve(Answer::new().text(text).in_pieces(200).pace(Duration::from_micros(500)));
    let begin = Instant::now();
    let seen = post(&model, &hello());
    assert!(begin.elapsed() >= Duration::from_millis(100));
    let events = seen.events();
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    let stamps: Vec<u64> =
        deltas.map(|event| event["delta"].as_str().unwrap().trim().parse().unwrap()).collect();
    assert!(stamps.len() == 200 && stamps.is_sorted(), "{stamps:?}");
    let span = Duration::from_nanos(stamps[199] - stamps[0]);
    // The first may have been some milliseconds late.
    assert!(span >= Duration::from_millis(80), "{span:?}");
}
