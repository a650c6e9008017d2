//! What a model answers, piece by piece.

use std::time::Duration;

use protocol::item::OpaqueReasoning;
use protocol::model::{ProviderFailure, Usage};
use protocol::tool::ToolCall;
use protocol::web::WebSearch;

/// A piece of an answer. `index` numbers the things of one answer, as the provider orders them.
#[derive(Clone, Debug, PartialEq)]
pub enum ModelEvent {
    /// More of a message's text.
    TextDelta {
        /// Which message.
        index: u32,
        /// What follows.
        text: String,
    },
    /// More of a reasoning summary.
    SummaryDelta {
        /// Which reasoning.
        index: u32,
        /// What follows; parts of a summary are joined by a blank line.
        text: String,
    },
    /// A thing of the answer is complete; this is all of it, whatever deltas came before.
    OutputItem {
        /// Which.
        index: u32,
        /// The thing.
        item: OutputItem,
    },
    /// Reasoning of the conversation is left out, because another wire API or provider made it and this one can't
    /// read it. Comes first, and with every request of which this holds.
    ReasoningDropped,
    /// What the answer took so far, where the provider tells that before its end. It counts if the answer is cut off;
    /// else `Completed` tells all of it.
    Spent {
        /// All of it so far.
        usage: Usage,
    },
    /// The provider failed and will be asked again. All of this answer before is void.
    Retrying {
        /// Which retry this is, from 1.
        attempt: u32,
        /// How many there may be.
        max_attempts: u32,
        /// The pause before it.
        delay: Duration,
        /// What went wrong.
        failure: ProviderFailure,
    },
    /// The answer is complete. Always last.
    Completed {
        /// What it took; zero where the provider does not tell.
        usage: Usage,
        /// Why it ended.
        stop: StopReason,
    },
}

/// A complete thing of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum OutputItem {
    /// A message.
    Message(String),
    /// Reasoning.
    Reasoning {
        /// For people; may be empty.
        summary: String,
        /// To be sent back.
        opaque: Option<OpaqueReasoning>,
    },
    /// A call of a tool.
    ToolCall(ToolCall),
    /// What the provider did in the web.
    WebSearch(WebSearch),
    /// What stands for the whole conversation from now on, in order, to be sent back unchanged. Only of
    /// `ModelClient::compact`.
    Compaction(Vec<OpaqueReasoning>),
}

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// It is complete.
    Finished,
    /// The provider ended it early; its word for it, such as `max_output_tokens`.
    Stopped(String),
}
