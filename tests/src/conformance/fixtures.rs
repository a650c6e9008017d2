//! The tools, resources and prompts that the conformance suite wants a server to have, as its documentation describes
//! them. Knows what they look like on the wire, not who asks.

use serde_json::{Map, Value, json};

/// A red dot.
const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// A moment of silence.
const SOUND: &str = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=";
/// The state that goes with the first question of a call.
const FIRST_STATE: &str = "first";
/// The state that goes with the second one.
const SECOND_STATE: &str = "second";

/// What comes of a call that needs nothing but its arguments.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// A result.
    Done(Value),
    /// The client's person or model is to be asked first.
    Wanted(Value),
    /// The state is none that was given.
    Tampered,
    /// Nothing of this name is here.
    Unknown,
}

/// The tools, as they are listed.
#[must_use]
pub fn tools() -> Vec<Value> {
    let nothing = json!({"type": "object", "properties": {}});
    let without_arguments = [
        ("test_simple_text", "Answers with text"),
        ("test_image_content", "Answers with an image"),
        ("test_audio_content", "Answers with a sound"),
        ("test_embedded_resource", "Answers with a resource"),
        ("test_multiple_content_types", "Answers with text, an image and a resource"),
        ("test_tool_with_logging", "Tells of its work in the log"),
        ("test_tool_with_progress", "Tells how far it has come"),
        ("test_error_handling", "Fails"),
        ("test_elicitation_sep1034_defaults", "Asks with a value for each answer"),
        ("test_elicitation_sep1330_enums", "Asks to choose"),
        ("test_missing_capability", "Needs a client that samples"),
        ("test_streaming_elicitation", "Asks, by calling again"),
        ("test_logging_tool", "Would tell of its work in the log"),
        ("test_input_required_result_elicitation", "Asks for a name"),
        ("test_input_required_result_sampling", "Asks the model"),
        ("test_input_required_result_list_roots", "Asks for the roots"),
        ("test_input_required_result_request_state", "Asks, and keeps its state with the client"),
        ("test_input_required_result_multiple_inputs", "Asks for three things at once"),
        ("test_input_required_result_multi_round", "Asks twice"),
        ("test_input_required_result_tampered_state", "Takes no state but its own"),
        ("test_input_required_result_capabilities", "Asks what the client can answer"),
    ];
    let mut tools: Vec<Value> = without_arguments
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description, "inputSchema": nothing}))
        .collect();
    let of_text = |name: &str, description: &str, argument: &str| {
        let properties = Map::from_iter([(argument.to_owned(), json!({"type": "string"}))]);
        let schema = json!({"type": "object", "properties": properties, "required": [argument]});
        json!({"name": name, "description": description, "inputSchema": schema})
    };
    tools.push(of_text("test_sampling", "Asks the client's model", "prompt"));
    tools.push(of_text("test_elicitation", "Asks the client's person", "message"));
    tools.push(json!({
        "name": "test_custom_header",
        "description": "Has an argument that is told in a header",
        "inputSchema": {
            "type": "object",
            "properties": {"region": {"type": "string", "x-mcp-header": "Region"}},
        },
    }));
    tools.push(json!({
        "name": "json_schema_2020_12_tool",
        "description": "Has a schema with all that the draft of 2020-12 has",
        "inputSchema": rich_schema(),
    }));
    tools
}

/// What a tool answers that only looks at its arguments. `responses` is what the client says to what was wanted before.
#[must_use]
pub fn call(name: &str, responses: &Map<String, Value>, state: Option<&str>, has_sampling: bool) -> Answer {
    let text = |text: &str| json!({"type": "text", "text": text});
    let image = || json!({"type": "image", "data": PICTURE, "mimeType": "image/png"});
    let resource = |uri: &str, kind: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}});
    let done = |content: Vec<Value>| Answer::Done(json!({"content": content}));
    match name {
        "test_simple_text" => done(vec![text("This is a simple text response for testing.")]),
        "test_image_content" => done(vec![image()]),
        "test_audio_content" => done(vec![json!({"type": "audio", "data": SOUND, "mimeType": "audio/wav"})]),
        "test_embedded_resource" => {
            let resource =
                resource("test://embedded-resource", "text/plain", "This is an embedded resource content.");
            done(vec![resource])
        }
        "test_multiple_content_types" => {
            let resource = resource(
                "test://mixed-content-resource",
                "application/json",
                &json!({"test": "data", "value": 123}).to_string(),
            );
            done(vec![text("Multiple content types test:"), image(), resource])
        }
        "test_error_handling" => {
            let content = [text("This tool intentionally returns an error for testing")];
            Answer::Done(json!({"content": content, "isError": true}))
        }
        "test_logging_tool" | "test_custom_header" | "json_schema_2020_12_tool" => done(vec![text("Done.")]),
        _ => in_rounds(name, responses, state, has_sampling),
    }
}

