//! `diff/*`.

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::diff::DiffServer;
use protocol::diff::{DiffReadParams, DiffReadResult};
use protocol::error::{ErrorCode, ProtocolError};
use protocol::rewind::FileKind;

use super::{Handlers, blocking};
use crate::difference::file_diff;
use crate::files::read_changes;
use crate::rewind::MAX_FILES;
use crate::story::{Story, together};

/// Bytes of the texts of an answer.
const MAX_BYTES: usize = 8 * 1024 * 1024;

#[async_trait]
impl DiffServer for Handlers {
    async fn read(&self, params: DiffReadParams) -> RpcResult<DiffReadResult> {
        let DiffReadParams { session_id, turn_id } = params;
        let (session, records) = self.log(session_id).await?;
        let cwd = session.summary().await?.settings.cwd;
        let daemon = Arc::clone(&self.0);
        let result = blocking(move || {
            let story = Story::of(&records);
            if let Some(turn_id) = turn_id
                && !story.turns.iter().any(|turn| turn.id == turn_id)
            {
                let message = format!("There is no turn `{turn_id}` in the session");
                return Err(ProtocolError::new(ErrorCode::NotFound, message));
            }
            let blobs = daemon.store.blobs();
            let meant = story.changes.iter().filter(|told| turn_id.is_none() || told.turn == turn_id);
            let lists = meant.map(|told| read_changes(blobs, &told.list)).collect::<Result<Vec<_>, _>>()?;
            let mut result = DiffReadResult { files: Vec::new(), count: 0 };
            let mut bytes = 0;
            for (path, (before, after)) in together(lists) {
                // Like git, a diff tells of what is in folders.
                let is_folder =
                    [&before, &after].into_iter().flatten().all(|side| side.kind == FileKind::Folder);
                if is_folder {
                    continue;
                }
                result.count += 1;
                if result.files.len() < MAX_FILES && bytes < MAX_BYTES {
                    let file = file_diff(blobs, &cwd, path, before.as_ref(), after.as_ref())?;
                    bytes += file.text.len();
                    result.files.push(file);
                }
            }
            Ok(result)
        })
        .await?;
        Ok(result)
    }
}
