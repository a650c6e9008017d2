//! What a client must know of its provider. Knows nothing of where settings come from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Certificates in PEM form that are trusted besides the system's.
    pub ca_bundle: Option<PathBuf>,
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

/// A text that is never printed.
pub struct Secret(String);

impl Secret {
    /// Hides a text.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(text)
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
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
