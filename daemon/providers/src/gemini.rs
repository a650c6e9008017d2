//! The Gemini API, `streamGenerateContent` (Google AI and Vertex AI, "Generating content"), as server-sent events.
//! Stateless: the whole conversation is sent, with the signatures of its thoughts on the parts they came on.

mod request;
mod schema;
mod signature;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;
use reqwest::header::HeaderName;

use crate::failure::Failure;
use crate::gemini::stream::Decoder;
use crate::wire_api::{WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "gemini";

/// The wire API.
pub(crate) struct Gemini;

impl WireApi for Gemini {
    type Reader = Decoder;

    fn path(&self, model: &str) -> String {
        // A name may say itself what it is a name of, such as `tunedModels/x`.
        let folder = if model.contains('/') { "" } else { "models/" };
        format!("{folder}{model}:streamGenerateContent")
    }

    fn query(&self) -> &'static [(&'static str, &'static str)] {
        &[("alt", "sse")]
    }

    fn key_header(&self, key: &str) -> (HeaderName, String) {
        (HeaderName::from_static("x-goog-api-key"), key.to_owned())
    }

    fn body(&self, request: &ModelRequest) -> Result<Bytes, Failure> {
        json(&request::Body::of(request)?)
    }

    fn reader(&self, request: &ModelRequest) -> Decoder {
        Decoder::new(request)
    }
}
