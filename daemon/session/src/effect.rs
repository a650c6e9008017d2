//! What follows from an input. The actor carries effects out in order.

use protocol::delta::Delta;
use protocol::error::ProtocolError;
use protocol::event::Event;
use protocol::ids::{ItemId, QuestionId, TurnId};

/// One thing to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Make these events durable, fold them, then let everybody see them.
    Append(Vec<Event>),
    /// Let everybody see a piece of a growing item.
    Publish(Delta),
    /// Answer the client whose request this was.
    Reply(Result<Reply, ProtocolError>),
    /// Ask the model, with the state as it is then.
    CallModel,
    /// Run the tool of this item, whose intent is durable by then.
    RunTool {
        /// The item.
        item_id: ItemId,
    },
    /// Stop the model's answer and the running tool, if any; what they still say comes too late.
    CancelWork,
    /// Send `Input::Deadline` for the turn after so long.
    StartDeadline {
        /// The turn.
        turn_id: TurnId,
        /// Milliseconds from now.
        after_ms: u64,
    },
    /// Send `Input::Continue`, before anything else that happens.
    Continue,
}

/// What a client is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// A turn was started.
    Started {
        /// Which.
        turn_id: TurnId,
    },
    /// The running turn was steered.
    Steered {
        /// Which.
        turn_id: TurnId,
        /// The message's item.
        item_id: ItemId,
    },
    /// The input waits.
    Queued {
        /// Its place, from 1.
        position: u32,
    },
    /// The turn was interrupted, or none was running.
    Interrupted {
        /// Which.
        turn_id: Option<TurnId>,
    },
    /// The question is answered.
    Answered {
        /// Which.
        question_id: QuestionId,
    },
    /// Done.
    Done,
}
