//! Tools and calls for the APIs that know only functions with a JSON object: freeform tools become functions with one
//! string, and back; arguments are always an object; a call without an id gets one.

use std::borrow::Cow;
use std::sync::Arc;

use model::request::{InputContent, InputItem, ModelRequest};
use protocol::tool::{CallInput, ToolCall, ToolInput};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::wire_api::unsendable;

/// The one argument of a function that stands for a freeform tool.
const FREEFORM_ARGUMENT: &str = "input";

/// The argument under which text stands that was meant to be arguments and is no JSON object.
const MALFORMED_ARGUMENT: &str = "INVALID_JSON";

/// What the ids that we make begin with; a number follows.
const MADE_ID: &str = "call_skein_";

/// The JSON Schema of a tool's arguments.
pub(crate) fn schema(input: &ToolInput) -> Cow<'_, Value> {
    let grammar = match input {
        ToolInput::Json { schema } => return Cow::Borrowed(schema),
        ToolInput::Freeform { grammar } => grammar,
    };
    let description = grammar.as_ref().map_or_else(
        || "The whole input, free in form".to_owned(),
        |grammar| {
            format!("The whole input. It follows this {} grammar:\n{}", grammar.syntax, grammar.definition)
        },
    );
    Cow::Owned(json!({
        "type": "object",
        "properties": {FREEFORM_ARGUMENT: {"type": "string", "description": description}},
        "required": [FREEFORM_ARGUMENT],
        "additionalProperties": false,
    }))
}

/// The arguments of a call, certainly a JSON object: providers refuse, or fail on, a history that holds others.
pub(crate) fn arguments(input: &CallInput) -> Cow<'_, str> {
    match input {
        CallInput::Freeform(text) => Cow::Owned(json!({FREEFORM_ARGUMENT: text}).to_string()),
        CallInput::Json(text) if is_object(text) => Cow::Borrowed(text),
        CallInput::Json(text) if text.trim().is_empty() => Cow::Borrowed("{}"),
        CallInput::Json(text) => Cow::Owned(json!({MALFORMED_ARGUMENT: text}).to_string()),
    }
}

/// The same as a part of a body, byte for byte as the model wrote them.
pub(crate) fn raw_arguments(input: &CallInput) -> Result<Box<RawValue>, Failure> {
    RawValue::from_string(arguments(input).into_owned()).map_err(|error| unsendable(&error.to_string()))
}

/// Whether this is a whole JSON object, and not a part of one.
pub(crate) fn is_object(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}

/// A name or an id with only letters, digits, `_` and `-`, as APIs want them. Others are spelled out, so that two
/// that differ stay different.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    if name.bytes().all(|byte| is_plain(&byte)) {
        return Cow::Borrowed(name);
    }
    let spelled = name
        .bytes()
        .map(|byte| if is_plain(&byte) { char::from(byte).into() } else { format!("-{byte:02x}") });
    Cow::Owned(spelled.collect())
}

/// Whether there is an image among the parts.
pub(crate) fn has_image(content: &[InputContent]) -> bool {
    content.iter().any(|part| matches!(part, InputContent::Image { .. }))
}

/// Makes the calls of one answer.
#[derive(Clone, Debug)]
pub(crate) struct Calls {
    /// The names of the freeform tools.
    freeform: Arc<[String]>,
    /// The number of the next id that we make.
    next: u64,
}

impl Calls {
    /// For the answer to this request.
    pub(crate) fn of(request: &ModelRequest) -> Self {
        let freeform = request.tools.iter().filter(|tool| matches!(tool.input, ToolInput::Freeform { .. }));
        let made = request.input.iter().filter_map(|item| match item {
            InputItem::ToolCall(call) => call.call_id.strip_prefix(MADE_ID)?.parse::<u64>().ok(),
            InputItem::UserMessage(_)
            | InputItem::AgentMessage(_)
            | InputItem::Reasoning(_)
            | InputItem::ToolOutput { .. } => None,
        });
        Self {
            freeform: freeform.map(|tool| tool.name.clone()).collect(),
            next: made.max().map_or(0, |number| number.saturating_add(1)),
        }
    }

    /// A call. Without an id it gets one that no other call of the conversation has, the same at each try.
    pub(crate) fn call(&mut self, id: Option<String>, name: String, arguments: String) -> ToolCall {
        let call_id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let id = format!("{MADE_ID}{}", self.next);
            self.next = self.next.saturating_add(1);
            id
        });
        let input = if self.freeform.contains(&name) {
            CallInput::Freeform(freeform(arguments))
        } else if arguments.trim().is_empty() {
            CallInput::Json("{}".to_owned())
        } else {
            CallInput::Json(arguments)
        };
        ToolCall { call_id, name, input }
    }
}

/// The text that the arguments of a freeform call hold: the one that was asked for, else the only one, else what
/// the model wrote, for the tool to judge.
fn freeform(arguments: String) -> String {
    match serde_json::from_str(&arguments) {
        Ok(Value::String(text)) => text,
        Ok(Value::Object(mut object)) => take_text(&mut object).unwrap_or(arguments),
        Ok(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) | Err(_) => arguments,
    }
}

fn take_text(object: &mut Map<String, Value>) -> Option<String> {
    let found = object.remove(FREEFORM_ARGUMENT).or_else(|| {
        let is_only = object.len() == 1;
        object.values_mut().next().filter(|_| is_only).map(Value::take)
    });
    if let Some(Value::String(text)) = found { Some(text) } else { None }
}

#[cfg(test)]
mod tests;
