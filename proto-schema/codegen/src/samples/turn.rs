//! Samples of `turn/*`.

use protocol::ids::Seq;
use protocol::turn::{
    InputPart, InterruptReason, TurnEnqueueParams, TurnEnqueueResult, TurnInterruptParams,
    TurnInterruptResult, TurnStartParams, TurnStartResult, TurnSteerParams, TurnSteerResult,
};
use serde_json::json;

use super::{Sample, item_id, queued_id, request_id, sample, session, session_id, turn_id};

pub(super) fn samples() -> Vec<Sample> {
    vec![
        sample(
            "turn.start.params",
            &TurnStartParams {
                session_id: session_id(),
                input: vec![
                    text("Make the test pass"),
                    InputPart::Image { media_type: "image/png".to_owned(), data: "iVBORw0KGgo=".to_owned() },
                ],
                output_schema: Some(json!({"type": "object"})),
                limits: session::limits(),
                expected_seq: Some(Seq(1)),
                request_id: Some(request_id()),
            },
        ),
        sample("turn.start.result", &TurnStartResult { turn_id: turn_id(), seq: Seq(2) }),
        sample(
            "turn.steer.params",
            &TurnSteerParams {
                session_id: session_id(),
                input: vec![text("Leave the public interface alone")],
                expected_turn_id: Some(turn_id()),
                request_id: Some(request_id()),
            },
        ),
        sample("turn.steer.result", &TurnSteerResult { turn_id: turn_id(), item_id: item_id() }),
        sample(
            "turn.enqueue.params",
            &TurnEnqueueParams {
                session_id: session_id(),
                input: vec![text("Then update the changelog")],
                request_id: Some(request_id()),
            },
        ),
        sample(
            "turn.enqueue.result",
            &TurnEnqueueResult { position: 1, turn_id: None, queued_id: Some(queued_id()) },
        ),
        sample(
            "turn.interrupt.params",
            &TurnInterruptParams {
                session_id: session_id(),
                expected_turn_id: Some(turn_id()),
                reason: InterruptReason::Requested,
                request_id: Some(request_id()),
            },
        ),
        sample("turn.interrupt.result", &TurnInterruptResult { turn_id: Some(turn_id()) }),
    ]
}

fn text(text: &str) -> InputPart {
    InputPart::Text { text: text.to_owned() }
}
