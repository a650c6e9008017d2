//! The way to a provider: what of its settings and of a client's environment decides how it is reached. What clients
//! with the same way share, they share; knows nothing of what is asked.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use config::ModelProvider;
use providers::credentials::secret::Secret;
use providers::settings::{Key, ProviderSettings, ProxySettings, RequestOptions, Transport};

use crate::circumstances::Variables;
use crate::models;

/// A way.
#[derive(Clone, PartialEq)]
pub(crate) struct Route {
    id: String,
    provider: ModelProvider,
    base_url: String,
    /// The key, where it stands in a variable.
    key: Option<Secret>,
    headers: BTreeMap<String, String>,
    /// Certificates that are trusted, from the settings and from variables.
    ca_bundles: Vec<PathBuf>,
    proxy: Option<ProxySettings>,
}

impl Route {
    /// To a provider, for a client with these variables.
    pub(crate) fn new(id: &str, provider: &ModelProvider, variables: &Variables) -> Self {
        let from_variables = provider
            .env_http_headers
            .iter()
            .filter_map(|(header, name)| Some((header.clone(), variables.value(&[name])?.to_owned())));
        let headers = provider.http_headers.clone().into_iter().chain(from_variables).collect();
        let ca_variables: [&[&str]; 2] =
            [&["SKEIN_CA_CERTIFICATE"], &["CODEX_CA_CERTIFICATE", "SSL_CERT_FILE"]];
        let from_variables = ca_variables.iter().filter_map(|names| variables.value(names));
        let ca_bundles =
            provider.ca_bundle.iter().cloned().chain(from_variables.map(PathBuf::from)).collect();
        let base_url = models::base_url(provider, variables);
        let names: &[&str] = if base_url.starts_with("https:") {
            &["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"]
        } else {
            // As everywhere, `HTTP_PROXY` in capitals may come from a request and does not count.
            &["http_proxy", "ALL_PROXY", "all_proxy"]
        };
        let proxy = provider.proxy.as_deref().or_else(|| variables.value(names));
        let no_proxy = variables.value(&["NO_PROXY", "no_proxy"]);
        let proxy =
            proxy.map(|url| ProxySettings { url: url.to_owned(), no_proxy: no_proxy.map(str::to_owned) });
        let names: Vec<&str> = provider.env_keys().collect();
        let key = variables.value(&names).map(|key| Secret::new(key.to_owned()));
        Self { id: id.to_owned(), provider: provider.clone(), base_url, key, headers, ca_bundles, proxy }
    }

    /// The provider's id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The provider, as the settings describe it.
    pub(crate) fn provider(&self) -> &ModelProvider {
        &self.provider
    }

    /// Whether a variable holds the key.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// What a client of the provider is made of. Without a key, where none stands in a variable.
    pub(crate) fn settings(&self) -> ProviderSettings {
        let provider = &self.provider;
        ProviderSettings {
            id: self.id.clone(),
            name: provider.name.clone(),
            base_url: self.base_url.clone(),
            key: self.key.clone().map_or(Key::None, Key::Present),
            http_headers: self.headers.clone(),
            query_params: provider.query_params.clone(),
            request_max_retries: provider.request_max_retries,
            stream_max_retries: provider.stream_max_retries,
            stream_idle_timeout: Duration::from_millis(provider.stream_idle_timeout_ms),
            connect_timeout: Duration::from_millis(provider.connect_timeout_ms),
            ca_bundles: self.ca_bundles.clone(),
            client_certificate: provider.client_certificate.clone(),
            proxy: self.proxy.clone(),
            transport: if provider.supports_websockets { Transport::WebSocket } else { Transport::Events },
            recording: None,
            options: RequestOptions::default(),
        }
    }
}
