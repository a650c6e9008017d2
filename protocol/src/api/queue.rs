//! `queue/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::queue::{QueueCancelParams, QueueListParams, QueueListResult, QueueUpdateParams};
use crate::session::Done;

/// Lists and changes what waits in a session.
#[rpc(server, client, namespace = "queue", namespace_separator = "/")]
pub trait Queue {
    /// Lists what waits, the next one first.
    #[method(name = "list")]
    async fn list(&self, params: QueueListParams) -> RpcResult<QueueListResult>;

    /// Edits an input that waits, or puts it elsewhere in the queue.
    #[method(name = "update", with_extensions)]
    async fn update(&self, params: QueueUpdateParams) -> RpcResult<Done>;

    /// Takes an input out of the queue.
    #[method(name = "cancel", with_extensions)]
    async fn cancel(&self, params: QueueCancelParams) -> RpcResult<Done>;
}
