//! What is done about damage. A session that can't be read is set aside: it is remembered and refused, so that
//! nothing is made worse, and the others go on. What is not one session's can only be told.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use protocol::daemon::{StorageProblem, StorageReport};
use protocol::event::EventRecord;
use protocol::ids::{RequestId, Seq, SessionId, Timestamp};
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use uuid::Uuid;

use crate::error::StoreError;
use crate::rows::{checksum, id_of, unsigned};
use crate::store::Store;
use crate::writer::Change;

/// How long a look through the pages, and then one through the logs, may take each.
const PATIENCE: Duration = Duration::from_secs(4);
/// Steps of SQLite's machine, some microseconds each, between two looks at the clock.
const STEPS: i32 = 1_000;

/// What makes sense of a log: says what is wrong with one that can be read.
pub type Folds = fn(SessionId, &[EventRecord]) -> Result<(), String>;

/// All events that have a checksum.
const SUMS: &str = "SELECT session_id, seq, at, request_id, CAST(body AS BLOB), checksum FROM event
    WHERE checksum IS NOT NULL ORDER BY session_id, seq";

/// Looks at all pages, and tells of at most so many that are damaged.
const PAGES: &str = "PRAGMA quick_check(20)";

const OF_SESSION: &str = "Delete it with `skein sessions delete`; or stop the daemon, copy the state folder, and \
    try to rebuild the database with `sqlite3 skein.db .recover`; `skein doctor` takes sessions back that can \
    be read again";
const OF_ALL: &str = "Stop the daemon and copy the state folder; then rebuild the database with \
    `sqlite3 skein.db .recover | sqlite3 new.db`, or move it away with its `-wal` and `-shm` files and begin anew";

/// Sessions that are set aside, and why.
#[derive(Debug, Default)]
pub(crate) struct Damaged(Mutex<HashMap<SessionId, String>>);

impl Damaged {
    pub(crate) fn new(known: impl IntoIterator<Item = (SessionId, String)>) -> Self {
        Self(Mutex::new(known.into_iter().collect()))
    }

