//! `turn/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::turn::{
    TurnEnqueueParams, TurnEnqueueResult, TurnInterruptParams, TurnInterruptResult, TurnStartParams,
    TurnStartResult, TurnSteerParams, TurnSteerResult,
};

/// Starts, steers and ends turns.
#[rpc(server, client, namespace = "turn", namespace_separator = "/")]
pub trait Turn {
    /// Starts a turn; a conflict if one is running.
    #[method(name = "start", with_extensions)]
    async fn start(&self, params: TurnStartParams) -> RpcResult<TurnStartResult>;

    /// Says something into the running turn; the model sees it at its next request.
    #[method(name = "steer", with_extensions)]
    async fn steer(&self, params: TurnSteerParams) -> RpcResult<TurnSteerResult>;

    /// Starts a turn, now or when the running ones have ended.
    #[method(name = "enqueue", with_extensions)]
    async fn enqueue(&self, params: TurnEnqueueParams) -> RpcResult<TurnEnqueueResult>;

    /// Ends the running turn; what was said and done stays.
    #[method(name = "interrupt", with_extensions)]
    async fn interrupt(&self, params: TurnInterruptParams) -> RpcResult<TurnInterruptResult>;
}
