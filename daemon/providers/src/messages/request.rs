//! A request as bytes. The conversation comes last, so that the bytes of one request are a prefix of the next one's up
//! to the new messages, but for the marks of the cache.
//!
//! The marks (`cache_control`) say up to where a prefix is kept and looked up; the content itself is what it is known
//! by, so that a mark may move. Of the four that are allowed, one stands behind the tools and one behind the system
//! prompt. The others stand behind the last two turns of the user: what the last request wrote ends at the one, what
//! this one writes ends at the other, however many blocks came between.

use std::borrow::Cow;

use model::request::{InputContent, InputItem, ModelRequest, text_of};
use protocol::tool::{ToolCall, ToolSpecification};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;

use crate::failure::Failure;
use crate::functions::{has_image, plain, raw_arguments, schema};
use crate::messages::WIRE_API;
use crate::messages::ability::{Thinking, max_tokens, thinking};
use crate::searches;
use crate::settings::{RequestOptions, Search, ToolCalls};

/// How often the provider may search for one answer.
const MAX_SEARCHES: u32 = 8;

/// How many turns of the user are marked.
const MARKED_TURNS: usize = 2;

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Thinking>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_config: Option<OutputConfig<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tool<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<ToolChoice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    system: Vec<Block<'a>>,
    // Invariant: last. What is added to a conversation changes no byte before, marks apart. A request that goes on
    // with a paused answer is made by adding to the end.
    messages: Vec<Message<'a>>,
}

#[derive(Serialize)]
struct OutputConfig<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<Format<'a>>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "json_schema")]
struct Format<'a> {
    schema: &'a Value,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Tool<'a> {
    Function {
        name: &'a str,
        description: &'a str,
        input_schema: Cow<'a, Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
    /// The provider's own (Anthropic, "Web search tool").
    Search {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'static str,
        max_uses: u32,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "auto")]
struct ToolChoice {
    disable_parallel_tool_use: bool,
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "ephemeral")]
struct Mark {}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Role {
    User,
    Assistant,
}

