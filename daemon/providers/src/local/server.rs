//! One server of this machine, whichever program it is.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::Stream;
use protocol::catalogue::{Model, PullProgress};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};

use crate::connection::Trust;
use crate::credentials::secret::Secret;
use crate::local::{lm_studio, ollama};
use crate::plain::{Answer, NoAnswer, Plain};

/// How long connecting may take. It is this machine, or one beside it.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// How long an answer may take that only tells what is there.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// How long bringing a model into memory may take.
const LOAD_LIMIT: Duration = Duration::from_secs(300);

/// How far a pull is. Dropping it closes the connection to the server, which makes Ollama stop.
pub type Pull = Pin<Box<dyn Stream<Item = PullProgress> + Send>>;

/// Which program it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalKind {
    /// Ollama.
    Ollama,
    /// LM Studio.
    LmStudio,
}

/// A server.
#[derive(Clone)]
pub struct LocalServer {
    kind: LocalKind,
    /// For what is answered at once.
    quick: Arc<Plain>,
    /// For what takes as long as it takes to read a model from disk.
    slow: Arc<Plain>,
}

/// Why a server did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocalError {
    /// It does not run, or not there.
    #[error("{} does not run at {address}: {reason}", kind.name())]
    NotRunning {
        /// Which.
        kind: LocalKind,
        /// Where it was looked for.
        address: String,
        /// What came of it.
        reason: String,
    },
    /// It is too old.
    #[error("{} {version} is too old; {needed} or later is needed", kind.name())]
    TooOld {
        /// Which.
        kind: LocalKind,
        /// What it has.
        version: String,
        /// What it must have.
        needed: &'static str,
    },
    /// It has no such model.
    #[error("{} has no model `{model}`", kind.name())]
    NoModel {
        /// Which.
        kind: LocalKind,
        /// The model.
        model: String,
    },
    /// It refused.
    #[error("{} refused: {reason}", kind.name())]
    Refused {
        /// Which.
        kind: LocalKind,
        /// What it said; bounded.
        reason: String,
    },
    /// Its answer is not what was expected.
    #[error("The answer of {} can't be understood: {reason}", kind.name())]
    Malformed {
        /// Which.
        kind: LocalKind,
        /// What is wrong.
        reason: String,
    },
    /// Its address is none.
    #[error("`{address}` is no address of {}", kind.name())]
    Address {
        /// Which.
        kind: LocalKind,
        /// The address.
        address: String,
    },
}

impl LocalKind {
    /// What people call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::LmStudio => "LM Studio",
        }
    }

    /// How a person starts it.
    fn how_to_start(self) -> &'static str {
        match self {
            Self::Ollama => {
                "Start it with `ollama serve`, or install it from https://ollama.com; `OLLAMA_HOST` says where it is \
                 if it is elsewhere"
            }
            Self::LmStudio => {
                "Start it with `lms server start`, or in LM Studio under Developer; it is from https://lmstudio.ai"
            }
        }
    }
}

impl LocalError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning { kind, .. } => Some(kind.how_to_start().to_owned()),
            Self::TooOld { kind: LocalKind::Ollama, .. } => {
                Some("Get the newest from https://ollama.com/download".to_owned())
            }
            Self::TooOld { kind: LocalKind::LmStudio, .. } => {
                Some("Update it from within LM Studio".to_owned())
            }
            Self::NoModel { model, .. } => Some(format!("Fetch it with `skein models pull {model}`")),
            Self::Address { .. } => Some("Write it as `http://HOST:PORT`".to_owned()),
            Self::Refused { .. } | Self::Malformed { .. } => None,
        }
    }
}

impl LocalServer {
    /// A server at this address: scheme, host and port. Does nothing yet.
    ///
    /// # Errors
    /// `Address`.
    pub fn new(kind: LocalKind, address: &str, token: Option<&Secret>) -> Result<Self, LocalError> {
        let wrong = || LocalError::Address { kind, address: address.to_owned() };
        let mut headers = HeaderMap::new();
        if let Some(token) = token {
            let mut value =
                HeaderValue::try_from(format!("Bearer {}", token.reveal())).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        let make = |limit| {
            let plain = Plain::new(address, Trust::default(), CONNECT_LIMIT, limit).ok_or_else(wrong)?;
            Ok::<_, LocalError>(Arc::new(plain.with_headers(headers.clone())))
        };
        Ok(Self { kind, quick: make(ANSWER_LIMIT)?, slow: make(LOAD_LIMIT)? })
    }

    /// Which program it is.
    #[must_use]
    pub fn kind(&self) -> LocalKind {
        self.kind
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> String {
        self.quick.address()
    }

    /// Whether it runs and is new enough; its version where it tells. Takes half a second at most if nobody is there.
    ///
    /// # Errors
    /// `NotRunning`, `TooOld`.
    pub async fn probe(&self) -> Result<Option<String>, LocalError> {
        match self.kind {
            LocalKind::Ollama => ollama::probe(self).await,
            LocalKind::LmStudio => lm_studio::probe(self).await,
        }
    }

    /// The models that it has, by name.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn models(&self) -> Result<Vec<Model>, LocalError> {
        let mut models = match self.kind {
            LocalKind::Ollama => ollama::models(self).await?,
            LocalKind::LmStudio => lm_studio::models(self).await?,
        };
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(models)
    }

    /// Brings a model into memory, with a context of so many tokens. Gives the name under which it is asked for then.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn load(&self, model: &str, context: Option<u64>) -> Result<String, LocalError> {
        match self.kind {
            LocalKind::Ollama => ollama::load(self, model, context).await,
            LocalKind::LmStudio => lm_studio::load(self, model, context).await,
        }
    }

