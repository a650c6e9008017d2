//! What the model is asked: everything that the log and the settings say, as one request.

use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use context::{history, instructions};
use model::request::ModelRequest;
use protocol::error::ProtocolError;
use protocol::ids::BlobId;
use protocol::item::{ItemBody, ToolContent};
use protocol::turn::InputPart;
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
        input: history::conversation(&state.turns, &|blob| images.get(blob).cloned()),
        reasoning_effort: settings.reasoning_effort.clone(),
        reasoning_summary: settings.reasoning_summary.clone(),
        output_schema: state.running.as_ref().and_then(|running| running.output_schema.clone()),
        cache_key: state.id.to_string(),
    })
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
