//! Reads a session from the store: whole, or the header with the last turns.

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{Seq, SessionId};
use protocol::turn::Turn;
use store::Checkpoint;

use crate::header;
use crate::log::Log;
use crate::state::{FoldError, SessionState};
use crate::turns;

/// Turns that are loaded at first; earlier ones come when they are needed.
pub(crate) const PAGE_TURNS: u32 = 20;

/// A session as it was read.
pub(crate) struct Loaded {
    pub(crate) state: SessionState,
    /// The first event whose turn is in memory; `state.earlier_turns` lie before it.
    pub(crate) from: Seq,
    /// What the header beside the log is of; zero if there is none.
    pub(crate) checkpoint: Seq,
}

/// Reads a session.
///
/// # Errors
/// `NotFound`, what the store says, or `Internal` when the log is not whole.
pub(crate) async fn load(log: &dyn Log, id: SessionId) -> Result<Loaded, ProtocolError> {
    if let Some(checkpoint) = log.checkpoint(id).await? {
        match load_page(log, id, &checkpoint).await? {
            Some(loaded) => return Ok(loaded),
            None => tracing::info!(session = %id, "the header can't be used; folding the whole log"),
        }
    }
    let records = log.events(id, Seq::ZERO, None).await?;
    if records.is_empty() {
        return Err(ProtocolError::new(ErrorCode::NotFound, format!("There is no session `{id}`"))
            .with_hint("See those there are with `skein sessions list`"));
    }
    let state = match SessionState::fold(id, &records) {
        Ok(state) => state,
        Err(error) => return Err(broken(log, id, &error).await),
    };
    Ok(Loaded { state, from: Seq::ZERO, checkpoint: Seq::ZERO })
}

/// The last turns and what the header says of the rest. `None` if the header does not fit the log.
async fn load_page(
    log: &dyn Log,
    id: SessionId,
    checkpoint: &Checkpoint,
) -> Result<Option<Loaded>, ProtocolError> {
    let starts = log.turn_starts(id, PAGE_TURNS).await?;
    let after_checkpoint = checkpoint.seq.next();
    let from = starts.first().copied().unwrap_or(after_checkpoint).min(after_checkpoint);
    let records = log.events(id, Seq(from.0.saturating_sub(1)), None).await?;
    let known = records.partition_point(|record| record.seq <= checkpoint.seq);
    let mut page = Vec::new();
    for record in &records[..known] {
        turns::fold(&mut page, record);
    }
    let Some(mut state) = header::read(id, checkpoint.seq, &checkpoint.body, page) else { return Ok(None) };
    for record in &records[known..] {
        if let Err(error) = state.apply(record) {
            return Err(broken(log, id, &error).await);
        }
    }
    Ok(Some(Loaded { state, from, checkpoint: checkpoint.seq }))
}

/// The turns before an event.
///
/// # Errors
/// What the store says.
pub(crate) async fn earlier(log: &dyn Log, id: SessionId, from: Seq) -> Result<Vec<Turn>, ProtocolError> {
    let mut page = Vec::new();
    for record in log.events(id, Seq::ZERO, Some(Seq(from.0.saturating_sub(1)))).await? {
        turns::fold(&mut page, &record);
    }
    Ok(page)
}

/// A log that can be read and makes no sense is damage like any other.
async fn broken(log: &dyn Log, id: SessionId, error: &FoldError) -> ProtocolError {
    log.set_aside(id, error.to_string()).await.into()
}
