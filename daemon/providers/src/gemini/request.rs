//! A request as bytes. The conversation comes last, so that the bytes of one request are a prefix of the next one's up
//! to the new contents.

use std::borrow::Cow;
use std::collections::HashMap;
use std::iter;

use model::request::{InputContent, InputItem, ModelRequest, text_of};
use protocol::model::{ProviderFailureKind, ReasoningEffort, ReasoningSummary};
use protocol::tool::{ToolCall, ToolSpecification};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::functions::{has_image, plain, raw_arguments, schema};
use crate::gemini::WIRE_API;
use crate::gemini::schema::{LossySchema, reduced};
use crate::gemini::signature::Signature;
use crate::retry::Again;
use crate::settings::{RequestOptions, Search};

/// What stands for the signature of a call that another model made (Gemini API, "Thought signatures", FAQ).
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// The body of a request.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Instruction<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<ToolConfig>,
    #[serde(skip_serializing_if = "GenerationConfig::is_empty")]
    generation_config: GenerationConfig,
    // Invariant: last. What is added to a conversation changes no byte before.
    contents: Vec<Content<'a>>,
}

#[derive(Serialize)]
struct Instruction<'a> {
    parts: [Part<'a>; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Tools<'a> {
    FunctionDeclarations(Vec<Function<'a>>),
    /// The provider's own (Gemini API, "Grounding with Google Search").
    GoogleSearch {},
}

/// What lets the provider's own tools stand beside others: its calls come and go with the conversation (Gemini API,
/// "Combine built-in tools and function calling").
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ToolConfig {
    include_server_side_tool_invocations: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Function<'a> {
    name: &'a str,
    description: &'a str,
    parameters_json_schema: Value,
}

#[derive(Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct GenerationConfig {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<ThinkingConfig>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_json_schema: Option<Value>,
}

#[derive(PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
struct ThinkingConfig {
    include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_level: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_budget: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Model,
}

#[derive(Serialize)]
struct Content<'a> {
    role: Role,
    parts: Vec<Part<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Part<'a> {
    #[serde(flatten)]
    kind: PartKind<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
enum PartKind<'a> {
    Text {
        text: &'a str,
    },
    Thought {
        thought: bool,
        text: &'a str,
    },
    Image {
        inline_data: Blob<'a>,
    },
    Call {
        function_call: FunctionCall<'a>,
    },
    Response {
        function_response: FunctionResponse<'a>,
    },
    /// As the provider sent it, its signature included.
    Opaque(&'a Value),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
struct FunctionCall<'a> {
    id: &'a str,
    name: Cow<'a, str>,
    args: Box<RawValue>,
}

#[derive(Serialize)]
struct FunctionResponse<'a> {
    id: &'a str,
    name: Cow<'a, str>,
    response: Output<'a>,
}

#[derive(Serialize)]
struct Output<'a> {
    output: Cow<'a, str>,
}

impl<'a> Body<'a> {
    pub(crate) fn of(
        request: &'a ModelRequest,
        options: &RequestOptions,
        search: Search,
    ) -> Result<Self, Failure> {
        let searches = search != Search::Off;
        let functions = request.tools.iter().map(Function::of).collect::<Result<Vec<_>, _>>()?;
        let instruction = || Instruction { parts: [Part::text(&request.instructions)] };
        Ok(Self {
            system_instruction: (!request.instructions.is_empty()).then(instruction),
            tools: (!functions.is_empty())
                .then_some(Tools::FunctionDeclarations(functions))
                .into_iter()
                .chain(searches.then_some(Tools::GoogleSearch {}))
                .collect(),
            tool_config: searches.then_some(ToolConfig { include_server_side_tool_invocations: true }),
            generation_config: GenerationConfig::of(request, options)?,
            contents: contents(request)?,
        })
    }
}

impl<'a> Function<'a> {
    fn of(tool: &'a ToolSpecification) -> Result<Self, Failure> {
        let parameters_json_schema = reduced(&schema(&tool.input))
            .map_err(|error| refused(&format!("The tool `{}` can't be offered", tool.name), &error))?;
        Ok(Self { name: &tool.name, description: &tool.description, parameters_json_schema })
    }
}

/// Whether a model can be let search beside the tools that it is given.
pub(crate) fn searches_beside_tools(model: &str) -> bool {
    Generation::of(model) == Generation::Level
}

