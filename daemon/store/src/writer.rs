//! The one task that changes the database. It takes what is waiting, up to a bound, and commits it together; if
//! that fails, each change is tried alone, so that a bad one fails for itself only.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use protocol::ids::{RequestId, Seq, SessionId};
use protocol::usage::Spending;
use sqlx::{AssertSqlSafe, Connection, QueryBuilder, Sqlite, SqliteConnection};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, warn};

use crate::blobs::{self, BlobKey};
use crate::error::StoreError;
use crate::rows::{AppendRows, id_bytes, signed, unsigned};
use crate::store::Checkpoint;
use crate::usage::{Spent, day_of};

/// More than any one thing is said to have taken is not believed, so that sums never overflow.
const MOST: u64 = 1 << 40;
/// Changes that wait; when the queue is full, callers wait.
const QUEUE: usize = 256;
/// Logs whose end is remembered.
const REMEMBERED_ENDS: usize = 1024;
/// Seconds for which it is remembered who deleted a session: longer than any client sends a request again.
const REMEMBERED_DELETIONS: i64 = 7 * 86_400;
/// Rows in one `INSERT`: below SQLite's limit of 32,766 parameters.
const ROWS: usize = 1000;
/// Events of a lone change whose SQL is kept prepared. The text depends on the number of rows, so that larger
/// ones seldom come again.
const PREPARED_EVENTS: usize = 8;

/// A change of rows.
pub(crate) enum Change {
    Append(AppendRows),
    Checkpoint(SessionId, Checkpoint),
    /// A session refers to a blob. Comes before the blob's file gets its name, see `Writer::delete`.
    Refer(SessionId, BlobKey),
    /// A session can't be read, for this reason.
    SetAside(SessionId, String),
    /// A session can be read again.
    TakeBack(SessionId),
}

/// A change, and where its outcome goes.
struct Write {
    change: Change,
    done: oneshot::Sender<Result<(), StoreError>>,
}

enum Job {
    Write(Write),
    Delete(SessionId, Option<RequestId>, oneshot::Sender<Result<(), StoreError>>),
    Close,
}

/// Where changes are handed in. Dropping a future of it does not take the change back.
#[derive(Clone)]
pub(crate) struct Inbox(mpsc::Sender<Job>);

impl Inbox {
    /// Makes a change; it is durable on return.
    pub(crate) async fn write(&self, change: Change) -> Result<(), StoreError> {
        self.ask(|done| Job::Write(Write { change, done })).await
    }

    /// Deletes all of a session.
    pub(crate) async fn delete(
        &self,
        session: SessionId,
        request: Option<RequestId>,
    ) -> Result<(), StoreError> {
        self.ask(|done| Job::Delete(session, request, done)).await
    }

    /// Lets the writer end when it has done what is waiting.
    pub(crate) async fn close(&self) {
        // An error says that it has ended already.
        let _ = self.0.send(Job::Close).await;
    }

    async fn ask(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Job,
    ) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.0.send(job(done)).await.map_err(|_| StoreError::Closed)?;
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }
}

/// The writer's state.
pub(crate) struct Writer {
    connection: SqliteConnection,
    file: PathBuf,
    blobs: Arc<Path>,
    /// The last event of logs that were appended to lately.
    ends: HashMap<SessionId, Seq>,
    jobs: mpsc::Receiver<Job>,
}

impl Writer {
    /// A writer, and where to hand changes in. Nothing happens before it runs.
    pub(crate) fn new(connection: SqliteConnection, file: PathBuf, blobs: Arc<Path>) -> (Self, Inbox) {
        let (sender, jobs) = mpsc::channel(QUEUE);
        (Self { connection, file, blobs, ends: HashMap::new(), jobs }, Inbox(sender))
    }

