//! `config/*`.

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;

use crate::config::{ConfigCheckParams, ConfigCheckResult};

/// Looks at the settings.
#[rpc(server, client, namespace = "config", namespace_separator = "/")]
pub trait Config {
    /// Checks a configuration file and lists all that is wrong in it.
    #[method(name = "check")]
    async fn check(&self, params: ConfigCheckParams) -> RpcResult<ConfigCheckResult>;
}
