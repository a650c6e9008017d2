//! `queue/*`.

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::queue::QueueServer;
use protocol::queue::{QueueCancelParams, QueueListParams, QueueListResult, QueueUpdateParams};
use protocol::session::Done;
use session::input::Request;

use super::{Handlers, caller};
use crate::input;

#[async_trait]
impl QueueServer for Handlers {
    async fn list(&self, params: QueueListParams) -> RpcResult<QueueListResult> {
        let session = self.0.session(params.session_id).await?;
        // The queue stands in every page; none of the turns is asked for.
        Ok(QueueListResult { queue: session.read(0, 0).await?.queue })
    }

    async fn update(&self, extensions: &Extensions, params: QueueUpdateParams) -> RpcResult<Done> {
        let connection = caller(extensions)?;
        let actor = connection.actor()?;
        let QueueUpdateParams { session_id, queued_id, input: said, position, request_id } = params;
        let session = self.0.session(session_id).await?;
        let input = match said {
            Some(said) => {
                let said = input::take_in(self.0.store.blobs(), session_id, said).await?;
                let said = self.with_skills(session_id, &session, said, connection).await?;
                Some(Box::pin(self.with_resources(session_id, &session, said)).await?)
            }
            None => None,
        };
        let request = Request::ChangeQueued { queued_id, input, position };
        session.request(actor, request_id, request).await?;
        Ok(Done {})
    }

    async fn cancel(&self, extensions: &Extensions, params: QueueCancelParams) -> RpcResult<Done> {
        let actor = caller(extensions)?.actor()?;
        let QueueCancelParams { session_id, queued_id, request_id } = params;
        let session = self.0.session(session_id).await?;
        session.request(actor, request_id, Request::CancelQueued { queued_id }).await?;
        Ok(Done {})
    }
}
