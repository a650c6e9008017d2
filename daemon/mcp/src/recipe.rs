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
    /// What it may touch; absent: what its user may.
    pub profile: Option<Profile>,
    /// Of one that a folder declares: what was trusted of it.
    pub guard: Option<Guard>,
}

/// What a person trusted, looked at once more right before each start.
#[derive(Clone)]
pub struct Guard {
    /// Of what is trusted. What is trusted anew is another server.
    pub hash: String,
    /// Whether it is still the same. May look at files.
    pub is_same: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        // What else a profile holds comes from the settings and the workspace; the network is each session's own.
        let network = |recipe: &Self| recipe.profile.as_ref().map(|profile| profile.network);
        (&self.name, &self.server, &self.root, &self.variables)
            == (&other.name, &other.server, &other.root, &other.variables)
            && network(self) == network(other)
            && self.guard.as_ref().map(|guard| &guard.hash) == other.guard.as_ref().map(|guard| &guard.hash)
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

#[cfg(test)]
mod tests {
    use super::*;
    use policy::profile::unrestricted;
    use protocol::profile::NetworkAccess;

    #[test]
    fn a_server_is_shared_only_by_those_who_trust_and_confine_it_alike() {
        let transport = McpTransport::Http {
            url: "http://127.0.0.1:1".to_owned(),
            bearer_token_env_var: None,
            http_headers: BTreeMap::new(),
            env_http_headers: BTreeMap::new(),
            sign_in: config::McpSignIn::default(),
        };
        let recipe = |hash: Option<&str>, network: Option<NetworkAccess>| Recipe {
            name: "docs".to_owned(),
            server: McpServer::new(transport.clone()),
            root: "/repo".into(),
            variables: BTreeMap::new(),
            environment: Vec::new(),
            profile: network.map(|network| Profile { network, ..unrestricted() }),
            guard: hash.map(|hash| Guard { hash: hash.to_owned(), is_same: Arc::new(|| true) }),
        };
        assert!(recipe(Some("1"), None) == recipe(Some("1"), None));
        assert!(recipe(Some("1"), None) != recipe(Some("2"), None), "trusted anew");
        assert!(recipe(Some("1"), None) != recipe(None, None), "a person's own");
        let (on, off) = (Some(NetworkAccess::Full), Some(NetworkAccess::Off));
        assert!(recipe(None, on) == recipe(None, on));
        assert!(recipe(None, on) != recipe(None, off) && recipe(None, on) != recipe(None, None));
    }
}
