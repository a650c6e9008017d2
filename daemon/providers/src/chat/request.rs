//! A request as bytes. The conversation comes last, so that the bytes of one request are a prefix of the next one's up
//! to the new messages. Sends only what every server knows or ignores.

use std::borrow::Cow;

use model::request::{InputContent, InputItem, ModelRequest, text_of};
use protocol::item::OpaqueReasoning;
use protocol::model::ReasoningEffort;
use protocol::tool::{ToolCall, ToolSpecification};
use serde::Serialize;
use serde_json::Value;

use crate::chat::{Chat, REASONING_DETAILS, REASONING_FIELDS};
use crate::functions::{arguments, has_image, plain, schema};
use crate::settings::{RequestOptions, Store, ToolCalls};
use crate::wire_api::WireApi;

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
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    verbosity: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
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
    Tool { tool_call_id: &'a str, content: Cow<'a, str> },
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
    Text { text: Cow<'a, str> },
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
    /// As this API's provider takes it.
    pub(crate) fn of(request: &'a ModelRequest, options: &'a RequestOptions, api: &Chat) -> Self {
        let is_single = options.tool_calls == ToolCalls::Single && !request.tools.is_empty();
        let json_schema = |schema| JsonSchema { name: "answer", strict: true, schema };
        Self {
            model: &request.model,
            tools: request.tools.iter().map(Tool::of).collect(),
            reasoning_effort: request.reasoning_effort.as_ref(),
            response_format: request
                .output_schema
                .as_ref()
                .map(|schema| ResponseFormat { json_schema: json_schema(schema) }),
            max_completion_tokens: options.max_output_tokens.filter(|_| is_of_openai(&request.model)),
            max_tokens: options.max_output_tokens.filter(|_| !is_of_openai(&request.model)),
            verbosity: options.verbosity.as_deref(),
            service_tier: options.service_tier.as_deref(),
            store: (options.store == Store::Allowed).then_some(true),
            parallel_tool_calls: is_single.then_some(false),
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            messages: messages(request, api),
        }
    }
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolSpecification) -> Self {
        let parameters = schema(&tool.input);
        Self { function: Function { name: &tool.name, description: &tool.description, parameters } }
    }
}

fn messages<'a>(request: &'a ModelRequest, api: &Chat) -> Vec<Message<'a>> {
    let mut messages = Vec::new();
    if !request.instructions.is_empty() {
        messages.push(Message::System { content: &request.instructions });
    }
    let wants_reasoning = wants_reasoning(&request.model);
    let mut said = Assistant::default();
    // Images of the outputs since the last answer.
    let mut seen = Vec::new();
    for item in &request.input {
        if !matches!(item, InputItem::ToolOutput { .. }) {
            // Outputs of calls that were made together stand together, before what they show.
            messages.extend(images(&mut seen));
        }
        let message = match item {
            InputItem::AgentMessage(text) => {
                said.say(text);
                continue;
            }
            InputItem::Reasoning(reasoning) => {
                if api.takes_back(reasoning) {
                    said.think(reasoning);
                }
                continue;
            }
            InputItem::ToolCall(call) => {
                said.tool_calls.push(Call::of(call));
                continue;
            }
            InputItem::UserMessage(content) => Message::User { content: Content::of(content) },
            InputItem::ToolOutput { call_id, output, name: _, kind: _ } => {
                let mut content = text_of(output);
                if has_image(output) {
                    seen.extend(shown(call_id, output));
                    let text = content.to_mut();
                    text.push_str(if text.is_empty() { IMAGE_FOLLOWS } else { IMAGE_FOLLOWS_TEXT });
                }
                Message::Tool { tool_call_id: call_id, content }
            }
        };
        messages.extend(std::mem::take(&mut said).into_message(wants_reasoning));
        messages.push(message);
    }
    messages.extend(images(&mut seen));
    messages.extend(said.into_message(wants_reasoning));
    messages
}

/// What stands in a tool's message for an image, which only a user's message can hold.
const IMAGE_FOLLOWS: &str = "(An image; it follows below.)";

/// The same behind a text.
const IMAGE_FOLLOWS_TEXT: &str = "\n(An image; it follows below.)";

/// The images of one output, after a word of where they come from.
fn shown<'a>(call_id: &str, output: &'a [InputContent]) -> impl Iterator<Item = Part<'a>> {
    let heading = Part::Text { text: format!("What the call `{call_id}` shows:").into() };
    let is_image = |part: &&InputContent| matches!(part, InputContent::Image { .. });
    std::iter::once(heading).chain(output.iter().filter(is_image).map(Part::of))
}

/// The message that shows these images, if there are any.
fn images<'a>(seen: &mut Vec<Part<'a>>) -> Option<Message<'a>> {
    let parts = std::mem::take(seen);
    (!parts.is_empty()).then_some(Message::User { content: Content::Parts(parts) })
}

/// Whether a model is asked in OpenAI's newer word for how much it may say; the older one is refused there.
fn is_of_openai(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_numbered = |name: &str| {
        name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    };
    is_numbered(name) || (name.starts_with("gpt-") && !name.starts_with("gpt-oss"))
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

    fn think(&mut self, reasoning: &'a OpaqueReasoning) {
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
            InputContent::Text(text) => Self::Text { text: text.into() },
            InputContent::Image { media_type, data } => {
                Self::ImageUrl { image_url: ImageUrl { url: format!("data:{media_type};base64,{data}") } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
