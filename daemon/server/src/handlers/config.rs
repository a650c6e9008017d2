//! `config/*`.

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::config::ConfigServer;
use protocol::config::{ConfigCheckParams, ConfigCheckResult};
use protocol::error::{ErrorCode, ProtocolError};

use super::{Handlers, blocking};

#[async_trait]
impl ConfigServer for Handlers {
    async fn check(&self, params: ConfigCheckParams) -> RpcResult<ConfigCheckResult> {
        let file = params.file.unwrap_or_else(|| self.0.folders.config_file());
        if !file.is_absolute() {
            let message = format!("`{}` is not an absolute path", file.display());
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).into());
        }
        Ok(blocking(move || Ok(::config::check(&file))).await?)
    }
}
