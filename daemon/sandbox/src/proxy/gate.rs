//! Who decides about connections, as the proxy sees it.

use std::net::IpAddr;

use futures_util::future::BoxFuture;
use protocol::profile::NetworkProtocol;

use crate::proxy::target::Target;

/// Decides about the connections of one command.
pub trait Gate: Send + Sync {
    /// Whether a connection may be made. May wait for a person. Dropping the future means that nobody waits for the
    /// answer any more.
    fn decide(&self, target: Target) -> BoxFuture<'_, Verdict>;

    /// Whether an address that the internet does not have is listed by itself, so that a name may lead there. Asks nobody.
    fn lists(&self, protocol: NetworkProtocol, address: IpAddr, port: u16) -> bool;

    /// A connection is about to be made, or was refused. The proxy goes on when this is done.
    fn attempted(&self, attempt: Attempt) -> BoxFuture<'_, ()>;
}

/// What a gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Let through, to an address of the internet.
    Public {
        /// The rule or the answer that decided, for a person.
        reason: String,
    },
    /// Let through wherever it is: the host is an address, or this machine, and is listed as that.
    Anywhere {
        /// The rule or the answer that decided, for a person.
        reason: String,
    },
    /// Refused.
    Deny {
        /// Why, and what to change; whoever runs the command reads it.
        reason: String,
    },
}

/// A connection that a command made or tried to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Whom it wanted to reach.
    pub target: Target,
    /// Whether it is let through.
    pub is_allowed: bool,
    /// What decided.
    pub reason: String,
}
