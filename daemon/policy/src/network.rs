//! Which rule decides about a connection. Pure: resolves no name.

use std::net::IpAddr;

use protocol::profile::{NetworkDecision, NetworkProtocol, NetworkRule};

/// What the rules say of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling<'a> {
    /// The rule that decides.
    pub rule: &'a NetworkRule,
    /// Whether the host is an address, or `localhost`, and is listed as that. Only then may it be one that the internet does
    /// not have. Where another name leads, who answers for the name decides at each question.
    pub is_listed: bool,
}

/// The strictest of the rules that match; of equals the first. The host is lower case, without brackets and without a
/// dot at its end. `None` if no rule matches.
#[must_use]
pub fn ruling<'a>(
    rules: &'a [NetworkRule],
    protocol: NetworkProtocol,
    host: &str,
    port: u16,
) -> Option<Ruling<'a>> {
    let matching = || {
        rules.iter().filter(move |rule| {
            rule.protocol.is_none_or(|wanted| wanted == protocol)
                && rule.port.is_none_or(|wanted| wanted == port)
                && matches(&rule.host, host)
        })
    };
    // `max_by_key` gives the last of equals, so go through them from the end.
    let rule = matching().rev().max_by_key(|rule| rule.decision)?;
    let is_listed = is_of_this_machine(host)
        && matching().any(|rule| rule.decision != NetworkDecision::Deny && !rule.host.contains('*'));
    Some(Ruling { rule, is_listed })
}

/// Whether the rules let an address through that is listed as one, so that a name may lead there.
#[must_use]
pub fn lists(rules: &[NetworkRule], protocol: NetworkProtocol, address: IpAddr, port: u16) -> bool {
    ruling(rules, protocol, &address.to_string(), port)
        .is_some_and(|Ruling { rule, is_listed }| is_listed && rule.decision == NetworkDecision::Allow)
}

/// Whether a host is what it says by itself.
fn is_of_this_machine(host: &str) -> bool {
    host == "localhost" || address(host).is_some()
}

/// A rule as a person would write it.
#[must_use]
pub fn display(rule: &NetworkRule) -> String {
    let decision = match rule.decision {
        NetworkDecision::Allow => "allow",
        NetworkDecision::Prompt => "prompt",
        NetworkDecision::Deny => "deny",
    };
    let protocol = match rule.protocol {
        None => "",
        Some(NetworkProtocol::Http) => " over http",
        Some(NetworkProtocol::Https) => " over https",
        Some(NetworkProtocol::Socks5Tcp) => " over socks5_tcp",
    };
    let host = match rule.port {
        None => rule.host.clone(),
        Some(port) if rule.host.contains(':') => format!("[{}]:{port}", rule.host),
        Some(port) => format!("{}:{port}", rule.host),
    };
    format!("{decision} {host}{protocol}")
}

/// Whether the host of a rule stands for this one.
fn matches(pattern: &str, host: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    match (address(pattern), address(host)) {
        (Some(wanted), Some(found)) => wanted == found,
        // `*.0.0.1` is no address, and none is below it.
        (Some(_), None) | (None, Some(_)) => false,
        (None, None) => match pattern.strip_prefix("*.") {
            None => pattern == host,
            Some(parent) => {
                host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
        },
    }
}

/// The address that a text is; one of IPv4 however it is wrapped.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;
    use NetworkDecision::{Allow, Deny, Prompt};
    use NetworkProtocol::{Http, Https, Socks5Tcp};

    fn rule(host: &str, decision: NetworkDecision) -> NetworkRule {
        NetworkRule { host: host.to_owned(), port: None, protocol: None, decision }
    }

    fn found(rules: &[NetworkRule], host: &str) -> Option<(NetworkDecision, bool)> {
        ruling(rules, Https, host, 443).map(|ruling| (ruling.rule.decision, ruling.is_listed))
    }

    #[test]
    fn a_wildcard_stands_for_names_below_and_never_for_the_name_itself() {
        let rules = [rule("*.example.com", Allow)];
        for (host, expected) in [
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("badexample.com", false),
            ("a.example.com.evil.net", false),
            ("example.co", false),
        ] {
            assert_eq!(found(&rules, host), expected.then_some((Allow, false)), "{host}");
        }
    }

    #[test]
    fn addresses_are_compared_as_addresses_and_no_name_s_wildcard_holds_for_them() {
        let same = [("::1", "0:0:0:0:0:0:0:1"), ("[::1]", "::1"), ("10.0.0.1", "::ffff:10.0.0.1")];
        for (pattern, host) in same {
            assert_eq!(found(&[rule(pattern, Allow)], host), Some((Allow, true)), "{pattern} {host}");
        }
        assert_eq!(found(&[rule("*.0.0.1", Allow)], "127.0.0.1"), None);
        assert_eq!(found(&[rule("*", Allow)], "127.0.0.1"), Some((Allow, false)));
        assert_eq!(found(&[rule("10.0.0.1", Allow)], "10.0.0.10"), None);
    }

    #[test]
    fn the_strictest_of_those_that_match_wins_in_any_order() {
        let mut rules = vec![rule("*", Prompt), rule("a.net", Allow), rule("*.a.net", Deny)];
        for _ in 0..rules.len() {
            rules.rotate_left(1);
            assert_eq!(found(&rules, "a.net"), Some((Prompt, false)));
            assert_eq!(found(&rules, "b.a.net"), Some((Deny, false)));
            assert_eq!(found(&rules, "c.net"), Some((Prompt, false)));
        }
        assert_eq!(found(&[rule("a.net", Deny), rule("*", Allow)], "a.net"), Some((Deny, false)));
    }

    #[test]
    fn a_name_that_is_listed_leads_to_no_address_that_is_not() {
        let rules = [
            rule("a.net", Allow),
            rule("localhost", Allow),
            rule("10.0.0.1", Allow),
            rule("10.0.0.2", Prompt),
        ];
        assert_eq!(found(&rules, "a.net"), Some((Allow, false)));
        assert_eq!(found(&rules, "localhost"), Some((Allow, true)));
        let lists = |address: &str| lists(&rules, Https, address.parse().unwrap(), 443);
        assert!(lists("10.0.0.1") && lists("::ffff:10.0.0.1"));
        assert!(!lists("127.0.0.1") && !lists("10.0.0.2"), "nobody is asked for what a name leads to");
    }

    #[test]
    fn port_and_protocol_of_a_rule_must_fit_too() {
        let one = NetworkRule { port: Some(80), protocol: Some(Http), ..rule("a.net", Allow) };
        let rules = [one];
        assert!(ruling(&rules, Http, "a.net", 80).is_some());
        for (protocol, port) in [(Http, 81), (Https, 80), (Socks5Tcp, 80)] {
            assert_eq!(ruling(&rules, protocol, "a.net", port), None, "{protocol:?} {port}");
        }
        assert_eq!(display(&rules[0]), "allow a.net:80 over http");
        assert_eq!(display(&NetworkRule { port: Some(80), ..rule("::1", Prompt) }), "prompt [::1]:80");
    }
}
