//! The items of `input`, each by itself. Knows nothing of how they hang together.

use serde_json::Value;

use crate::scripted_model::check::Checked;
use crate::scripted_model::check::place::Place;

/// The longest id of a call.
const CALL_ID_CHARACTERS: usize = 64;

/// What a client may send, each with what belongs to it.
const KINDS: &[&str] = &[
    "message",
    "reasoning",
    "function_call",
    "function_call_output",
    "custom_tool_call",
    "custom_tool_call_output",
];

/// Checks `input`.
pub(crate) fn check(place: &Place<'_>, value: &Value) -> Checked {
    match value {
        Value::String(_) => Ok(()),
        Value::Array(_) => place.each(value, item),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => {
            Err(place.wrong_type("a string or an array of input items", value))
        }
    }
}

fn item(place: &Place<'_>, item: &Value) -> Checked {
    place.object(item)?;
    let kind = match item.get("type") {
        // As the provider does, a message is taken without its type.
        None if item.get("role").is_some() => "message",
        None => return place.required(item, "type").map(|_| ()),
        Some(kind) => {
            place.field("type").one_of(kind, KINDS)?;
            kind.as_str().unwrap_or_default()
        }
    };
    match kind {
        "message" => message(place, item),
        "reasoning" => reasoning(place, item),
        "function_call" => call(place, item, "arguments", "fc_"),
        "custom_tool_call" => call(place, item, "input", "ctc_"),
        _ => output(place, item),
    }
}

fn message(place: &Place<'_>, item: &Value) -> Checked {
    place.only(item, &["type", "id", "status", "role", "content", "phase"])?;
    id(place, item, "msg_")?;
    let role = place.required(item, "role")?;
    place.field("role").one_of(role, &["user", "assistant", "system", "developer"])?;
    let allowed: &[&str] = if role == "assistant" {
        &["output_text", "refusal"]
    } else {
        &["input_text", "input_image", "input_file"]
    };
    content(&place.field("content"), place.required(item, "content")?, allowed)
}

fn content(place: &Place<'_>, value: &Value, allowed: &[&str]) -> Checked {
    if value.is_string() {
        return Ok(());
    }
    place.each(value, |place, part| {
        place.object(part)?;
        let kind = place.required(part, "type")?;
        place.field("type").one_of(kind, allowed)?;
        match kind.as_str().unwrap_or_default() {
            "input_text" => {
                place.only(part, &["type", "text"])?;
                place.field("text").text(place.required(part, "text")?).map(|_| ())
            }
            "output_text" => {
                place.only(part, &["type", "text", "annotations", "logprobs"])?;
                place.field("text").text(place.required(part, "text")?).map(|_| ())
            }
            "refusal" => place.field("refusal").text(place.required(part, "refusal")?).map(|_| ()),
            "input_image" => image(place, part),
            _ => Ok(()),
        }
    })
}

fn image(place: &Place<'_>, part: &Value) -> Checked {
    place.only(part, &["type", "image_url", "file_id", "detail"])?;
    if part["file_id"].is_string() {
        return Ok(());
    }
    let url = place.field("image_url").text(place.required(part, "image_url")?)?;
    let is_data = url.strip_prefix("data:image/").is_some_and(|rest| rest.contains(";base64,"));
    if is_data || url.starts_with("https://") || url.starts_with("http://") {
        return Ok(());
    }
    let place = place.field("image_url");
    let message = format!("Invalid '{place}'. Expected a valid URL, but got a value with an invalid format.");
    Err(place.invalid(message, Some("invalid_value")))
}

fn reasoning(place: &Place<'_>, item: &Value) -> Checked {
    place.only(item, &["type", "id", "summary", "content", "encrypted_content", "status"])?;
    id(place, item, "rs_")?;
    place.field("summary").each(place.required(item, "summary")?, |place, part| {
        place.object(part)?;
        place.field("type").one_of(place.required(part, "type")?, &["summary_text"])?;
        place.field("text").text(place.required(part, "text")?).map(|_| ())
    })?;
    place.field("encrypted_content").text_or_null(&item["encrypted_content"])
}

fn call(place: &Place<'_>, item: &Value, field: &str, prefix: &str) -> Checked {
    place.only(item, &["type", "id", "status", "call_id", "name", field])?;
    id(place, item, prefix)?;
    call_id(place, item)?;
    place.field("name").non_empty_text(place.required(item, "name")?)?;
    place.field(field).text(place.required(item, field)?).map(|_| ())
}

fn output(place: &Place<'_>, item: &Value) -> Checked {
    place.only(item, &["type", "id", "status", "call_id", "output"])?;
    call_id(place, item)?;
    let output = place.required(item, "output")?;
    content(&place.field("output"), output, &["input_text", "input_image", "input_file"])
}

fn call_id(place: &Place<'_>, item: &Value) -> Checked {
    let id = place.required(item, "call_id")?;
    place.field("call_id").non_empty_text(id)?;
    place.field("call_id").short_text(id, CALL_ID_CHARACTERS)
}

/// An item's own id may be missing; if it is there, it tells its kind.
fn id(place: &Place<'_>, item: &Value, prefix: &str) -> Checked {
    let Some(id) = item.get("id").filter(|id| !id.is_null()) else { return Ok(()) };
    let place = place.field("id");
    let text = place.text(id)?;
    if text.starts_with(prefix) {
        return Ok(());
    }
    let expected = prefix.trim_end_matches('_');
    let message = format!("Invalid '{place}': '{text}'. Expected an ID that begins with '{expected}'.");
    Err(place.invalid(message, Some("invalid_value")))
}
