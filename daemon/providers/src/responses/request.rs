//! A request as bytes. The fields have a fixed order with the conversation last, so that the bytes of one request
//! are a prefix of the next one's up to the new items, which is what a provider's prompt cache needs. Knows the
//! format (OpenAI API reference, "Create a model response"), nothing of HTTP.

use std::borrow::Cow;

use model::request::{CallKind, InputContent, InputItem, ModelRequest, text_of};
use protocol::model::ReasoningSummary;
use protocol::tool::{CallInput, ToolInput, ToolSpecification};
use serde::Serialize;
use serde_json::Value;

use crate::functions::has_image;
use crate::responses::Responses;
use crate::searches;
use crate::settings::{RequestOptions, Search, Store, ToolCalls};
use crate::wire_api::WireApi;

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    /// Only in a message of a WebSocket.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<&'static str>,
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    #[serde(flatten)]
    tools: Option<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Reasoning<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    store: bool,
    /// Only over HTTP; a WebSocket always streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    prompt_cache_key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    // Invariant: last. What is added to a conversation changes no byte before.
    input: Vec<Input<'a>>,
}

#[derive(Serialize)]
struct Tools<'a> {
    tools: Vec<Tool<'a>>,
    tool_choice: &'static str,
    parallel_tool_calls: bool,
}

#[derive(Serialize)]
struct Reasoning<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a protocol::model::ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'a ReasoningSummary>,
}

#[derive(Serialize)]
struct Text<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<TextFormat<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
struct TextFormat<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Tool<'a> {
    Function {
        name: &'a str,
        description: &'a str,
        strict: bool,
        parameters: &'a Value,
    },
    Custom {
        name: &'a str,
        description: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        format: Option<Format<'a>>,
    },
    /// The provider's own (OpenAI, "Web search").
    WebSearch {
        external_web_access: bool,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "grammar")]
