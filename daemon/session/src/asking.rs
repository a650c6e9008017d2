//! What the model is asked: everything that the log and the settings say, as one request.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use context::{history, instructions};
use model::client::ModelClient;
use model::request::ModelRequest;
use protocol::error::ProtocolError;
use protocol::ids::BlobId;
use protocol::item::{Item, ItemBody, ToolContent};
use protocol::turn::{InputPart, Turn};
use tools::registry::Registry;

use crate::log::Log;
use crate::state::SessionState;

/// The next request of a session, all of whose turns are in memory.
///
/// # Errors
/// When an image can't be read from the store.
pub(crate) async fn request(
    state: &SessionState,
    log: &dyn Log,
    tools: &Registry,
) -> Result<ModelRequest, ProtocolError> {
    let images = images(state, log).await?;
    let settings = &state.settings;
    Ok(ModelRequest {
        model: settings.model.clone(),
        instructions: instructions::system_prompt(settings, &state.instructions).into(),
        tools: tools.specifications(),
        input: history::conversation(&seen(&state.turns), &|blob| images.get(blob).cloned()),
        reasoning_effort: settings.reasoning_effort.clone(),
        reasoning_summary: settings.reasoning_summary.clone(),
        output_schema: state.running.as_ref().and_then(|running| running.output_schema.clone()),
        cache_key: state.id.to_string(),
    })
}

/// Leaves out the tools that the model's API has no words for; what is to be said of each that was not yet said.
pub(crate) fn leave_out_unfit(
    request: &mut ModelRequest,
    model: &dyn ModelClient,
    turns: &[Turn],
) -> Vec<String> {
    let unfit: Vec<_> = request.tools.iter().filter_map(|tool| model.check_tool(tool).err()).collect();
    if unfit.is_empty() {
        return Vec::new();
    }
    let is_fit = |name: &str| unfit.iter().all(|unfit| unfit.tool != name);
    request.tools = request.tools.iter().filter(|tool| is_fit(&tool.name)).cloned().collect();
    let said = |text: &str| {
        let is_it = |item: &Item| matches!(&item.body, ItemBody::Notice(notice) if notice.text == text);
        turns.iter().flat_map(|turn| &turn.items).any(is_it)
    };
    unfit.iter().map(ToString::to_string).filter(|text| !said(text)).collect()
}

/// The turns that the model sees: those that were not taken back.
fn seen(turns: &[Turn]) -> Cow<'_, [Turn]> {
    if turns.iter().any(|turn| turn.is_rewound) {
        turns.iter().filter(|turn| !turn.is_rewound).cloned().collect()
    } else {
        Cow::Borrowed(turns)
    }
}

/// The stored images of the conversation as base64; those that are gone are missing.
async fn images(state: &SessionState, log: &dyn Log) -> Result<HashMap<BlobId, String>, ProtocolError> {
    let mut images = HashMap::new();
    for item in state.turns.iter().flat_map(|turn| &turn.items) {
        let blobs: Vec<&BlobId> = match &item.body {
            ItemBody::UserMessage(message) => message.content.iter().filter_map(stored_in_input).collect(),
            ItemBody::ToolCall(other) => other.content.iter().filter_map(stored_in_output).collect(),
            ItemBody::AgentMessage(_)
            | ItemBody::Reasoning(_)
            | ItemBody::Command(_)
            | ItemBody::FileChange(_)
            | ItemBody::Plan(_)
            | ItemBody::Notice(_)
            | ItemBody::Unknown(_) => continue,
        };
        for blob in blobs {
            if !images.contains_key(blob)
                && let Some(bytes) = log.blob(blob).await?
            {
                images.insert(blob.clone(), BASE64_STANDARD.encode(bytes));
            }
        }
    }
    Ok(images)
}

fn stored_in_input(part: &InputPart) -> Option<&BlobId> {
    match part {
        InputPart::StoredImage { blob, .. } => Some(blob),
        InputPart::Text { .. } | InputPart::Image { .. } | InputPart::Unknown(_) => None,
    }
}

fn stored_in_output(part: &ToolContent) -> Option<&BlobId> {
    match part {
        ToolContent::Image { blob, .. } => Some(blob),
        ToolContent::Text { .. } | ToolContent::Unknown(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::client::{ModelStream, UnfitTool};
    use protocol::tool::{ToolInput, ToolSpecification};
    use serde_json::json;

    /// Has no words for one tool.
    struct Narrow;

    impl ModelClient for Narrow {
        fn stream(&self, _request: ModelRequest) -> ModelStream {
            Box::pin(futures_util::stream::empty())
        }

        fn check_tool(&self, tool: &ToolSpecification) -> Result<(), UnfitTool> {
            if tool.name == "odd" {
                return Err(UnfitTool { tool: tool.name.clone(), reason: "`not` is unknown".into() });
            }
            Ok(())
        }
    }

    #[test]
    fn tool_that_the_api_has_no_words_for_is_left_out_and_named() {
        let tool = |name: &str| ToolSpecification {
            name: name.into(),
            description: String::new(),
            input: ToolInput::Json { schema: json!({}) },
        };
        let mut request = ModelRequest {
            model: "m".into(),
            instructions: "".into(),
            tools: [tool("a"), tool("odd"), tool("b")].into(),
            input: Vec::new(),
            reasoning_effort: None,
            reasoning_summary: None,
            output_schema: None,
            cache_key: String::new(),
        };
        let said = leave_out_unfit(&mut request, &Narrow, &[]);
        assert_eq!(said, ["The tool `odd` can't be offered: `not` is unknown"]);
        let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(leave_out_unfit(&mut request, &Narrow, &[]).is_empty());
    }
}
