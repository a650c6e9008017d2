//! All that a language server is made of. Sessions with the same recipe share it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use config::LanguageServer;
use protocol::profile::{Access, NetworkAccess, PathRule, Profile};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// What a language server is made of.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// Its name in the settings.
    pub name: String,
    /// Its executable, absolute.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// What it is told when it asks for its settings.
    pub settings: Value,
    /// The folder that it works on, its real path.
    pub root: PathBuf,
    /// The folder that it may write, absolute; made when it starts.
    pub cache: PathBuf,
    /// What the session's commands see. Whoever is first gives it; it makes no other server.
    pub environment: Vec<(OsString, OsString)>,
    /// What the session's commands may touch; the server may read the same, and writes nothing of it.
    pub profile: Profile,
    server: LanguageServer,
}

impl PartialEq for Recipe {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.program, &self.server, &self.root, &self.cache)
            == (&other.name, &other.program, &other.server, &other.root, &other.cache)
            && self.confined() == other.confined()
    }
}

impl Recipe {
    /// A server of the settings, with the executable that was found for it, on this folder. Its own folder is below
    /// `caches`.
    #[must_use]
    pub fn new(
        (name, server): (&str, &LanguageServer),
        program: PathBuf,
        root: PathBuf,
        caches: &Path,
        (environment, profile): (Vec<(OsString, OsString)>, Profile),
    ) -> Self {
        let mut hash = Sha256::new();
        for part in [name.as_bytes(), root.as_os_str().as_encoded_bytes()] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let digest = format!("{:x}", hash.finalize());
        Self {
            name: name.to_owned(),
            program,
            arguments: server.arguments.clone(),
            settings: server.settings.clone(),
            root,
            cache: caches.join(&digest[..32]),
            environment,
            profile,
            server: server.clone(),
        }
    }

    /// The protocol's word for the language of a file; `None` if the server is not asked about it.
    pub(crate) fn language_of(&self, file: &Path) -> Option<&str> {
        self.server.language_of(file)
    }

    /// The setting that it asks for.
    pub(crate) fn setting(&self, item: &Value) -> Value {
        let section = item.get("section").and_then(Value::as_str).unwrap_or_default();
        let mut parts = section.split('.').filter(|part| !part.is_empty());
        let found = parts.try_fold(&self.settings, |value, part| value.get(part));
        // A person may also write them without the name that the server gives all of them.
        found.or(Some(&self.settings).filter(|_| !section.contains('.'))).cloned().unwrap_or_default()
    }

    /// What it may touch: what the session may read, but for its own folder nothing to be written, and no network.
    pub(crate) fn confined(&self) -> Profile {
        let mut profile = self.profile.clone();
        profile.default_access = profile.default_access.min(Access::Read);
        for rule in &mut profile.paths {
            rule.access = rule.access.min(Access::Read);
        }
        profile.paths.push(PathRule { path: self.cache.clone(), access: Access::Write });
        profile.network = NetworkAccess::Off;
        profile.network_rules.clear();
        profile.unix_sockets.clear();
        profile.has_own_tmp = false;
        profile
    }

    /// What it sees: what commands see, and where it and what it starts keep what they make. Nothing is fetched.
    pub(crate) fn variables(&self) -> Vec<(OsString, OsString)> {
        const FOLDERS: [(&str, &str); 6] = [
            ("XDG_CACHE_HOME", "cache"),
            ("TMPDIR", "tmp"),
            ("CARGO_TARGET_DIR", "target"),
            ("GOCACHE", "go-build"),
            ("npm_config_cache", "npm"),
            ("PYTHONPYCACHEPREFIX", "pycache"),
        ];
        const WORDS: [(&str, &str); 3] =
            [("CARGO_NET_OFFLINE", "true"), ("GOPROXY", "off"), ("GOTOOLCHAIN", "local")];
        let folders = FOLDERS.map(|(name, folder)| (name, self.cache.join(folder).into_os_string()));
        let words = WORDS.map(|(name, word)| (name, OsString::from(word)));
        let mut variables = self.environment.clone();
        for (name, value) in folders.into_iter().chain(words) {
            variables.retain(|(known, _)| known.as_os_str() != name);
            variables.push((name.into(), value));
        }
        variables
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::SandboxMode;
    use serde_json::json;

    fn server(settings: Value) -> LanguageServer {
        LanguageServer {
            command: "ls".to_owned(),
            arguments: Vec::new(),
            companion: None,
            languages: [("a".to_owned(), "a".to_owned())].into(),
            roots: Vec::new(),
            settings,
            is_enabled: true,
            is_own: true,
        }
    }

    fn recipe(paths: Vec<PathRule>, settings: Value) -> Recipe {
        let mut profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Full);
        profile.unix_sockets = vec!["/run/x".into()];
        let environment = vec![("CARGO_TARGET_DIR".into(), "/repo/target".into())];
        let made = (environment, profile);
        Recipe::new(("ls", &server(settings)), "/bin/ls".into(), "/repo".into(), Path::new("/state/ls"), made)
    }

    #[test]
    fn it_writes_nothing_but_its_own_folder_and_reads_what_the_session_reads() {
        let rule = |path: &str, access| PathRule { path: path.into(), access };
        let recipe = recipe(
            vec![
                rule("/repo", Access::Write),
                rule("/repo/.env", Access::Hidden),
                rule("/state", Access::Hidden),
            ],
            Value::Null,
        );
        let profile = recipe.confined();
        let access = |path: &str| profile.access(Path::new(path));
        assert_eq!((access("/repo/a"), access("/repo/.env")), (Access::Read, Access::Hidden));
        assert_eq!((access("/state/skein.db"), access("/tmp")), (Access::Hidden, Access::Read));
        assert_eq!(profile.access(&recipe.cache.join("x")), Access::Write);
        assert_eq!((profile.network, profile.unix_sockets), (NetworkAccess::Off, Vec::new()));
        let variables = recipe.variables();
        let targets: Vec<_> = variables.iter().filter(|(name, _)| name == "CARGO_TARGET_DIR").collect();
        assert!(targets.len() == 1 && Path::new(&targets[0].1).starts_with("/state/ls"), "{targets:?}");
    }

    #[test]
    fn only_those_who_may_read_alike_share_a_server() {
        let hidden = || vec![PathRule { path: "/repo/.env".into(), access: Access::Hidden }];
        assert!(recipe(hidden(), Value::Null) == recipe(hidden(), Value::Null));
        assert!(recipe(hidden(), Value::Null) != recipe(Vec::new(), Value::Null));
        assert!(recipe(hidden(), Value::Null) != recipe(hidden(), json!({})));
    }

    #[test]
    fn a_setting_is_found_by_its_section() {
        let recipe = recipe(Vec::new(), json!({"python": {"analysis": {"mode": "strict"}}}));
        let setting = |section: &str| recipe.setting(&json!({"section": section}));
        assert_eq!(setting("python.analysis"), json!({"mode": "strict"}));
        assert_eq!(setting("python.other"), Value::Null);
        assert_eq!(setting("ls"), recipe.settings);
        assert_eq!(recipe.setting(&json!(7)), recipe.settings);
    }
}
