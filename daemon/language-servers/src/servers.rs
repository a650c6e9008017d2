//! The language servers of a daemon: one for each recipe, whoever asks for it.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use protocol::language_server::LanguageServerState;
use sandbox::Launcher;
use tokio::time::Instant;
use tools::diagnostics::Edited;

use crate::recipe::Recipe;
use crate::server::Server;

/// Servers that are known at a time; of more, the one that was not used for longest ends.
const MAX_SERVERS: usize = 8;
/// Larger files are not looked at.
const MAX_TEXT: usize = 1024 * 1024;
/// Files of one change that a server looks at.
const MAX_FILES: usize = 50;

/// The language servers of a daemon.
pub struct LanguageServers {
    launcher: Arc<Launcher>,
    /// Those that were used last stand last.
    known: Mutex<Vec<Arc<Server>>>,
}

impl LanguageServers {
    /// None yet.
    #[must_use]
    pub fn new(launcher: Arc<Launcher>) -> Self {
        Self { launcher, known: Mutex::default() }
    }

    /// The errors that came with these changes, by the servers that look at them, in lines that name files from `cwd`.
    /// Takes no longer than so long. Called within the runtime.
    pub async fn look(&self, changes: Vec<(Recipe, Vec<Edited>)>, cwd: &Path, within: Duration) -> String {
        let until = Instant::now() + within;
        let look = |(recipe, mut edited): (Recipe, Vec<Edited>)| async move {
            let is_long = |text: &Option<String>| text.as_ref().is_some_and(|text| text.len() > MAX_TEXT);
            edited.retain(|file| !is_long(&file.before) && !is_long(&file.after));
            edited.truncate(MAX_FILES);
            if edited.is_empty() {
                return String::new();
            }
            let server = self.server(recipe);
            server.check(edited, until).await.report(&server.recipe.name, cwd)
        };
        let reports = join_all(changes.into_iter().map(look)).await;
        reports.into_iter().filter(|report| !report.is_empty()).collect::<Vec<_>>().join("\n")
    }

    /// How the server of this name is that works on this folder or one below it, the one that was used last; `None` if
    /// there is none.
    #[must_use]
    pub fn state(&self, name: &str, below: &Path) -> Option<LanguageServerState> {
        let known = self.lock();
        let fits =
            |server: &&Arc<Server>| server.recipe.name == name && server.recipe.root.starts_with(below);
        known.iter().rev().find(fits).map(|server| server.state())
    }

    fn server(&self, recipe: Recipe) -> Arc<Server> {
        let mut known = self.lock();
        let server = match known.iter().position(|server| server.recipe == recipe) {
            Some(place) => known.remove(place),
            None => Arc::new(Server::new(recipe, Arc::clone(&self.launcher))),
        };
        if known.len() >= MAX_SERVERS {
            known.remove(0);
        }
        known.push(Arc::clone(&server));
        server
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Arc<Server>>> {
        // A poisoned list is whole: each change is one call.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