fn refused(what: &str, error: &LossySchema) -> Failure {
    Failure::new(ProviderFailureKind::Rejected, Again::Never, format!("{what}: {error}"))
}

impl GenerationConfig {
    fn of(request: &ModelRequest, options: &RequestOptions) -> Result<Self, Failure> {
        let (effort, summary) = (request.reasoning_effort.as_ref(), request.reasoning_summary.as_ref());
        let response_json_schema = request
            .output_schema
            .as_ref()
            .map(reduced)
            .transpose()
            .map_err(|error| refused("The form of the answer can't be asked for", &error))?;
        Ok(Self {
            max_output_tokens: options.max_output_tokens,
            thinking_config: ThinkingConfig::of(Generation::of(&request.model), effort, summary),
            response_mime_type: response_json_schema.is_some().then_some("application/json"),
            response_json_schema,
        })
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What models can be told of thinking, by their names (Gemini API, "Thinking").
#[derive(Clone, Copy, PartialEq)]
enum Generation {
    /// They don't think.
    Thoughtless,
    /// They are told how many tokens.
    Budget,
    /// They are told how hard, and want their signatures back.
    Level,
}

impl Generation {
    fn of(model: &str) -> Self {
        let name = model.rsplit('/').next().unwrap_or(model);
        let is = |start: &&str| name.starts_with(start);
        if ["gemini-1", "gemini-2.0", "gemma"].iter().any(is) {
            Self::Thoughtless
        } else if is(&"gemini-2") {
            Self::Budget
        } else {
            Self::Level
        }
    }
}

impl ThinkingConfig {
    fn of(
        generation: Generation,
        effort: Option<&ReasoningEffort>,
        summary: Option<&ReasoningSummary>,
    ) -> Option<Self> {
        let include_thoughts = summary.is_some_and(|summary| *summary != ReasoningSummary::None);
        if generation == Generation::Thoughtless || !(include_thoughts || effort.is_some()) {
            return None;
        }
        let is_level = generation == Generation::Level;
        Some(Self {
            include_thoughts,
            thinking_level: effort.filter(|_| is_level).map(level),
            thinking_budget: effort.filter(|_| !is_level).map(budget),
        })
    }
}

fn level(effort: &ReasoningEffort) -> String {
    match effort {
        ReasoningEffort::Minimal => "MINIMAL".to_owned(),
        ReasoningEffort::Low => "LOW".to_owned(),
        ReasoningEffort::Medium => "MEDIUM".to_owned(),
        ReasoningEffort::High => "HIGH".to_owned(),
        ReasoningEffort::XHigh => "XHIGH".to_owned(),
        ReasoningEffort::Other(word) => word.to_uppercase(),
    }
}

/// Within what every model of that time takes.
fn budget(effort: &ReasoningEffort) -> u32 {
    match effort {
        ReasoningEffort::Minimal => 512,
        ReasoningEffort::Low => 2048,
        ReasoningEffort::Medium | ReasoningEffort::Other(_) => 8192,
        ReasoningEffort::High => 16_384,
        ReasoningEffort::XHigh => 24_576,
    }
}

fn contents(request: &ModelRequest) -> Result<Vec<Content<'_>>, Failure> {
    let signatures: HashMap<&str, &str> = request
        .input
        .iter()
        .filter_map(|item| match item {
            InputItem::Reasoning(reasoning) => match Signature::of(reasoning)? {
                Signature::Call { call_id, signature } => Some((call_id, signature)),
                Signature::Message { .. } | Signature::Thought { .. } => None,
            },
            InputItem::UserMessage(_)
            | InputItem::AgentMessage(_)
            | InputItem::ToolCall(_)
            | InputItem::ToolOutput { .. } => None,
        })
        .collect();
    let must_sign = Generation::of(&request.model) == Generation::Level;
    let mut contents: Vec<Content<'_>> = Vec::new();
    for item in &request.input {
        match item {
            InputItem::UserMessage(content) => {
                let parts: Vec<_> = content.iter().map(Part::of).collect();
                if !parts.is_empty() {
                    contents.push(Content { role: Role::User, parts });
                }
            }
            InputItem::ToolOutput { call_id, name, output, kind: _ } => {
                let images = output.iter().filter(|part| matches!(part, InputContent::Image { .. }));
                let parts = iter::once(Part::response(call_id, name, output)).chain(images.map(Part::of));
                // All responses to what was called at once stand together, and apart from what a person says.
                match contents.last_mut() {
                    Some(last) if last.parts.first().is_some_and(Part::is_response) => {
                        last.parts.extend(parts);
                    }
                    _ => contents.push(Content { role: Role::User, parts: parts.collect() }),
                }
            }
            InputItem::AgentMessage(text) => {
                if !text.is_empty() {
                    said(&mut contents).push(Part::text(text));
                }
            }
            InputItem::Reasoning(reasoning) => match Signature::of(reasoning) {
                Some(Signature::Message { text, signature, links }) => {
                    sign(said(&mut contents), text, signature, links);
                }
                Some(Signature::Thought { text, signature }) => {
                    let kind = PartKind::Thought { thought: true, text };
                    said(&mut contents).push(Part { kind, thought_signature: Some(signature) });
                }
                // Stands on its call.
                Some(Signature::Call { .. }) => {}
                None if reasoning.wire_api == WIRE_API => {
                    let parts = reasoning.item["parts"].as_array().map_or(&[][..], Vec::as_slice);
                    let part = |part| Part { kind: PartKind::Opaque(part), thought_signature: None };
                    said(&mut contents).extend(parts.iter().map(part));
                }
                None => {}
            },
            InputItem::ToolCall(call) => {
                let parts = said(&mut contents);
                let is_first = !parts.iter().any(Part::is_call);
                let signature = signatures.get(call.call_id.as_str()).copied();
                let signature = signature.or((must_sign && is_first).then_some(NO_SIGNATURE));
                parts.push(Part::call(call, signature)?);
            }
        }
    }
    // What holds no part was only asked for.
    contents.retain(|content| !content.parts.is_empty());
    Ok(contents)
}

/// The parts of what the model is saying.
fn said<'c, 'a>(contents: &'c mut Vec<Content<'a>>) -> &'c mut Vec<Part<'a>> {
    if contents.last().is_none_or(|content| content.role != Role::Model) {
        contents.push(Content { role: Role::Model, parts: Vec::new() });
    }
    let last = contents.len() - 1;
    &mut contents[last].parts
}

/// Puts a signature on the end of the last text, which came as a part of its own. Without that text it is void.
fn sign<'a>(parts: &mut Vec<Part<'a>>, end: &'a str, signature: &'a str, links: &str) {
    if !end.is_empty() {
        let Some(Part { kind: PartKind::Text { text }, thought_signature: None }) = parts.last() else {
            return;
        };
        let said = text.strip_suffix(links);
        let Some(beginning) = said.and_then(|said| said.strip_suffix(end)) else { return };
        parts.pop();
        if !beginning.is_empty() {
            parts.push(Part::text(beginning));
        }
    }
    parts.push(Part { kind: PartKind::Text { text: end }, thought_signature: Some(signature) });
}

