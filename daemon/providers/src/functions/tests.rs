//! Freeform tools as functions, there and back.

use super::*;
use protocol::tool::{Grammar, ToolSpecification};

fn request(tools: Vec<ToolSpecification>, calls: &[&str]) -> ModelRequest {
    let call = |id: &&str| {
        let input = CallInput::Json("{}".into());
        InputItem::ToolCall(ToolCall { call_id: (*id).into(), name: "t".into(), input })
    };
    ModelRequest {
        model: "m".into(),
        instructions: "".into(),
        tools: tools.into(),
        input: calls.iter().map(call).collect(),
        reasoning_effort: None,
        reasoning_summary: None,
        output_schema: None,
        cache_key: "key".into(),
    }
}

fn patch() -> ToolSpecification {
    ToolSpecification {
        name: "apply_patch".into(),
        description: "Edits".into(),
        input: ToolInput::Freeform { grammar: None },
    }
}

#[test]
fn a_freeform_tool_is_a_function_with_one_string_that_tells_the_grammar() {
    let grammar = Grammar { syntax: "lark".into(), definition: "start: /x/".into() };
    let schema = schema(&ToolInput::Freeform { grammar: Some(grammar) }).into_owned();
    let input = &schema["properties"]["input"];
    assert_eq!(input["type"], "string");
    assert_eq!(input["description"], "The whole input. It follows this lark grammar:\nstart: /x/");
    assert_eq!(schema["required"], json!(["input"]));
}

#[test]
fn arguments_are_always_an_object() {
    for (text, wanted) in [
        ("{\"b\": 1,\n \"a\":2}", "{\"b\": 1,\n \"a\":2}"),
        ("", "{}"),
        ("{\"x\": ", r#"{"INVALID_JSON":"{\"x\": "}"#),
        ("[1]", r#"{"INVALID_JSON":"[1]"}"#),
        ("{} {}", r#"{"INVALID_JSON":"{} {}"}"#),
    ] {
        assert_eq!(arguments(&CallInput::Json(text.into())), wanted);
    }
    assert_eq!(arguments(&CallInput::Freeform("a\n\"b\"".into())), r#"{"input":"a\n\"b\""}"#);
}

#[test]
fn a_call_of_a_freeform_tool_comes_back_as_text() {
    let mut calls = Calls::of(&request(vec![patch()], &[]));
    for (arguments, wanted) in [
        (r#"{"input":"*** Begin"}"#, "*** Begin"),
        (r#"{"patch":"*** Begin"}"#, "*** Begin"),
        (r#""*** Begin""#, "*** Begin"),
        ("*** Begin", "*** Begin"),
        (r#"{"input":7}"#, r#"{"input":7}"#),
        (r#"{"a":"x","b":"y"}"#, r#"{"a":"x","b":"y"}"#),
    ] {
        let call = calls.call(Some("c".into()), "apply_patch".into(), arguments.into());
        assert_eq!(call.input, CallInput::Freeform(wanted.into()));
    }
    let other = calls.call(Some("c".into()), "shell".into(), r#"{"input":"x"}"#.into());
    assert_eq!(other.input, CallInput::Json(r#"{"input":"x"}"#.into()));
}

#[test]
fn a_call_without_an_id_gets_one_that_no_other_has() {
    let request = request(Vec::new(), &["call_skein_4", "call_skein_x", "c"]);
    let mut calls = Calls::of(&request);
    let mut id =
        |given: Option<&str>| calls.call(given.map(str::to_owned), "t".into(), String::new()).call_id;
    assert_eq!([id(None), id(Some("")), id(Some("z"))], ["call_skein_5", "call_skein_6", "z"]);
}

#[test]
fn odd_names_are_spelled_out() {
    assert_eq!(plain("call_a-B9"), "call_a-B9");
    assert_eq!(plain("functions.shell:0"), "functions-2eshell-3a0");
    assert_ne!(plain("a.b"), plain("a:b"));
    assert_eq!(plain("é"), "-c3-a9");
}
