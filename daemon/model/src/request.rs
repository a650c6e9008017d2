//! What is asked of a model.

use std::borrow::Cow;
use std::sync::Arc;

use protocol::item::OpaqueReasoning;
use protocol::model::{ReasoningEffort, ReasoningSummary};
use protocol::tool::{CallInput, ToolCall, ToolSpecification};

/// One request. Everything that is sent is in here.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelRequest {
    /// The model's name, as the provider knows it.
    pub model: String,
    /// The system prompt.
    pub instructions: Arc<str>,
    /// The tools, in a stable order.
    pub tools: Arc<[ToolSpecification]>,
    /// The conversation, oldest first.
    pub input: Vec<InputItem>,
    /// How hard it should think; absent: the provider's default.
    pub reasoning_effort: Option<ReasoningEffort>,
    /// How it tells of its thinking; absent: the provider's default.
    pub reasoning_summary: Option<ReasoningSummary>,
    /// JSON Schema that the answer's text must follow.
    pub output_schema: Option<serde_json::Value>,
    /// Names the conversation, for the provider's prompt cache.
    pub cache_key: String,
}

/// One thing of the conversation.
#[derive(Clone, Debug, PartialEq)]
pub enum InputItem {
    /// What the user's side says.
    UserMessage(Vec<InputContent>),
    /// What the model said.
    AgentMessage(String),
    /// What the model thought. Sent only to the wire API it came from.
    Reasoning(OpaqueReasoning),
    /// A call that the model made.
    ToolCall(ToolCall),
    /// The answer to a call.
    ToolOutput {
        /// The call's id.
        call_id: String,
        /// The tool's name.
        name: String,
        /// Which kind of call it answers.
        kind: CallKind,
        /// The output: text and images, in order.
        output: Vec<InputContent>,
    },
}

/// The two kinds of calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallKind {
    /// A function with a JSON object.
    Json,
    /// A freeform tool.
    Freeform,
}

impl CallKind {
    /// The kind of a raw input.
    #[must_use]
    pub fn of(input: &CallInput) -> Self {
        match input {
            CallInput::Json(_) => Self::Json,
            CallInput::Freeform(_) => Self::Freeform,
        }
    }
}

/// A part of a user's message or of a tool's output.
#[derive(Clone, Debug, PartialEq)]
pub enum InputContent {
    /// Text.
    Text(String),
    /// An image.
    Image {
        /// Such as `image/png`.
        media_type: String,
        /// Base64 of the file.
        data: String,
    },
}

/// All text of these parts, each on lines of its own.
#[must_use]
pub fn text_of(content: &[InputContent]) -> Cow<'_, str> {
    fn text(part: &InputContent) -> Option<&str> {
        match part {
            InputContent::Text(text) => Some(text),
            InputContent::Image { .. } => None,
        }
    }
    if let [InputContent::Text(text)] = content {
        return Cow::Borrowed(text);
    }
    Cow::Owned(content.iter().filter_map(text).collect::<Vec<_>>().join("\n"))
}

/// How many answers a conversation holds. Things of one answer stand together; between two answers stands what
/// a person said or a tool put out.
#[must_use]
pub fn answers(input: &[InputItem]) -> usize {
    let is_answer = |item: &InputItem| match item {
        InputItem::AgentMessage(_) | InputItem::Reasoning(_) | InputItem::ToolCall(_) => true,
        InputItem::UserMessage(_) | InputItem::ToolOutput { .. } => false,
    };
    input
        .chunk_by(|a, b| is_answer(a) == is_answer(b))
        .filter(|chunk| chunk.first().is_some_and(is_answer))
        .count()
}
