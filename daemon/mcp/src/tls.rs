//! Which TLS is spoken. Knows nothing of who speaks it.

use rustls::crypto::{CryptoProvider, ring};

/// Sets the one that all clients of HTTP take, if nobody has.
pub(crate) fn prepare() {
    if CryptoProvider::get_default().is_none() {
        // An error means that another thread was faster, which is as good.
        let _ = ring::default_provider().install_default();
    }
}
