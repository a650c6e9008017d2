//! Where tokens are kept, as far as this crate knows of it.

use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

/// Keeps texts that nobody else may read. Errors are for people.
pub trait Secrets: Send + Sync + 'static {
    /// What is kept under this name.
    fn get<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Zeroizing<String>>, String>>;

    /// Keeps a text under this name.
    fn set<'a>(&'a self, name: &'a str, text: Zeroizing<String>) -> BoxFuture<'a, Result<(), String>>;

    /// Forgets what is kept under this name; whether there was something.
    fn remove<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<bool, String>>;
}
