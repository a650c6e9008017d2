//! The one thing that every wire API implements.

use std::pin::Pin;

use futures_util::Stream;
use protocol::item::OpaqueReasoning;
use protocol::model::ProviderFailure;
use protocol::tool::ToolSpecification;

use crate::event::ModelEvent;
use crate::limits::RateLimit;
use crate::request::ModelRequest;

/// The events of one answer. Ends after `ModelEvent::Completed` or after the first error. Dropping it closes
/// the connection to the provider; nothing of the answer comes after that.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ProviderFailure>> + Send>>;

/// A model behind some wire API.
pub trait ModelClient: Send + Sync {
    /// Asks the model. Does nothing until the stream is polled. Never waits for ever: connecting, the first
    /// byte and every pause between bytes are bounded, retries too.
    fn stream(&self, request: ModelRequest) -> ModelStream;

    /// Has the provider itself put the request's conversation into what it can be shown from then on: one
    /// `OutputItem::Compaction` comes, and the end. `None` where the provider has no such thing. Bounded as `stream` is.
    fn compact(&self, _request: ModelRequest) -> Option<ModelStream> {
        None
    }

    /// Whether it is sent back as it is; else the next request goes without it.
    fn takes_back(&self, _opaque: &OpaqueReasoning) -> bool {
        false
    }

    /// Whether a tool can be offered without loss. One that can't would fail every request it is in.
    ///
    /// # Errors
    /// The tool's name and what of its schema has no counterpart.
    fn check_tool(&self, _tool: &ToolSpecification) -> Result<(), UnfitTool> {
        Ok(())
    }

    /// What the settings ask for and this request goes without, because the API has no such thing; for people.
    fn left_out(&self, _request: &ModelRequest) -> Vec<String> {
        Vec::new()
    }

    /// The limits that the provider told of with its last answer; empty before it and where it tells of none.
    fn rate_limits(&self) -> Vec<RateLimit> {
        Vec::new()
    }

    /// Makes the first request faster: reads certificates and opens a connection. Sends no key. May be dropped at
    /// any time, and never fails; the request tells what is wrong.
    fn warm_up(&self) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(std::future::ready(()))
    }
}

/// A tool that an API has no words for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("The tool `{tool}` can't be offered: {reason}")]
pub struct UnfitTool {
    /// Its name.
    pub tool: String,
    /// What of its schema has no counterpart.
    pub reason: String,
}
