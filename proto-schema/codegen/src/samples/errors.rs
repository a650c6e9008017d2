//! Samples of errors, one for each kind of detail.

use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::question::{Answer, Decision, GrantScope};
use protocol::version::{self, ProtocolVersion, VersionRange};

use super::{Sample, actor, at, question_id, sample, session_id, small, turn_id};

pub(super) fn samples() -> Vec<Sample> {
    let answer = Answer {
        decision: Decision::Allow { scope: GrantScope::Session },
        actor: actor(),
        answered_at: at(5),
    };
    let errors = [
        (
            "versionMismatch",
            ErrorCode::InvalidRequest,
            "No protocol version is spoken by both sides",
            ErrorDetail::VersionMismatch {
                client: VersionRange { min: ProtocolVersion(2), max: ProtocolVersion(3) },
                daemon: version::SUPPORTED,
                daemon_build: "0.1.0+abc1234".to_owned(),
            },
        ),
        (
            "turnRunning",
            ErrorCode::Conflict,
            "A turn is running already",
            ErrorDetail::TurnRunning {
                session_id: session_id(),
                turn_id: turn_id(),
                started_by: actor().name,
            },
        ),
        (
            "alreadyAnswered",
            ErrorCode::Conflict,
            "The question was answered before",
            ErrorDetail::AlreadyAnswered { question_id: question_id(), answer },
        ),
        (
            "configuration",
            ErrorCode::InvalidRequest,
            "The settings can't be used",
            ErrorDetail::Configuration(small::problem()),
        ),
    ];
    errors
        .into_iter()
        .map(|(variant, code, message, detail)| {
            let error = ProtocolError::new(code, message).with_hint("What to do next").with_detail(detail);
            sample(format!("error.{variant}"), &error)
        })
        .collect()
}
