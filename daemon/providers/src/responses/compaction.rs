//! How the provider itself puts a conversation into less (OpenAI API reference, "Compact a response"): the request, and
//! the object that answers it, whose outputs stand for the conversation and go back as they are.

use std::collections::VecDeque;

use model::event::{ModelEvent, OutputItem, StopReason};
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::responses::Responses;
use crate::responses::request::Input;
use crate::responses::stream::{Tokens, completed};
use crate::settings::RequestOptions;
use crate::wire_api::Progress;

/// Where it is asked for, below the base URL.
pub(crate) const PATH: &str = "responses/compact";

/// The body of a request.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    instructions: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_tier: Option<&'a str>,
    prompt_cache_key: &'a str,
    input: Vec<Input<'a>>,
}

impl<'a> Body<'a> {
    pub(crate) fn of(request: &'a ModelRequest, options: &'a RequestOptions, api: &Responses) -> Self {
        Self {
            model: &request.model,
            instructions: &request.instructions,
            service_tier: options.service_tier.as_deref(),
            prompt_cache_key: &request.cache_key,
            input: request.input.iter().filter_map(|item| Input::of(item, api)).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Compacted {
    output: Vec<Value>,
    usage: Option<Tokens>,
}

/// Takes the answer. One that holds nothing sealed would stand for nothing.
pub(crate) fn read(
    data: &str,
    wire_api: &str,
    events: &mut VecDeque<ModelEvent>,
) -> Result<Progress, Failure> {
    let unreadable = |error| Failure::malformed(format!("The compacted conversation can't be read: {error}"));
    let Compacted { output, usage } = serde_json::from_str(data).map_err(unreadable)?;
    if !output.iter().any(is_sealed) {
        return Err(Failure::malformed("The compacted conversation holds no compaction".to_owned()));
    }
    let opaque = |mut item: Value| {
        if let Some(fields) = item.as_object_mut() {
            // `null` is a way to send nothing that is not taken back.
            fields.retain(|_, value| !value.is_null());
        }
        OpaqueReasoning { wire_api: wire_api.to_owned(), item }
    };
    let item = OutputItem::Compaction(output.into_iter().map(opaque).collect());
    events.push_back(ModelEvent::OutputItem { index: 0, item });
    events.push_back(completed(usage, StopReason::Finished));
    Ok(Progress::Over)
}

fn is_sealed(item: &Value) -> bool {
    let content = item["encrypted_content"].as_str().unwrap_or_default();
    item["type"] == "compaction" && !content.is_empty()
}
