//! What became of something that was said in a session, and how it is taken back.

use protocol::api::queue::QueueClient;
use protocol::api::turn::TurnClient;
use protocol::ids::{QueuedId, RequestId, TurnId};
use protocol::queue::QueueCancelParams;
use protocol::turn::{InterruptReason, TurnEnqueueResult, TurnInterruptParams};

use crate::attached::Attached;
use crate::error::ClientError;

/// Where something is that was said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// It waits for the turns of others.
    Queued(QueuedId),
    /// Its turn has begun.
    Begun(TurnId),
}

impl Said {
    /// From the daemon's answer; `None` if that names neither.
    #[must_use]
    pub fn of(taken: &TurnEnqueueResult) -> Option<Self> {
        taken.turn_id.map(Self::Begun).or(taken.queued_id.map(Self::Queued))
    }

    /// The turn, if it has begun.
    #[must_use]
    pub fn turn(self) -> Option<TurnId> {
        match self {
            Self::Begun(turn) => Some(turn),
            Self::Queued(_) => None,
        }
    }
}

impl Attached {
    /// Takes back what waits, and interrupts what has begun.
    ///
    /// # Errors
    /// When it has begun or ended meanwhile, which the feed tells, or the daemon can't be reached.
    pub async fn take_back(&mut self, said: Said) -> Result<(), ClientError> {
        let session_id = self.session();
        let request_id = Some(RequestId::generate());
        match said {
            Said::Queued(queued_id) => {
                let params = QueueCancelParams { session_id, queued_id, request_id };
                self.call(async |rpc| QueueClient::cancel(rpc, params.clone()).await).await.map(drop)
            }
            Said::Begun(turn) => {
                let params = TurnInterruptParams {
                    session_id,
                    expected_turn_id: Some(turn),
                    reason: InterruptReason::Requested,
                    request_id,
                };
                self.call(async |rpc| TurnClient::interrupt(rpc, params.clone()).await).await.map(drop)
            }
        }
    }
}
