//! Names to addresses, as the proxy sees it.

use std::io;
use std::net::IpAddr;

use futures_util::future::BoxFuture;

/// Resolves names.
pub trait Resolver: Send + Sync {
    /// The addresses of a name, the preferred one first.
    fn resolve(&self, name: String) -> BoxFuture<'_, io::Result<Vec<IpAddr>>>;
}

/// The machine's own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, name: String) -> BoxFuture<'_, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    }
}
