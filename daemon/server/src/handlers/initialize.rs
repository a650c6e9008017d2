//! `initialize`.

use std::sync::Arc;

use jsonrpsee::Extensions;
use jsonrpsee::core::{RpcResult, async_trait};
use protocol::api::initialize::InitializeServer;
use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::initialize::{InitializeParams, InitializeResult};
use protocol::version::SUPPORTED;

use super::{Handlers, caller};
use crate::connection::Client;

/// The longest name of a client, in characters.
const MAX_NAME: usize = 100;
/// The largest environment that is taken. Linux gives a process no more than a quarter of its stack for it.
const MAX_ENVIRONMENT_BYTES: usize = 2 * 1024 * 1024;

#[async_trait]
impl InitializeServer for Handlers {
    async fn initialize(
        &self,
        extensions: &Extensions,
        params: InitializeParams,
    ) -> RpcResult<InitializeResult> {
        let connection = caller(extensions)?;
        let identity = &self.0.identity;
        let InitializeParams { client_name, client_version, client_build, protocol, environment } = params;
        let agreed = SUPPORTED.negotiate(protocol).ok_or_else(|| {
            let message = format!("The client speaks protocol {protocol}, the daemon {SUPPORTED}");
            let daemon_build = identity.build.clone();
            ProtocolError::new(ErrorCode::InvalidRequest, message)
                .with_hint("Stop the daemon with `skein daemon stop`; the next call starts one of the client's version")
                .with_detail(ErrorDetail::VersionMismatch { client: protocol, daemon: SUPPORTED, daemon_build })
        })?;
        let bytes: usize = environment.iter().map(|(name, value)| name.len() + value.len()).sum();
        if bytes > MAX_ENVIRONMENT_BYTES {
            let message = format!("The environment has {bytes} bytes; {MAX_ENVIRONMENT_BYTES} are allowed");
            return Err(ProtocolError::new(ErrorCode::InvalidRequest, message).into());
        }
        let name = shown(&client_name);
        tracing::info!(%name, version = %client_version, build = client_build, "a client connected");
        let version = shown(&client_version);
        let environment = Arc::new(environment);
        connection.initialize(Client { name, version, environment: Arc::clone(&environment) })?;
        self.0.recovery.tell(&environment);
        Ok(InitializeResult {
            protocol: agreed,
            client_id: connection.id(),
            daemon_version: identity.version.to_owned(),
            daemon_build: identity.build.clone(),
            epoch: identity.epoch,
            features: Vec::new(),
        })
    }
}

/// A name as others may see it: one line, of a bounded length, never empty.
fn shown(name: &str) -> String {
    let name: String = name.chars().filter(|character| !character.is_control()).take(MAX_NAME).collect();
    if name.trim().is_empty() { "unnamed client".to_owned() } else { name.trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_can_be_shown() {
        assert_eq!(shown("skein exec"), "skein exec");
        assert_eq!(shown(" a\u{1b}[2J\nb "), "a[2Jb");
        assert_eq!(shown("\n"), "unnamed client");
        assert_eq!(shown(&"x".repeat(1000)).len(), MAX_NAME);
    }
}
