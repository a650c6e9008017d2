//! `config/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::config::ConfigServer;
use protocol::config::{ConfigCheckParams, ConfigCheckResult};

use super::{Handlers, blocking, refuse_relative};

#[async_trait]
impl ConfigServer for Handlers {
    async fn check(&self, params: ConfigCheckParams) -> RpcResult<ConfigCheckResult> {
        let file = params.file.unwrap_or_else(|| self.0.folders.config_file());
        refuse_relative(&file)?;
        Ok(blocking(move || Ok(::config::check(&file))).await?)
    }
}
