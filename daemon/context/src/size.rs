//! How large a request is: in bytes of what the model reads, from which tokens can be guessed. Knows nothing of how a
//! provider counts.

use model::request::{InputContent, InputItem, ModelRequest};
use protocol::tool::ToolInput;

/// What an image counts for, whatever its size: providers scale large ones down.
const IMAGE_BYTES: u64 = 6_000;
/// What each thing costs beside its text.
const FRAME_BYTES: u64 = 16;

/// Bytes of a request.
#[must_use]
pub fn of_request(request: &ModelRequest) -> u64 {
    let tools = request.tools.iter().map(|tool| {
        let input = match &tool.input {
            ToolInput::Json { schema } => schema.to_string().len(),
            ToolInput::Freeform { grammar } => {
                grammar.as_ref().map_or(0, |grammar| grammar.syntax.len() + grammar.definition.len())
            }
        };
        FRAME_BYTES + bytes(tool.name.len() + tool.description.len() + input)
    });
    let schema = request.output_schema.as_ref().map_or(0, |schema| schema.to_string().len());
    bytes(request.instructions.len() + schema) + tools.sum::<u64>() + of_input(&request.input)
}

/// Bytes of a conversation.
#[must_use]
pub fn of_input(input: &[InputItem]) -> u64 {
    input.iter().map(of_item).sum()
}

fn of_item(item: &InputItem) -> u64 {
    FRAME_BYTES
        + match item {
            InputItem::UserMessage(content) => of_content(content),
            InputItem::AgentMessage(text) => bytes(text.len()),
            InputItem::Reasoning(reasoning) => bytes(reasoning.item.to_string().len()),
            InputItem::ToolCall(call) => bytes(call.name.len() + call.input.text().len()),
            InputItem::ToolOutput { name, output, .. } => bytes(name.len()) + of_content(output),
        }
}

fn of_content(content: &[InputContent]) -> u64 {
    let part = |part: &InputContent| match part {
        InputContent::Text(text) => bytes(text.len()),
        InputContent::Image { .. } => IMAGE_BYTES,
    };
    content.iter().map(part).sum()
}

fn bytes(length: usize) -> u64 {
    length as u64
}
