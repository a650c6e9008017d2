//! The HTTP client of one provider, made at the first request. Knows TLS and proxies, nothing of wire APIs.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use protocol::model::ProviderFailureKind;
use reqwest::{Certificate, Client, Url, redirect};
use rustls::crypto::{CryptoProvider, ring};
use tokio::sync::OnceCell;

use crate::failure::{Failure, cause};
use crate::retry::Again;

/// A client to be.
pub(crate) struct Connection {
    certificates: Vec<Certificate>,
    connect_timeout: Duration,
    is_encrypted: bool,
    is_loopback: bool,
    client: OnceCell<Client>,
}

impl Connection {
    /// To a server of this URL, trusting these certificates besides the system's.
    pub(crate) fn new(url: &Url, certificates: Vec<Certificate>, connect_timeout: Duration) -> Self {
        Self {
            certificates,
            connect_timeout,
            is_encrypted: url.scheme() == "https",
            is_loopback: is_loopback(url),
            client: OnceCell::new(),
        }
    }

    /// The client. Made on another thread, because reading the system's certificates takes a while.
    pub(crate) async fn client(&self) -> Result<&Client, Failure> {
        let make = async || {
            let certificates = self.is_encrypted.then(|| self.certificates.clone());
            let (connect_timeout, is_loopback) = (self.connect_timeout, self.is_loopback);
            let build = move || build(certificates, connect_timeout, is_loopback);
            match tokio::task::spawn_blocking(build).await {
                Ok(Ok(client)) => Ok(client),
                Ok(Err(error)) => Err(unmade(&error)),
                Err(error) => Err(unmade(&error)),
            }
        };
        self.client.get_or_try_init(make).await
    }
}

/// `certificates` are `None` where nothing is encrypted; then no certificate is read.
fn build(
    certificates: Option<Vec<Certificate>>,
    connect_timeout: Duration,
    is_loopback: bool,
) -> Result<Client, reqwest::Error> {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("skein/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        // A key is for the server it was given for and no other.
        .redirect(redirect::Policy::none());
    let builder = match certificates {
        None => builder.tls_certs_only([]),
        Some(certificates) => builder.tls_certs_merge(certificates),
    };
    if is_loopback { builder.no_proxy().build() } else { builder.build() }
}

fn unmade(error: &(dyn Error + 'static)) -> Failure {
    let message = format!("TLS can't be set up: {}", cause(error));
    Failure::new(ProviderFailureKind::Unreachable, Again::Never, message)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_host_is_known_by_name_and_by_number() {
        let check = |url: &str| is_loopback(&url.parse().unwrap());
        for url in
            ["http://localhost:1/v1", "http://127.9.9.9/", "https://[::1]:8080/x", "http://a.localhost"]
        {
            assert!(check(url), "{url}");
        }
        for url in ["http://localhost.example.com", "http://10.0.0.1", "http://[::2]/", "https://example.com"]
        {
            assert!(!check(url), "{url}");
        }
    }

    #[tokio::test]
    async fn a_client_is_made_once_with_and_without_encryption() {
        for url in ["http://127.0.0.1:1", "https://127.0.0.1:1"] {
            let connection = Connection::new(&url.parse().unwrap(), Vec::new(), Duration::from_secs(1));
            let first: *const Client = connection.client().await.unwrap();
            assert!(std::ptr::eq(first, connection.client().await.unwrap()));
        }
    }
}
