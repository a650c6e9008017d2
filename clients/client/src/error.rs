//! What goes wrong between a client and the daemon, and what a person can do about it.

use std::borrow::Cow;
use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use jsonrpsee::client_transport::ws::WsHandshakeError;
use jsonrpsee::core::client::Error as RpcError;
use protocol::error::{ErrorCode, ErrorDetail, ProtocolError};
use protocol::version::VersionRange;
use wire::error::WireError;

use crate::bounded::{MAX_MESSAGE_BYTES, TooLong};

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket could not be found or used.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The daemon's process could not be made.
    #[error("Can't start the daemon")]
    Spawn(#[source] io::Error),
    /// The daemon ended before it listened.
    #[error("The daemon did not start ({status}){}", said(text))]
    DaemonFailed {
        /// What the system tells of its end.
        status: ExitStatus,
        /// What it said.
        text: String,
    },
    /// The daemon was started and does not listen.
    #[error("The daemon was started and does not listen after {} s{}", after.as_secs(), said(text))]
    StartTimedOut {
        /// How long it was waited for.
        after: Duration,
        /// What it said.
        text: String,
    },
    /// Something listens and is no daemon, or a daemon that takes no more connections.
    #[error("The daemon did not accept the connection")]
    Handshake(#[source] Box<WsHandshakeError>),
    /// The daemon listens and says nothing.
    #[error("The daemon did not answer within {} s", after.as_secs())]
    Silent {
        /// How long it was waited for.
        after: Duration,
    },
    /// No version of the protocol is spoken by both.
    #[error(
        "This client speaks protocol version {client}, the daemon (build `{daemon_build}`) speaks {daemon}"
    )]
    VersionMismatch {
        /// What we speak.
        client: VersionRange,
        /// What the daemon speaks.
        daemon: VersionRange,
        /// The daemon's build.
        daemon_build: String,
    },
    /// The daemon was asked to stop and did not.
    #[error("The daemon was asked to stop and still runs after {} s (process {pid})", after.as_secs())]
    StillRunning {
        /// Its process id.
        pid: u32,
        /// How long it was waited for.
        after: Duration,
    },
    /// The daemon answered a call with an error.
    #[error("{0}")]
    Refused(Box<ProtocolError>),
    /// A call was not sent, because it is longer than the daemon would read.
    #[error("The request has {bytes} bytes, and {limit} can be sent")]
    TooLong {
        /// What it has.
        bytes: usize,
        /// What is allowed.
        limit: u32,
    },
    /// The connection broke.
    #[error("The connection to the daemon was lost: {reason}")]
    Lost {
        /// What the transport said.
        reason: String,
    },
    /// What the daemon sent can't be read.
    #[error("The daemon sent something that can't be read: {reason}")]
    Unreadable {
        /// What is wrong with it.
        reason: String,
    },
}

/// What an error means to a script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// What was asked for must change.
    Request,
    /// The daemon could not be reached or started, or can't do it now.
    Unreachable,
    /// It was tried and failed.
    Failed,
}

