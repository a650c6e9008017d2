//! `config/*`.

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::config::ConfigServer;
use protocol::config::{ConfigCheckParams, ConfigCheckResult};

use super::{Handlers, blocking, refuse_relative};

#[async_trait]
impl ConfigServer for Handlers {
    async fn check(&self, params: ConfigCheckParams) -> RpcResult<ConfigCheckResult> {
        // Rules belong to the person's own settings, not to another file that is looked at.
        let world = params.file.is_none().then(|| Arc::clone(&self.0.world));
        let file = params.file.unwrap_or_else(|| self.0.folders.config_file());
        refuse_relative(&file)?;
        let check = move || {
            let mut result = ::config::check(&file);
            result.warnings.extend(world.iter().flat_map(|world| world.broken_rules()));
            Ok(result)
        };
        Ok(blocking(check).await?)
    }
}
