//! What a command in the sandbox could touch, and how that is held: for a person and for a program. Runs nothing itself.

use std::path::{Path, PathBuf};

use protocol::profile::{
    Access, GlobRule, NetworkAccess, NetworkDecision, NetworkProtocol, NetworkRule, Profile, SandboxMode,
    SandboxReport, SandboxRung,
};
use serde_json::{Value, json};
use view::escape;

use crate::local::Sandboxed;
use crate::sandbox::{UNCONFINED, address, clauses, rung_word};
use crate::style::Style;

/// What a command could touch here, and how that is held.
pub(crate) struct Explanation {
    profile: Profile,
    /// The permissions of the settings that it has.
    permissions: Option<String>,
    /// Absent where nothing confines it.
    report: Option<SandboxReport>,
    /// Why a command would be refused, whatever it is.
    refusal: Option<String>,
    /// What is not there, and can't be made, though it may be written.
    missing: Vec<PathBuf>,
}

impl Explanation {
    /// Looks at what is there, and tries whether the rules hold.
    pub(crate) fn of(ready: &dyn Sandboxed) -> Self {
        let profile = ready.profile().clone();
        let report = (profile.mode != SandboxMode::DangerFullAccess).then(|| ready.report());
        let is_held = report.as_ref().is_some_and(|report| report.chosen != SandboxRung::Refused);
        let writable = profile.paths.iter().filter(|rule| rule.access == Access::Write);
        let is_made = |path: &Path| {
            let above = path.parent().map_or(Access::Read, |above| profile.access(above));
            above == Access::Write || path.symlink_metadata().is_ok()
        };
        let missing = writable.map(|rule| &rule.path).filter(|path| !is_made(path)).cloned().collect();
        Self {
            permissions: ready.permissions().map(str::to_owned),
            refusal: is_held.then(|| ready.refusal()).flatten(),
            missing,
            report,
            profile,
        }
    }

    /// For a person.
    pub(crate) fn in_words(&self, style: Style) -> Vec<String> {
        let Some(report) = &self.report else { return vec![style.red(UNCONFINED).into_owned()] };
        let profile = &self.profile;
        let by = self.permissions.as_ref().map(|name| format!(", by the permissions `{name}`"));
        let mut lines = Vec::new();
        let mut add = |name: &str, text: &str| lines.push(format!("{name:<9} {}", escape::line(text)));
        add("mode", &format!("{}{}", profile.mode.as_str(), by.unwrap_or_default()));
        add("confined", rung_word(report.chosen));
        for rung in &report.rungs {
            let kind = if rung.is_available { "holds" } else { "does not hold" };
            let text = format!("{} {kind}: {}", rung_word(rung.rung), rung.reason);
            clauses(&text).into_iter().for_each(|clause| add("", clause));
            if let Some(hint) = &rung.hint {
                add("", hint);
            }
        }
        if let Some(refusal) = &self.refusal {
            add("REFUSED", refusal);
        }
        add("else", access_word(profile.default_access));
        let is_hidden = |path: &Path| profile.access(path) == Access::Hidden;
        // What is in a hidden folder goes with it.
        let is_told = |path: &&PathBuf| !(is_hidden(path) && path.parent().is_some_and(is_hidden));
        let mut paths: Vec<_> = profile.paths.iter().map(|rule| &rule.path).filter(is_told).collect();
        paths.sort_unstable();
        paths.dedup();
        for path in paths {
            let missing = if self.missing.contains(path) { " (is not there, and can't be made)" } else { "" };
            add(access_word(profile.access(path)), &format!("{}{missing}", path.display()));
        }
        for GlobRule { pattern, access, except } in &profile.globs {
            let except =
                if except.is_empty() { String::new() } else { format!(", but not in {}", except.join(", ")) };
            add(access_word(*access), &format!("{pattern}{except}"));
        }
        if profile.is_making_refused {
            add(
                "",
                "patterns hold what is there; programs that make more of these names are refused, which is no wall:",
            );
            add(
                "",
                "one that is out to get around it can, and then a turn's end names the files that run later",
            );
        }
        let network = match profile.network {
            NetworkAccess::Off => "off",
            NetworkAccess::Rules => "what rules allow",
            NetworkAccess::Full => "everything",
        };
        add("network", network);
        for NetworkRule { host, port, protocol, decision } in &profile.network_rules {
            let decision = match decision {
                NetworkDecision::Allow => "allow",
                NetworkDecision::Prompt => "prompt",
                NetworkDecision::Deny => "deny",
            };
            let over = match protocol {
                None => "",
                Some(NetworkProtocol::Http) => " over http",
                Some(NetworkProtocol::Https) => " over https",
                Some(NetworkProtocol::Socks5Tcp) => " over socks5",
            };
            add("", &format!("{decision} {}{over}", address(host, *port)));
        }
        if profile.unix_sockets.is_empty() {
            add("sockets", "its own alone");
        }
        for socket in &profile.unix_sockets {
            let is_lost = profile.has_own_tmp && socket.starts_with("/tmp");
            let lost = if is_lost { ", which its own `/tmp` hides: commands are refused" } else { "" };
            add("socket", &format!("{}{lost}", socket.display()));
        }
        let limits = profile.limits;
        let known = [
            ("processes", limits.max_processes),
            ("bytes of memory", limits.max_memory_bytes),
            ("bytes in a file", limits.max_file_bytes),
        ];
        if known.iter().all(|(_, most)| most.is_none()) {
            add("limits", "none");
        }
        for (what, most) in known.into_iter().filter_map(|(what, most)| Some((what, most?))) {
            add("limit", &format!("{most} {what}"));
        }
        if profile.has_own_tmp {
            add("/tmp", "its own, gone when it ends");
        }
        lines
    }

