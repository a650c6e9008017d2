//! Whom a command wants to reach.

use std::fmt;
use std::net::IpAddr;

use protocol::profile::NetworkProtocol;

use crate::proxy::address::is_public;

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

/// Where a host is that the internet does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// On this machine itself.
    ThisMachine,
    /// In a network around it.
    ItsNetwork,
}

impl Target {
    /// Where it is, if the host itself says that it is none of the internet. Where other names lead, only resolving tells.
    #[must_use]
    pub fn local(&self) -> Option<Local> {
        if self.host == "localhost" {
            return Some(Local::ThisMachine);
        }
        let address = self.address()?.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            return Some(Local::ThisMachine);
        }
        (!is_public(address)).then_some(Local::ItsNetwork)
    }

    /// The address that the host is, if it is no name.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        self.host.parse().ok()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_the_internet_does_not_have_says_where_it_is() {
        for (host, expected) in [
            ("localhost", Some(Local::ThisMachine)),
            ("127.0.0.1", Some(Local::ThisMachine)),
            ("127.9.9.9", Some(Local::ThisMachine)),
            ("::1", Some(Local::ThisMachine)),
            ("0.0.0.0", Some(Local::ThisMachine)),
            ("169.254.169.254", Some(Local::ItsNetwork)),
            ("10.0.0.1", Some(Local::ItsNetwork)),
            ("fe80::1", Some(Local::ItsNetwork)),
            ("1.1.1.1", None),
            ("example.com", None),
        ] {
            let target = Target { protocol: NetworkProtocol::Https, host: host.to_owned(), port: 443 };
            assert_eq!(target.local(), expected, "{host}");
        }
    }
}
