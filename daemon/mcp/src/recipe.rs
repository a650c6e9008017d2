//! All that a server is made of. Sessions with the same recipe share it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{McpServer, McpTransport};
use protocol::profile::Profile;

use crate::definition::digest;

/// What a server is made of.
#[derive(Clone)]
pub struct Recipe {
    /// Its name in the settings.
    pub name: String,
    /// What the settings say of it.
    pub server: McpServer,
    /// The folder of the workspace.
    pub root: PathBuf,
    /// The variables that the settings name and the client has.
    pub variables: BTreeMap<String, String>,
    /// What every program needs. Whoever is first gives it; it makes no other server.
    pub environment: Vec<(OsString, OsString)>,
    /// What it may touch; absent: what its user may. Made of the settings and the workspace.
    pub profile: Option<Profile>,
    /// Says right before a start whether it may be started still; absent: it may.
    pub guard: Option<Guard>,
}

/// Looks once more whether a server may be started. May look at files.
pub type Guard = Arc<dyn Fn() -> bool + Send + Sync>;

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.server, &self.root, &self.variables)
            == (&other.name, &other.server, &other.root, &other.variables)
    }
}

impl Recipe {
    /// Tells which program or service it is, whoever uses it where.
    pub(crate) fn identity(&self) -> String {
        match &self.server.transport {
            McpTransport::Stdio { command, arguments, cwd, .. } => {
                let cwd = cwd.as_deref().map(Path::to_string_lossy).unwrap_or_default();
                let mut parts = vec!["stdio", &self.name, command, &cwd];
                parts.extend(arguments.iter().map(String::as_str));
                digest(&parts)
            }
            McpTransport::Http { url, .. } => digest(&["http", &self.name, url]),
        }
    }

    /// What it is, for a person.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.server.transport {
            McpTransport::Stdio { command, arguments, .. } => {
                let words = std::iter::once(command).chain(arguments);
                crate::text::line(&words.map(String::as_str).collect::<Vec<_>>().join(" "), 200)
            }
            // What stands behind a `?` may be a key.
            McpTransport::Http { url, .. } => {
                crate::text::line(url.split(['?', '#']).next().unwrap_or_default(), 200)
            }
        }
    }
}
