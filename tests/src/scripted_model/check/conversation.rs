//! How the items of `input` hang together: every call has its output, every output its call. Takes for granted
//! that each item is well formed.

use std::collections::HashMap;

use serde_json::Value;

use crate::scripted_model::check::{Checked, Invalid};

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Function,
    Freeform,
}

struct Call {
    kind: Kind,
    is_answered: bool,
}

/// Checks `input` as a whole.
pub(crate) fn check(input: &Value) -> Checked {
    let Some(items) = input.as_array() else { return Ok(()) };
    let mut calls: HashMap<&str, Call> = HashMap::new();
    for item in items {
        let id = item["call_id"].as_str().unwrap_or_default();
        match item["type"].as_str().unwrap_or_default() {
            "function_call" => begin(&mut calls, id, Kind::Function)?,
            "custom_tool_call" => begin(&mut calls, id, Kind::Freeform)?,
            "function_call_output" => answer(&mut calls, id, Kind::Function)?,
            "custom_tool_call_output" => answer(&mut calls, id, Kind::Freeform)?,
            _ => {}
        }
    }
    let unanswered = |item: &&Value| {
        let is_call = item["type"] == "function_call" || item["type"] == "custom_tool_call";
        let id = item["call_id"].as_str().unwrap_or_default();
        is_call && calls.get(id).is_some_and(|call| !call.is_answered)
    };
    match items.iter().find(unanswered) {
        None => Ok(()),
        Some(item) => {
            let what = if item["type"] == "function_call" { "function call" } else { "custom tool call" };
            let id = item["call_id"].as_str().unwrap_or_default();
            Err(invalid(format!("No tool output found for {what} {id}.")))
        }
    }
}

fn begin<'a>(calls: &mut HashMap<&'a str, Call>, id: &'a str, kind: Kind) -> Checked {
    match calls.insert(id, Call { kind, is_answered: false }) {
        None => Ok(()),
        Some(_) => Err(invalid(format!("Two calls have the call_id {id}."))),
    }
}

fn answer(calls: &mut HashMap<&str, Call>, id: &str, kind: Kind) -> Checked {
    let what = match kind {
        Kind::Function => "function call",
        Kind::Freeform => "custom tool call",
    };
    match calls.get_mut(id) {
        Some(call) if call.kind == kind && !call.is_answered => {
            call.is_answered = true;
            Ok(())
        }
        Some(call) if call.kind == kind => Err(invalid(format!("The {what} {id} is answered twice."))),
        Some(_) | None => Err(invalid(format!("No tool call found for {what} output with call_id {id}."))),
    }
}

fn invalid(message: String) -> Invalid {
    Invalid { message, param: Some("input".to_owned()), code: None }
}
