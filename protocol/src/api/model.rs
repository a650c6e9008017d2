//! `model/*`.

use jsonrpsee::core::{RpcResult, SubscriptionResult};
use jsonrpsee::proc_macros::rpc;

use crate::catalogue::{
    ModelChoice, ModelChoiceParams, ModelListParams, ModelListResult, ModelLoadParams, ModelLoadResult,
    ModelPullParams, ModelUnloadParams, PullProgress,
};
use crate::session::Done;

/// Models and where they are.
#[rpc(server, client, namespace = "model", namespace_separator = "/")]
pub trait Model {
    /// Lists providers and their models.
    #[method(name = "list", with_extensions)]
    async fn list_models(&self, params: ModelListParams) -> RpcResult<ModelListResult>;

    /// Tells what a session gets whose client chooses nothing, and why.
    #[method(name = "choice", with_extensions)]
    async fn choice(&self, params: ModelChoiceParams) -> RpcResult<ModelChoice>;

    /// Brings a model of a server of this machine into memory; waits for it at most 20 s.
    #[method(name = "load", with_extensions)]
    async fn load(&self, params: ModelLoadParams) -> RpcResult<ModelLoadResult>;

    /// Takes a model of a server of this machine out of memory.
    #[method(name = "unload", with_extensions)]
    async fn unload(&self, params: ModelUnloadParams) -> RpcResult<Done>;

    /// Fetches a model onto this machine and tells how far it is; ending the subscription cancels it.
    #[subscription(name = "pull" => "progress", unsubscribe = "cancelPull", item = PullProgress, with_extensions)]
    async fn pull(&self, params: ModelPullParams) -> SubscriptionResult;
}
