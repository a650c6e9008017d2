//! That the daemon is to stop, and how: asked once, heard by all.

use tokio::sync::SetOnce;

/// How the daemon ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Nobody follows: running turns end.
    Alone,
    /// Another daemon follows: running turns rest and go on there.
    HandOver,
}

/// Whether the daemon is to stop. The first who asks decides how.
#[derive(Default)]
pub(crate) struct Stop(SetOnce<Ending>);

impl Stop {
    /// Asks the daemon to stop.
    pub(crate) fn ask(&self, ending: Ending) {
        if self.0.set(ending).is_err() {
            tracing::debug!(?ending, "the daemon was asked to stop before");
        }
    }

    /// Whether it was asked.
    pub(crate) fn is_asked(&self) -> bool {
        self.0.initialized()
    }

    /// Returns when it is asked.
    pub(crate) async fn asked(&self) -> Ending {
        *self.0.wait().await
    }
}
