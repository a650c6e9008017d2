//! Reads a host as a command wrote it. There is one spelling of each: what has several is refused, so that the host
//! that rules are asked about is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest name (RFC 1035).
const MAX_NAME_BYTES: usize = 253;

/// The longest part of a name.
const MAX_LABEL_BYTES: usize = 63;

/// Why a host is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// It holds something that no name does, or is too long.
    #[error("The host is no name and no address")]
    Malformed,
    /// An address of IPv4 in a form that programs read differently.
    #[error("The host is an address in an unusual form; write it as four decimal numbers")]
    Unusual,
    /// There is no port, or none that there can be.
    #[error("The port is missing or out of range")]
    Port,
}

/// The plain form of a host that may have brackets, in text such as a URL has.
pub(crate) fn plain(text: &str) -> Result<String, HostError> {
    if let Some(bracketed) = text.strip_prefix('[') {
        let address = bracketed.strip_suffix(']').ok_or(HostError::Malformed)?;
        let address: Ipv6Addr = address.parse().map_err(|_| HostError::Malformed)?;
        return Ok(of_address(IpAddr::V6(address)));
    }
    let lower = text.to_ascii_lowercase();
    let name = lower.strip_suffix('.').unwrap_or(&lower);
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL_BYTES
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if name.len() > MAX_NAME_BYTES || !name.split('.').all(is_label) {
        return Err(HostError::Malformed);
    }
    // What ends in a number is an address, in one of many forms (WHATWG's URL standard, "ends in a number").
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit()) {
        let address: Ipv4Addr = name.parse().map_err(|_| HostError::Unusual)?;
        return Ok(address.to_string());
    }
    Ok(name.to_owned())
}

/// The plain form of an address: one of IPv4 is never wrapped in one of IPv6.
pub(crate) fn of_address(address: IpAddr) -> String {
    address.to_canonical().to_string()
}

/// Host and port of `host:port`; where there is no port, this one.
pub(crate) fn with_port(text: &str, default: Option<u16>) -> Result<(String, u16), HostError> {
    let after_host = text.rfind(']').map_or(0, |end| end + 1);
    let (host, port) = match text.get(after_host..).and_then(|rest| rest.find(':')) {
        None => (text, default),
        Some(colon) => {
            let (host, port) = text.split_at(after_host + colon);
            let digits = port.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()));
            (host, digits.and_then(|digits| digits.parse().ok()))
        }
    };
    let port = port.filter(|&port| port != 0).ok_or(HostError::Port)?;
    Ok((plain(host)?, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_one_spelling() {
        for (text, expected) in [
            ("Example.COM", "example.com"),
            ("example.com.", "example.com"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
            ("a_b.example", "a_b.example"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1.", "127.0.0.1"),
            ("[::1]", "::1"),
            ("[0:0:0:0:0:0:0:1]", "::1"),
            ("[::FFFF:127.0.0.1]", "127.0.0.1"),
            ("[::ffff:7f00:1]", "127.0.0.1"),
        ] {
            assert_eq!(plain(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_programs_read_differently_is_refused() {
        for text in ["2130706433", "0x7f000001", "0x7f.1", "0177.0.0.1", "127.1", "127.0.0.1.1", "1.2.3.0x4"]
        {
            assert_eq!(plain(text), Err(HostError::Unusual), "{text}");
        }
        let long = "a".repeat(MAX_LABEL_BYTES + 1);
        let longer = "a.".repeat(MAX_NAME_BYTES);
        for text in [
            "",
            ".",
            "a..b",
            "a b",
            "a%2eb",
            "bücher.example",
            "１２７.0.0.1",
            "a@b",
            "a/b",
            "a\0b",
            "a\nb",
            "*.a",
            "[::1",
            "::1",
            "[::1%25lo]",
            "[fe80::1%lo]",
            "[v1.x]",
            "[127.0.0.1]",
            "a:b",
            &long,
            &longer,
        ] {
            assert!(plain(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ports_are_numbers_and_never_0() {
        assert_eq!(with_port("a.net:8080", None), Ok(("a.net".to_owned(), 8080)));
        assert_eq!(with_port("[::1]:80", None), Ok(("::1".to_owned(), 80)));
        assert_eq!(with_port("[::1]", Some(80)), Ok(("::1".to_owned(), 80)));
        assert_eq!(with_port("a.net", Some(80)), Ok(("a.net".to_owned(), 80)));
        for text in ["a.net", "a.net:", "a.net:0", "a.net:65536", "a.net:+80", "a.net:80:80", "a.net:x"] {
            assert_eq!(with_port(text, None), Err(HostError::Port), "{text}");
        }
    }
}
