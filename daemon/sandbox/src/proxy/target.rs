//! Whom a command wants to reach.

use std::fmt;

use protocol::profile::NetworkProtocol;

/// Whom a command wants to reach, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// How.
    pub protocol: NetworkProtocol,
    /// A name in lower case, without a dot at its end, or an address in its plain form, without brackets.
    pub host: String,
    /// Never 0.
    pub port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(formatter, "[{}]:{}", self.host, self.port)
        } else {
            write!(formatter, "{}:{}", self.host, self.port)
        }
    }
}