/// The tools that ask by answering that input is required.
fn in_rounds(name: &str, responses: &Map<String, Value>, state: Option<&str>, has_sampling: bool) -> Answer {
    let done = |text: &str| Answer::Done(json!({"content": [{"type": "text", "text": text}]}));
    let wanted = |requests: Value, state: Option<&str>| {
        let mut result = json!({"resultType": "input_required", "inputRequests": requests});
        if let Some(state) = state {
            result["requestState"] = json!(state);
        }
        Answer::Wanted(result)
    };
    let is_answered = |key: &str| responses.get(key).is_some_and(Value::is_object);
    let name_form = || form("What is your name?", "name", "string");
    match name {
        "test_input_required_result_elicitation" | "test_streaming_elicitation" => {
            let name = responses.get("user_name").and_then(|answer| answer["content"]["name"].as_str());
            match name {
                Some(name) => done(&format!("Hello, {name}!")),
                None => wanted(json!({"user_name": name_form()}), None),
            }
        }
        "test_input_required_result_sampling" if is_answered("capital_question") => {
            done(responses["capital_question"]["content"]["text"].as_str().unwrap_or_default())
        }
        "test_input_required_result_sampling" => {
            wanted(json!({"capital_question": sampling("What is the capital of France?")}), None)
        }
        "test_input_required_result_list_roots" if is_answered("client_roots") => {
            done(&responses["client_roots"]["roots"].to_string())
        }
        "test_input_required_result_list_roots" => wanted(json!({"client_roots": roots()}), None),
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => {
            match state {
                None => {
                    wanted(json!({"confirm": form("Please confirm", "ok", "boolean")}), Some(FIRST_STATE))
                }
                Some(FIRST_STATE) => done("state-ok"),
                Some(_) => Answer::Tampered,
            }
        }
        "test_input_required_result_multiple_inputs" => {
            let keys = ["user_name", "greeting", "client_roots"];
            if keys.iter().all(|key| is_answered(key)) && state == Some(FIRST_STATE) {
                return done("All of it is known.");
            }
            let requests = json!({
                "user_name": name_form(),
                "greeting": sampling("Generate a greeting"),
                "client_roots": roots(),
            });
            wanted(requests, Some(FIRST_STATE))
        }
        "test_input_required_result_multi_round" => match state {
            Some(FIRST_STATE) if is_answered("step1") => {
                let form = form("Step 2: What is your favorite color?", "color", "string");
                wanted(json!({"step2": form}), Some(SECOND_STATE))
            }
            Some(SECOND_STATE) if is_answered("step2") => done("Both are known."),
            Some(_) | None => {
                let form = form("Step 1: What is your name?", "name", "string");
                wanted(json!({"step1": form}), Some(FIRST_STATE))
            }
        },
        "test_input_required_result_capabilities" if has_sampling => {
            wanted(json!({"greeting": sampling("Generate a greeting")}), None)
        }
        "test_input_required_result_capabilities" => wanted(json!({"user_name": name_form()}), None),
        _ => Answer::Unknown,
    }
}

/// The resources, as they are listed.
#[must_use]
pub fn resources() -> Vec<Value> {
    [
        ("test://static-text", "A text", "text/plain"),
        ("test://static-binary", "An image", "image/png"),
        ("test://watched-resource", "A text that may be watched", "text/plain"),
    ]
    .iter()
    .map(|(uri, name, kind)| json!({"uri": uri, "name": name, "description": name, "mimeType": kind}))
    .collect()
}

/// The templates of resources, as they are listed.
#[must_use]
pub fn templates() -> Vec<Value> {
    vec![json!({
        "uriTemplate": "test://template/{id}/data",
        "name": "By its id",
        "description": "What belongs to an id",
        "mimeType": "application/json",
    })]
}

/// What is read at an address.
#[must_use]
pub fn resource(uri: &str) -> Option<Value> {
    let content = match uri {
        "test://static-text" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        "test://static-binary" => json!({"uri": uri, "mimeType": "image/png", "blob": PICTURE}),
        "test://watched-resource" => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "Watched resource content"})
        }
        _ => {
            let id = uri.strip_prefix("test://template/")?.strip_suffix("/data")?;
            let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            json!({"uri": uri, "mimeType": "application/json", "text": text.to_string()})
        }
    };
    Some(json!({"contents": [content]}))
}

