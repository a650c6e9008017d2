//! What goes wrong on the wire: a closed code that tells whose turn it is, a message for a person, and the
//! facts for a program. Knows nothing of how an error came about.

use jsonrpsee::types::ErrorObjectOwned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::{QuestionId, SessionId, TurnId};
use crate::question::Answer;
use crate::version::VersionRange;

/// Whose turn it is when a call failed. Closed: a client can decide by it without reading prose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ErrorCode {
    /// The caller must change the request: parameters, settings or version.
    InvalidRequest,
    /// What was named does not exist.
    NotFound,
    /// The state does not allow it now; look again and decide anew.
    Conflict,
    /// The caller, or a policy, may not do this.
    Denied,
    /// The daemon can't do it now (draining, disk full, too many requests); try again later.
    Unavailable,
    /// The model's provider refused or failed.
    Provider,
    /// A defect of the daemon; logged there.
    Internal,
}

impl ErrorCode {
    /// The JSON-RPC error number, in the range that JSON-RPC 2.0 (section 5.1) leaves to applications.
    #[must_use]
    pub fn number(self) -> i32 {
        match self {
            Self::InvalidRequest => -32602,
            Self::NotFound => -33001,
            Self::Conflict => -33002,
            Self::Denied => -33003,
            Self::Unavailable => -33004,
            Self::Provider => -33005,
            Self::Internal => -32603,
        }
    }

    /// The code of a JSON-RPC error number; numbers that are not ours count as `Internal`, but for those of
    /// JSON-RPC that blame the request.
    #[must_use]
    pub fn from_number(number: i32) -> Self {
        match number {
            -32700 | -32600 | -32601 | -32602 => Self::InvalidRequest,
            -33001 => Self::NotFound,
            -33002 => Self::Conflict,
            -33003 => Self::Denied,
            -33004 => Self::Unavailable,
            -33005 => Self::Provider,
            _ => Self::Internal,
        }
    }
}

/// The facts of an error that a program may want.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum ErrorDetail {
    /// No protocol version is spoken by both sides.
    #[serde(rename_all = "camelCase")]
    VersionMismatch {
        /// What the client speaks.
        client: VersionRange,
        /// What the daemon speaks.
        daemon: VersionRange,
        /// The daemon's build.
        daemon_build: String,
    },
    /// A turn is running already.
    #[serde(rename_all = "camelCase")]
    TurnRunning {
        /// Its session.
        session_id: SessionId,
        /// The turn.
        turn_id: TurnId,
        /// Who started it, for a person.
        started_by: String,
    },
    /// The question was answered before.
    #[serde(rename_all = "camelCase")]
    AlreadyAnswered {
        /// The question.
        question_id: QuestionId,
        /// The answer that won.
        answer: Answer,
    },
    /// A setting is wrong.
    Configuration(ConfigurationProblem),
    /// A fact of a newer protocol.
    #[serde(untagged)]
    Unknown(serde_json::Value),
}

/// A problem of a configuration file or an override, with its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigurationProblem {
    /// The file, or the override as it was given.
    pub origin: String,
    /// The line, from 1; absent for an override.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The column, from 1, in characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// The dotted key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What is wrong, for a person.
    pub message: String,
    /// What was probably meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// The line with a caret under the place, several lines of text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub excerpt: Option<String>,
}

/// An error of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
#[serde(rename_all = "camelCase")]
pub struct ProtocolError {
    /// Whose turn it is.
    pub code: ErrorCode,
    /// What happened: a capital first, no full stop.
    pub message: String,
    /// What to do next, apart from the message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Facts for a program.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<Box<ErrorDetail>>,
}

impl ProtocolError {
    /// An error without hint and detail.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, detail: None }
    }

    /// Adds what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds facts for a program.
    #[must_use]
    pub fn with_detail(mut self, detail: ErrorDetail) -> Self {
        self.detail = Some(Box::new(detail));
        self
    }
}

/// What stands in the `data` of a JSON-RPC error object.
#[derive(Serialize, Deserialize)]
struct ErrorBody {
    code: ErrorCode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    detail: Option<Box<ErrorDetail>>,
}

impl From<ProtocolError> for ErrorObjectOwned {
    fn from(error: ProtocolError) -> Self {
        let ProtocolError { code, message, hint, detail } = error;
        ErrorObjectOwned::owned(code.number(), message, Some(ErrorBody { code, hint, detail }))
    }
}

impl From<ErrorObjectOwned> for ProtocolError {
    fn from(object: ErrorObjectOwned) -> Self {
        let body = object.data().and_then(|data| serde_json::from_str::<ErrorBody>(data.get()).ok());
        let message = object.message().to_owned();
        match body {
            Some(ErrorBody { code, hint, detail }) => Self { code, message, hint, detail },
            None => Self::new(ErrorCode::from_number(object.code()), message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_survives_the_wire() {
        let error = ProtocolError::new(ErrorCode::Conflict, "A turn is running")
            .with_hint("Steer it")
            .with_detail(ErrorDetail::Unknown(serde_json::json!({"type": "fromTheFuture", "n": 1})));
        let object = ErrorObjectOwned::from(error.clone());
        assert_eq!(object.code(), -33002);
        assert_eq!(ProtocolError::from(object), error);
    }

    #[test]
    fn an_error_of_json_rpc_itself_blames_the_request() {
        let object = ErrorObjectOwned::owned(-32601, "Method not found", None::<()>);
        assert_eq!(ProtocolError::from(object).code, ErrorCode::InvalidRequest);
    }
}
