//! `skill/*`.

use std::path::PathBuf;
use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::skill::SkillsServer;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::session::SettingsOverrides;
use protocol::skill::{SkillListParams, SkillListResult, SkillReadParams, SkillReadResult};

use super::{Handlers, blocking, caller, refuse_relative};
use crate::settings;
use crate::skills::{Folders, Listing};

#[async_trait]
impl SkillsServer for Handlers {
    async fn list_skills(
        &self,
        extensions: &Extensions,
        params: SkillListParams,
    ) -> RpcResult<SkillListResult> {
        Ok(self.listing(extensions, params.cwd).await?.into_result())
    }

    async fn read_skill(
        &self,
        extensions: &Extensions,
        params: SkillReadParams,
    ) -> RpcResult<SkillReadResult> {
        let SkillReadParams { cwd, name } = params;
        let found = self.listing(extensions, cwd).await?.into_one(&name);
        Ok(found.ok_or_else(|| {
            ProtocolError::new(ErrorCode::NotFound, format!("There is no skill `{name}`"))
                .with_hint("See those there are with `skein skills list`")
        })?)
    }
}

impl Handlers {
    async fn listing(&self, extensions: &Extensions, cwd: PathBuf) -> Result<Listing, ProtocolError> {
        refuse_relative(&cwd)?;
        let daemon = Arc::clone(&self.0);
        let client = Arc::clone(&caller(extensions)?.client()?.environment);
        blocking(move || {
            let loaded = settings::load(daemon.circumstances.file(), &SettingsOverrides::default())?;
            let cwd = cwd.canonicalize().unwrap_or(cwd);
            let environment = daemon.circumstances.effective(&client);
            let folders = Folders::of(&daemon.folders.config, environment);
            Ok(Listing::of(&folders, &loaded.settings, daemon.world.trust(), &cwd))
        })
        .await
    }
}
