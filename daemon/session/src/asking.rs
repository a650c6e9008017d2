//! What the model is asked: everything that the log and the settings say, as one request.

use std::borrow::Cow;
use std::collections::HashMap;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use context::history::Readable;
use context::{compaction, history, instructions};
use model::client::ModelClient;
use model::request::{InputContent, InputItem, ModelRequest};
use protocol::context::Compaction;
use protocol::error::ProtocolError;
use protocol::ids::BlobId;
use protocol::item::{Item, ItemBody, ToolContent};
use protocol::session::SessionSettings;
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
    readable: Readable<'_>,
) -> Result<ModelRequest, ProtocolError> {
    let images = images(state, log).await?;
    let input = history::conversation(&seen(&state.turns), &|blob| images.get(blob).cloned(), readable);
    Ok(of(state, tools, input))
}

fn of(state: &SessionState, tools: &Registry, input: Vec<InputItem>) -> ModelRequest {
    let settings = &state.settings;
    ModelRequest {
        model: settings.model.clone(),
        instructions: instructions::system_prompt(settings, &state.instructions).into(),
        tools: tools.specifications(),
        input,
        reasoning_effort: settings.reasoning_effort.clone(),
        reasoning_summary: settings.reasoning_summary.clone(),
        output_schema: state.running.as_ref().and_then(|running| running.output_schema.clone()),
        cache_key: state.id.to_string(),
    }
}

/// The request for the summary that a compaction is to hold: the conversation before it as it always is, and the order.
///
/// # Errors
/// When an image can't be read from the store.
pub(crate) async fn request_for_summary(
    state: &SessionState,
    item: &Item,
    body: &Compaction,
    log: &dyn Log,
    tools: &Registry,
    readable: Readable<'_>,
) -> Result<ModelRequest, ProtocolError> {
    let images = images(state, log).await?;
    let before = compaction::before(&seen(&state.turns), item.step);
    let mut input = history::conversation(&before, &|blob| images.get(blob).cloned(), readable);
    let order = compaction::order(body.instructions.as_deref());
    input.push(InputItem::UserMessage(vec![InputContent::Text(order)]));
    Ok(ModelRequest { output_schema: None, ..of(state, tools, input) })
}

/// Makes a request for a summary one that has the conversation as a text of so many bytes, and no tools.
pub(crate) fn tell_as_text(request: &mut ModelRequest, body: &Compaction, most: usize) {
    // The order itself, which stands last in it, is told anew.
    request.input.pop();
    let order = compaction::order_of_transcript(body.instructions.as_deref(), &request.input, most);
    request.input = vec![order];
    request.tools = [].into();
    request.instructions = "You write notes about a conversation of a coding agent.".into();
}

/// What is to be said, once, where another provider made the notes that stand for the beginning.
pub(crate) fn sealed(model: &dyn ModelClient, turns: &[Turn]) -> Option<String> {
    const SEALED: &str = "This model can't read the notes that another provider made when the session was compacted. It is \
         shown what people said, the plan, changed files and failing checks.";
    let is_sealed = compaction::is_sealed(&seen(turns), &|opaque| model.takes_back(opaque));
    (is_sealed && !is_said(SEALED, turns)).then(|| SEALED.to_owned())
}

/// Leaves out the tools that the model's API has no words for; what is to be said of each, and of what else the API does
/// not have, that was not yet said.
pub(crate) fn leave_out_unfit(
    request: &mut ModelRequest,
    model: &dyn ModelClient,
    turns: &[Turn],
) -> Vec<String> {
    let unfit: Vec<_> = request.tools.iter().filter_map(|tool| model.check_tool(tool).err()).collect();
    if !unfit.is_empty() {
        let is_fit = |name: &str| unfit.iter().all(|unfit| unfit.tool != name);
        request.tools = request.tools.iter().filter(|tool| is_fit(&tool.name)).cloned().collect();
    }
    let left_out = model.left_out(request);
    unfit.iter().map(ToString::to_string).chain(left_out).filter(|text| !is_said(text, turns)).collect()
}