    /// Works until it is closed or nobody can hand anything in any more.
    pub(crate) async fn run(mut self) {
        let mut waiting = Vec::with_capacity(QUEUE);
        while self.jobs.recv_many(&mut waiting, QUEUE).await > 0 {
            let mut group = Vec::with_capacity(waiting.len());
            for job in waiting.drain(..) {
                match job {
                    Job::Write(write) => group.push(write),
                    Job::Delete(session, request, done) => {
                        self.write(std::mem::take(&mut group)).await;
                        answer(done, self.delete(session, request).await);
                    }
                    Job::Close => self.jobs.close(),
                }
            }
            self.write(group).await;
        }
        if let Err(error) = self.connection.close().await {
            warn!(%error, "could not close the database");
        }
    }

    /// Makes changes together, or each alone.
    async fn write(&mut self, group: Vec<Write>) {
        for write in self.write_together(group).await {
            self.write_together(vec![write]).await;
        }
    }

    /// Makes changes in one transaction. If it fails, those that are worth trying alone come back.
    async fn write_together(&mut self, group: Vec<Write>) -> Vec<Write> {
        let mut ends = HashMap::new();
        let mut checked = Vec::with_capacity(group.len());
        for write in group {
            match self.check(&write.change, &mut ends).await {
                Ok(()) => checked.push(write),
                Err(error) => answer(write.done, Err(error)),
            }
        }
        if checked.is_empty() {
            return checked;
        }
        match self.commit(&checked).await {
            Ok(()) => {
                for (session, end) in ends {
                    self.remember(session, end);
                }
                for write in checked {
                    answer(write.done, Ok(()));
                }
                Vec::new()
            }
            Err(error) => {
                // What the database holds is looked up again, rather than trusted.
                for session in ends.keys() {
                    self.ends.remove(session);
                }
                if checked.len() > 1 {
                    debug!(%error, "a group of changes failed; trying each alone");
                    return checked;
                }
                if let Some(write) = checked.into_iter().next() {
                    answer(write.done, Err(error));
                }
                Vec::new()
            }
        }
    }

    /// Refuses an append that does not follow the log; `ends` is where logs end within the group.
    async fn check(&mut self, change: &Change, ends: &mut HashMap<SessionId, Seq>) -> Result<(), StoreError> {
        let Change::Append(AppendRows { session, events, .. }) = change else { return Ok(()) };
        let (Some(first), Some(last)) = (events.first(), events.last()) else { return Ok(()) };
        let end = match ends.get(session) {
            Some(end) => *end,
            None => self.end_of(*session).await?,
        };
        if first.seq != end.next() {
            return Err(StoreError::Gap { session: *session, expected: end.next(), found: first.seq });
        }
        ends.insert(*session, last.seq);
        Ok(())
    }

    async fn end_of(&mut self, session: SessionId) -> Result<Seq, StoreError> {
        if let Some(end) = self.ends.get(&session) {
            return Ok(*end);
        }
        let last: Option<i64> = sqlx::query_scalar("SELECT max(seq) FROM event WHERE session_id = ?")
            .bind(id_bytes(session))
            .fetch_one(&mut self.connection)
            .await
            .map_err(|source| StoreError::from_sql(&self.file, source))?;
        let end = Seq(last.map_or(0, unsigned));
        self.remember(session, end);
        Ok(end)
    }

    fn remember(&mut self, session: SessionId, end: Seq) {
        if self.ends.len() >= REMEMBERED_ENDS {
            self.ends.clear();
        }
        self.ends.insert(session, end);
    }

    /// One transaction, in one trip to the thread that drives SQLite: the trips are what an append takes.
    async fn commit(&mut self, group: &[Write]) -> Result<(), StoreError> {
        let mut sql = QueryBuilder::new("BEGIN IMMEDIATE; ");
        let events = push_changes(&mut sql, group);
        sql.push("COMMIT");
        let is_prepared = group.len() == 1 && events <= PREPARED_EVENTS;
        let outcome = sql.build().persistent(is_prepared).execute(&mut self.connection).await;
        self.settle(outcome.map(drop)).await
    }

