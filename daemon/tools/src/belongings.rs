//! What the tools of one session keep between calls. The session owns it and knows nothing of what is in it.

use crate::processes::Processes;
use crate::seen::SeenFiles;

/// What the tools of one session keep between calls. One per session; dropping it ends what goes on in it.
#[derive(Debug, Default)]
pub struct Belongings {
    seen: SeenFiles,
    processes: Processes,
}

impl Belongings {
    /// Whether nothing goes on in it.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.processes.is_idle()
    }

    /// Commands in the background.
    pub(crate) fn processes(&self) -> &Processes {
        &self.processes
    }

    /// The files that the session has read.
    pub(crate) fn seen(&self) -> &SeenFiles {
        &self.seen
    }
}
