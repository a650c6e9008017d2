//! The Gemini API, `streamGenerateContent` (Google AI and Vertex AI, "Generating content"), as server-sent events.
//! Stateless: the whole conversation is sent, with the signatures of its thoughts on the parts they came on.

mod request;
mod schema;
mod signature;
mod stream;

use bytes::Bytes;
use model::request::ModelRequest;
use protocol::item::OpaqueReasoning;
use protocol::tool::ToolSpecification;
use reqwest::header::{AUTHORIZATION, HeaderName};

use crate::failure::Failure;
use crate::functions;
use crate::gemini::stream::Decoder;
use crate::searches;
use crate::settings::{RecordedApi, RequestOptions, Search};
use crate::wire_api::{WireApi, json};

/// What this wire API is called in `OpaqueReasoning`.
const WIRE_API: &str = "gemini";

/// The wire API.
pub(crate) struct Gemini {
    /// Whether it is Vertex AI, where keys are bearer tokens of an account.
    is_vertex: bool,
}

impl Gemini {
    /// As the server of this URL has it.
    pub(crate) fn new(base_url: &str) -> Self {
        let host = base_url.split("://").last().and_then(|rest| rest.split(['/', ':']).next());
        Self { is_vertex: host.is_some_and(|host| host.ends_with("aiplatform.googleapis.com")) }
    }
}

impl WireApi for Gemini {
    type Reader = Decoder;

    const RECORDED: RecordedApi = RecordedApi::Gemini;

    fn path(&self, model: &str) -> String {
        // A name may say itself what it is a name of, such as `tunedModels/x`.
        let folder = if model.contains('/') { "" } else { "models/" };
        format!("{folder}{model}:streamGenerateContent")
    }

    fn query(&self) -> &'static [(&'static str, &'static str)] {
        &[("alt", "sse")]
    }

    fn key_header(&self, key: &str) -> (HeaderName, String) {
        // Both take API keys, which begin so, and access tokens of an account.
        let is_token = key.starts_with("ya29.") || (self.is_vertex && !key.starts_with("AIza"));
        if is_token {
            return (AUTHORIZATION, format!("Bearer {key}"));
        }
        (HeaderName::from_static("x-goog-api-key"), key.to_owned())
    }

    fn check_tool(&self, tool: &ToolSpecification) -> Result<(), String> {
        schema::reduced(&functions::schema(&tool.input)).map(drop).map_err(|error| error.to_string())
    }

    fn takes_back(&self, reasoning: &OpaqueReasoning) -> bool {
        reasoning.wire_api == WIRE_API
    }

    fn check_search(&self, model: &str, search: Search) -> Result<(), &'static str> {
        match search {
            Search::Off => Ok(()),
            Search::Cached => Err("this wire API searches the web as it is, not what is kept of it"),
            Search::Live if self.is_vertex => Err("Vertex AI does not search beside other tools"),
            Search::Live if !request::searches_beside_tools(model) => {
                Err("this model does not search beside other tools; those from Gemini 3 on do")
            }
            Search::Live => Ok(()),
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
