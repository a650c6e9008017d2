//! Rows of the database, made from the protocol's types before they reach the writer. Knows no SQL.

use protocol::event::{Event, EventRecord};
use protocol::ids::{RequestId, Seq, SessionId, Timestamp};
use protocol::session::{SessionStatus, SessionSummary};
use uuid::Uuid;

use crate::error::StoreError;
use crate::store::Append;
use crate::usage::Spent;

/// An append as rows.
pub(crate) struct AppendRows {
    pub(crate) session: SessionId,
    pub(crate) events: Vec<EventRow>,
    /// Places of events that start a turn.
    pub(crate) turns: Vec<Seq>,
    pub(crate) index: Option<IndexRow>,
    pub(crate) spent: Vec<Spent>,
}

/// A row of `event`.
pub(crate) struct EventRow {
    pub(crate) seq: Seq,
    pub(crate) at: Timestamp,
    pub(crate) request_id: Option<RequestId>,
    pub(crate) body: String,
    pub(crate) checksum: u32,
}

/// A row of `session`.
pub(crate) struct IndexRow {
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) cwd: String,
    pub(crate) is_archived: bool,
    pub(crate) is_active: bool,
    pub(crate) is_ephemeral: bool,
    pub(crate) summary: String,
    pub(crate) parent: Option<SessionId>,
    pub(crate) root: Option<SessionId>,
}

impl AppendRows {
    /// Encodes an append; its events must follow each other.
    pub(crate) fn encode(append: &Append) -> Result<Self, StoreError> {
        let session = append.session;
        let mut events = Vec::with_capacity(append.records.len());
        let mut turns = Vec::new();
        for EventRecord { seq, at, request_id, event } in &append.records {
            let expected = events.last().map_or(*seq, |last: &EventRow| last.seq.next());
            if *seq != expected {
                return Err(StoreError::Gap { session, expected, found: *seq });
            }
            if matches!(event, Event::TurnStarted(_)) {
                turns.push(*seq);
            }
            let body = serde_json::to_string(event).map_err(StoreError::Encode)?;
            events.push(EventRow::new(session, *seq, *at, *request_id, body));
        }
        let index = append.summary.as_ref().map(IndexRow::encode).transpose()?;
        Ok(Self { session, events, turns, index, spent: append.spent.clone() })
    }
}

impl EventRow {
    /// A row with its checksum.
    pub(crate) fn new(
        session: SessionId,
        seq: Seq,
        at: Timestamp,
        request_id: Option<RequestId>,
        body: String,
    ) -> Self {
        let checksum = checksum(session, seq, at, request_id, body.as_bytes());
        Self { seq, at, request_id, body, checksum }
    }
}

/// CRC-32 (IEEE) of all that a row of `event` holds, so that damage is found that still is an event of some session.
pub(crate) fn checksum(
    session: SessionId,
    seq: Seq,
    at: Timestamp,
    request_id: Option<RequestId>,
    body: &[u8],
) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(session.0.as_bytes());
    hasher.update(&seq.0.to_le_bytes());
    hasher.update(&at.0.to_le_bytes());
    if let Some(id) = request_id {
        hasher.update(id.0.as_bytes());
    }
    hasher.update(body);
    hasher.finalize()
}

impl IndexRow {
    fn encode(summary: &SessionSummary) -> Result<Self, StoreError> {
        let (is_active, is_archived) = match summary.status {
            SessionStatus::Running { .. } | SessionStatus::Waiting { .. } => (true, false),
            SessionStatus::Archived => (false, true),
            SessionStatus::Idle | SessionStatus::Damaged { .. } | SessionStatus::Unknown(_) => (false, false),
        };
        Ok(Self {
            created_at: summary.created_at,
            updated_at: summary.updated_at,
            // JSON refuses a path that is not UTF-8, so nothing is lost here.
            cwd: summary.settings.cwd.to_string_lossy().into_owned(),
            is_archived,
            is_active,
            is_ephemeral: summary.settings.is_ephemeral,
            summary: serde_json::to_string(summary).map_err(StoreError::Encode)?,
            parent: summary.agent.as_ref().map(|agent| agent.parent),
            root: summary.agent.as_ref().map(|agent| agent.root),
        })
    }
}

/// An id as a column.
pub(crate) fn id_bytes(session: SessionId) -> Vec<u8> {
    session.0.as_bytes().to_vec()
}

/// A column as an id.
pub(crate) fn id_of(bytes: &[u8]) -> Option<SessionId> {
    Uuid::from_slice(bytes).ok().map(SessionId)
}

/// A number as a column. SQLite's integers are signed; what is beyond them is as good as endless.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A column as a number; a negative one was never written.
pub(crate) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
