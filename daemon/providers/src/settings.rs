//! What a client must know of its provider. Knows nothing of where settings come from.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

pub use crate::credentials::secret::Secret;

use serde::{Deserialize, Serialize};

/// Retries beyond this are not made, whatever the settings say.
pub(crate) const MAX_RETRIES: u32 = 100;

/// A provider, ready to be asked.
pub struct ProviderSettings {
    /// Its id in the settings; failures carry it.
    pub id: String,
    /// Its name, for people.
    pub name: String,
    /// What the wire API's paths are appended to, such as `https://api.openai.com/v1`.
    pub base_url: String,
    /// Who asks.
    pub key: Key,
    /// Sent with every request; one of a name that we send too wins over ours.
    pub http_headers: BTreeMap<String, String>,
    /// Added to every URL.
    pub query_params: BTreeMap<String, String>,
    /// How often a request that got no answer is sent again; at most 100.
    pub request_max_retries: u32,
    /// How often a request whose answer broke off is sent again; at most 100.
    pub stream_max_retries: u32,
    /// How long it may take until the headers are there, and from one event to the next.
    pub stream_idle_timeout: Duration,
    /// How long it may take to connect.
    pub connect_timeout: Duration,
    /// Files with certificates in PEM form that are trusted besides the system's.
    pub ca_bundles: Vec<PathBuf>,
    /// A file with a certificate and its key in PEM form, by which the server knows its client.
    pub client_certificate: Option<PathBuf>,
    /// What requests go through; never those to the loopback.
    pub proxy: Option<ProxySettings>,
    /// How answers come.
    pub transport: Transport,
    /// The file that answers are recorded in.
    pub recording: Option<PathBuf>,
    /// What every request asks for beside its content.
    pub options: RequestOptions,
}

/// The wire API that a recording is of.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum RecordedApi {
    /// The Responses API.
    Responses,
    /// The Chat Completions API.
    Chat,
    /// The Messages API.
    Messages,
    /// The Gemini API.
    Gemini,
}

/// What requests go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// Its URL, perhaps with a name and a password.
    pub url: String,
    /// Hosts that are spoken to directly, as `NO_PROXY` lists them.
    pub no_proxy: Option<String>,
}

/// How answers come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// As server-sent events, each answer to a request of its own.
    #[default]
    Events,
    /// Over a WebSocket, where the wire API has one and the server lets us; else as events.
    WebSocket,
}

/// What every request asks for beside its content. What an API has no word for is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestOptions {
    /// The most tokens that an answer may have; absent: the provider's default, or what the model can.
    pub max_output_tokens: Option<u32>,
    /// How much the model says, in the provider's word, such as `low`.
    pub verbosity: Option<String>,
    /// How fast and dear the answer is, in the provider's word, such as `flex`.
    pub service_tier: Option<String>,
    /// Whether the provider may keep the conversation.
    pub store: Store,
    /// Whether several tools may be called at once.
    pub tool_calls: ToolCalls,
    /// Whether the provider may search the web.
    pub search: Search,
    /// Who puts a conversation that is too long into less.
    pub compaction: Compaction,
}

impl Default for RequestOptions {
    fn default() -> Self {
        Self {
            max_output_tokens: None,
            verbosity: None,
            service_tier: None,
            store: Store::Never,
            tool_calls: ToolCalls::Parallel,
            search: Search::Off,
            compaction: Compaction::Model,
        }
    }
}

/// Who puts a conversation that is too long into less.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compaction {
    /// The model, asked like for any answer.
    #[default]
    Model,
    /// The provider, where the wire API has a word for that.
    Provider,
}

/// Whether the provider may keep the conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Store {
    /// It is asked not to.
    #[default]
    Never,
    /// It may.
    Allowed,
}

/// Whether the provider may search the web for the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// It is not asked to.
    #[default]
    Off,
    /// In what it keeps of the web; nothing is fetched.
    Cached,
    /// In the web as it is.
    Live,
}

/// How many tools may be called at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ToolCalls {
    /// Several.
    #[default]
    Parallel,
    /// One after the other.
    Single,
}

/// What a provider knows its user by.
#[derive(Debug)]
pub enum Key {
    /// None is needed.
    None,
    /// One is needed and not there; every request fails and says so.
    Missing {
        /// The environment variable that should hold it.
        variable: String,
    },
    /// The key.
    Present(Secret),
}

/// Why no client can be made of settings.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The base URL is none that HTTP knows.
    #[error("The provider `{provider}` has the base URL `{url}`, which is no HTTP URL: {reason}")]
    Url {
        /// Its id.
        provider: String,
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A header that HTTP does not allow; its value may be secret and is not told.
    #[error("The provider `{provider}` has the header `{name}`, which HTTP does not allow")]
    Header {
        /// The provider's id.
        provider: String,
        /// The header's name.
        name: String,
    },
    /// The key has characters that no header may have.
    #[error("The key of the provider `{provider}` has characters that HTTP does not allow")]
    Key {
        /// The provider's id.
        provider: String,
    },
    /// The proxy's URL is none.
    #[error("The provider `{provider}` has a proxy that can't be used: {reason}")]
    Proxy {
        /// The provider's id.
        provider: String,
        /// Why; never the URL, which may hold a password.
        reason: String,
    },
    /// The recording can't be played.
    #[error("The recording `{}` can't be played: {reason}", path.display())]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The certificates can't be read.
    #[error("The certificates `{}` of the provider `{provider}` can't be read: {reason}", path.display())]
    CaBundle {
        /// The provider's id.
        provider: String,
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}
