//! `hook/*`.

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::hook::HooksServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::hook::{HookListParams, HookListResult};
use protocol::session::SettingsOverrides;

use super::{Handlers, blocking};
use crate::settings;

#[async_trait]
impl HooksServer for Handlers {
    async fn list_hooks(&self, params: HookListParams) -> RpcResult<HookListResult> {
        let HookListParams { cwd } = params;
        if !cwd.is_absolute() {
            let message = format!("`{}` is not an absolute path", cwd.display());
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).into());
        }
        let daemon = Arc::clone(&self.0);
        let listed = blocking(move || {
            let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            Ok(match daemon.world.hooks() {
                Some(hooks) => hooks.list(&loaded.settings, &cwd),
                None => HookListResult { hooks: Vec::new(), problems: Vec::new() },
            })
        });
        Ok(listed.await?)
    }
}