    /// For a program.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "profile": in_utf8(&self.profile),
            "permissions": self.permissions,
            "sandbox": self.report,
            "refusal": self.refusal,
            "isConfined": self.report.is_some(),
        })
    }
}

/// JSON has no words for other paths; only this is shown of them.
fn in_utf8(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    let paths = profile.paths.iter_mut().map(|rule| &mut rule.path).chain(&mut profile.unix_sockets);
    for path in paths {
        *path = path.to_string_lossy().into_owned().into();
    }
    profile
}

fn access_word(access: Access) -> &'static str {
    match access {
        Access::Hidden => "none",
        Access::Read => "read",
        Access::Write => "write",
    }
}

#[cfg(test)]
mod tests {
    use protocol::profile::{PathRule, RungReport};

    use super::*;

    fn explanation(profile: Profile, report: Option<SandboxReport>) -> Explanation {
        Explanation { profile, permissions: None, report, refusal: None, missing: Vec::new() }
    }

    #[test]
    fn the_explanation_names_paths_globs_hosts_limits_and_why_a_rung_does_not_hold() {
        let rule = |path: &str, access| PathRule { path: path.into(), access };
        let paths = vec![
            rule("/repo", Access::Write),
            rule("/repo/.git", Access::Write),
            rule("/repo/.git", Access::Read),
        ];
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, paths, NetworkAccess::Rules);
        profile.globs = vec![GlobRule {
            pattern: "/repo/**/.env".to_owned(),
            access: Access::Hidden,
            except: vec!["target".to_owned()],
        }];
        profile.network_rules =
            vec![NetworkRule::for_host("a.net:443", NetworkDecision::Allow).expect("host")];
        profile.limits.max_processes = Some(7);
        let report = SandboxReport {
            chosen: SandboxRung::Landlock,
            rungs: vec![RungReport {
                rung: SandboxRung::Namespaces,
                is_available: false,
                reason: "Not allowed".to_owned(),
                hint: Some("Allow it".to_owned()),
            }],
        };
        let told = explanation(profile, Some(report));
        assert_eq!(
            told.in_words(Style::for_stream(false)),
            [
                "mode      workspace-write",
                "confined  landlock",
                "          namespaces does not hold: Not allowed",
                "          Allow it",
                "else      read",
                "write     /repo",
                "read      /repo/.git",
                "none      /repo/**/.env, but not in target",
                "network   what rules allow",
                "          allow a.net:443",
                "sockets   its own alone",
                "limit     7 processes",
            ]
        );
        let told = told.as_json();
        assert!(told["isConfined"] == true && told["sandbox"]["chosen"] == "landlock", "{told}");
    }

    #[test]
    fn where_nothing_confines_it_no_rung_is_named() {
        let profile =
            Profile::new(SandboxMode::DangerFullAccess, Access::Write, Vec::new(), NetworkAccess::Full);
        let told = explanation(profile, None);
        assert_eq!(told.in_words(Style::for_stream(false)), [UNCONFINED]);
        let told = told.as_json();
        assert!(told["isConfined"] == false && told["sandbox"].is_null(), "{told}");
    }

    #[test]
    fn a_socket_that_an_own_tmp_hides_is_told() {
        let mut profile =
            Profile::new(SandboxMode::WorkspaceWrite, Access::Read, Vec::new(), NetworkAccess::Off);
        profile.unix_sockets = vec!["/run/a".into(), "/tmp/b".into()];
        profile.has_own_tmp = true;
        let report = SandboxReport { chosen: SandboxRung::Namespaces, rungs: Vec::new() };
        let words = explanation(profile, Some(report)).in_words(Style::for_stream(false));
        assert!(words.contains(&"socket    /run/a".to_owned()), "{words:?}");
        assert!(words.iter().any(|line| line.starts_with("socket    /tmp/b, which")), "{words:?}");
    }

    #[test]
    fn the_explanation_names_the_permissions_why_commands_are_refused_and_what_has_no_effect() {
        let rule = |path: &str, access| PathRule { path: path.into(), access };
        let paths = vec![
            rule("/home", Access::Hidden),
            rule("/home/run", Access::Hidden),
            rule("/home/open", Access::Read),
            rule("/gone", Access::Write),
        ];
        let profile = Profile::new(SandboxMode::ReadOnly, Access::Read, paths, NetworkAccess::Off);
        let report = SandboxReport {
            chosen: SandboxRung::Namespaces,
            rungs: vec![RungReport {
                rung: SandboxRung::Namespaces,
                is_available: true,
                reason: "It held; its processes are bounded; so is its memory".to_owned(),
                hint: None,
            }],
        };
        let told = Explanation {
            permissions: Some("x y".to_owned()),
            refusal: Some("The sandbox refuses this command: no".to_owned()),
            missing: vec!["/gone".into()],
            ..explanation(profile, Some(report))
        };
        assert_eq!(
            told.in_words(Style::for_stream(false)),
            [
                "mode      read-only, by the permissions `x y`",
                "confined  namespaces",
                "          namespaces holds: It held;",
                "          its processes are bounded;",
                "          so is its memory",
                "REFUSED   The sandbox refuses this command: no",
                "else      read",
                "write     /gone (is not there, and can't be made)",
                "none      /home",
                "read      /home/open",
                "network   off",
                "sockets   its own alone",
                "limits    none",
            ]
        );
        let told = told.as_json();
        assert!(told["permissions"] == "x y" && told["refusal"].is_string(), "{told}");
    }
}