    /// Takes a model out of memory.
    ///
    /// # Errors
    /// What went wrong.
    pub async fn unload(&self, model: &str) -> Result<(), LocalError> {
        match self.kind {
            LocalKind::Ollama => ollama::unload(self, model).await,
            LocalKind::LmStudio => lm_studio::unload(self, model).await,
        }
    }

    /// Fetches a model. Nothing is asked before it is polled. What was fetched before stays, so that the next pull
    /// goes on there.
    #[must_use]
    pub fn pull(&self, model: &str) -> Pull {
        match self.kind {
            LocalKind::Ollama => ollama::pull(self.clone(), model.to_owned()),
            LocalKind::LmStudio => lm_studio::pull(self.clone(), model.to_owned()),
        }
    }

    pub(crate) fn quick(&self) -> &Plain {
        &self.quick
    }

    pub(crate) fn slow(&self) -> &Plain {
        &self.slow
    }

    /// An answer, or why there is none.
    pub(crate) fn answer(&self, answer: Result<Answer, NoAnswer>) -> Result<Answer, LocalError> {
        answer.map_err(|error| match error {
            NoAnswer::Unreachable(reason) => {
                LocalError::NotRunning { kind: self.kind, address: self.address(), reason }
            }
            NoAnswer::Broken(reason) => LocalError::Malformed { kind: self.kind, reason },
        })
    }

    /// A good answer as what it should be.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self, answer: &Answer) -> Result<T, LocalError> {
        if !answer.is_good() {
            return Err(self.refused(answer));
        }
        answer.json().map_err(|reason| LocalError::Malformed { kind: self.kind, reason })
    }

    pub(crate) fn refused(&self, answer: &Answer) -> LocalError {
        LocalError::Refused { kind: self.kind, reason: answer.complaint() }
    }
}

/// The end of a pull that failed.
pub(crate) fn failed(error: &LocalError) -> PullProgress {
    PullProgress::Failed { message: error.to_string(), hint: error.hint() }
}

/// Where Ollama is, by the value of `OLLAMA_HOST`: a host, a port, both, or an address. A server that listens
/// everywhere is asked on the loopback.
#[must_use]
pub fn ollama_address(host: &str) -> String {
    const PORT: u16 = 11434;
    let host = host.trim().trim_matches(['"', '\'']);
    let (scheme, rest) = host.split_once("://").unwrap_or(("http", host));
    let rest = rest.split('/').next().unwrap_or_default();
    let usual = match scheme {
        "https" => 443,
        _ if host.contains("://") => 80,
        _ => PORT,
    };
    let (name, port) = match rest.rsplit_once(':') {
        Some((name, port)) if !name.ends_with(':') && (!name.contains(':') || name.ends_with(']')) => {
            (name, port.parse().unwrap_or(usual))
        }
        Some(_) | None => (rest, usual),
    };
    let name = match name {
        "" | "0.0.0.0" | "[::]" | "::" => "127.0.0.1",
        other => other,
    };
    format!("{scheme}://{name}:{port}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_ollama_host_is_understood() {
        for (host, wanted) in [
            ("", "http://127.0.0.1:11434"),
            ("0.0.0.0", "http://127.0.0.1:11434"),
            (":8080", "http://127.0.0.1:8080"),
            ("box", "http://box:11434"),
            ("box:1", "http://box:1"),
            (" \"box:1\" ", "http://box:1"),
            ("http://box", "http://box:80"),
            ("https://box/x", "https://box:443"),
            ("[::1]:5", "http://[::1]:5"),
            ("[::1]", "http://[::1]:11434"),
            ("[::]:5", "http://127.0.0.1:5"),
        ] {
            assert_eq!(ollama_address(host), wanted, "{host}");
        }
    }
}
