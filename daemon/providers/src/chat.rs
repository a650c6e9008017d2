//! The Chat Completions API (OpenAI API reference, "Create chat completion", with `stream`), and what the many
//! servers that follow it make of it: DeepSeek, Qwen, vLLM, llama.cpp, LM Studio, Ollama, OpenRouter.

mod calls;
mod details;
mod request;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;

use crate::chat::stream::Decoder;
use crate::failure::Failure;
use crate::settings::{RecordedApi, RequestOptions};
use crate::wire_api::{WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "chat";

/// The fields that hold reasoning as text; each server has one of them.
const REASONING_FIELDS: [&str; 2] = ["reasoning_content", "reasoning"];

/// The field that holds reasoning in parts, some of them opaque (OpenRouter, "Preserving reasoning").
const REASONING_DETAILS: &str = "reasoning_details";

/// The field of kept reasoning that names its provider. Servers refuse each other's fields.
const PROVIDER: &str = "provider";

/// The wire API.
pub(crate) struct Chat {
    provider: String,
}

impl Chat {
    /// As the provider of this id has it.
    pub(crate) fn new(provider: &str) -> Self {
        Self { provider: provider.to_owned() }
    }
}

impl WireApi for Chat {
    type Reader = Decoder;

    const RECORDED: RecordedApi = RecordedApi::Chat;

    fn path(&self, _model: &str) -> String {
        "chat/completions".to_owned()
    }

    fn takes_back(&self, reasoning: &OpaqueReasoning) -> bool {
        // Servers refuse each other's fields.
        reasoning.wire_api == WIRE_API && reasoning.item[PROVIDER] == self.provider.as_str()
    }

    fn body(&self, request: &ModelRequest, options: &RequestOptions) -> Result<Bytes, Failure> {
        json(&request::Body::of(request, options, self))
    }

    fn reader(&self, request: &ModelRequest) -> Decoder {
        Decoder::new(request, &self.provider)
    }
}