impl<'a> Part<'a> {
    fn text(text: &'a str) -> Self {
        Self { kind: PartKind::Text { text }, thought_signature: None }
    }

    fn of(content: &'a InputContent) -> Self {
        match content {
            InputContent::Text(text) => Self::text(text),
            InputContent::Image { media_type, data } => {
                let inline_data = Blob { mime_type: media_type, data };
                Self { kind: PartKind::Image { inline_data }, thought_signature: None }
            }
        }
    }

    fn call(call: &'a ToolCall, thought_signature: Option<&'a str>) -> Result<Self, Failure> {
        let args = raw_arguments(&call.input)?;
        let function_call = FunctionCall { id: &call.call_id, name: plain(&call.name), args };
        Ok(Self { kind: PartKind::Call { function_call }, thought_signature })
    }

    /// What a call gave, without its images, which stand behind it.
    fn response(id: &'a str, name: &'a str, output: &'a [InputContent]) -> Self {
        let mut text = text_of(output);
        if text.is_empty() && has_image(output) {
            text = Cow::Borrowed("(An image; it follows.)");
        }
        let function_response = FunctionResponse { id, name: plain(name), response: Output { output: text } };
        Self { kind: PartKind::Response { function_response }, thought_signature: None }
    }

    fn is_response(&self) -> bool {
        matches!(self.kind, PartKind::Response { .. })
    }

    fn is_call(&self) -> bool {
        matches!(self.kind, PartKind::Call { .. })
    }
}

#[cfg(test)]
mod tests;