struct Format<'a> {
    syntax: &'a str,
    definition: &'a str,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Input<'a> {
    Item(Item<'a>),
    /// As the provider sent it.
    Reasoning(&'a Value),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Item<'a> {
    Message { role: &'static str, content: Vec<Content<'a>> },
    FunctionCall { call_id: &'a str, name: &'a str, arguments: &'a str },
    CustomToolCall { call_id: &'a str, name: &'a str, input: &'a str },
    FunctionCallOutput { call_id: &'a str, output: Output<'a> },
    CustomToolCallOutput { call_id: &'a str, output: Output<'a> },
}

/// What a tool gave: text where it can be, since not every server takes parts.
#[derive(Serialize)]
#[serde(untagged)]
pub(crate) enum Output<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Content<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Content<'a> {
    InputText { text: &'a str },
    InputImage { image_url: String, detail: &'static str },
    OutputText { text: &'a str },
}

impl<'a> Body<'a> {
    pub(crate) fn of(request: &'a ModelRequest, options: &'a RequestOptions, api: &Responses) -> Self {
        let effort = request.reasoning_effort.as_ref();
        // The provider has no word for none; it tells nothing unless asked.
        let summary = request.reasoning_summary.as_ref().filter(|word| **word != ReasoningSummary::None);
        let format = request.output_schema.as_ref();
        let format = format.map(|schema| TextFormat { name: "answer", strict: true, schema });
        let verbosity = options.verbosity.as_deref();
        let search = searches::wanted(api, request, options).unwrap_or_default();
        Self {
            kind: None,
            model: &request.model,
            instructions: &request.instructions,
            tools: Tools::of(&request.tools, search, options.tool_calls),
            reasoning: (effort.is_some() || summary.is_some()).then_some(Reasoning { effort, summary }),
            max_output_tokens: options.max_output_tokens,
            service_tier: options.service_tier.as_deref(),
            store: options.store == Store::Allowed,
            stream: Some(true),
            include: included(&request.model, search),
            prompt_cache_key: &request.cache_key,
            text: (format.is_some() || verbosity.is_some()).then_some(Text { format, verbosity }),
            input: request.input.iter().filter_map(|item| Input::of(item, api)).collect(),
        }
    }

    /// The same as the message that asks for an answer over a WebSocket (OpenAI, "WebSocket mode").
    pub(crate) fn into_message(self) -> Self {
        Self { kind: Some("response.create"), stream: None, ..self }
    }
}

/// What the answer is to hold beside what it always does.
fn included(model: &str, search: Search) -> Vec<&'static str> {
    let reasoning = thinks(model).then_some("reasoning.encrypted_content");
    let sources = (search != Search::Off).then_some("web_search_call.action.sources");
    reasoning.into_iter().chain(sources).collect()
}

/// Whether the model may have reasoning to give back. OpenAI refuses to be asked for it by its models that have
/// none ("Encrypted content is not supported with this model"); every other server ignores it or knows it.
fn thinks(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    !(name.starts_with("gpt-3") || name.starts_with("gpt-4") || name.ends_with("-chat-latest"))
}

impl<'a> Tools<'a> {
    fn of(tools: &'a [ToolSpecification], search: Search, calls: ToolCalls) -> Option<Self> {
        let search = match search {
            Search::Off => None,
            Search::Cached => Some(Tool::WebSearch { external_web_access: false }),
            Search::Live => Some(Tool::WebSearch { external_web_access: true }),
        };
        let tools: Vec<_> = tools.iter().map(Tool::of).chain(search).collect();
        let parallel_tool_calls = calls == ToolCalls::Parallel;
        (!tools.is_empty()).then_some(Self { tools, tool_choice: "auto", parallel_tool_calls })
    }
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolSpecification) -> Self {
        let (name, description) = (tool.name.as_str(), tool.description.as_str());
        match &tool.input {
            ToolInput::Json { schema } => {
                Self::Function { name, description, strict: false, parameters: schema }
            }
            ToolInput::Freeform { grammar } => {
                let format = grammar
                    .as_ref()
                    .map(|grammar| Format { syntax: &grammar.syntax, definition: &grammar.definition });
                Self::Custom { name, description, format }
            }
        }
    }
}

impl<'a> Input<'a> {
    /// `None` is what reasoning is here that another API or provider made.
    pub(crate) fn of(item: &'a InputItem, api: &Responses) -> Option<Self> {
        let item = match item {
            InputItem::Reasoning(reasoning) => {
                return api.takes_back(reasoning).then_some(Self::Reasoning(&reasoning.item));
            }
            InputItem::UserMessage(content) => {
                Item::Message { role: "user", content: content.iter().map(Content::of).collect() }
            }
            InputItem::AgentMessage(text) => {
                Item::Message { role: "assistant", content: vec![Content::OutputText { text }] }
            }
            InputItem::ToolCall(call) => {
                let (call_id, name) = (call.call_id.as_str(), call.name.as_str());
                match &call.input {
                    CallInput::Json(arguments) => Item::FunctionCall { call_id, name, arguments },
                    CallInput::Freeform(input) => Item::CustomToolCall { call_id, name, input },
                }
            }
            InputItem::ToolOutput { call_id, output, kind: CallKind::Json, name: _ } => {
                Item::FunctionCallOutput { call_id, output: Output::of(output) }
            }
            InputItem::ToolOutput { call_id, output, kind: CallKind::Freeform, name: _ } => {
                Item::CustomToolCallOutput { call_id, output: Output::of(output) }
            }
        };
        Some(Self::Item(item))
    }
}

impl<'a> Output<'a> {
    fn of(output: &'a [InputContent]) -> Self {
        if has_image(output) {
            return Self::Parts(output.iter().map(Content::of).collect());
        }
        Self::Text(text_of(output))
    }
}

impl<'a> Content<'a> {
    fn of(content: &'a InputContent) -> Self {
        match content {
            InputContent::Text(text) => Self::InputText { text },
            InputContent::Image { media_type, data } => {
                Self::InputImage { image_url: format!("data:{media_type};base64,{data}"), detail: "auto" }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{assert_prefixes, body_with, requests_along, showing};
    use model::request::{CallKind, InputContent};
    use protocol::item::OpaqueReasoning;
    use protocol::model::{ReasoningEffort, ReasoningSummary};
    use protocol::tool::{Grammar, ToolCall};
    use serde_json::json;

    fn request(input: Vec<InputItem>) -> ModelRequest {
        let shell = ToolSpecification {
            name: "shell".into(),
            description: "Runs".into(),
            input: ToolInput::Json { schema: json!({"type": "object", "properties": {"b": {}, "a": {}}}) },
        };
        let grammar = Grammar { syntax: "lark".into(), definition: "start: /x/".into() };
        let patch = ToolSpecification {
            name: "apply_patch".into(),
            description: "Edits".into(),
            input: ToolInput::Freeform { grammar: Some(grammar) },
        };
        ModelRequest {
            model: "m".into(),
            instructions: "Be \"good\".".into(),
            tools: vec![shell, patch].into(),
            input,
            reasoning_effort: Some(ReasoningEffort::XHigh),
            reasoning_summary: Some(ReasoningSummary::Auto),
            output_schema: None,
            cache_key: "key".into(),
        }
    }

    fn call(id: &str, input: CallInput) -> InputItem {
        InputItem::ToolCall(ToolCall { call_id: id.into(), name: "t".into(), input })
    }

    fn output(id: &str, kind: CallKind) -> InputItem {
        InputItem::ToolOutput {
            call_id: id.into(),
            name: "t".into(),
            kind,
            output: vec![InputContent::Text("done".into())],
        }
    }

    fn reasoning(wire_api: &str) -> InputItem {
        let item = json!({"type": "reasoning", "summary": [], "encrypted_content": "xyz"});
        InputItem::Reasoning(OpaqueReasoning { wire_api: wire_api.into(), item })
    }

    fn conversation() -> Vec<InputItem> {
        let image = InputContent::Image { media_type: "image/png".into(), data: "aGk=".into() };
        vec![
            InputItem::UserMessage(vec![InputContent::Text("hi\n".into()), image]),
            reasoning("responses"),
            reasoning("messages"),
            InputItem::AgentMessage("I look".into()),
            call("c1", CallInput::Json("{\"x\": ".into())),
            call("c2", CallInput::Freeform("*** Begin".into())),
            output("c1", CallKind::Json),
            output("c2", CallKind::Freeform),
        ]
    }

    fn text(request: &ModelRequest) -> String {
        serde_json::to_string(&Body::of(request, &RequestOptions::default(), &Responses::new("p"))).unwrap()
    }

    const HEAD: &str = concat!(
        r#"{"model":"m","instructions":"Be \"good\".","tools":["#,
        r#"{"type":"function","name":"shell","description":"Runs","strict":false,"#,
        r#""parameters":{"properties":{"a":{},"b":{}},"type":"object"}},"#,
        r#"{"type":"custom","name":"apply_patch","description":"Edits","#,
        r#""format":{"type":"grammar","syntax":"lark","definition":"start: /x/"}}],"#,
        r#""tool_choice":"auto","parallel_tool_calls":true,"#,
        r#""reasoning":{"effort":"xhigh","summary":"auto"},"store":false,"stream":true,"#,
        r#""include":["reasoning.encrypted_content"],"prompt_cache_key":"key","#,
    );

    #[test]
    fn every_byte_is_as_agreed() {
        let input = concat!(
            r#""input":[{"type":"message","role":"user","content":[{"type":"input_text","text":"hi\n"},"#,
            r#"{"type":"input_image","image_url":"data:image/png;base64,aGk=","detail":"auto"}]},"#,
            r#"{"encrypted_content":"xyz","summary":[],"type":"reasoning"},"#,
            r#"{"type":"message","role":"assistant","content":[{"type":"output_text","text":"I look"}]},"#,
            r#"{"type":"function_call","call_id":"c1","name":"t","arguments":"{\"x\": "},"#,
            r#"{"type":"custom_tool_call","call_id":"c2","name":"t","input":"*** Begin"},"#,
            r#"{"type":"function_call_output","call_id":"c1","output":"done"},"#,
            r#"{"type":"custom_tool_call_output","call_id":"c2","output":"done"}]}"#,
        );
        assert_eq!(text(&request(conversation())), format!("{HEAD}{input}"));
    }

    #[test]
    fn each_request_is_a_prefix_of_the_next() {
        let all = conversation();
        for length in 1..all.len() {
            let shorter = text(&request(all[..length].to_vec()));
            let longer = text(&request(all[..=length].to_vec()));
            assert!(longer.starts_with(shorter.trim_end_matches("]}")), "{shorter}\n{longer}");
        }
    }

    #[test]
    fn what_is_not_asked_for_is_not_sent() {
        let mut request = request(Vec::new());
        request.tools = Vec::new().into();
        request.instructions = "".into();
        request.reasoning_effort = None;
        request.reasoning_summary = Some(ReasoningSummary::None);
        let wanted = concat!(
            r#"{"model":"m","store":false,"stream":true,"include":["reasoning.encrypted_content"],"#,
            r#""prompt_cache_key":"key","input":[]}"#,
        );
        assert_eq!(text(&request), wanted);
    }

    #[test]
    fn only_models_that_think_are_asked_for_their_reasoning() {
        for (model, expected) in [
            ("gpt-5.5", true),
            ("o3", true),
            ("qwen3", true),
            ("gpt-4o-mini", false),
            ("openai/gpt-5-chat-latest", false),
        ] {
            assert_eq!(thinks(model), expected, "{model}");
        }
    }

    #[test]
    fn a_schema_of_the_answer_is_strict() {
        let mut request = request(Vec::new());
        request.output_schema = Some(json!({"type": "object"}));
        let wanted = concat!(
            r#""text":{"format":{"type":"json_schema","name":"answer","strict":true,"#,
            r#""schema":{"type":"object"}}},"input":[]}"#,
        );
        assert_eq!(text(&request), format!("{HEAD}{wanted}"));
    }

    #[test]
    fn what_tools_show_stands_in_their_outputs() {
        let request = ModelRequest { input: showing(), ..request(Vec::new()) };
        let input = serde_json::from_str::<Value>(&text(&request)).unwrap()["input"].clone();
        let image = |data: &str| {
            let url = format!("data:image/png;base64,{data}");
            json!({"type": "input_image", "image_url": url, "detail": "auto"})
        };
        assert_eq!(input[3]["output"], json!([{"type": "input_text", "text": "seen"}, image("aGk=")]));
        assert_eq!(input[4]["output"], json!([image("aG8=")]));
        assert_prefixes(&requests_along(&Responses::new("p"), &request));
    }

    #[test]
    fn options_are_told() {
        let options = RequestOptions {
            max_output_tokens: Some(9),
            verbosity: Some("low".into()),
            service_tier: Some("flex".into()),
            store: Store::Allowed,
            tool_calls: ToolCalls::Single,
            ..RequestOptions::default()
        };
        let sent = body_with(&Responses::new("p"), &request(Vec::new()), &options);
        for wanted in [
            r#""parallel_tool_calls":false"#,
            r#""max_output_tokens":9,"service_tier":"flex","store":true,"stream":true"#,
            r#""text":{"verbosity":"low"},"input":[]"#,
        ] {
            assert!(sent.contains(wanted), "{wanted} in {sent}");
        }
    }

    #[test]
    fn a_message_of_a_websocket_is_the_same_but_for_its_frame() {
        let (api, options) = (Responses::new("p"), RequestOptions::default());
        let request = request(conversation());
        let message = serde_json::to_string(&Body::of(&request, &options, &api).into_message()).unwrap();
        let wanted = text(&request).replacen('{', "{\"type\":\"response.create\",", 1);
        assert_eq!(message, wanted.replacen("\"store\":false,\"stream\":true", "\"store\":false", 1));
    }

    #[test]
    fn reasoning_goes_back_to_its_provider_only() {
        let api = Responses::new("p");
        for (wire_api, expected) in
            [("responses:p", true), ("responses", true), ("responses:q", false), ("messages", false)]
        {
            let InputItem::Reasoning(reasoning) = reasoning(wire_api) else { panic!() };
            assert_eq!(api.takes_back(&reasoning), expected, "{wire_api}");
        }
    }
}