impl ClientError {
    /// What it means to a script.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Refused(error) => match error.code {
                ErrorCode::InvalidRequest | ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Denied => {
                    ErrorKind::Request
                }
                ErrorCode::Unavailable => ErrorKind::Unreachable,
                ErrorCode::Provider | ErrorCode::Internal => ErrorKind::Failed,
            },
            Self::TooLong { .. } | Self::Wire(WireError::NoHome | WireError::RelativeHome(_)) => {
                ErrorKind::Request
            }
            Self::Wire(_)
            | Self::Spawn(_)
            | Self::DaemonFailed { .. }
            | Self::StartTimedOut { .. }
            | Self::Handshake(_)
            | Self::Silent { .. }
            | Self::VersionMismatch { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. } => ErrorKind::Unreachable,
            Self::StillRunning { .. } => ErrorKind::Failed,
        }
    }

    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<Cow<'_, str>> {
        match self {
            Self::Wire(error) => error.hint().map(Cow::Borrowed),
            Self::Refused(error) => error.hint.as_deref().map(Cow::Borrowed),
            Self::DaemonFailed { .. } | Self::StartTimedOut { .. } => {
                Some(Cow::Borrowed("Run `skein daemon run` to see it start, or look into `skein doctor`"))
            }
            Self::Handshake(_) | Self::Silent { .. } => {
                Some(Cow::Borrowed("See `skein daemon status`; `skein daemon restart` starts it anew"))
            }
            Self::VersionMismatch { client, daemon, .. } => Some(Cow::Borrowed(if daemon.max < client.min {
                "The daemon is older: `skein daemon restart` ends it and starts this one"
            } else {
                "The daemon is newer: use the `skein` that it was started from, or `skein daemon restart` to go back"
            })),
            Self::StillRunning { .. } => {
                Some(Cow::Borrowed("See `skein daemon logs`; as a last resort end the process"))
            }
            Self::TooLong { .. } => {
                Some(Cow::Borrowed("Put the text or the image into a file of the folder"))
            }
            Self::Lost { .. } => Some(Cow::Borrowed("See `skein daemon logs`")),
            Self::Spawn(_) | Self::Unreadable { .. } => None,
        }
    }

    /// The daemon's answer, if it is one.
    #[must_use]
    pub fn refusal(&self) -> Option<&ProtocolError> {
        match self {
            Self::Refused(error) => Some(error),
            Self::Wire(_)
            | Self::Spawn(_)
            | Self::DaemonFailed { .. }
            | Self::StartTimedOut { .. }
            | Self::Handshake(_)
            | Self::Silent { .. }
            | Self::VersionMismatch { .. }
            | Self::StillRunning { .. }
            | Self::TooLong { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. } => None,
        }
    }

    /// Whether something answered that does not take this connection: it is there, and did not go away.
    pub(crate) fn is_turned_away(&self) -> bool {
        matches!(self, Self::Handshake(error) if matches!(**error, WsHandshakeError::Rejected { .. }))
    }

    /// Whether the daemon went away, so that connecting again may help.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Lost { .. } | Self::Handshake(_))
            || matches!(self, Self::Wire(e) if e.is_absent())
    }
}

impl From<ProtocolError> for ClientError {
    fn from(error: ProtocolError) -> Self {
        match error.detail.as_deref() {
            Some(ErrorDetail::VersionMismatch { client, daemon, daemon_build }) => {
                Self::VersionMismatch { client: *client, daemon: *daemon, daemon_build: daemon_build.clone() }
            }
            _ => Self::Refused(Box::new(error)),
        }
    }
}

impl From<RpcError> for ClientError {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Call(object) => ProtocolError::from(object).into(),
            RpcError::Transport(source) => match source.downcast_ref::<TooLong>() {
                Some(TooLong { bytes }) => Self::TooLong { bytes: *bytes, limit: MAX_MESSAGE_BYTES },
                None => Self::Lost { reason: source.to_string() },
            },
            RpcError::RestartNeeded(source) => Self::Lost { reason: source.to_string() },
            RpcError::RequestTimeout => Self::Silent { after: crate::connection::CALL_LIMIT },
            RpcError::ServiceDisconnect => Self::Lost { reason: "it was closed".to_owned() },
            RpcError::ParseError(source) => Self::Unreadable { reason: source.to_string() },
            other @ (RpcError::InvalidSubscriptionId
            | RpcError::InvalidRequestId(_)
            | RpcError::Custom(_)
            | RpcError::HttpNotImplemented
            | RpcError::EmptyBatchRequest(_)
            | RpcError::RegisterMethod(_)) => Self::Unreadable { reason: other.to_string() },
        }
    }
}

fn said(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!(". It said:\n{text}") }
}

#[cfg(test)]
mod tests {
    use protocol::version::ProtocolVersion;

    use super::*;

    fn range(version: u32) -> VersionRange {
        VersionRange { min: ProtocolVersion(version), max: ProtocolVersion(version) }
    }

    #[test]
    fn a_version_mismatch_names_both_and_who_is_older() {
        let detail = ErrorDetail::VersionMismatch {
            client: range(2),
            daemon: range(1),
            daemon_build: "0.1.0".to_owned(),
        };
        let error = ProtocolError::new(ErrorCode::InvalidRequest, "no common version").with_detail(detail);
        let error = ClientError::from(error);
        assert_eq!(
            error.to_string(),
            "This client speaks protocol version 2, the daemon (build `0.1.0`) speaks 1"
        );
        assert!(error.hint().unwrap().contains("older"));
        assert_eq!(error.kind(), ErrorKind::Unreachable);
    }

    #[test]
    fn the_code_of_an_answer_decides_what_it_means() {
        for (code, kind) in [
            (ErrorCode::InvalidRequest, ErrorKind::Request),
            (ErrorCode::NotFound, ErrorKind::Request),
            (ErrorCode::Unavailable, ErrorKind::Unreachable),
            (ErrorCode::Internal, ErrorKind::Failed),
        ] {
            assert_eq!(ClientError::from(ProtocolError::new(code, "x")).kind(), kind, "{code:?}");
        }
    }
}