/// Leaves out images, if it is known that the model sees none; what is to be said of that, once.
pub(crate) fn leave_out_images(
    request: &mut ModelRequest,
    settings: &SessionSettings,
    turns: &[Turn],
) -> Option<String> {
    if settings.model_context.has_images != Some(false) {
        return None;
    }
    let mut left_out = 0;
    for item in &mut request.input {
        let (InputItem::UserMessage(content) | InputItem::ToolOutput { output: content, .. }) = item else {
            continue;
        };
        for part in content {
            if matches!(part, InputContent::Image { .. }) {
                *part = InputContent::Text("(An image stood here; this model sees none.)".to_owned());
                left_out += 1;
            }
        }
    }
    let text =
        format!("The model `{}` sees no images, so it is not shown those of this session", settings.model);
    (left_out > 0 && !is_said(&text, turns)).then_some(text)
}

fn is_said(text: &str, turns: &[Turn]) -> bool {
    let is_it = |item: &Item| matches!(&item.body, ItemBody::Notice(notice) if notice.text == text);
    turns.iter().flat_map(|turn| &turn.items).any(is_it)
}

/// The turns that the model sees: those that were not taken back.
pub(crate) fn seen(turns: &[Turn]) -> Cow<'_, [Turn]> {
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
            | ItemBody::WebSearch(_)
            | ItemBody::Compaction(_)
            | ItemBody::Agent(_)
            | ItemBody::Review(_)
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
        InputPart::Text { .. }
        | InputPart::Image { .. }
        | InputPart::Skill { .. }
        | InputPart::Resource { .. }
        | InputPart::Unknown(_) => None,
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
    fn images_are_left_out_where_it_is_known_that_none_are_seen() {
        let image = || InputContent::Image { media_type: "image/png".into(), data: "aGk=".into() };
        let output = |content| InputItem::ToolOutput {
            call_id: "c".into(),
            name: "view_image".into(),
            kind: model::request::CallKind::Json,
            output: vec![content],
        };
        let mut settings: SessionSettings = serde_json::from_value(json!({
            "cwd": "/repo", "provider": "p", "model": "m", "sandbox": "read-only", "approval": "never",
            "isTmpWritable": true,
        }))
        .unwrap();
        let mut request = ModelRequest { input: vec![output(image())], ..request() };
        for unknown in [None, Some(true)] {
            settings.model_context.has_images = unknown;
            assert_eq!(leave_out_images(&mut request, &settings, &[]), None);
            assert_eq!(request.input, [output(image())]);
        }
        settings.model_context.has_images = Some(false);
        let said = leave_out_images(&mut request, &settings, &[]).unwrap();
        assert!(said.starts_with("The model `m` sees no images"), "{said}");
        let text = InputContent::Text("(An image stood here; this model sees none.)".into());
        assert_eq!(request.input, [output(text)]);
        assert_eq!(leave_out_images(&mut request, &settings, &[]), None, "there are none any more");
    }

    fn request() -> ModelRequest {
        ModelRequest {
            model: "m".into(),
            instructions: "".into(),
            tools: [].into(),
            input: Vec::new(),
            reasoning_effort: None,
            reasoning_summary: None,
            output_schema: None,
            cache_key: String::new(),
        }
    }

    #[test]
    fn tool_that_the_api_has_no_words_for_is_left_out_and_named() {
        let tool = |name: &str| ToolSpecification {
            name: name.into(),
            description: String::new(),
            input: ToolInput::Json { schema: json!({}) },
        };
        let mut request = ModelRequest { tools: [tool("a"), tool("odd"), tool("b")].into(), ..request() };
        let said = leave_out_unfit(&mut request, &Narrow, &[]);
        assert_eq!(said, ["The tool `odd` can't be offered: `not` is unknown"]);
        let names: Vec<_> = request.tools.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(leave_out_unfit(&mut request, &Narrow, &[]).is_empty());
    }
}
