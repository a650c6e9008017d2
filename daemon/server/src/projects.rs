//! What of the declarations of sessions' folders may be used: those that a person trusts, and exactly as they were
//! trusted. Looked at anew when a file was changed, or the folder made anew.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use extensions::declared::{self, Content};
use extensions::hooks::Hook;
use extensions::project::Project;
use extensions::servers::DeclaredServer;
use extensions::skills::Skill;
use extensions::trust::Trust;

use crate::circumstances::{Stamp, stamp};

/// Folders that are remembered; when there are more, all are looked at anew.
const MAX_FOLDERS: usize = 256;

/// What may be used of a folder. The same one as long as nothing was changed.
#[derive(Debug, Default)]
pub(crate) struct TrustedParts {
    /// The repository or folder.
    pub(crate) root: PathBuf,
    /// Its files of rules, with their texts.
    pub(crate) rules: Vec<(PathBuf, String)>,
    /// Its hooks.
    pub(crate) hooks: Vec<TrustedHook>,
    /// Its MCP servers, each with the hash that it was trusted by.
    pub(crate) servers: Vec<(DeclaredServer, String)>,
    /// Its skills, as they were trusted.
    pub(crate) skills: Vec<Skill>,
    /// Whether language servers may work on it.
    pub(crate) lets_language_servers: bool,
}

/// A hook as it was trusted.
#[derive(Clone, Debug)]
pub(crate) struct TrustedHook {
    /// The file that it stands in, from the root.
    pub(crate) file: PathBuf,
    /// What it says.
    pub(crate) hook: Hook,
    /// Of all that matters about it; it is run only while that is so.
    pub(crate) hash: String,
    /// The files that it names.
    pub(crate) files: Vec<PathBuf>,
}

/// What may be used of all folders.
pub(crate) struct Projects {
    trust: Arc<Trust>,
    known: Mutex<HashMap<PathBuf, Known>>,
}

struct Known {
    project: Project,
    /// Of all files whose change can change what may be used.
    stamps: Vec<(PathBuf, Stamp)>,
    parts: Arc<TrustedParts>,
}

impl Projects {
    /// Looks at nothing yet.
    pub(crate) fn new(trust: Arc<Trust>) -> Self {
        Self { trust, known: Mutex::default() }
    }

    /// What may be used in this folder now. Looks at stamps, and reads files only if one has changed; that blocks.
    pub(crate) fn of(&self, folder: &Path) -> Arc<TrustedParts> {
        let Ok(project) = Project::of(folder) else { return Arc::default() };
        let mut known = self.lock();
        if let Some(known) = known.get(folder)
            && known.project == project
            && known.stamps.iter().all(|(path, known)| stamp(path) == *known)
        {
            return Arc::clone(&known.parts);
        }
        let mut places = declared::places(&project.root);
        places.push(self.trust.file().to_owned());
        // Taken before anything is read: what is changed meanwhile is read once more.
        let stamps = places.into_iter().map(|path| (path.clone(), stamp(&path))).collect();
        let parts = Arc::new(self.read(&project));
        if known.len() >= MAX_FOLDERS {
            known.clear();
        }
        known.insert(folder.to_owned(), Known { project, stamps, parts: Arc::clone(&parts) });
        parts
    }

    /// Forgets what is known, because somebody trusts something else now.
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn read(&self, project: &Project) -> TrustedParts {
        let mut parts = TrustedParts { root: project.root.clone(), ..TrustedParts::default() };
        let trusted = match self.trust.of(project) {
            Ok(trusted) => trusted,
            Err(error) => {
                tracing::warn!(%error, "nothing that folders declare is used");
                return parts;
            }
        };
        // Nothing of a folder of which nothing is trusted is even looked at.
        if trusted.is_empty() {
            return parts;
        }
        let declared = declared::read(&project.root).declarations;
        for declaration in declared.into_iter().filter(|one| trusted.has(&one.hash)) {
            match declaration.content {
                Content::McpServer(server) => parts.servers.push((*server, declaration.hash)),
                Content::Skill(found) => parts.skills.push(found.skill),
                Content::LanguageServers => parts.lets_language_servers = true,
                Content::Rules(text) => parts.rules.push((project.root.join(&declaration.file), text)),
                Content::Hook(hook) => parts.hooks.push(TrustedHook {
                    file: declaration.file,
                    hook,
                    hash: declaration.hash,
                    files: declaration.files,
                }),
            }
        }
        parts
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, Known>> {
        // A poisoned map is whole: each change is one call.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_what_is_trusted_may_be_used_and_only_as_it_was() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = scratch.path().canonicalize().expect("real").join("repo");
        fs::create_dir_all(root.join(".skein/rules")).expect("folder");
        let (one, two) = (root.join(".skein/rules/one.rules"), root.join(".skein/rules/two.rules"));
        fs::write(&one, "# 1").expect("write");
        fs::write(&two, "# 2").expect("write");
        let trust = Arc::new(Trust::new(scratch.path()));
        let projects = Projects::new(Arc::clone(&trust));
        assert!(projects.of(&root).rules.is_empty());
        let project = Project::of(&root).expect("project");
        let declared = declared::read(&root);
        trust.set(&project, &declared, &[declared.declarations[0].hash.clone()]).expect("trusted");
        assert_eq!(projects.of(&root).rules, [(one.clone(), "# 1".to_owned())]);
        assert!(Arc::ptr_eq(&projects.of(&root), &projects.of(&root)), "nothing was changed");
        fs::write(&one, "# 1, but different").expect("write");
        assert!(projects.of(&root).rules.is_empty());
        fs::write(&one, "# 1").expect("write");
        assert_eq!(projects.of(&root).rules.len(), 1);
    }
}
