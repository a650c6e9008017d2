//! What follows from an input. The actor carries effects out in order.

use protocol::delta::Delta;
use protocol::error::ProtocolError;
use protocol::event::Event;
use protocol::ids::{BlobId, ItemId, QuestionId, QueuedId, RequestId, TurnId};
use protocol::question::{Decision, QuestionKind};
use serde::{Deserialize, Serialize};

use crate::hooks::HookCall;

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
    /// Ask for the summary that this item is to hold.
    Compact {
        /// The item.
        item_id: ItemId,
    },
    /// Run the tool of this item, whose intent is durable by then.
    RunTool {
        /// The item.
        item_id: ItemId,
    },
    /// Ask hooks, and send `Input::HooksAnswered`.
    RunHooks(HookCall),
    /// Stop the model's answer, hooks and the running tool, if any; what they still say comes too late.
    CancelWork,
    /// Give the tool that asked its answer, if it still waits.
    AnswerTool {
        /// What it asked.
        question_id: QuestionId,
        /// The answer.
        decision: Decision,
    },
    /// End a command in the background, for a person.
    EndCommand {
        /// The number by which the model reaches it.
        process_id: u32,
        /// What the person's client is called.
        by: String,
    },
    /// Bring files back as these changes of a rewind say, then send `Input::Restored`. What stands after it waits for
    /// that.
    Restore(BlobId),
    /// Write a rule, so that such a thing is never asked about again.
    AllowAlways(QuestionKind),
    /// Send `Input::QuestionExpired` after so long.
    StartQuestionTimer {
        /// The question.
        question_id: QuestionId,
        /// Milliseconds from now.
        after_ms: u64,
    },
    /// Send `Input::Deadline` for the turn after so long.
    StartDeadline {
        /// The turn.
        turn_id: TurnId,
        /// Milliseconds from now.
        after_ms: u64,
    },
    /// Keep what a request was answered that changed nothing.
    Remember {
        /// The request.
        request_id: RequestId,
        /// What it is answered.
        reply: Reply,
    },
    /// Send `Input::Continue`, before anything else that happens.
    Continue,
}

/// What a client is answered. Kept with the session's header, for requests that are sent again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        /// What it is called there.
        queued_id: QueuedId,
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