    /// Deletes what there is of a session.
    ///
    /// Files go first: after a crash in between, the session is still there to be deleted again, and no file is
    /// left that nothing refers to. A blob that another session is just about to keep is not lost: its reference
    /// is a change like any other, so it is here before (then the file stays), or comes after (then the file
    /// gets its name after).
    async fn delete(&mut self, session: SessionId, request: Option<RequestId>) -> Result<(), StoreError> {
        let orphans: Vec<Vec<u8>> = sqlx::query_scalar(
            "SELECT blob FROM blob_ref AS own WHERE session_id = ? AND NOT EXISTS (
                SELECT 1 FROM blob_ref AS other
                WHERE other.blob = own.blob AND other.session_id <> own.session_id
            )",
        )
        .bind(id_bytes(session))
        .fetch_all(&mut self.connection)
        .await
        .map_err(|source| StoreError::from_sql(&self.file, source))?;
        blobs::remove(&self.blobs, orphans).await?;
        self.ends.remove(&session);
        // What was spent stays, without a word of who spent it: budgets of a day and bills go on holding.
        let outcome = sqlx::query(AssertSqlSafe(format!(
            "BEGIN IMMEDIATE;
            {SPENT} SELECT zeroblob(16), day, provider, model, requests, unpriced_requests, untold_requests,
                tool_calls, time_ms, input_tokens, cached_input_tokens, cache_write_input_tokens, output_tokens, reasoning_output_tokens, cost
                FROM usage WHERE session_id = ?1 {ADDED};
            DELETE FROM usage WHERE session_id = ?1;
            DELETE FROM event WHERE session_id = ?1;
            DELETE FROM turn WHERE session_id = ?1;
            DELETE FROM session WHERE id = ?1;
            DELETE FROM checkpoint WHERE session_id = ?1;
            DELETE FROM blob_ref WHERE session_id = ?1;
            DELETE FROM damaged WHERE session_id = ?1;
            DELETE FROM deleted WHERE at < unixepoch() - ?3;
            INSERT OR REPLACE INTO deleted (session_id, request_id, at)
                SELECT ?1, ?2, unixepoch() WHERE ?2 IS NOT NULL;
            COMMIT"
        )))
        .bind(id_bytes(session))
        .bind(request.map(|id| id.0.as_bytes().to_vec()))
        .bind(REMEMBERED_DELETIONS)
        .execute(&mut self.connection)
        .await;
        self.settle(outcome.map(drop)).await
    }

    /// Takes a transaction back that failed.
    async fn settle(&mut self, outcome: sqlx::Result<()>) -> Result<(), StoreError> {
        let Err(source) = outcome else { return Ok(()) };
        // SQLite takes some back by itself (sqlite.org/lang_transaction.html, section 3.1); then this is refused.
        if let Err(error) = sqlx::query("ROLLBACK").execute(&mut self.connection).await {
            debug!(%error, "nothing to roll back");
        }
        Err(StoreError::from_sql(&self.file, source))
    }
}

/// Nobody waits for the outcome any more if this fails.
fn answer(done: oneshot::Sender<Result<(), StoreError>>, outcome: Result<(), StoreError>) {
    let _ = done.send(outcome);
}

