//! The handle that the rest of the daemon holds: appends, reads, lists.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use protocol::event::EventRecord;
use protocol::ids::{Seq, SessionId, Timestamp};
use protocol::session::{SessionListParams, SessionSummary};
use serde::de::DeserializeOwned;
use sqlx::SqlitePool;
use tokio::task::JoinHandle;
use tracing::{Instrument, info_span};

use crate::blobs::Blobs;
use crate::database::Database;
use crate::error::StoreError;
use crate::rows::{AppendRows, id_bytes, id_of, signed, unsigned};
use crate::writer::{Change, Inbox, Writer};

/// Sessions in a list whose caller says nothing.
const LIST_LIMIT: u32 = 100;

/// Where things are, and how safe they are.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The database file. Its folder exists, and is for this user alone.
    pub database: PathBuf,
    /// The folder of the blobs, made if need be; the folder above it exists.
    pub blobs: PathBuf,
    /// What an acknowledged change survives.
    pub durability: Durability,
    /// Bytes that are kept of one blob; more is counted, and said at its end.
    pub blob_cap_bytes: u64,
}

/// What an acknowledged change survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the process. A power cut may take the last moments, and never damages what is older.
    Process,
    /// A power cut too; each commit waits for the disk.
    Power,
}

/// Events to append to one session's log, all or none.
#[derive(Clone, Debug)]
pub struct Append {
    /// The session.
    pub session: SessionId,
    /// The events; the first follows the last one of the log, each the one before it.
    pub records: Vec<EventRecord>,
    /// What lists show of the session from now on; `None` leaves what they show.
    pub summary: Option<SessionSummary>,
}

/// A session's folded state. An accelerator, never the truth.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The last event that is contained.
    pub seq: Seq,
    /// The state; the store does not look into it.
    pub body: String,
}

/// The store. A cheap handle; when the last one is gone, what is waiting is still written.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
}

struct Shared {
    file: PathBuf,
    inbox: Inbox,
    readers: SqlitePool,
    blobs: Blobs,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl Store {
    /// Opens the store, making it if it is not there, and starts its writer. What a crash left is tidied up.
    ///
    /// # Errors
    /// `NewerSchema` and `Corrupt`, and nothing was changed; `ReadOnly`, `Full`, `Io`, `Sql`.
    pub async fn open(options: StoreOptions) -> Result<Self, StoreError> {
        let StoreOptions { database: file, blobs: folder, durability, blob_cap_bytes } = options;
        let database = Database::open(&file, durability).await?;
        let folder: Arc<Path> = folder.into();
        let (writer, inbox) = Writer::new(database.writer, file.clone(), folder.clone());
        let blobs = Blobs::open(folder, blob_cap_bytes, durability, inbox.clone()).await?;
        let writer = tokio::spawn(writer.run().instrument(info_span!("store_writer")));
        let writer = Mutex::new(Some(writer));
        let readers = database.readers;
        Ok(Self { shared: Arc::new(Shared { file, inbox, readers, blobs, writer }) })
    }

    /// Appends to a log; durable on return. Appends that wait at the same time, of whatever session, share a
    /// commit, and each succeeds or fails for itself. Waits while the queue is full. Dropping the future does
    /// not take the append back.
    ///
    /// # Errors
    /// `Gap` when the first event is not the next one; `Encode`, `Full`, `ReadOnly`, `Corrupt`, `Sql`, `Closed`.
    /// Nothing of this append was written then.
    pub async fn append(&self, append: Append) -> Result<(), StoreError> {
        let rows = AppendRows::encode(&append)?;
        if rows.events.is_empty() && rows.index.is_none() {
            return Ok(());
        }
        self.shared.inbox.write(Change::Append(rows)).await
    }

    /// The events after one, up to another one or to the end.
    ///
    /// # Errors
    /// `Corrupt` when one is missing or can't be read; `Sql`, `Closed`.
    pub async fn events(
        &self,
        session: SessionId,
        after: Seq,
        upto: Option<Seq>,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let mut rows = sqlx::query_as::<_, (i64, i64, String)>(
            "SELECT seq, at, body FROM event WHERE session_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        )
        .bind(id_bytes(session))
        .bind(signed(after.0))
        .bind(upto.map_or(i64::MAX, |seq| signed(seq.0)))
        .fetch(&self.shared.readers);
        let mut records = Vec::new();
        let mut expected = after.next();
        while let Some((seq, at, body)) = rows.try_next().await.map_err(|source| self.sorted(source))? {
            let seq = Seq(unsigned(seq));
            if seq != expected {
                return Err(self.corrupt(format!("event {expected} of session `{session}` is missing")));
            }
            expected = seq.next();
            let event = self.decode(&body)?;
            records.push(EventRecord { seq, at: Timestamp(unsigned(at)), event });
            // A long log is parsed here, beside other sessions' work.
            tokio::task::consume_budget().await;
        }
        Ok(records)
    }

    /// Where the last turns begin: the places of their `TurnStarted` events, oldest first.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn turn_starts(&self, session: SessionId, last: u32) -> Result<Vec<Seq>, StoreError> {
        let newest_first: Vec<i64> = sqlx::query_scalar(
            "SELECT first_seq FROM turn WHERE session_id = ? ORDER BY first_seq DESC LIMIT ?",
        )
        .bind(id_bytes(session))
        .bind(last)
        .fetch_all(&self.shared.readers)
        .await
        .map_err(|source| self.sorted(source))?;
        Ok(newest_first.into_iter().rev().map(|seq| Seq(unsigned(seq))).collect())
    }

    /// The session's checkpoint, if there is one.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn checkpoint(&self, session: SessionId) -> Result<Option<Checkpoint>, StoreError> {
        let row = sqlx::query_as::<_, (i64, String)>("SELECT seq, body FROM checkpoint WHERE session_id = ?")
            .bind(id_bytes(session))
            .fetch_optional(&self.shared.readers)
            .await
            .map_err(|source| self.sorted(source))?;
        Ok(row.map(|(seq, body)| Checkpoint { seq: Seq(unsigned(seq)), body }))
    }

