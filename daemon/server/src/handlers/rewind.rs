//! `rewind/*`.

use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::rewind::RewindServer;
use protocol::error::ProtocolError;
use protocol::event::{Event, EventRecord};
use protocol::ids::{Seq, SessionId};
use protocol::rewind::{LeftFile, RewindParams, RewindResult, RewoundFile};
use session::effect::Reply;
use session::input::Request;

use super::{Handlers, blocking, caller, unexpected};
use crate::files::read_changes;
use crate::rewind::{MAX_FILES, Planned, action};
use crate::story::Story;

#[async_trait]
impl RewindServer for Handlers {
    async fn preview(&self, params: RewindParams) -> RpcResult<RewindResult> {
        let (_, records) = self.log(params.session_id).await?;
        let (planned, _) = self.planned(records, params).await?;
        Ok(planned.result(false))
    }

    async fn start(&self, extensions: &Extensions, params: RewindParams) -> RpcResult<RewindResult> {
        let actor = caller(extensions)?.actor()?;
        let (id, request_id) = (params.session_id, params.request_id);
        let (session, records) = self.log(id).await?;
        // What was done for this very request is told again.
        let is_ours = |record: &&EventRecord| {
            record.request_id.is_some() && record.request_id == request_id && rewound(record).is_some()
        };
        if let Some(done) = records.iter().find(is_ours) {
            return Ok(self.done(id, done.seq).await?);
        }
        let (mut planned, params) = self.planned(records, params).await?;
        if !planned.settle(params.conflicts.as_ref())? {
            return Ok(planned.result(false));
        }
        let mut result = planned.result(true);
        let plan = planned.keep(&self.0.store, id).await?;
        let answered = session.request(actor, request_id, Request::Rewind(plan)).await?;
        match answered.reply {
            Reply::Done => {
                result.left.extend(self.left(id, answered.seq).await?);
                Ok(result)
            }
            other => Err(unexpected(&other).into()),
        }
    }
}

fn rewound(record: &EventRecord) -> Option<&protocol::rewind::SessionRewound> {
    if let Event::SessionRewound(rewound) = &record.event { Some(rewound) } else { None }
}

impl Handlers {
    /// The session, and its whole log.
    pub(super) async fn log(
        &self,
        id: SessionId,
    ) -> Result<(session::handle::SessionHandle, Vec<EventRecord>), ProtocolError> {
        let session = self.0.session(id).await?;
        session.look_at_files().await?;
        // What is being written is written when this returns.
        session.summary().await?;
        Ok((session, self.0.store.events(id, Seq::ZERO, None).await?))
    }

    async fn planned(
        &self,
        records: Vec<EventRecord>,
        params: RewindParams,
    ) -> Result<(Planned, RewindParams), ProtocolError> {
        let daemon = Arc::clone(&self.0);
        blocking(move || {
            let planned = Planned::new(daemon.store.blobs(), &Story::of(&records), &params)?;
            Ok((planned, params))
        })
        .await
    }

    /// What a rewind could not bring back.
    async fn left(&self, id: SessionId, rewound: Seq) -> Result<Vec<LeftFile>, ProtocolError> {
        let after = self.0.store.events(id, rewound, None).await?;
        let ended = after.into_iter().find_map(|record| {
            if let Event::RewindEnded(ended) = record.event { Some(ended.left) } else { None }
        });
        Ok(ended.unwrap_or_default())
    }

    /// What was answered to a rewind that is done.
    async fn done(&self, id: SessionId, seq: Seq) -> Result<RewindResult, ProtocolError> {
        let records = self.0.store.events(id, Seq(seq.0.saturating_sub(1)), Some(seq)).await?;
        let rewound = records.first().and_then(rewound).cloned();
        let left = self.left(id, seq).await?;
        let (turns, count, list) =
            rewound.map(|rewound| (rewound.turns, rewound.count, rewound.changes)).unwrap_or_default();
        let daemon = Arc::clone(&self.0);
        let files = blocking(move || match list {
            None => Ok(Vec::new()),
            Some(list) => read_changes(daemon.store.blobs(), &list),
        })
        .await?;
        let files = files
            .into_iter()
            .take(MAX_FILES)
            .map(|file| RewoundFile {
                action: action(file.before.is_some(), file.after.is_some()),
                path: file.path,
                is_conflict: false,
            })
            .collect();
        Ok(RewindResult { is_done: true, turns, files, count, conflicts: 0, left })
    }
}
