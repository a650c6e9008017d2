//! A request as bytes. The conversation comes last, so that the bytes of one request are a prefix of the next one's up
//! to the new messages. Sends only what every server knows or ignores.

use std::borrow::Cow;

use model::request::{InputContent, InputItem, ModelRequest};
use protocol::item::OpaqueReasoning;
use protocol::model::ReasoningEffort;
use protocol::tool::{ToolCall, ToolSpecification};
use serde::Serialize;
use serde_json::Value;

use crate::chat::{PROVIDER, REASONING_DETAILS, REASONING_FIELDS, WIRE_API};
use crate::functions::{arguments, plain, schema};

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_effort: Option<&'a ReasoningEffort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_format: Option<ResponseFormat<'a>>,
    stream: bool,
    stream_options: StreamOptions,
    // Invariant: last. What is added to a conversation changes no byte before.
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "function")]
struct Tool<'a> {
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters: Cow<'a, Value>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
struct ResponseFormat<'a> {
    json_schema: JsonSchema<'a>,
}

#[derive(Serialize)]
struct JsonSchema<'a> {
    name: &'static str,
    strict: bool,
    schema: &'a Value,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

#[derive(Serialize)]
#[serde(tag = "role", rename_all = "lowercase")]
enum Message<'a> {
    System { content: &'a str },
    User { content: Content<'a> },
    Assistant(Assistant<'a>),
    Tool { tool_call_id: &'a str, content: &'a str },
}

/// A user's content: one text where it can be, since not every server takes parts.
#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(Cow<'a, str>),
    Parts(Vec<Part<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part<'a> {
    Text { text: &'a str },
    ImageUrl { image_url: ImageUrl },
}

#[derive(Serialize)]
struct ImageUrl {
    url: String,
}

/// All that the model said between two other messages.
#[derive(Default, Serialize)]
struct Assistant<'a> {
    content: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    reasoning_details: Vec<&'a Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    #[serde(flatten)]
    function: CallOf<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum CallOf<'a> {
    Function { function: CalledFunction<'a> },
}

#[derive(Serialize)]
struct CalledFunction<'a> {
    name: Cow<'a, str>,
    arguments: Cow<'a, str>,
}

impl<'a> Body<'a> {
    /// For the provider of this id.
    pub(crate) fn of(request: &'a ModelRequest, provider: &str) -> Self {
        let json_schema = |schema| JsonSchema { name: "answer", strict: true, schema };
        Self {
            model: &request.model,
            tools: request.tools.iter().map(Tool::of).collect(),
            reasoning_effort: request.reasoning_effort.as_ref(),
            response_format: request
                .output_schema
                .as_ref()
                .map(|schema| ResponseFormat { json_schema: json_schema(schema) }),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            messages: messages(request, provider),
        }
    }
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolSpecification) -> Self {
        let parameters = schema(&tool.input);
        Self { function: Function { name: &tool.name, description: &tool.description, parameters } }
    }
}

fn messages<'a>(request: &'a ModelRequest, provider: &str) -> Vec<Message<'a>> {
    let mut messages = Vec::new();
    if !request.instructions.is_empty() {
        messages.push(Message::System { content: &request.instructions });
    }
    let wants_reasoning = wants_reasoning(&request.model);
    let mut said = Assistant::default();
    for item in &request.input {
        let message = match item {
            InputItem::AgentMessage(text) => {
                said.say(text);
                continue;
            }
            InputItem::Reasoning(reasoning) => {
                said.think(reasoning, provider);
                continue;
            }
            InputItem::ToolCall(call) => {
                said.tool_calls.push(Call::of(call));
                continue;
            }
            InputItem::UserMessage(content) => Message::User { content: Content::of(content) },
            InputItem::ToolOutput { call_id, output, name: _, kind: _ } => {
                Message::Tool { tool_call_id: call_id, content: output }
            }
        };
        messages.extend(std::mem::take(&mut said).into_message(wants_reasoning));
        messages.push(message);
    }
    messages.extend(said.into_message(wants_reasoning));
    messages
}

/// Whether the model refuses a history with a call that has no reasoning, be it empty (DeepSeek API, "Thinking mode",
/// tool calls: 400 "The `reasoning_content` in the thinking mode must be passed back").
fn wants_reasoning(model: &str) -> bool {
    model.rsplit('/').next().is_some_and(|name| name.starts_with("deepseek"))
}

impl<'a> Assistant<'a> {
    fn say(&mut self, text: &'a str) {
        self.content = Some(match self.content.take() {
            None => Cow::Borrowed(text),
            Some(before) => Cow::Owned(format!("{before}\n\n{text}")),
        });
    }

    /// Reasoning of another API or of another provider is left out.
    fn think(&mut self, reasoning: &'a OpaqueReasoning, provider: &str) {
        if reasoning.wire_api != WIRE_API || reasoning.item[PROVIDER] != provider {
            return;
        }
        let fields = [&mut self.reasoning_content, &mut self.reasoning];
        for (name, field) in REASONING_FIELDS.into_iter().zip(fields) {
            if let Some(text) = reasoning.item[name].as_str() {
                field.get_or_insert_default().push_str(text);
            }
        }
        self.reasoning_details.extend(reasoning.item[REASONING_DETAILS].as_array().into_iter().flatten());
    }

    /// `None` if nothing was said that a message can hold.
    fn into_message(mut self, wants_reasoning: bool) -> Option<Message<'a>> {
        if self.content.is_none() && self.tool_calls.is_empty() {
            return None;
        }
        if !self.reasoning_details.is_empty() {
            // They hold the text too.
            self.reasoning = None;
        }
        if wants_reasoning && !self.tool_calls.is_empty() {
            self.reasoning_content.get_or_insert_default();
        }
        Some(Message::Assistant(self))
    }
}

impl<'a> Call<'a> {
    fn of(call: &'a ToolCall) -> Self {
        let function = CalledFunction { name: plain(&call.name), arguments: arguments(&call.input) };
        Self { id: &call.call_id, function: CallOf::Function { function } }
    }
}

impl<'a> Content<'a> {
    fn of(content: &'a [InputContent]) -> Self {
        let text = |part: &'a InputContent| match part {
            InputContent::Text(text) => Some(text.as_str()),
            InputContent::Image { .. } => None,
        };
        if let [InputContent::Text(text)] = content {
            return Self::Text(Cow::Borrowed(text));
        }
        match content.iter().map(text).collect::<Option<Vec<_>>>() {
            Some(texts) => Self::Text(Cow::Owned(texts.join("\n\n"))),
            None => Self::Parts(content.iter().map(Part::of).collect()),
        }
    }
}

impl<'a> Part<'a> {
    fn of(content: &'a InputContent) -> Self {
        match content {
            InputContent::Text(text) => Self::Text { text },
            InputContent::Image { media_type, data } => {
                Self::ImageUrl { image_url: ImageUrl { url: format!("data:{media_type};base64,{data}") } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
