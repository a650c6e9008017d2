//! What a session needs to know of files: what a call changed in them, and how a rewind brings them back. The daemon
//! hands it in. Knows neither where contents are kept nor how changes are found.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::BoxFuture;
use protocol::ids::{BlobId, ItemId, SessionId, TurnId};
use protocol::rewind::{FilesChanged, RewindEnded};
use protocol::session::SessionSettings;

/// A call that may change files.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its session.
    pub session_id: SessionId,
    /// Its turn.
    pub turn_id: TurnId,
    /// Its item.
    pub item_id: ItemId,
    /// The session's folders that it may write in; absolute.
    pub roots: Vec<PathBuf>,
}

/// What changes in files.
pub trait FileHistory: Send + Sync {
    /// Looks at the folders before a call. Says, once per session and folder, why changes in one can't be taken back,
    /// if that is so.
    fn before<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Vec<String>>;

    /// Looks at them after the call; what is different since `before` is kept. `None` for nothing.
    fn after<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Option<FilesChanged>>;

    /// Brings files back as these changes of a rewind say. What is back already is left alone, so that a rewind that
    /// was cut off can be done once more.
    fn restore<'a>(
        &'a self,
        session: SessionId,
        settings: &'a SessionSettings,
        changes: &'a BlobId,
    ) -> BoxFuture<'a, RewindEnded>;
}

/// A call, and who watches what it does to files.
#[derive(Clone)]
pub(crate) struct Watch {
    history: Arc<dyn FileHistory>,
    call: Arc<Call>,
    /// Whether it was looked before, and not yet after.
    is_open: Arc<AtomicBool>,
    /// Whether it is looked after, or was.
    is_closing: Arc<AtomicBool>,
}

impl Watch {
    pub(crate) fn new(history: Arc<dyn FileHistory>, call: Call) -> Self {
        Self { history, call: Arc::new(call), is_open: Arc::default(), is_closing: Arc::default() }
    }

    /// Looks before the call; says what people should know.
    pub(crate) async fn before(&self) -> Vec<String> {
        let notices = self.history.before(&self.call).await;
        self.is_open.store(true, Ordering::Release);
        notices
    }

    /// Looks after the call, unless that was done.
    pub(crate) async fn after(&self) -> Option<FilesChanged> {
        if !self.is_open.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.is_closing.store(true, Ordering::Release);
        self.history.after(&self.call).await
    }

    /// Whether it is looked after the call, or was. What a look has found nobody finds again, so it is not to be cut
    /// off.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}
