//! Samples of `queue/*`.

use protocol::queue::{QueueCancelParams, QueueListParams, QueueListResult, QueueUpdateParams};
use protocol::session::Done;
use protocol::turn::InputPart;

use super::{Sample, queued_id, request_id, sample, session, session_id};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        sample("queue.list.params", &QueueListParams { session_id: session_id() }),
        sample("queue.list.result", &QueueListResult { queue: vec![session::queued()] }),
        sample(
            "queue.update.params",
            &QueueUpdateParams {
                session_id: session_id(),
                queued_id: queued_id(),
                input: Some(vec![InputPart::Text { text: "Then update the documentation".to_owned() }]),
                position: Some(0),
                request_id: Some(request_id()),
            },
        ),
        sample("queue.update.result", &Done {}),
        sample(
            "queue.cancel.params",
            &QueueCancelParams {
                session_id: session_id(),
                queued_id: queued_id(),
                request_id: Some(request_id()),
            },
        ),
        sample("queue.cancel.result", &Done {}),
    ]
}
