//! The Anthropic Messages API (API reference, "Create a message", with `stream`), and servers that follow it.
//! Stateless: the whole conversation is sent, thinking with its signatures included.

mod ability;
mod blocks;
mod request;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use reqwest::header::HeaderName;

use crate::failure::Failure;
use crate::messages::stream::Decoder;
use crate::searches;
use crate::settings::{RecordedApi, RequestOptions, Search};
use crate::wire_api::{WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "messages";

/// The wire API.
pub(crate) struct Messages;

impl WireApi for Messages {
    type Reader = Decoder;

    const RECORDED: RecordedApi = RecordedApi::Messages;

    fn path(&self, _model: &str) -> String {
        "messages".to_owned()
    }

    fn headers(&self) -> &'static [(&'static str, &'static str)] {
        &[("anthropic-version", "2023-06-01")]
    }

    fn key_header(&self, key: &str) -> (HeaderName, String) {
        (HeaderName::from_static("x-api-key"), key.to_owned())
    }

    fn takes_back(&self, reasoning: &OpaqueReasoning) -> bool {
        reasoning.wire_api == WIRE_API
    }

    fn check_search(&self, _model: &str, search: Search) -> Result<(), &'static str> {
        match search {
            Search::Off | Search::Live => Ok(()),
            Search::Cached => Err("this wire API searches the web as it is, not what is kept of it"),
        }
    }

    fn body(&self, request: &ModelRequest, options: &RequestOptions) -> Result<Bytes, Failure> {
        let search = searches::wanted(self, request, options).unwrap_or_default();
        json(&request::Body::of(request, options, search)?)
    }

    fn reader(&self, request: &ModelRequest) -> Decoder {
        Decoder::new(request)
    }
}
