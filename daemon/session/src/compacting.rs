//! Who puts a conversation into less: the provider itself where it can, else the model, by notes. A provider that fails
//! at it costs a notice, never the session.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use model::client::{ModelClient, ModelStream};
use model::event::ModelEvent;
use model::request::ModelRequest;

/// What comes of a request for notes, whose last message is the order for them. A provider that does it itself is not
/// shown that.
pub(crate) fn ask(model: Arc<dyn ModelClient>, request: ModelRequest) -> ModelStream {
    let mut bare = request.clone();
    bare.input.pop();
    match model.compact(bare) {
        Some(compacted) => Box::pin(stream::unfold(Stage::Provider(compacted, model, request), next)),
        None => model.stream(request),
    }
}

enum Stage {
    Provider(ModelStream, Arc<dyn ModelClient>, ModelRequest),
    Model(ModelStream),
}

async fn next(stage: Stage) -> Option<(<ModelStream as futures_util::Stream>::Item, Stage)> {
    match stage {
        Stage::Model(mut notes) => notes.next().await.map(|event| (event, Stage::Model(notes))),
        Stage::Provider(mut compacted, model, request) => match compacted.next().await {
            Some(Ok(event)) => Some((Ok(event), Stage::Provider(compacted, model, request))),
            Some(Err(failure)) => {
                let event =
                    ModelEvent::Retrying { attempt: 1, max_attempts: 1, delay: Duration::ZERO, failure };
                Some((Ok(event), Stage::Model(model.stream(request))))
            }
            None => None,
        },
    }
}