    fn with<T>(&self, look: impl FnOnce(&mut HashMap<SessionId, String>) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Looks through the database for damage, for some seconds at most. Sessions that are damaged are set aside,
    /// those that were and can be read again, and fold, are taken back.
    pub async fn check(&self, folds: Folds) -> StorageReport {
        self.check_within(PATIENCE, folds).await
    }

    /// Looks at the pages for so long, at the checksums for so long, and at the logs for so long.
    pub(crate) async fn check_within(&self, patience: Duration, folds: Folds) -> StorageReport {
        let mut is_complete = true;
        let mut problems = Vec::new();
        match self.check_pages(patience).await {
            Ok(lines) => problems.extend(lines.into_iter().map(of_all)),
            Err(StoreError::Corrupt { reason, .. }) => problems.push(of_all(reason)),
            Err(error) => {
                tracing::info!(%error, "did not look at all pages");
                is_complete = false;
            }
        }
        let mut suspects = self.set_aside_now();
        match self.check_sums(patience).await {
            Ok(found) => suspects.extend(found),
            // Damage that it met is known by now.
            Err(StoreError::Corrupt { .. }) => {}
            Err(error) => {
                tracing::info!(%error, "did not look at all checksums");
                is_complete = false;
            }
        }
        if !problems.is_empty() {
            // Whose pages they are, only reading tells.
            match self.all_ids().await {
                Ok(all) => suspects.extend(all),
                Err(error) => problems.push(of_all(error.to_string())),
            }
        }
        let deadline = Instant::now() + patience;
        for session in suspects {
            if Instant::now() > deadline {
                is_complete = false;
                break;
            }
            self.examine(session, folds).await;
        }
        let damaged = self.shared.damaged.with(|damaged| damaged.clone());
        problems.extend(damaged.into_iter().map(|(session, reason)| StorageProblem {
            session_id: Some(session),
            reason,
            hint: OF_SESSION.to_owned(),
        }));
        StorageReport { problems, is_complete }
    }

    /// What SQLite finds when it looks at all pages.
    async fn check_pages(&self, patience: Duration) -> Result<Vec<String>, StoreError> {
        let mut connection = self.hurried(patience).await?;
        let lines = sqlx::query_scalar::<_, String>(PAGES).fetch_all(&mut connection).await;
        if let Err(error) = connection.close().await {
            tracing::debug!(%error, "could not close a connection");
        }
        let mut lines = lines.map_err(|source| self.sorted(source))?;
        lines.retain(|line| line != "ok");
        Ok(lines)
    }

    /// Sessions with events that are not what was written.
    async fn check_sums(&self, patience: Duration) -> Result<Vec<SessionId>, StoreError> {
        type Row = (Vec<u8>, i64, i64, Option<Vec<u8>>, Vec<u8>, i64);
        let mut connection = self.hurried(patience).await?;
        let mut found: Vec<SessionId> = Vec::new();
        let mut rows = sqlx::query_as::<_, Row>(SUMS).fetch(&mut connection);
        while let Some((session, seq, at, request, body, sum)) =
            rows.try_next().await.map_err(|source| self.sorted(source))?
        {
            let Some(session) = id_of(&session).filter(|id| found.last() != Some(id)) else { continue };
            let request = request.and_then(|bytes| Uuid::from_slice(&bytes).ok()).map(RequestId);
            let (seq, at) = (Seq(unsigned(seq)), Timestamp(unsigned(at)));
            if i64::from(checksum(session, seq, at, request, &body)) != sum {
                found.push(session);
            }
            tokio::task::consume_budget().await;
        }
        Ok(found)
    }

    /// A connection that stops after a while. Of its own, because no other question may be asked of it.
    async fn hurried(&self, patience: Duration) -> Result<SqliteConnection, StoreError> {
        let options = self.shared.readers.connect_options();
        let mut connection = options.connect().await.map_err(|source| self.sorted(source))?;
        let deadline = Instant::now() + patience;
        let mut handle = connection.lock_handle().await.map_err(|source| self.sorted(source))?;
        handle.set_progress_handler(STEPS, move || Instant::now() < deadline);
        drop(handle);
        Ok(connection)
    }

    /// Reads all of a session: sets it aside, or takes it back.
    async fn examine(&self, session: SessionId, folds: Folds) {
        let read = async {
            let records = self.read_events(session, Seq::ZERO, None).await?;
            folds(session, &records).map_err(|reason| self.corrupt(reason))?;
            self.examine_line(session).await
        };
        match (read.await, self.damage_of(session)) {
            (Ok(()), Some(_)) => self.take_back(session).await,
            (Err(StoreError::Corrupt { reason, .. }), None) => {
                self.set_aside(session, reason).await;
            }
            (Ok(()), None) | (Err(_), _) => {}
        }
    }

    /// Why a session is set aside, if it is.
    pub(crate) fn damage_of(&self, session: SessionId) -> Option<String> {
        self.shared.damaged.with(|damaged| damaged.get(&session).cloned())
    }

    /// Refuses a session that is set aside.
    pub(crate) fn refuse_damaged(&self, session: SessionId) -> Result<(), StoreError> {
        match self.damage_of(session) {
            Some(reason) => Err(StoreError::Damaged { session, reason }),
            None => Ok(()),
        }
    }

    /// What was read of a session; it is set aside if that was damaged.
    pub(crate) async fn unless_damaged<T>(
        &self,
        session: SessionId,
        read: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match read {
            Err(StoreError::Corrupt { reason, .. }) => Err(self.set_aside(session, reason).await),
            read => read,
        }
    }

    /// After a write of a session that met damage: whether it is the session's own.
    pub(crate) async fn blame<T>(
        &self,
        session: SessionId,
        written: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Err(StoreError::Corrupt { .. }) = &written {
            self.examine(session, |_, _| Ok(())).await;
            self.refuse_damaged(session)?;
        }
        written
    }

    /// Sets a session aside, and gives what to answer. Also for one that can be read, but makes no sense.
    pub async fn set_aside(&self, session: SessionId, reason: String) -> StoreError {
        tracing::error!(%session, reason, "a session is damaged; setting it aside");
        self.shared.damaged.with(|damaged| damaged.insert(session, reason.clone()));
        // If it can't be written down, the next daemon finds out for itself.
        if let Err(error) = self.shared.inbox.write(Change::SetAside(session, reason.clone())).await {
            tracing::warn!(%session, %error, "could not write down that a session is damaged");
        }
        StoreError::Damaged { session, reason }
    }

    async fn take_back(&self, session: SessionId) {
        tracing::info!(%session, "a session that was damaged can be read again; taking it back");
        self.forget_damage(session);
        if let Err(error) = self.shared.inbox.write(Change::TakeBack(session)).await {
            tracing::warn!(%session, %error, "could not write down that a session can be read again");
        }
    }

    /// After a session was deleted.
    pub(crate) fn forget_damage(&self, session: SessionId) {
        self.shared.damaged.with(|damaged| damaged.remove(&session));
    }

    fn set_aside_now(&self) -> Vec<SessionId> {
        self.shared.damaged.with(|damaged| damaged.keys().copied().collect())
    }
}

/// Damage that is not one session's, or not known to be.
fn of_all(reason: String) -> StorageProblem {
    StorageProblem { session_id: None, reason, hint: OF_ALL.to_owned() }
}
