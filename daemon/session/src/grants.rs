//! What people granted beyond the settings, for a turn or for a session: things that are not asked about again, and
//! paths and hosts that the next commands have. A fold of answers, so that it survives a restart; whoever makes a
//! session out of another one leaves it behind. Knows nothing of how a profile is enforced.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use protocol::profile::{
    Access, NetworkAccess, NetworkDecision, NetworkProtocol, NetworkRule, PathRule, Profile, SandboxMode,
};
use protocol::question::QuestionKind;
use serde::{Deserialize, Serialize};

/// What was granted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Grants {
    /// Things that are the same when their keys are.
    keys: BTreeSet<String>,
    paths: Vec<PathRule>,
    hosts: Vec<NetworkRule>,
}

impl Grants {
    /// Adds what a question asked for.
    pub(crate) fn add(&mut self, kind: &QuestionKind) {
        self.keys.extend(grant_key(kind));
        match kind {
            QuestionKind::Network { protocol, host, port } => {
                self.add_host(host, Some(*port), Some(*protocol));
            }
            QuestionKind::Permissions { paths, hosts, .. } => {
                for rule in paths {
                    if !self.paths.contains(rule) {
                        self.paths.push(rule.clone());
                    }
                }
                hosts.iter().for_each(|host| self.add_host(host, None, None));
            }
            QuestionKind::Command { .. }
            | QuestionKind::FileChange { .. }
            | QuestionKind::Tool { .. }
            | QuestionKind::UserInput { .. }
            | QuestionKind::Elicitation { .. }
            | QuestionKind::Sampling { .. }
            | QuestionKind::ClientTool { .. }
            | QuestionKind::Unknown(_) => {}
        }
    }

    fn add_host(&mut self, host: &str, port: Option<u16>, protocol: Option<NetworkProtocol>) {
        let rule =
            NetworkRule { host: host.to_ascii_lowercase(), port, protocol, decision: NetworkDecision::Allow };
        if !self.hosts.contains(&rule) {
            self.hosts.push(rule);
        }
    }

    /// Whether all that a question asks for was granted.
    pub(crate) fn cover(&self, kind: &QuestionKind) -> bool {
        match kind {
            QuestionKind::Network { protocol, host, port } => self.hosts.iter().any(|rule| {
                matches(&rule.host, host)
                    && rule.port.is_none_or(|known| known == *port)
                    && rule.protocol.is_none_or(|known| known == *protocol)
            }),
            QuestionKind::Permissions { paths, hosts, .. } => {
                let has_path = |wanted: &PathRule| self.paths.contains(wanted);
                let has_host = |wanted: &String| {
                    let any = |rule: &NetworkRule| rule.port.is_none() && rule.protocol.is_none();
                    self.hosts.iter().any(|rule| any(rule) && matches(&rule.host, wanted))
                };
                paths.iter().all(has_path) && hosts.iter().all(has_host)
            }
            QuestionKind::Command { .. }
            | QuestionKind::FileChange { .. }
            | QuestionKind::Tool { .. }
            | QuestionKind::UserInput { .. }
            | QuestionKind::Elicitation { .. }
            | QuestionKind::Sampling { .. }
            | QuestionKind::ClientTool { .. }
            | QuestionKind::Unknown(_) => grant_key(kind).is_some_and(|key| self.keys.contains(&key)),
        }
    }

    /// Whether commands may leave the sandbox by it.
    pub(crate) fn let_commands_out(&self) -> bool {
        // As `grant_key` writes those that may.
        self.keys.iter().any(|key| key.ends_with(",true]"))
    }

    /// Whether this command may leave the sandbox by it.
    pub(crate) fn let_out(&self, argv: &[String], cwd: &Path) -> bool {
        command_key(argv, cwd, true).is_some_and(|key| self.keys.contains(&key))
    }

    /// Adds all that others granted.
    pub(crate) fn extend(&mut self, others: &Self) {
        self.keys.extend(others.keys.iter().cloned());
        self.paths.extend(others.paths.iter().cloned());
        self.hosts.extend(others.hosts.iter().cloned());
    }

    /// The paths that may be written by it.
    pub(crate) fn writable(&self) -> Vec<PathBuf> {
        let written = self.paths.iter().filter(|rule| rule.access == Access::Write);
        written.map(|rule| rule.path.clone()).collect()
    }

