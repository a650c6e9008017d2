//! What can go wrong with keys and accounts. No message ever holds a secret.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// Why there is no key, or why nobody could sign in.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// There is none.
    #[error("There is no key for the provider `{provider}`")]
    Missing {
        /// Its id.
        provider: String,
        /// The environment variables that could hold it.
        variables: Vec<String>,
    },
    /// Nobody is signed in.
    #[error("Nobody is signed in with `{provider}`")]
    SignedOut {
        /// Its id.
        provider: String,
    },
    /// The account's provider takes the tokens no longer.
    #[error("The sign-in with `{provider}` has ended: {reason}")]
    Ended {
        /// Its id.
        provider: String,
        /// What the provider said.
        reason: String,
    },
    /// The file of secrets can't be read or written.
    #[error("The credentials in `{}` can't be used", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program of the settings gave no key.
    #[error("The program `{program}` gave no key: {reason}")]
    Command {
        /// The program.
        program: String,
        /// Why.
        reason: String,
    },
    /// The server of accounts can't be asked.
    #[error("`{server}` can't be asked: {reason}")]
    Unreachable {
        /// Its address.
        server: String,
        /// Why.
        reason: String,
    },
    /// The server of accounts refused.
    #[error("`{server}` refused: {reason}")]
    Refused {
        /// Its address.
        server: String,
        /// What it said; bounded.
        reason: String,
    },
    /// What came is not what was expected.
    #[error("The answer of `{server}` can't be understood: {reason}")]
    Malformed {
        /// Its address.
        server: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Nobody signed in.
    #[error("Nobody signed in within {} minutes", after.as_secs() / 60)]
    TooLate {
        /// How long it was waited.
        after: Duration,
    },
    /// The system gives no port, or no randomness.
    #[error("Signing in can't be begun: {reason}")]
    Unready {
        /// Why.
        reason: String,
    },
}

impl CredentialError {
    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing { provider, variables } => {
                let variable = variables.first().map(|name| format!("set `{name}`, or ")).unwrap_or_default();
                Some(capital(&format!("{variable}store a key with `skein login {provider}`")))
            }
            Self::SignedOut { provider } | Self::Ended { provider, .. } => {
                Some(format!("Sign in with `skein login {provider}`"))
            }
            Self::TooLate { .. } => Some("Begin again with `skein login`".to_owned()),
            Self::Command { .. } => Some("Look at `auth` of the provider in `config.toml`".to_owned()),
            Self::File { .. }
            | Self::Unreachable { .. }
            | Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Unready { .. } => None,
        }
    }

    /// The message with its causes.
    #[must_use]
    pub fn full_message(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