/// Adds the statements of a group, and tells how many events there are.
fn push_changes(sql: &mut QueryBuilder<Sqlite>, group: &[Write]) -> usize {
    let mut events = Vec::new();
    let mut turns = Vec::new();
    let mut index = Vec::new();
    let mut checkpoints = Vec::new();
    let mut references = Vec::new();
    let mut damaged = Vec::new();
    let mut spent = Vec::new();
    for write in group {
        match &write.change {
            Change::Append(append) => {
                events.extend(append.events.iter().map(|event| (append.session, event)));
                turns.extend(append.turns.iter().map(|first| (append.session, *first)));
                index.extend(append.index.as_ref().map(|row| (append.session, row)));
                spent.extend(append.spent.iter().map(|spent| (append.session, spent)));
            }
            Change::Checkpoint(session, checkpoint) => checkpoints.push((*session, checkpoint)),
            Change::Refer(session, blob) => references.push((*session, blob)),
            Change::SetAside(session, reason) => damaged.push((*session, Some(reason))),
            Change::TakeBack(session) => damaged.push((*session, None)),
        }
    }
    for rows in events.chunks(ROWS) {
        sql.push("INSERT INTO event (session_id, seq, at, request_id, body, checksum) ");
        sql.push_values(rows, |mut row, (session, event)| {
            row.push_bind(id_bytes(*session))
                .push_bind(signed(event.seq.0))
                .push_bind(signed(event.at.0))
                .push_bind(event.request_id.map(|id| id.0.as_bytes().to_vec()))
                .push_bind(&*event.body)
                .push_bind(i64::from(event.checksum));
        });
        sql.push("; ");
    }
    for rows in turns.chunks(ROWS) {
        sql.push("INSERT INTO turn (session_id, first_seq) ");
        sql.push_values(rows, |mut row, (session, first)| {
            row.push_bind(id_bytes(*session)).push_bind(signed(first.0));
        });
        sql.push("; ");
    }
    for rows in index.chunks(ROWS) {
        sql.push(
            "INSERT INTO session (id, created_at, updated_at, cwd, is_archived, is_active, is_ephemeral, summary,
            parent, root) ",
        );
        sql.push_values(rows, |mut values, (session, row)| {
            values
                .push_bind(id_bytes(*session))
                .push_bind(signed(row.created_at.0))
                .push_bind(signed(row.updated_at.0))
                .push_bind(&*row.cwd)
                .push_bind(row.is_archived)
                .push_bind(row.is_active)
                .push_bind(row.is_ephemeral)
                .push_bind(&*row.summary)
                .push_bind(row.parent.map(id_bytes))
                .push_bind(row.root.map(id_bytes));
        });
        sql.push(
            " ON CONFLICT (id) DO UPDATE SET created_at = excluded.created_at, updated_at = excluded.updated_at,
            cwd = excluded.cwd, is_archived = excluded.is_archived, is_active = excluded.is_active,
            is_ephemeral = excluded.is_ephemeral, summary = excluded.summary,
            parent = excluded.parent, root = excluded.root; ",
        );
    }
    for rows in checkpoints.chunks(ROWS) {
        sql.push("INSERT OR REPLACE INTO checkpoint (session_id, seq, body) ");
        sql.push_values(rows, |mut row, (session, checkpoint)| {
            row.push_bind(id_bytes(*session))
                .push_bind(signed(checkpoint.seq.0))
                .push_bind(&*checkpoint.body);
        });
        sql.push("; ");
    }
    for rows in references.chunks(ROWS) {
        sql.push("INSERT OR IGNORE INTO blob_ref (session_id, blob) ");
        sql.push_values(rows, |mut row, (session, blob)| {
            row.push_bind(id_bytes(*session)).push_bind(blob.as_bytes());
        });
        sql.push("; ");
    }
    push_spent(sql, &spent);
    // Few, and in the order in which they came.
    for (session, reason) in damaged {
        match reason {
            Some(reason) => sql
                .push("INSERT OR REPLACE INTO damaged (session_id, reason, at) VALUES (")
                .push_bind(id_bytes(session))
                .push(", ")
                .push_bind(&**reason)
                .push(", CAST(unixepoch('subsec') * 1000 AS INTEGER)); "),
            None => {
                sql.push("DELETE FROM damaged WHERE session_id = ").push_bind(id_bytes(session)).push("; ")
            }
        };
    }
    events.len()
}

/// Rows of what was spent, up to where they come from.
const SPENT: &str =
    "INSERT INTO usage (session_id, day, provider, model, requests, unpriced_requests, untold_requests, tool_calls,
    time_ms, input_tokens, cached_input_tokens, cache_write_input_tokens, output_tokens, reasoning_output_tokens, cost) ";

/// Adds such rows to those that are there.
const ADDED: &str =
    " ON CONFLICT (session_id, day, provider, model) DO UPDATE SET requests = requests + excluded.requests,
    unpriced_requests = unpriced_requests + excluded.unpriced_requests,
    untold_requests = untold_requests + excluded.untold_requests,
    tool_calls = tool_calls + excluded.tool_calls, time_ms = time_ms + excluded.time_ms,
    input_tokens = input_tokens + excluded.input_tokens,
    cached_input_tokens = cached_input_tokens + excluded.cached_input_tokens,
    cache_write_input_tokens = cache_write_input_tokens + excluded.cache_write_input_tokens,
    output_tokens = output_tokens + excluded.output_tokens,
    reasoning_output_tokens = reasoning_output_tokens + excluded.reasoning_output_tokens,
    cost = cost + excluded.cost";

