//! The keyring of the platform: Secret Service, Keychain, Credential Manager. Its calls block, and may wait for a
//! person who is to unlock it; who calls bounds them.

use keyring_core::api::CredentialStoreApi;
use keyring_core::{Entry, Error};

use crate::credentials::secret::Secret;

/// A keyring. Errors are for people.
pub(crate) trait Ring: Send + Sync + 'static {
    /// The secret of this name.
    fn get(&self, name: &str) -> Result<Option<Secret>, String>;

    /// Keeps a secret under this name.
    fn set(&self, name: &str, secret: &Secret) -> Result<(), String>;

    /// Removes what is kept under this name; whether there was something.
    fn remove(&self, name: &str) -> Result<bool, String>;
}

/// That of the platform.
pub(crate) struct PlatformRing {
    /// What the entries belong to.
    service: String,
}

impl PlatformRing {
    pub(crate) fn new(service: String) -> Self {
        Self { service }
    }

    fn entry(&self, name: &str) -> Result<Entry, String> {
        let store = platform::store()?;
        store.build(&self.service, name, None).map_err(|error| said(&error))
    }
}

impl Ring for PlatformRing {
    fn get(&self, name: &str) -> Result<Option<Secret>, String> {
        match self.entry(name)?.get_password() {
            Ok(text) => Ok(Some(Secret::new(text))),
            Err(Error::NoEntry) => Ok(None),
            Err(error) => Err(said(&error)),
        }
    }

    fn set(&self, name: &str, secret: &Secret) -> Result<(), String> {
        self.entry(name)?.set_password(secret.reveal()).map_err(|error| said(&error))
    }

    fn remove(&self, name: &str) -> Result<bool, String> {
        match self.entry(name)?.delete_credential() {
            Ok(()) => Ok(true),
            Err(Error::NoEntry) => Ok(false),
            Err(error) => Err(said(&error)),
        }
    }
}

/// An error in words; never what was read, which some errors carry.
fn said(error: &Error) -> String {
    match error {
        Error::BadEncoding(_) => "what is kept there is no text".to_owned(),
        Error::BadDataFormat(_, error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(all(unix, not(target_os = "macos")))]
mod platform {
    use std::path::PathBuf;
    use std::sync::Arc;

    use zbus_secret_service_keyring_store::Store;

    /// The Secret Service, if there is a session bus at all. Looking for that first is what makes the answer quick
    /// on machines without a desktop.
    pub(super) fn store() -> Result<Arc<Store>, String> {
        let is_named =
            std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_some_and(|address| !address.is_empty());
        let usual = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("bus"));
        if !is_named && !usual.is_some_and(|socket| socket.exists()) {
            return Err("there is no session bus, and so no Secret Service".to_owned());
        }
        Store::new().map_err(|error| super::said(&error))
    }
}

#[cfg(target_os = "macos")]
mod platform {
    use std::sync::Arc;

    use apple_native_keyring_store::keychain::Store;

    pub(super) fn store() -> Result<Arc<Store>, String> {
        Store::new().map_err(|error| super::said(&error))
    }
}

#[cfg(windows)]
mod platform {
    use std::sync::Arc;

    use windows_native_keyring_store::Store;

    pub(super) fn store() -> Result<Arc<Store>, String> {
        Store::new().map_err(|error| super::said(&error))
    }
}
