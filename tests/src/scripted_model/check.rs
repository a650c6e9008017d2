//! Whether a request body is one that the provider would take. Knows the wire format (OpenAI API reference,
//! "Create a model response") as far as Skein uses it; what it does not know it refuses, so that a new field
//! is a decision and not an accident. Knows nothing of HTTP or scripts.
//!
//! Stricter than the provider in three things: it serves streams only, tool names may not repeat, and a call
//! may not be answered twice.

mod conversation;
mod input;
mod place;
mod tools;

use serde_json::Value;

use crate::scripted_model::check::place::Place;

/// Why a body is refused, in the provider's words where they are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// For people.
    pub message: String,
    /// Where it is, such as `input[3].call_id`.
    pub param: Option<String>,
    /// Such as `missing_required_parameter`.
    pub code: Option<&'static str>,
}

type Checked = Result<(), Invalid>;

/// Checks a body.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(body: &Value) -> Checked {
    let root = Place::root();
    let Some(fields) = body.as_object() else {
        return Err(Invalid {
            message: "The body of the request is not a JSON object.".to_owned(),
            param: None,
            code: None,
        });
    };
    for (name, value) in fields {
        top_level(&root.field(name), name, value)?;
    }
    root.required(body, "model")?;
    root.required(body, "input")?;
    if body["stream"] != true {
        return Err(root
            .field("stream")
            .invalid("Only streams are served: 'stream' must be true.".to_owned(), None));
    }
    if body["previous_response_id"].is_string() {
        return Ok(());
    }
    conversation::check(&body["input"])
}

fn top_level(place: &Place<'_>, name: &str, value: &Value) -> Checked {
    match name {
        "model" => place.non_empty_text(value),
        "input" => input::check(place, value),
        "tools" => tools::check(place, value),
        "instructions" | "previous_response_id" | "user" | "service_tier" => place.text_or_null(value),
        "prompt_cache_key" | "safety_identifier" => place.short_text(value, 64),
        "stream" | "store" | "parallel_tool_calls" | "background" => place.boolean(value),
        "max_output_tokens" | "max_tool_calls" | "top_logprobs" => place.count_or_null(value),
        "temperature" | "top_p" => place.number_or_null(value),
        "metadata" | "stream_options" => place.object(value).map(|_| ()),
        "truncation" => place.one_of(value, &["auto", "disabled"]),
        "prompt_cache_retention" => place.one_of(value, &["in-memory", "24h"]),
        "include" => {
            const INCLUDABLE: &[&str] = &[
                "reasoning.encrypted_content",
                "message.output_text.logprobs",
                "message.input_image.image_url",
                "web_search_call.action.sources",
            ];
            place.each(value, |place, item| place.one_of(item, INCLUDABLE))
        }
        "reasoning" => reasoning(place, value),
        "text" => text(place, value),
        "tool_choice" => match value {
            Value::String(_) => place.one_of(value, &["none", "auto", "required"]),
            Value::Object(_) => place.required(value, "type").map(|_| ()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(place.wrong_type("a string or an object", value))
            }
        },
        _ => Err(place.unknown()),
    }
}

fn reasoning(place: &Place<'_>, value: &Value) -> Checked {
    if value.is_null() {
        return Ok(());
    }
    for (name, value) in place.object(value)? {
        let place = place.field(name);
        match name.as_str() {
            "effort" if !value.is_null() => {
                place.one_of(value, &["none", "minimal", "low", "medium", "high", "xhigh"])?;
            }
            "summary" if !value.is_null() => place.one_of(value, &["auto", "concise", "detailed"])?,
            "effort" | "summary" => {}
            _ => return Err(place.unknown()),
        }
    }
    Ok(())
}

fn text(place: &Place<'_>, value: &Value) -> Checked {
    for (name, value) in place.object(value)? {
        let place = place.field(name);
        match name.as_str() {
            "verbosity" => place.one_of(value, &["low", "medium", "high"])?,
            "format" => format(&place, value)?,
            _ => return Err(place.unknown()),
        }
    }
    Ok(())
}

fn format(place: &Place<'_>, value: &Value) -> Checked {
    place.object(value)?;
    let kind = place.required(value, "type")?;
    place.field("type").one_of(kind, &["text", "json_object", "json_schema"])?;
    if kind != "json_schema" {
        return place.only(value, &["type"]);
    }
    place.only(value, &["type", "name", "schema", "strict", "description"])?;
    place.field("name").name(place.required(value, "name")?)?;
    let schema = place.required(value, "schema")?;
    place.field("schema").object(schema)?;
    if value["strict"] == true {
        tools::strict_schema(&place.field("schema"), schema)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
