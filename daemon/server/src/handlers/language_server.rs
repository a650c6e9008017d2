//! `languageServer/*`.

use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::language_server::LanguageServersServer;
use protocol::language_server::{LanguageServerListParams, LanguageServerListResult};
use protocol::session::SettingsOverrides;

use super::{Handlers, blocking, caller, refuse_relative};
use crate::settings;

#[async_trait]
impl LanguageServersServer for Handlers {
    async fn list_language_servers(
        &self,
        extensions: &Extensions,
        params: LanguageServerListParams,
    ) -> RpcResult<LanguageServerListResult> {
        let LanguageServerListParams { cwd } = params;
        refuse_relative(&cwd)?;
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&caller(extensions)?.client()?.environment);
        let listed = blocking(move || {
            let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            match daemon.world.finder() {
                Some(finder) => finder.list(&loaded.settings, &client, &cwd),
                None => Ok(LanguageServerListResult { is_on: false, is_trusted: false, servers: Vec::new() }),
            }
        });
        Ok(listed.await?)
    }
}
