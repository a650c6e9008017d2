//! The replay model: follows a script instead of thinking, for demos, for tests of rules and hooks, and for
//! reports of a bug that anybody can run. Behaves as any other client; nothing above can tell the difference.
//!
//! A script is a TOML file with one `[[step]]` per answer:
//! ```toml
//! pace_ms = 20                       # pause before each word, so that it looks alive
//!
//! [[step]]
//! expect.user = "make the test pass"
//! reasoning = "First I look at what fails."
//! say = "I run the tests."
//! usage = { input = 900, cached = 0, output = 60, reasoning = 20 }
//! [[step.call]]
//! tool = "shell"
//! arguments = { command = ["cargo", "test"] }
//!
//! [[step]]
//! expect.output = ["1 failed", "left: 4"]
//! [[step.call]]
//! tool = "apply_patch"
//! input = '''
//! *** Begin Patch
//! *** End Patch
//! '''
//!
//! [[step]]
//! retry = { kind = "rateLimited", status = 429, message = "Slow down", delay_ms = 300 }
//! say = "Done."
//! ```
//! All keys of a step, in the order in which they take effect; each may be left out, but a step says something,
//! calls a tool, or fails:
//! - `expect`: texts that must occur, one or a list of them: `user` in the last user message, `output` among the
//!   tool outputs since the last answer, `anywhere` in these, the instructions or the rest of the conversation.
//!   A text that is missing fails the request with what was shown instead.
//! - `wait_ms`: a pause before anything. `pace_ms`: instead of the script's.
//! - `retry`: a failure (see `fail`) that passes: it is reported, and after `delay_ms` the answer begins.
//! - `reasoning`: a reasoning summary. `say`: a message.
//! - `call`: tool calls, each with `tool` and one of `arguments` (a table), `raw_arguments` (a text that need be
//!   no JSON) and `input` (for a freeform tool).
//! - `usage`: tokens. `stop`: the answer was ended early, for this reason.
//! - `fail`: the request fails, in the middle of `say` if there is one: `kind` as in `ProviderFailureKind`,
//!   `message`, and perhaps `status`.
//!
//! The step is found by counting the answers in the conversation. So a script needs no memory: it goes on after
//! a restart, a retry gets the same answer, and any number of sessions can follow one script. A `fail` leaves no
//! answer unless something was said before it, so the next request comes to the same step.

mod plan;
mod script;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use crate::client::{ModelClient, ModelStream};
use crate::replay::script::Script;
use crate::request::ModelRequest;

/// What failures name as the provider.
const PROVIDER: &str = "replay";

/// Why a script can't be followed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The file can't be read.
    #[error("The script `{}` can't be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is no script; the source tells line, column and reason.
    #[error("The script `{}` is not well formed: {source}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
}

/// A client that follows a script.
///
/// # Errors
/// The file can't be read or is no script.
pub fn load(path: &Path) -> Result<Arc<dyn ModelClient>, ReplayError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ReplayError::Read { path: path.to_owned(), source })?;
    let script = toml::from_str(&text)
        .map_err(|source| ReplayError::Malformed { path: path.to_owned(), source: Box::new(source) })?;
    Ok(Arc::new(Replay(script)))
}

struct Replay(Script);

impl ModelClient for Replay {
    fn stream(&self, request: ModelRequest) -> ModelStream {
        let plan = plan::plan(&self.0, &request);
        let events = stream::iter(plan).then(async |timed| {
            if timed.pause > Duration::ZERO {
                tokio::time::sleep(timed.pause).await;
            }
            timed.event
        });
        Box::pin(events)
    }
}

#[cfg(test)]
mod tests;
