//! The OpenAI Responses API (API reference, "Create a model response", with `stream`). Stateless: nothing is stored
//! at the provider, the whole conversation is sent.

mod compaction;
mod request;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;

use crate::failure::Failure;
use crate::responses::stream::Decoder;
use crate::settings::{RecordedApi, RequestOptions, Search};
use crate::wire_api::{Compacting, WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "responses";

/// The wire API.
pub(crate) struct Responses {
    /// What reasoning of this provider is called. Encrypted reasoning can be read by who made it only.
    wire_api: String,
}

impl Responses {
    /// As the provider of this id has it.
    pub(crate) fn new(provider: &str) -> Self {
        Self { wire_api: format!("{WIRE_API}:{provider}") }
    }
}

impl WireApi for Responses {
    type Reader = Decoder;

    const RECORDED: RecordedApi = RecordedApi::Responses;

    fn path(&self, _model: &str) -> String {
        "responses".to_owned()
    }

    fn message(&self, request: &ModelRequest, options: &RequestOptions) -> Option<Result<Bytes, Failure>> {
        Some(json(&request::Body::of(request, options, self).into_message()))
    }

    fn compaction(&self, request: &ModelRequest, options: &RequestOptions) -> Option<Compacting<Self>> {
        Some(Compacting {
            path: compaction::PATH,
            body: json(&compaction::Body::of(request, options, self)),
            reader: Decoder::of_compaction(self.wire_api.clone()),
        })
    }

    fn takes_back(&self, reasoning: &OpaqueReasoning) -> bool {
        // Earlier versions did not tell providers apart.
        reasoning.wire_api == self.wire_api || reasoning.wire_api == WIRE_API
    }

    fn check_search(&self, _model: &str, _search: Search) -> Result<(), &'static str> {
        Ok(())
    }

    fn body(&self, request: &ModelRequest, options: &RequestOptions) -> Result<Bytes, Failure> {
        json(&request::Body::of(request, options, self))
    }

    fn reader(&self, _request: &ModelRequest) -> Decoder {
        Decoder::new(self.wire_api.clone())
    }
}
