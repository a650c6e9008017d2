//! What a session needs to know of files: what a call changed in them, and how a rewind brings them back. The daemon
//! hands it in. Knows neither where contents are kept nor how changes are found.

use std::collections::BTreeSet;
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

/// Whether commands of the session go on in the background.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Background {
    /// None does.
    Quiet,
    /// One does, and may change files between calls.
    Busy,
}

/// What a look before a call has found.
#[derive(Debug, Default)]
pub struct Before {
    /// Why changes in a folder can't be taken back; each folder once per session.
    pub notices: Vec<String>,
    /// What changed since the last look, if a command went on in the background then.
    pub meanwhile: Option<FilesChanged>,
}

/// What came of a rewind's files.
#[derive(Debug, Default)]
pub struct Restored {
    /// How many are back, and which are not.
    pub ended: RewindEnded,
    /// What a command in the background changed while they were brought back.
    pub meanwhile: Option<FilesChanged>,
}

/// What changes in files.
pub trait FileHistory: Send + Sync {
    /// Looks at the folders before a call, and notes on disk that it begins.
    fn before<'a>(&'a self, call: &'a Call) -> BoxFuture<'a, Before>;

    /// Looks at them after the call; what is different since `before` is kept. `None` for nothing.
    fn after<'a>(&'a self, call: &'a Call, background: Background) -> BoxFuture<'a, Option<FilesChanged>>;

    /// Looks at them between calls, if a command went on in the background at the last look, and keeps what is
    /// different. `None` for nothing.
    fn meanwhile(
        &self,
        session: SessionId,
        turn: TurnId,
        background: Background,
    ) -> BoxFuture<'_, Option<FilesChanged>>;

    /// What changed since a daemon that is gone looked last: by the call that it had begun, one of these, or while a
    /// command went on in the background.
    fn recover(&self, session: SessionId, open: BTreeSet<ItemId>) -> BoxFuture<'_, Vec<FilesChanged>>;

    /// Brings files back as these changes of a rewind say. What is back already is left alone, so that a rewind that
    /// was cut off can be done once more.
    fn restore<'a>(
        &'a self,
        session: SessionId,
        settings: &'a SessionSettings,
        changes: &'a BlobId,
    ) -> BoxFuture<'a, Restored>;
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

    /// Looks before the call.
    pub(crate) async fn before(&self) -> Before {
        let found = self.history.before(&self.call).await;
        self.is_open.store(true, Ordering::Release);
        found
    }

    /// Looks after the call, unless that was done.
    pub(crate) async fn after(&self, background: Background) -> Option<FilesChanged> {
        if !self.is_open.swap(false, Ordering::AcqRel) {
            return None;
        }
        self.is_closing.store(true, Ordering::Release);
        self.history.after(&self.call, background).await
    }

    /// Whether it is looked after the call, or was. What a look has found nobody finds again, so it is not to be cut
    /// off.
    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}