#[derive(Serialize)]
struct Message<'a> {
    role: Role,
    content: Vec<Block<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Block<'a> {
    /// Thinking, as the provider sent it.
    Opaque(&'a Value),
    Markable {
        #[serde(flatten)]
        content: Content<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<Mark>,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Content<'a> {
    Text {
        text: &'a str,
    },
    Image {
        source: Source<'a>,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: Cow<'a, str>,
        input: Box<RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        #[serde(skip_serializing_if = "Output::is_empty")]
        content: Output<'a>,
    },
}

/// What a tool gave: text where it can be, since not every server takes blocks.
#[derive(Serialize)]
#[serde(untagged)]
enum Output<'a> {
    Text(Cow<'a, str>),
    Blocks(Vec<Block<'a>>),
}

impl<'a> Output<'a> {
    fn of(output: &'a [InputContent]) -> Self {
        if has_image(output) {
            return Self::Blocks(output.iter().filter_map(Block::of).collect());
        }
        Self::Text(text_of(output))
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Blocks(blocks) => blocks.is_empty(),
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename = "base64")]
struct Source<'a> {
    media_type: &'a str,
    data: &'a str,
}

impl<'a> Body<'a> {
    pub(crate) fn of(
        request: &'a ModelRequest,
        options: &'a RequestOptions,
        search: Search,
    ) -> Result<Self, Failure> {
        let (effort, summary) = (request.reasoning_effort.as_ref(), request.reasoning_summary.as_ref());
        let max_tokens = options.max_output_tokens.unwrap_or_else(|| max_tokens(&request.model));
        let (thinking, effort) = thinking(&request.model, effort, summary);
        let thinking = thinking.and_then(|thinking| thinking.within(max_tokens));
        let is_single = options.tool_calls == ToolCalls::Single && !request.tools.is_empty();
        let format = request.output_schema.as_ref().map(|schema| Format { schema });
        let search = (search != Search::Off).then(Tool::search);
        // Behind it stand those that can have the mark.
        let mut tools: Vec<_> = search.into_iter().chain(request.tools.iter().map(Tool::of)).collect();
        if let Some(Tool::Function { cache_control, .. }) = tools.last_mut() {
            *cache_control = Some(Mark {});
        }
        let mut system: Vec<_> = Block::text(&request.instructions).into_iter().collect();
        system.iter_mut().for_each(Block::mark);
        Ok(Self {
            model: &request.model,
            max_tokens,
            stream: true,
            service_tier: options.service_tier.as_deref(),
            thinking,
            output_config: (effort.is_some() || format.is_some()).then_some(OutputConfig { effort, format }),
            tools,
            tool_choice: is_single.then_some(ToolChoice { disable_parallel_tool_use: true }),
            system,
            messages: messages(&request.input)?,
        })
    }
}

impl<'a> Tool<'a> {
    fn of(tool: &'a ToolSpecification) -> Self {
        let input_schema = schema(&tool.input);
        Self::Function { name: &tool.name, description: &tool.description, input_schema, cache_control: None }
    }

    fn search() -> Self {
        Self::Search { kind: "web_search_20250305", name: searches::NAME, max_uses: MAX_SEARCHES }
    }
}

fn messages(input: &[InputItem]) -> Result<Vec<Message<'_>>, Failure> {
    let mut messages = Vec::new();
    for item in input {
        match item {
            InputItem::UserMessage(content) => {
                add(&mut messages, Role::User, content.iter().filter_map(Block::of));
            }
            InputItem::AgentMessage(text) => add(&mut messages, Role::Assistant, Block::text(text)),
            InputItem::Reasoning(reasoning) => {
                let own = Some(&reasoning.item).filter(|_| reasoning.wire_api == WIRE_API);
                let blocks = own.map_or(&[][..], |item| match item {
                    // A search and what it found.
                    Value::Array(blocks) => blocks,
                    block => std::slice::from_ref(block),
                });
                add(&mut messages, Role::Assistant, blocks.iter().map(Block::Opaque));
            }
            InputItem::ToolCall(call) => add(&mut messages, Role::Assistant, [Block::call(call)?]),
            InputItem::ToolOutput { call_id, output, name: _, kind: _ } => {
                let content =
                    Content::ToolResult { tool_use_id: plain(call_id), content: Output::of(output) };
                add(&mut messages, Role::User, [content.into()]);
            }
        }
    }
    let turns = messages.iter_mut().rev().filter(|message| message.role == Role::User);
    turns.take(MARKED_TURNS).filter_map(|turn| turn.content.last_mut()).for_each(Block::mark);
    Ok(messages)
}

/// What one side says in a row is one message.
fn add<'a>(messages: &mut Vec<Message<'a>>, role: Role, content: impl IntoIterator<Item = Block<'a>>) {
    for block in content {
        match messages.last_mut() {
            Some(last) if last.role == role => last.content.push(block),
            _ => messages.push(Message { role, content: vec![block] }),
        }
    }
}

impl<'a> From<Content<'a>> for Block<'a> {
    fn from(content: Content<'a>) -> Self {
        Self::Markable { content, cache_control: None }
    }
}

impl<'a> Block<'a> {
    /// `None` for a text that the API refuses because nothing is in it.
    fn text(text: &'a str) -> Option<Self> {
        (!text.trim().is_empty()).then(|| Content::Text { text }.into())
    }

    fn of(content: &'a InputContent) -> Option<Self> {
        match content {
            InputContent::Text(text) => Self::text(text),
            InputContent::Image { media_type, data } => {
                Some(Content::Image { source: Source { media_type, data } }.into())
            }
        }
    }

    fn call(call: &'a ToolCall) -> Result<Self, Failure> {
        let input = raw_arguments(&call.input)?;
        Ok(Content::ToolUse { id: plain(&call.call_id), name: plain(&call.name), input }.into())
    }

    fn mark(&mut self) {
        if let Self::Markable { cache_control, .. } = self {
            *cache_control = Some(Mark {});
        }
    }
}

#[cfg(test)]
mod tests;
