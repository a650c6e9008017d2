//! How an actor leaves its work behind when the daemon stops: at a durable point, and with what commands changed in files
//! told. Decides nothing.

use std::time::Duration;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::ItemId;
use protocol::item::ItemStatus;

use crate::actor::Actor;
use crate::hooks::SessionEnd;
use crate::input::Input;

/// How long a command may go on when the daemon hands its work over.
const GRACE: Duration = Duration::from_secs(3);
/// How long it may take to look at what was cut off then.
const LAST_LOOKS: Duration = Duration::from_secs(1);

impl Actor {
    /// Brings the turn to a durable point, because the daemon stops. A tool that runs when the work is handed over
    /// gets a moment to end by itself.
    pub(crate) async fn stop(&mut self, hand_over: bool) -> Result<(), ProtocolError> {
        self.is_stopping = true;
        if hand_over {
            let grace = tokio::time::sleep(GRACE);
            tokio::pin!(grace);
            while self.is_tool_running() {
                tokio::select! {
                    biased;
                    Some(inputs) = self.inputs.recv() => self.take_all(inputs),
                    () = &mut grace => break,
                }
                self.flush().await?;
            }
        }
        let running: Vec<ItemId> = self.hands.work.tools().filter(|id| self.is_open(*id)).collect();
        self.hands.work.cancel();
        self.take_last_looks().await;
        if self.hands.work.end_background().await {
            self.look_meanwhile().await;
        }
        let is_call_running = running.into_iter().any(|id| self.is_open(id));
        self.take(Input::Stopping { hand_over, is_call_running }, None);
        self.flush().await?;
        if !hand_over && self.hands.has_started() {
            self.around.world.session_ended(self.state.id, &self.state.settings, SessionEnd::Rest);
        }
        self.write_header().await;
        let message = "The daemon is stopping";
        self.audience.close(
            &ProtocolError::new(ErrorCode::Unavailable, message).with_hint("Connect again in a moment"),
        );
        Ok(())
    }

    /// Notes what calls that were cut off have changed in files.
    pub(crate) async fn take_last_looks(&mut self) {
        let limit = tokio::time::sleep(LAST_LOOKS);
        tokio::pin!(limit);
        for mut look in self.hands.work.looks() {
            loop {
                tokio::select! {
                    biased;
                    Some(inputs) = self.inputs.recv() => self.take_all(inputs),
                    _ = &mut look => break,
                    () = &mut limit => return,
                }
            }
        }
        while let Ok(inputs) = self.inputs.try_recv() {
            self.take_all(inputs);
        }
    }

    /// Notes what commands in the background have changed in files. A call that runs looks itself when it ends.
    pub(crate) async fn look_meanwhile(&mut self) {
        if self.is_tool_running() {
            return;
        }
        if let Some(changed) = self.hands.meanwhile(&self.state).await {
            self.take(Input::FilesChanged(changed), None);
        }
    }

    fn is_tool_running(&self) -> bool {
        self.hands.work.tools().any(|id| self.is_open(id))
    }

    fn is_open(&self, id: ItemId) -> bool {
        self.state.item(id).is_some_and(|item| item.status == ItemStatus::InProgress)
    }
}
