//! Models of this machine that are on their way into memory. It takes as long as it takes to read them from disk, so a
//! load goes on when nobody waits for it any longer.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use providers::local::server::LocalServer;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::models;

/// Loads at a time.
const MAX_LOADS: usize = 4;
/// How long a call waits for one.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// All of them. Dropping it gives them up.
#[derive(Default)]
pub(crate) struct Loads(Mutex<JoinSet<()>>);

impl Loads {
    /// Loads a model; whether it is there within 20 s. Else it is still on its way.
    ///
    /// # Errors
    /// `Unavailable` when too many are under way; what the server says.
    pub(crate) async fn load(
        &self,
        server: LocalServer,
        model: String,
        context: Option<u64>,
    ) -> Result<bool, ProtocolError> {
        let (tell, told) = oneshot::channel();
        {
            // A poisoned set is whole: each change is one call.
            let mut loads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            while loads.try_join_next().is_some() {}
            if loads.len() >= MAX_LOADS {
                let message = format!("{MAX_LOADS} models are on their way into memory");
                return Err(
                    ProtocolError::new(ErrorCode::Unavailable, message).with_hint("Wait for one of them")
                );
            }
            loads.spawn(async move {
                let loaded = server.load(&model, context).await;
                if let Err(error) = &loaded {
                    tracing::warn!(%error, model, "a model was not loaded");
                }
                // Whoever asked may have stopped waiting.
                let _ = tell.send(loaded);
            });
        }
        match tokio::time::timeout(WAIT_LIMIT, told).await {
            Ok(Ok(Ok(_name))) => Ok(true),
            Ok(Ok(Err(error))) => Err(models::refused(&error)),
            Ok(Err(_)) => Err(ProtocolError::new(ErrorCode::Internal, "Loading the model failed inside")),
            Err(_) => Ok(false),
        }
    }
}
