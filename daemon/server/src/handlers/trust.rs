//! `trust/*`.

use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::trust::TrustServer;
use protocol::trust::{FolderTrust, TrustReadParams, TrustSetParams};

use super::{Handlers, blocking, caller};
use crate::trust;

#[async_trait]
impl TrustServer for Handlers {
    async fn read_trust(&self, params: TrustReadParams) -> RpcResult<FolderTrust> {
        let kept = Arc::clone(self.0.world.trust());
        Ok(blocking(move || trust::read(&kept, &params.folder)).await?)
    }

    async fn set_trust(&self, extensions: &Extensions, params: TrustSetParams) -> RpcResult<FolderTrust> {
        let actor = caller(extensions)?.actor()?;
        let kept = Arc::clone(self.0.world.trust());
        let count = params.hashes.len();
        let found = blocking(move || trust::set(&kept, &params.folder, &params.hashes)).await?;
        self.0.world.projects().forget();
        let folder = found.folder.display();
        tracing::info!(%folder, count, by = %actor.name, "trusts declarations of a folder");
        Ok(found)
    }
}
