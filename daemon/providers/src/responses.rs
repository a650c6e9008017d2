//! The OpenAI Responses API (API reference, "Create a model response", with `stream`). Stateless: nothing is stored
//! at the provider, the whole conversation is sent.

mod request;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;

use crate::failure::Failure;
use crate::responses::stream::Decoder;
use crate::wire_api::{WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "responses";

/// The wire API.
pub(crate) struct Responses;

impl WireApi for Responses {
    type Reader = Decoder;

    fn path(&self, _model: &str) -> String {
        "responses".to_owned()
    }

    fn body(&self, request: &ModelRequest) -> Result<Bytes, Failure> {
        json(&request::Body::of(request))
    }

    fn reader(&self, _request: &ModelRequest) -> Decoder {
        Decoder::default()
    }
}
