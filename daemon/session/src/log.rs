//! What a session needs of the store. The daemon hands in `Store`; the simulation a disk that is slow, full or gone
//! between any two writes.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use protocol::event::EventRecord;
use protocol::ids::{BlobId, RequestId, Seq, SessionId};
use protocol::session::{SessionListParams, SessionSummary};
use protocol::usage::Spending;
use store::{Append, Checkpoint, Store, StoreError};
use tools::output::Spools;

use crate::spools::SessionSpools;

/// What comes of a call.
pub type Outcome<'a, T> = BoxFuture<'a, Result<T, StoreError>>;

/// Logs of all sessions, and what lies beside them. The methods do what those of `Store` with their names do.
pub trait Log: Send + Sync {
    /// Appends to a log; durable on return, all or nothing.
    fn append(&self, append: Append) -> Outcome<'_, ()>;
    /// The events after one, up to another one or to the end.
    fn events(&self, session: SessionId, after: Seq, upto: Option<Seq>) -> Outcome<'_, Vec<EventRecord>>;
    /// Where the last turns begin, oldest first.
    fn turn_starts(&self, session: SessionId, last: u32) -> Outcome<'_, Vec<Seq>>;
    /// The header beside a log.
    fn checkpoint(&self, session: SessionId) -> Outcome<'_, Option<Checkpoint>>;
    /// Replaces the header beside a log.
    fn save_checkpoint(&self, session: SessionId, checkpoint: Checkpoint) -> Outcome<'_, ()>;
    /// Sessions, newest first.
    fn list<'a>(&'a self, params: &'a SessionListParams) -> Outcome<'a, Vec<SessionSummary>>;
    /// Sessions whose turn was not over when last heard of.
    fn active(&self) -> Outcome<'_, Vec<SessionId>>;
    /// Sessions that are to be forgotten.
    fn ephemeral(&self) -> Outcome<'_, Vec<SessionId>>;
    /// Removes all of a session.
    fn delete(&self, session: SessionId) -> Outcome<'_, ()>;
    /// Removes all of a session, for a request that is remembered.
    fn delete_once(&self, session: SessionId, request: RequestId) -> Outcome<'_, ()>;
    /// Whether this request removed the session.
    fn was_deleted_by(&self, session: SessionId, request: RequestId) -> Outcome<'_, bool>;
    /// Sets a session aside whose log makes no sense, and gives what to answer.
    fn set_aside(&self, session: SessionId, reason: String) -> BoxFuture<'_, StoreError>;
    /// What all sessions together spent on a day.
    fn spent_on(&self, day: u64) -> Outcome<'_, Vec<(String, Spending)>>;
    /// What each session of a tree spent, by the one at its top.
    fn spent_in_tree(&self, root: SessionId) -> Outcome<'_, Vec<(SessionId, Spending)>>;
    /// A stored payload; `None` if it is gone.
    fn blob<'a>(&'a self, id: &'a BlobId) -> Outcome<'a, Option<Vec<u8>>>;
    /// Where a session's long outputs go.
    fn spools(&self, session: SessionId) -> Arc<dyn Spools>;
}

impl Log for Store {
    fn append(&self, append: Append) -> Outcome<'_, ()> {
        Box::pin(self.append(append))
    }

    fn events(&self, session: SessionId, after: Seq, upto: Option<Seq>) -> Outcome<'_, Vec<EventRecord>> {
        Box::pin(self.events(session, after, upto))
    }

    fn turn_starts(&self, session: SessionId, last: u32) -> Outcome<'_, Vec<Seq>> {
        Box::pin(self.turn_starts(session, last))
    }

    fn checkpoint(&self, session: SessionId) -> Outcome<'_, Option<Checkpoint>> {
        Box::pin(self.checkpoint(session))
    }

    fn save_checkpoint(&self, session: SessionId, checkpoint: Checkpoint) -> Outcome<'_, ()> {
        Box::pin(self.save_checkpoint(session, checkpoint))
    }

    fn list<'a>(&'a self, params: &'a SessionListParams) -> Outcome<'a, Vec<SessionSummary>> {
        Box::pin(self.list(params))
    }

    fn active(&self) -> Outcome<'_, Vec<SessionId>> {
        Box::pin(self.active())
    }

    fn ephemeral(&self) -> Outcome<'_, Vec<SessionId>> {
        Box::pin(self.ephemeral())
    }

    fn delete(&self, session: SessionId) -> Outcome<'_, ()> {
        Box::pin(self.delete(session))
    }

    fn delete_once(&self, session: SessionId, request: RequestId) -> Outcome<'_, ()> {
        Box::pin(self.delete_once(session, request))
    }

    fn was_deleted_by(&self, session: SessionId, request: RequestId) -> Outcome<'_, bool> {
        Box::pin(self.was_deleted_by(session, request))
    }

    fn set_aside(&self, session: SessionId, reason: String) -> BoxFuture<'_, StoreError> {
        Box::pin(self.set_aside(session, reason))
    }

    fn spent_on(&self, day: u64) -> Outcome<'_, Vec<(String, Spending)>> {
        Box::pin(self.spent_on(day))
    }

    fn spent_in_tree(&self, root: SessionId) -> Outcome<'_, Vec<(SessionId, Spending)>> {
        Box::pin(self.spent_in_tree(root))
    }

    fn blob<'a>(&'a self, id: &'a BlobId) -> Outcome<'a, Option<Vec<u8>>> {
        Box::pin(self.blobs().get(id))
    }

    fn spools(&self, session: SessionId) -> Arc<dyn Spools> {
        Arc::new(SessionSpools { store: self.clone(), session })
    }
}