/// Adds to the sums of what was spent.
fn push_spent(sql: &mut QueryBuilder<Sqlite>, spent: &[(SessionId, &Spent)]) {
    for rows in spent.chunks(ROWS) {
        sql.push(SPENT);
        sql.push_values(rows, |mut row, (session, spent)| {
            let Spending { requests, unpriced_requests, untold_requests, tool_calls, time_ms, usage, cost } =
                spent.spending;
            row.push_bind(id_bytes(*session))
                .push_bind(signed(day_of(spent.at)))
                .push_bind(&*spent.provider)
                .push_bind(&*spent.model)
                .push_bind(bounded(requests))
                .push_bind(bounded(unpriced_requests))
                .push_bind(bounded(untold_requests))
                .push_bind(bounded(tool_calls))
                .push_bind(bounded(time_ms))
                .push_bind(bounded(usage.input_tokens))
                .push_bind(bounded(usage.cached_input_tokens))
                .push_bind(bounded(usage.cache_write_input_tokens))
                .push_bind(bounded(usage.output_tokens))
                .push_bind(bounded(usage.reasoning_output_tokens))
                .push_bind(cost);
        });
        sql.push(ADDED).push("; ");
    }
}

fn bounded(number: u64) -> i64 {
    signed(number.min(MOST))
}

#[cfg(test)]
mod tests {
    use protocol::ids::Timestamp;
    use tempfile::TempDir;
    use tokio::task::JoinHandle;

    use super::*;
    use crate::database::Database;
    use crate::rows::EventRow;
    use crate::store::Durability;

    /// A writer whose database can't grow beyond so many pages of 4 KiB.
    async fn with_pages(scratch: &TempDir, limit: &'static str) -> (Inbox, JoinHandle<()>) {
        let file = scratch.path().join("skein.db");
        let mut database = Database::open(&file, Durability::Process).await.expect("database");
        sqlx::query(limit).execute(&mut database.writer).await.expect("limit");
        let (writer, inbox) = Writer::new(database.writer, file, scratch.path().into());
        (inbox, tokio::spawn(writer.run()))
    }

    fn event(session: SessionId, seq: u64, bytes: usize) -> Change {
        let row = EventRow::new(session, Seq(seq), Timestamp(1), None, "x".repeat(bytes));
        let (turns, spent) = (Vec::new(), Vec::new());
        Change::Append(AppendRows { session, events: vec![row], turns, index: None, spent })
    }

    #[tokio::test]
    async fn a_change_that_does_not_fit_fails_alone_in_its_group() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (inbox, running) = with_pages(&scratch, "PRAGMA max_page_count = 60").await;
        let (small, large) = (SessionId::generate(), SessionId::generate());
        let (before, full, after) = tokio::join!(
            inbox.write(event(small, 1, 100)),
            inbox.write(event(large, 1, 1_000_000)),
            inbox.write(event(small, 2, 100)),
        );
        before.expect("the one before");
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        after.expect("the one after");
        inbox.write(event(large, 1, 100)).await.expect("one that fits");
        inbox.close().await;
        running.await.expect("the writer ends");
    }

    #[tokio::test]
    async fn a_full_database_works_again_when_something_is_deleted() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (inbox, _running) = with_pages(&scratch, "PRAGMA max_page_count = 60").await;
        let (old, new) = (SessionId::generate(), SessionId::generate());
        inbox.write(event(old, 1, 100_000)).await.expect("fits");
        let full = inbox.write(event(new, 1, 100_000)).await;
        assert!(matches!(full, Err(StoreError::Full { .. })), "{full:?}");
        inbox.delete(old, None).await.expect("delete");
        inbox.write(event(new, 1, 100_000)).await.expect("fits now");
    }
}
