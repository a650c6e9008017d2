//! `initialize`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::initialize::{InitializeParams, InitializeResult};

/// The first call on every connection; all others are refused before it.
#[rpc(server, client)]
pub trait Initialize {
    /// Agrees on a protocol version and tells who is who.
    #[method(name = "initialize", with_extensions)]
    async fn initialize(&self, params: InitializeParams) -> RpcResult<InitializeResult>;
}
