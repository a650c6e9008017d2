//! The tools that a request offers. Knows nothing of calls.

use serde_json::Value;

use crate::scripted_model::check::Checked;
use crate::scripted_model::check::place::Place;

/// Checks `tools`.
pub(crate) fn check(place: &Place<'_>, value: &Value) -> Checked {
    place.each(value, tool)?;
    let all = value.as_array().map_or(&[][..], Vec::as_slice);
    for (index, tool) in all.iter().enumerate() {
        let Some(name) = tool["name"].as_str() else { continue };
        if all[..index].iter().any(|other| other["name"] == name) {
            let place = place.index(index);
            let place = place.field("name");
            return Err(place.invalid(format!("Two tools have the name '{name}'."), Some("invalid_value")));
        }
    }
    Ok(())
}

fn tool(place: &Place<'_>, tool: &Value) -> Checked {
    place.object(tool)?;
    let kind = place.required(tool, "type")?;
    place.field("type").one_of(kind, &["function", "custom", "web_search"])?;
    match kind.as_str().unwrap_or_default() {
        "function" => function(place, tool),
        "custom" => custom(place, tool),
        _ => Ok(()),
    }
}

fn function(place: &Place<'_>, tool: &Value) -> Checked {
    place.only(tool, &["type", "name", "description", "parameters", "strict"])?;
    place.field("name").name(place.required(tool, "name")?)?;
    place.field("description").text_or_null(&tool["description"])?;
    place.field("strict").boolean(&tool["strict"])?;
    let parameters = place.required(tool, "parameters")?;
    let place = place.field("parameters");
    place.object(parameters)?;
    if parameters["type"] != "object" {
        let name = tool["name"].as_str().unwrap_or_default();
        let message = format!(
            "Invalid schema for function '{name}': schema must be a JSON Schema of 'type: \"object\"', got \
             'type: {}'.",
            parameters["type"]
        );
        return Err(place.invalid(message, Some("invalid_function_parameters")));
    }
    if tool["strict"] == true {
        strict_schema(&place, parameters)?;
    }
    Ok(())
}

fn custom(place: &Place<'_>, tool: &Value) -> Checked {
    place.only(tool, &["type", "name", "description", "format"])?;
    place.field("name").name(place.required(tool, "name")?)?;
    place.field("description").text_or_null(&tool["description"])?;
    let Some(format) = tool.get("format") else { return Ok(()) };
    let place = place.field("format");
    place.object(format)?;
    let kind = place.required(format, "type")?;
    place.field("type").one_of(kind, &["text", "grammar"])?;
    if kind == "text" {
        return place.only(format, &["type"]);
    }
    place.only(format, &["type", "syntax", "definition"])?;
    place.field("syntax").one_of(place.required(format, "syntax")?, &["lark", "regex"])?;
    place.field("definition").non_empty_text(place.required(format, "definition")?)
}

/// What `strict` asks of a schema: every object is closed and needs all its properties.
pub(crate) fn strict_schema(place: &Place<'_>, schema: &Value) -> Checked {
    if let Some(properties) = schema["properties"].as_object() {
        if schema["additionalProperties"] != false {
            let message = format!(
                "Invalid schema at '{place}': 'additionalProperties' is required to be supplied and to be false."
            );
            return Err(place.invalid(message, Some("invalid_json_schema")));
        }
        let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
        let all = place.field("properties");
        for (name, property) in properties {
            if !required.iter().any(|required| required == name.as_str()) {
                let message = format!(
                    "Invalid schema at '{place}': 'required' is required to be supplied and to be an array \
                     including every key in properties. Missing '{name}'."
                );
                return Err(place.invalid(message, Some("invalid_json_schema")));
            }
            strict_schema(&all.field(name), property)?;
        }
    }
    match schema.get("items") {
        Some(items) => strict_schema(&place.field("items"), items),
        None => Ok(()),
    }
}
