//! The folders that a server is told of: that of the workspace, and further ones of the sessions there. All sessions of a
//! workspace share its servers, so a server is told of the folders of all of them.

#![expect(deprecated, reason = "servers of the revisions up to 2025-11-25 ask for roots")]

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rmcp::model::{ListRootsResult, Root};
use tokio::sync::Notify;

/// Folders that a server is told of at most.
const MAX_ROOTS: usize = 64;

/// The folders, as they are now.
pub(crate) struct Roots {
    workspace: PathBuf,
    further: Mutex<Vec<PathBuf>>,
    /// They are others now.
    changed: Notify,
}

impl Roots {
    /// That of the workspace alone.
    pub(crate) fn of(workspace: PathBuf) -> Self {
        Self { workspace, further: Mutex::default(), changed: Notify::new() }
    }

    /// Takes the further folders as they are now.
    pub(crate) fn set(&self, folders: &[PathBuf]) {
        let mut further: Vec<_> =
            folders.iter().filter(|folder| **folder != self.workspace).cloned().collect();
        further.sort();
        further.dedup();
        further.truncate(MAX_ROOTS - 1);
        // A poisoned list is whole: each change is one call.
        let mut known = self.further.lock().unwrap_or_else(PoisonError::into_inner);
        if *known != further {
            *known = further;
            self.changed.notify_one();
        }
    }

    /// Waits until they are others. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// As a server is told.
    pub(crate) fn list(&self) -> ListRootsResult {
        let further = self.further.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let urls = std::iter::once(&self.workspace)
            .chain(&further)
            .filter_map(|folder| reqwest::Url::from_file_path(folder).ok())
            .map(|url| Root::new(url.to_string()));
        ListRootsResult::new(urls.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(roots: &Roots) -> Vec<String> {
        roots.list().roots.into_iter().map(|root| root.uri).collect()
    }

    #[tokio::test]
    async fn a_server_hears_of_other_folders_once_and_each_folder_once() {
        let roots = Roots::of("/repo".into());
        assert_eq!(uris(&roots), ["file:///repo"]);
        let further = ["/b".into(), "/a b".into(), "/b".into(), "/repo".into()];
        roots.set(&further);
        roots.changed().await;
        assert_eq!(uris(&roots), ["file:///repo", "file:///a%20b", "file:///b"]);
        roots.set(&further);
        assert!(futures_util::poll!(Box::pin(roots.changed())).is_pending(), "nothing changed");
    }

    #[test]
    fn folders_are_bounded() {
        let roots = Roots::of("/repo".into());
        let many: Vec<PathBuf> = (0..MAX_ROOTS * 2).map(|number| format!("/{number}").into()).collect();
        roots.set(&many);
        assert_eq!(uris(&roots).len(), MAX_ROOTS);
    }
}
