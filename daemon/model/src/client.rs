//! The one thing that every wire API implements.

use std::pin::Pin;

use futures_util::Stream;
use protocol::model::ProviderFailure;

use crate::event::ModelEvent;
use crate::request::ModelRequest;

/// The events of one answer. Ends after `ModelEvent::Completed` or after the first error. Dropping it closes
/// the connection to the provider; nothing of the answer comes after that.
pub type ModelStream = Pin<Box<dyn Stream<Item = Result<ModelEvent, ProviderFailure>> + Send>>;

/// A model behind some wire API.
pub trait ModelClient: Send + Sync {
    /// Asks the model. Does nothing until the stream is polled. Never waits for ever: connecting, the first
    /// byte and every pause between bytes are bounded, retries too.
    fn stream(&self, request: ModelRequest) -> ModelStream;
}