/// The prompts, as they are listed.
#[must_use]
pub fn prompts() -> Vec<Value> {
    let argument = |name: &str| json!({"name": name, "description": name, "required": true});
    vec![
        json!({"name": "test_simple_prompt", "description": "A text"}),
        json!({
            "name": "test_prompt_with_arguments",
            "description": "A text with arguments",
            "arguments": [argument("arg1"), argument("arg2")],
        }),
        json!({
            "name": "test_prompt_with_embedded_resource",
            "description": "A text about a resource",
            "arguments": [argument("resourceUri")],
        }),
        json!({"name": "test_prompt_with_image", "description": "A text about an image"}),
        json!({"name": "test_input_required_result_prompt", "description": "A text about what is asked for"}),
    ]
}

/// A prompt, filled in.
#[must_use]
pub fn prompt(name: &str, arguments: &Map<String, Value>, responses: &Map<String, Value>) -> Answer {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let says = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| says(json!({"type": "text", "text": text}));
    let messages = match name {
        "test_simple_prompt" => vec![text("This is a simple prompt for testing.")],
        "test_prompt_with_arguments" => {
            let (first, second) = (argument("arg1"), argument("arg2"));
            vec![text(&format!("Prompt with arguments: arg1='{first}', arg2='{second}'"))]
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({
                "uri": argument("resourceUri"),
                "mimeType": "text/plain",
                "text": "Embedded resource content for testing.",
            });
            let embedded = says(json!({"type": "resource", "resource": resource}));
            vec![embedded, text("Please process the embedded resource above.")]
        }
        "test_prompt_with_image" => {
            let image = says(json!({"type": "image", "data": PICTURE, "mimeType": "image/png"}));
            vec![image, text("Please analyze the image above.")]
        }
        "test_input_required_result_prompt" => match responses.get("user_context") {
            Some(answer) => vec![text(answer["content"]["context"].as_str().unwrap_or_default())],
            None => {
                let form = form("What context should the prompt use?", "context", "string");
                let requests = json!({"user_context": form});
                return Answer::Wanted(json!({"resultType": "input_required", "inputRequests": requests}));
            }
        },
        _ => return Answer::Unknown,
    };
    Answer::Done(json!({"messages": messages}))
}

/// What the tools ask that ask in the middle of a call: message and schema.
#[must_use]
pub fn question(tool: &str) -> Option<(&'static str, Value)> {
    let choices = |names: &[(&str, &str)]| -> Vec<Value> {
        names.iter().map(|(value, title)| json!({"const": value, "title": title})).collect()
    };
    match tool {
        "test_elicitation" => Some((
            "",
            json!({"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]}),
        )),
        "test_elicitation_sep1034_defaults" => Some((
            "Look at what is filled in, and change it",
            json!({"type": "object", "properties": {
                "name": {"type": "string", "default": "John Doe"},
                "age": {"type": "integer", "default": 30},
                "score": {"type": "number", "default": 95.5},
                "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
                "verified": {"type": "boolean", "default": true},
            }}),
        )),
        "test_elicitation_sep1330_enums" => Some((
            "Choose",
            json!({"type": "object", "properties": {
                "untitledSingle": {"type": "string", "enum": ["option1", "option2", "option3"]},
                "titledSingle": {
                    "type": "string",
                    "oneOf": choices(&[("value1", "First"), ("value2", "Second"), ("value3", "Third")]),
                },
                "legacyEnum": {
                    "type": "string",
                    "enum": ["opt1", "opt2", "opt3"],
                    "enumNames": ["One", "Two", "Three"],
                },
                "untitledMulti": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "items": {"type": "string", "enum": ["option1", "option2", "option3"]},
                },
                "titledMulti": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 3,
                    "items": {"anyOf": choices(&[("value1", "First"), ("value2", "Second"), ("value3", "Third")])},
                },
            }}),
        )),
        _ => None,
    }
}

fn form(message: &str, field: &str, kind: &str) -> Value {
    let properties = Map::from_iter([(field.to_owned(), json!({"type": kind}))]);
    let schema = json!({"type": "object", "properties": properties, "required": [field]});
    json!({
        "method": "elicitation/create",
        "params": {"mode": "form", "message": message, "requestedSchema": schema},
    })
}

fn sampling(text: &str) -> Value {
    let messages = json!([{"role": "user", "content": {"type": "text", "text": text}}]);
    json!({"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 100}})
}

fn roots() -> Value {
    json!({"method": "roots/list", "params": {}})
}

fn rich_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            },
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