    /// Puts a checkpoint in the place of the one before.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Corrupt`, `Sql`, `Closed`.
    pub async fn save_checkpoint(
        &self,
        session: SessionId,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        self.shared.inbox.write(Change::Checkpoint(session, checkpoint)).await
    }

    /// Sessions as lists show them, the one that was updated last first.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn list(&self, params: &SessionListParams) -> Result<Vec<SessionSummary>, StoreError> {
        let rows: Vec<String> = sqlx::query_scalar(LIST)
            .bind(params.updated_before.map_or(i64::MAX, |before| signed(before.0)))
            .bind(params.with_archived)
            .bind(params.only_active)
            .bind(params.cwd.as_ref().map(|cwd| cwd.to_string_lossy().into_owned()))
            .bind(params.limit.unwrap_or(LIST_LIMIT))
            .fetch_all(&self.shared.readers)
            .await
            .map_err(|source| self.sorted(source))?;
        rows.iter().map(|summary| self.decode(summary)).collect()
    }

    /// A session as lists show it; `None` if there is none of that id.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn summary(&self, session: SessionId) -> Result<Option<SessionSummary>, StoreError> {
        let row: Option<String> = sqlx::query_scalar("SELECT summary FROM session WHERE id = ?")
            .bind(id_bytes(session))
            .fetch_optional(&self.shared.readers)
            .await
            .map_err(|source| self.sorted(source))?;
        row.map(|summary| self.decode(&summary)).transpose()
    }

    /// Sessions that run or wait, as far as lists know.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn active(&self) -> Result<Vec<SessionId>, StoreError> {
        self.ids("SELECT id FROM session WHERE is_active").await
    }

    /// Sessions that nobody wants to keep: those of a daemon that did not come to deleting them.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn ephemeral(&self) -> Result<Vec<SessionId>, StoreError> {
        self.ids("SELECT id FROM session WHERE is_ephemeral").await
    }

    /// Deletes a session: its log, its line in lists, its checkpoint, and blobs that no other session refers
    /// to. One that is not there is no error. Dropping the future does not stop it.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Corrupt`, `Io`, `Sql`, `Closed`: the session is still there, its blobs may not be.
    pub async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        self.shared.inbox.delete(session).await
    }

    /// The large payloads.
    #[must_use]
    pub fn blobs(&self) -> &Blobs {
        &self.shared.blobs
    }

    /// Writes what is waiting and closes the files, for all handles; what they are asked for then is `Closed`.
    pub async fn close(self) {
        // The writer comes last: the last connection folds the `-wal` file into the database.
        self.shared.readers.close().await;
        self.shared.inbox.close().await;
        let writer = self.shared.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(writer) = writer
            && let Err(error) = writer.await
        {
            tracing::error!(%error, "the writer did not end as it should");
        }
    }

    async fn ids(&self, sql: &'static str) -> Result<Vec<SessionId>, StoreError> {
        let rows: Vec<Vec<u8>> = sqlx::query_scalar(sql)
            .fetch_all(&self.shared.readers)
            .await
            .map_err(|source| self.sorted(source))?;
        rows.iter()
            .map(|bytes| id_of(bytes).ok_or_else(|| self.corrupt("a session's id is none".to_owned())))
            .collect()
    }

    fn decode<T: DeserializeOwned>(&self, text: &str) -> Result<T, StoreError> {
        serde_json::from_str(text).map_err(|error| self.corrupt(error.to_string()))
    }

    fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { file: self.shared.file.clone(), reason }
    }

    fn sorted(&self, source: sqlx::Error) -> StoreError {
        StoreError::from_sql(&self.shared.file, source)
    }
}

const LIST: &str = "SELECT summary FROM session
    WHERE updated_at < ?1 AND (?2 OR NOT is_archived) AND (NOT ?3 OR is_active) AND (?4 IS NULL OR cwd = ?4)
    ORDER BY updated_at DESC, id DESC LIMIT ?5";

#[cfg(test)]
mod tests {
    use sqlx::AssertSqlSafe;

    use super::*;

    #[tokio::test]
    async fn lists_are_served_by_the_index() {
        let scratch = tempfile::tempdir().expect("scratch");
        let mut database =
            Database::open(&scratch.path().join("skein.db"), Durability::Process).await.expect("database");
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {LIST}")))
                .fetch_all(&mut database.writer)
                .await
                .expect("plan");
        let steps: Vec<&str> = plan.iter().map(|(_, _, _, step)| &**step).collect();
        assert_eq!(steps, ["SEARCH session USING INDEX session_list (updated_at<?)"]);
    }
}
