//! What helpers are started from, and how those that run are written down. Knows nothing of what they run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use crate::register::{Entry, Register};
use crate::small::Small;

/// What helpers are started from.
#[derive(Debug)]
pub(crate) struct Helper {
    /// Holds the helper among other things.
    executable: PathBuf,
    /// Holds nothing else, and starts faster.
    small: Option<Small>,
    chosen: OnceCell<PathBuf>,
    /// Where those that run are written down.
    pub(crate) register: Option<Arc<Register>>,
}

impl Helper {
    /// From this executable, or from the small one beside it.
    pub(crate) fn new(executable: PathBuf) -> Self {
        let small = Small::beside(&executable);
        Self { executable, small, chosen: OnceCell::new(), register: None }
    }

    /// The program to start. The small one must hold the same helper as the large one, which it may not do where only
    /// one of both was replaced; that is looked at once.
    pub(crate) async fn program(&self) -> &Path {
        let choose = async || match &self.small {
            Some(small) if small.is_of_the_build_of(&self.executable).await => small.path(),
            Some(_) | None => self.executable.clone(),
        };
        self.chosen.get_or_init(choose).await
    }

    /// Writes down one that was started. That it can't be is no reason not to run anything: it only matters after a
    /// crash of the daemon, and then only if the helper does not notice.
    pub(crate) fn record(&self, pid: Option<u32>) -> Option<Entry> {
        let recorded = self.register.as_ref()?.record(pid?);
        recorded.inspect_err(|error| tracing::warn!(%error, "could not write down that a helper runs")).ok()
    }
}
