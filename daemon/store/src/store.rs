//! The handle that the rest of the daemon holds: appends, reads, lists.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::TryStreamExt;
use protocol::event::{Event, EventRecord};
use protocol::ids::{RequestId, Seq, SessionId, Timestamp};
use protocol::session::SessionSummary;
use serde::de::DeserializeOwned;
use sqlx::SqlitePool;
use tokio::task::JoinHandle;
use tracing::{Instrument, info_span};
use uuid::Uuid;

use crate::blobs::Blobs;
use crate::damage::Damaged;
use crate::database::Database;
use crate::error::StoreError;
use crate::network;
use crate::rows::{AppendRows, checksum, id_bytes, signed, unsigned};
use crate::usage::Spent;
use crate::writer::{Change, Inbox, Writer};

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
    /// What was spent, to be added up.
    pub spent: Vec<Spent>,
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
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    file: PathBuf,
    pub(crate) inbox: Inbox,
    pub(crate) readers: SqlitePool,
    pub(crate) damaged: Damaged,
    blobs: Blobs,
    warnings: Vec<String>,
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
        let damaged = Damaged::new(database.damaged);
        let warnings: Vec<_> = network::warning(&file).into_iter().collect();
        for warning in &warnings {
            tracing::warn!("{warning}");
        }
        Ok(Self { shared: Arc::new(Shared { file, inbox, readers, damaged, blobs, warnings, writer }) })
    }

    /// Appends to a log; durable on return. Appends that wait at the same time, of whatever session, share a
    /// commit, and each succeeds or fails for itself. Waits while the queue is full. Dropping the future does
    /// not take the append back.
    ///
    /// # Errors
    /// `Gap` when the first event is not the next one; `Damaged` when the session is set aside; `Encode`, `Full`,
    /// `ReadOnly`, `Corrupt`, `Sql`, `Closed`.
    /// Nothing of this append was written then.
    pub async fn append(&self, append: Append) -> Result<(), StoreError> {
        let session = append.session;
        self.refuse_damaged(session)?;
        let rows = AppendRows::encode(&append)?;
        if rows.events.is_empty() && rows.index.is_none() && rows.spent.is_empty() {
            return Ok(());
        }
        let written = self.shared.inbox.write(Change::Append(rows)).await;
        self.blame(session, written).await
    }

    /// The events after one, up to another one or to the end.
    ///
    /// # Errors
    /// `Damaged` when one is missing or can't be read: then the session is set aside; `Sql`, `Closed`.
    pub async fn events(
        &self,
        session: SessionId,
        after: Seq,
        upto: Option<Seq>,
    ) -> Result<Vec<EventRecord>, StoreError> {
        self.refuse_damaged(session)?;
        let read = self.read_events(session, after, upto).await;
        self.unless_damaged(session, read).await
    }

    /// The events, whether the session is set aside or not.
    pub(crate) async fn read_events(
        &self,
        session: SessionId,
        after: Seq,
        upto: Option<Seq>,
    ) -> Result<Vec<EventRecord>, StoreError> {
        let mut rows = sqlx::query_as::<_, (i64, i64, Option<Vec<u8>>, String, Option<i64>)>(
            "SELECT seq, at, request_id, body, checksum FROM event
            WHERE session_id = ? AND seq > ? AND seq <= ? ORDER BY seq",
        )
        .bind(id_bytes(session))
        .bind(signed(after.0))
        .bind(upto.map_or(i64::MAX, |seq| signed(seq.0)))
        .fetch(&self.shared.readers);
        let mut records = Vec::new();
        let mut expected = after.next();
        while let Some((seq, at, request_id, body, sum)) =
            rows.try_next().await.map_err(|source| self.sorted(source))?
        {
            let seq = Seq(unsigned(seq));
            if seq != expected {
                return Err(self.corrupt(format!("event {expected} is missing")));
            }
            expected = seq.next();
            let at = Timestamp(unsigned(at));
            let request_id = request_id.and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(RequestId);
            // Rows from before have none.
            if sum
                .is_some_and(|sum| sum != i64::from(checksum(session, seq, at, request_id, body.as_bytes())))
            {
                return Err(self.corrupt(format!("event {seq} is not what was written")));
            }
            let event = self.decode(body.as_bytes())?;
            records.push(EventRecord { seq, at, request_id, event });
            // A long log is parsed here, beside other sessions' work.
            tokio::task::consume_budget().await;
        }
        Ok(records)
    }

    /// Where the last turns begin: the places of their `TurnStarted` events, oldest first.
    ///
    /// # Errors
    /// `Damaged`, `Sql`, `Closed`.
    pub async fn turn_starts(&self, session: SessionId, last: u32) -> Result<Vec<Seq>, StoreError> {
        self.refuse_damaged(session)?;
        let newest_first = sqlx::query_scalar::<_, i64>(
            "SELECT first_seq FROM turn WHERE session_id = ? ORDER BY first_seq DESC LIMIT ?",
        )
        .bind(id_bytes(session))
        .bind(last)
        .fetch_all(&self.shared.readers)
        .await
        .map_err(|source| self.sorted(source));
        match newest_first {
            Ok(newest_first) => Ok(newest_first.into_iter().rev().map(|seq| Seq(unsigned(seq))).collect()),
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(%session, reason, "where turns begin is damaged; reading the whole log");
                let mut records = self.events(session, Seq::ZERO, None).await?;
                records.retain(|record| matches!(record.event, Event::TurnStarted(_)));
                let skipped = records.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX));
                Ok(records[skipped..].iter().map(|record| record.seq).collect())
            }
            Err(error) => Err(error),
        }
    }

    /// The session's checkpoint, if there is one that can be read.
    ///
    /// # Errors
    /// `Damaged`, `Sql`, `Closed`.
    pub async fn checkpoint(&self, session: SessionId) -> Result<Option<Checkpoint>, StoreError> {
        self.refuse_damaged(session)?;
        let row = sqlx::query_as::<_, (i64, String)>("SELECT seq, body FROM checkpoint WHERE session_id = ?")
            .bind(id_bytes(session))
            .fetch_optional(&self.shared.readers)
            .await
            .map_err(|source| self.sorted(source));
        match row {
            Ok(row) => Ok(row.map(|(seq, body)| Checkpoint { seq: Seq(unsigned(seq)), body })),
            Err(StoreError::Corrupt { reason, .. }) => {
                tracing::error!(%session, reason, "a checkpoint is damaged; the log is read instead");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Puts a checkpoint in the place of the one before.
    ///
    /// # Errors
    /// `Damaged`, `Full`, `ReadOnly`, `Corrupt`, `Sql`, `Closed`.
    pub async fn save_checkpoint(
        &self,
        session: SessionId,
        checkpoint: Checkpoint,
    ) -> Result<(), StoreError> {
        self.refuse_damaged(session)?;
        self.shared.inbox.write(Change::Checkpoint(session, checkpoint)).await
    }

    /// Deletes a session: its log, its line in lists, its checkpoint, and blobs that no other session refers
    /// to. One that is not there is no error. Dropping the future does not stop it.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Corrupt`, `Io`, `Sql`, `Closed`: the session is still there, its blobs may not be.
    pub async fn delete(&self, session: SessionId) -> Result<(), StoreError> {
        self.shared.inbox.delete(session, None).await?;
        self.forget_damage(session);
        Ok(())
    }

    /// Deletes a session for a request that has a name, which is remembered for some days.
    ///
    /// # Errors
    /// As `delete`.
    pub async fn delete_once(&self, session: SessionId, request: RequestId) -> Result<(), StoreError> {
        self.shared.inbox.delete(session, Some(request)).await?;
        self.forget_damage(session);
        Ok(())
    }

    /// Whether this request deleted the session.
    ///
    /// # Errors
    /// `Corrupt`, `Sql`, `Closed`.
    pub async fn was_deleted_by(&self, session: SessionId, request: RequestId) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM deleted WHERE session_id = ? AND request_id = ?")
                .bind(id_bytes(session))
                .bind(request.0.as_bytes().to_vec())
                .fetch_optional(&self.shared.readers)
                .await
                .map_err(|source| self.sorted(source))?;
        Ok(found.is_some())
    }

    /// What is not as it should be and keeps nothing from working, for a person.
    #[must_use]
    pub fn warnings(&self) -> &[String] {
        &self.shared.warnings
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

    pub(crate) fn readers(&self) -> &SqlitePool {
        &self.shared.readers
    }

    pub(crate) fn decode<T: DeserializeOwned>(&self, text: &[u8]) -> Result<T, StoreError> {
        serde_json::from_slice(text).map_err(|error| self.corrupt(error.to_string()))
    }

    pub(crate) fn corrupt(&self, reason: String) -> StoreError {
        StoreError::Corrupt { file: self.shared.file.clone(), reason }
    }

    pub(crate) fn sorted(&self, source: sqlx::Error) -> StoreError {
        StoreError::from_sql(&self.shared.file, source)
    }
}
