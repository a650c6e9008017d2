//! `hook/*`.

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::hook::HooksServer;
use protocol::hook::{HookListParams, HookListResult};
use protocol::session::SettingsOverrides;

use super::{Handlers, blocking, refuse_relative};
use crate::settings;

#[async_trait]
impl HooksServer for Handlers {
    async fn list_hooks(&self, params: HookListParams) -> RpcResult<HookListResult> {
        let HookListParams { cwd } = params;
        refuse_relative(&cwd)?;
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