    /// Gives a profile the paths and hosts. What is hidden stays hidden, whoever granted it, and a rule that denies a
    /// host still does.
    pub(crate) fn widen(&self, profile: &mut Profile) {
        if profile.mode == SandboxMode::DangerFullAccess {
            return;
        }
        let hidden: Vec<PathBuf> = profile
            .paths
            .iter()
            .filter(|rule| rule.access == Access::Hidden)
            .map(|rule| rule.path.clone())
            .collect();
        for rule in &self.paths {
            let is_hidden = hidden.iter().any(|hidden| rule.path.starts_with(hidden));
            if !is_hidden && rule.access > profile.access(&rule.path) {
                profile.paths.retain(|known| known.path != rule.path);
                profile.paths.push(rule.clone());
            }
        }
        if !self.hosts.is_empty() && profile.network != NetworkAccess::Full {
            profile.network = NetworkAccess::Rules;
            profile.network_rules.extend(self.hosts.iter().cloned());
        }
    }
}

/// Whether a rule's host is this one, or stands for it.
fn matches(rule: &str, host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    match rule.strip_prefix('*') {
        Some(end) if end.starts_with('.') => host.ends_with(end) && host.len() > end.len(),
        Some(_) | None => rule == host,
    }
}

/// What "the same thing again" means for a leave that lasts, where that is all there is to it.
#[must_use]
pub fn grant_key(kind: &QuestionKind) -> Option<String> {
    match kind {
        QuestionKind::Command { argv, cwd, is_escalated, .. } => command_key(argv, cwd, *is_escalated),
        QuestionKind::FileChange { .. } => Some("fileChange".to_owned()),
        QuestionKind::Tool { server, tool, definition, .. } => {
            serde_json::to_string(&("tool", server, tool, definition)).ok()
        }
        QuestionKind::Sampling { server, .. } => serde_json::to_string(&("sampling", server)).ok(),
        QuestionKind::Network { .. }
        | QuestionKind::Permissions { .. }
        | QuestionKind::UserInput { .. }
        | QuestionKind::Elicitation { .. }
        | QuestionKind::ClientTool { .. }
        | QuestionKind::Unknown(_) => None,
    }
}

fn command_key(argv: &[String], cwd: &Path, is_escalated: bool) -> Option<String> {
    serde_json::to_string(&(argv, cwd, is_escalated)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(host: &str, port: u16) -> QuestionKind {
        QuestionKind::Network { protocol: NetworkProtocol::Https, host: host.to_owned(), port }
    }

    fn permissions(paths: &[(&str, Access)], hosts: &[&str]) -> QuestionKind {
        let rule = |(path, access): &(&str, Access)| PathRule { path: path.into(), access: *access };
        QuestionKind::Permissions {
            paths: paths.iter().map(rule).collect(),
            hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
            justification: None,
        }
    }

    #[test]
    fn a_host_is_granted_at_its_port_and_by_its_protocol() {
        let mut grants = Grants::default();
        grants.add(&network("Crates.IO", 443));
        for (kind, expected) in [
            (network("crates.io", 443), true),
            (network("crates.io", 80), false),
            (network("static.crates.io", 443), false),
            (
                QuestionKind::Network {
                    protocol: NetworkProtocol::Http,
                    host: "crates.io".into(),
                    port: 443,
                },
                false,
            ),
            (permissions(&[], &["crates.io"]), false),
        ] {
            assert_eq!(grants.cover(&kind), expected, "{kind:?}");
        }
    }

    #[test]
    fn a_name_with_a_star_stands_for_those_below_it() {
        let mut grants = Grants::default();
        grants.add(&permissions(&[], &["*.crates.io"]));
        for (host, expected) in [
            ("static.crates.io", true),
            ("a.b.crates.io", true),
            ("crates.io", false),
            ("evilcrates.io", false),
        ] {
            assert_eq!(grants.cover(&network(host, 443)), expected, "{host}");
        }
    }

    #[test]
    fn granted_paths_are_in_the_profile_and_what_is_hidden_stays_hidden() {
        let mut grants = Grants::default();
        grants.add(&permissions(
            &[("/data", Access::Write), ("/secret/inner", Access::Read), ("/repo", Access::Read)],
            &["example.org"],
        ));
        let rule = |path: &str, access| PathRule { path: path.into(), access };
        let paths = vec![
            rule("/repo", Access::Write),
            rule("/data/.git", Access::Read),
            rule("/secret", Access::Hidden),
        ];
        let mut profile = Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Off);
        grants.widen(&mut profile);
        for (path, expected) in [
            ("/data/file", Access::Write),
            ("/data/.git/config", Access::Read),
            ("/secret/inner/file", Access::Hidden),
            ("/repo/file", Access::Write),
            ("/etc", Access::Read),
        ] {
            assert_eq!(profile.access(path.as_ref()), expected, "{path}");
        }
        assert_eq!(profile.network, NetworkAccess::Rules);
        assert_eq!(profile.network_rules.len(), 1);
    }
}
