//! The HTTP client of one provider, made at the first request. Knows TLS and proxies, nothing of wire APIs.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use protocol::model::ProviderFailureKind;
use reqwest::{Certificate, Client, Identity, Proxy, Url, redirect};
use rustls::crypto::{CryptoProvider, ring};
use tokio::sync::OnceCell;

use crate::failure::{Failure, cause};
use crate::retry::Again;

/// A client to be.
pub(crate) struct Connection {
    plan: Plan,
    client: OnceCell<Client>,
    /// Speaks HTTP/1.1 only, of which a WebSocket can be made.
    upgrading: OnceCell<Client>,
}

/// Whom a connection trusts, and the way it takes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trust {
    /// Trusted besides the system's.
    pub(crate) certificates: Vec<Certificate>,
    /// What the server knows its client by.
    pub(crate) identity: Option<Identity>,
    /// What stands between.
    pub(crate) proxy: Option<Proxy>,
}

#[derive(Clone)]
struct Plan {
    trust: Trust,
    connect_timeout: Duration,
    is_encrypted: bool,
    is_loopback: bool,
}

/// Which versions of HTTP are spoken.
#[derive(Clone, Copy, PartialEq)]
enum Versions {
    All,
    First,
}

impl Connection {
    /// To a server of this URL.
    pub(crate) fn new(url: &Url, trust: Trust, connect_timeout: Duration) -> Self {
        let (is_encrypted, is_loopback) = (url.scheme() == "https", is_loopback(url));
        let plan = Plan { trust, connect_timeout, is_encrypted, is_loopback };
        Self { plan, client: OnceCell::new(), upgrading: OnceCell::new() }
    }

    /// The client. Made on another thread, because reading the system's certificates takes a while.
    pub(crate) async fn client(&self) -> Result<&Client, Failure> {
        self.client.get_or_try_init(|| make(&self.plan, Versions::All)).await
    }

    /// The client for connections that become a WebSocket.
    pub(crate) async fn upgrading_client(&self) -> Result<&Client, Failure> {
        self.upgrading.get_or_try_init(|| make(&self.plan, Versions::First)).await
    }
}

async fn make(plan: &Plan, versions: Versions) -> Result<Client, Failure> {
    let plan = plan.clone();
    match tokio::task::spawn_blocking(move || build(plan, versions)).await {
        Ok(Ok(client)) => Ok(client),
        Ok(Err(error)) => Err(unmade(&error)),
        Err(error) => Err(unmade(&error)),
    }
}

fn build(plan: Plan, versions: Versions) -> Result<Client, reqwest::Error> {
    let Trust { certificates, identity, proxy } = plan.trust;
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
    let builder = Client::builder()
        .user_agent(concat!("skein/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(plan.connect_timeout)
        .tcp_nodelay(true)
        // A key is for the server it was given for and no other.
        .redirect(redirect::Policy::none());
    let mut builder = if plan.is_encrypted {
        builder.tls_certs_merge(certificates)
    } else {
        // Then no certificate is read at all.
        builder.tls_certs_only([])
    };
    if let Some(identity) = identity.filter(|_| plan.is_encrypted) {
        builder = builder.identity(identity);
    }
    if versions == Versions::First {
        builder = builder.http1_only();
    }
    // What the environment says of proxies is known to who made the settings.
    builder = builder.no_proxy();
    match proxy.filter(|_| !plan.is_loopback) {
        Some(proxy) => builder.proxy(proxy).build(),
        None => builder.build(),
    }
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
            let connection = Connection::new(&url.parse().unwrap(), Trust::default(), Duration::from_secs(1));
            let first: *const Client = connection.client().await.unwrap();
            assert!(std::ptr::eq(first, connection.client().await.unwrap()));
        }
    }
}
