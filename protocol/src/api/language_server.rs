//! `languageServer/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::language_server::{LanguageServerListParams, LanguageServerListResult};

/// Language servers.
#[rpc(server, client, namespace = "languageServer", namespace_separator = "/")]
pub trait LanguageServers {
    /// Lists the language servers of the settings, whether they are found, and how they are.
    #[method(name = "list", with_extensions)]
    async fn list_language_servers(
        &self,
        params: LanguageServerListParams,
    ) -> RpcResult<LanguageServerListResult>;
}
