//! Turns a request into a helper's plan. Pure: looks at no file.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{
    self, Command, Confinement, Making, Network, Pattern, Plan, Reading, Rule, Rules, Tmp, VERSION,
};
use protocol::profile::{Access, NetworkAccess, NetworkDecision, NetworkRule, Profile};

use crate::error::SandboxError;
use crate::execution::Execution;
use crate::request::{CommandRequest, Interception, Output, Proxy, Stdin};

/// Where the proxy of a sandbox listens, on the sandbox's own loopback.
pub const PROXY_PORT: u16 = 3128;

/// How the plan's rules are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    Namespaces,
    Bubblewrap,
    Landlock,
    Supervision,
}

/// The plan for a request.
///
/// # Errors
/// `Refused` for what no helper can do.
pub(crate) fn build(request: &CommandRequest, enforcement: Enforcement) -> Result<Plan, SandboxError> {
    let confinement = match enforcement {
        Enforcement::Namespaces => Confinement::Namespaces(rules(&request.profile, request.proxy)?),
        Enforcement::Bubblewrap => Confinement::Bubblewrap(rules(&request.profile, request.proxy)?),
        Enforcement::Landlock => Confinement::Landlock(rules(&request.profile, request.proxy)?),
        Enforcement::Supervision => Confinement::Supervision,
    };
    if request.argv.is_empty() {
        return Err(refused("there is no command".to_owned()));
    }
    let mut environment = request
        .environment
        .iter()
        .map(|(name, value)| Ok((bytes(name)?, bytes(value)?)))
        .collect::<Result<Vec<_>, SandboxError>>()?;
    if is_proxied(&confinement) {
        name_proxy(&mut environment, &request.profile.network_rules);
    }
    let limits = request.profile.limits;
    Ok(Plan {
        version: VERSION,
        confinement,
        command: Command {
            argv: request.argv.iter().map(|argument| bytes(argument)).collect::<Result<_, _>>()?,
            program: None,
            environment,
            cwd: bytes(absolute(&request.cwd)?.as_os_str())?,
            umask: None,
            links: plan::Links::Followed,
        },
        stdin: match (request.output, request.stdin) {
            (Output::Terminal(_), _) | (_, Stdin::Null) => plan::Stdin::Null,
            (Output::Piped | Output::Separate | Output::Inherit, Stdin::Inherit | Stdin::Piped) => {
                plan::Stdin::Passed
            }
        },
        output: match request.output {
            Output::Terminal(_) => plan::Output::Null,
            Output::Piped | Output::Separate | Output::Inherit => plan::Output::Passed,
        },
        terminal: match request.output {
            Output::Terminal(size) => Some(plan::TerminalSize { columns: size.columns, rows: size.rows }),
            Output::Piped | Output::Separate | Output::Inherit => None,
        },
        limits: plan::Limits {
            max_processes: limits.max_processes,
            max_memory_bytes: limits.max_memory_bytes,
            max_file_bytes: limits.max_file_bytes,
        },
        interception: match request.interception {
            Interception::Off => plan::Interception::Off,
            Interception::On => plan::Interception::On,
        },
    })
}

/// The plan for a program that a command in a sandbox wanted to start, to be run without restriction.
pub(crate) fn outside(execution: &Execution) -> Result<Plan, SandboxError> {
    let program = execution.program.as_os_str();
    let has_slash = program.as_bytes().contains(&b'/');
    // Without a slash it would be looked for; the kernel takes it from the working folder.
    let program = if has_slash { program.to_owned() } else { Path::new(".").join(program).into_os_string() };
    let variable = |(name, value): &(OsString, OsString)| Ok((bytes(name)?, bytes(value)?));
    Ok(Plan {
        version: VERSION,
        confinement: Confinement::Supervision,
        command: Command {
            argv: execution.argv.iter().map(|argument| bytes(argument)).collect::<Result<_, _>>()?,
            program: Some(bytes(&program)?),
            environment: execution.environment.iter().map(variable).collect::<Result<_, SandboxError>>()?,
            cwd: bytes(execution.cwd.as_os_str())?,
            umask: Some(execution.umask),
            links: plan::Links::Refused,
        },
        stdin: plan::Stdin::Passed,
        output: plan::Output::Passed,
        terminal: None,
        limits: plan::Limits::default(),
        interception: plan::Interception::Off,
    })
}

/// Whether a listener for a proxy is made.
pub(crate) fn is_proxied(confinement: &Confinement) -> bool {
    match confinement {
        Confinement::Namespaces(rules) | Confinement::Bubblewrap(rules) | Confinement::Landlock(rules) => {
            matches!(rules.network, Network::Proxied { .. })
        }
        Confinement::Supervision => false,
    }
}

/// Tells programs of the proxy, by all the names that they look for.
fn name_proxy(environment: &mut Vec<(Bytes, Bytes)>, rules: &[NetworkRule]) {
    let http = format!("http://127.0.0.1:{PROXY_PORT}");
    // With `h` names are resolved by the proxy, the only one who can.
    let all = format!("socks5h://127.0.0.1:{PROXY_PORT}");
    let none = without_proxy(rules);
    let values =
        [("http_proxy", http.as_str()), ("https_proxy", &http), ("all_proxy", &all), ("no_proxy", &none)];
    environment
        .retain(|(name, _)| !values.iter().any(|(known, _)| name.0.eq_ignore_ascii_case(known.as_bytes())));
    for (name, value) in values {
        for name in [name.to_owned(), name.to_ascii_uppercase()] {
            environment.push((Bytes(name.into_bytes()), Bytes(value.as_bytes().to_vec())));
        }
    }
}

/// The names at which programs look without the proxy, and find what listens in the sandbox itself. Those that rules
/// open, or ask about, are left out: that means what listens outside.
fn without_proxy(rules: &[NetworkRule]) -> String {
    let is_meant = |name: &str, host: &str| match (address(name), address(host)) {
        (Some(own), Some(listed)) => own == listed,
        // Programs take `localhost` for all that is below it too.
        (None, None) => {
            host == name || (host.ends_with(".localhost") && name == "localhost" && !host.contains('*'))
        }
        (Some(_), None) | (None, Some(_)) => false,
    };
    let is_listed = |name: &str| {
        let opening = rules.iter().filter(|rule| rule.decision != NetworkDecision::Deny);
        opening.into_iter().any(|rule| is_meant(name, &rule.host))
    };
    let own = ["localhost", "127.0.0.1", "::1"].into_iter().filter(|name| !is_listed(name));
    own.collect::<Vec<_>>().join(",")
}

/// The address that a host is; one of IPv4 however it is wrapped.
fn address(host: &str) -> Option<IpAddr> {
    host.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The profile's rules in the order that helpers want, without those that change nothing.
fn rules(profile: &Profile, proxy: Proxy) -> Result<Rules, SandboxError> {
    // Two rules of one path: the later one wins, as in `Profile::access`. A `BTreeMap` of paths has parents
    // before what is below them.
    let mut wanted = BTreeMap::new();
    match profile.default_access {
        Access::Read => {}
        Access::Write => {
            wanted.insert(PathBuf::from("/"), Access::Write);
        }
        Access::Hidden => return Err(refused("hiding all but some paths is not possible yet".to_owned())),
    }
    for rule in &profile.paths {
        let path = absolute(&rule.path)?;
        if rule.access == Access::Hidden && path.parent().is_none() {
            return Err(refused("the root folder can't be hidden".to_owned()));
        }
        wanted.insert(path, rule.access);
    }
    let mut kept: Vec<(PathBuf, Access)> = Vec::new();
    for (path, access) in wanted {
        let around = kept.iter().rev().find(|(above, _)| path.starts_with(above));
        let around = around.map_or(Access::Read, |(_, access)| *access);
        // A writable path inside a writable one stays: as a mount of its own it can't be swapped for a link.
        if access != around || access == Access::Write {
            kept.push((path, access));
        }
    }
    let paths = kept
        .iter()
        .map(|(path, access)| Ok(Rule { path: bytes(path.as_os_str())?, access: translate(*access) }))
        .collect::<Result<_, SandboxError>>()?;
    let network = match profile.network {
        NetworkAccess::Off => Network::Off,
        NetworkAccess::Rules => match proxy {
            Proxy::None => Network::Off,
            Proxy::Listen => Network::Proxied { port: PROXY_PORT },
        },
        NetworkAccess::Full => Network::Full,
    };
    let patterns = profile.globs.iter();
    let patterns = patterns.map(|glob| Pattern {
        pattern: glob.pattern.clone(),
        access: translate(glob.access),
        except: glob.except.clone(),
    });
    if let Some(socket) = profile.unix_sockets.iter().find(|path| is_lost(profile, path)) {
        let reason =
            format!("`{}` can't be reached: with `own_tmp`, `/tmp` is another folder", socket.display());
        return Err(refused(reason));
    }
    let sockets = profile.unix_sockets.iter();
    Ok(Rules {
        paths,
        patterns: patterns.collect(),
        network,
        local_sockets: sockets
            .map(|path| bytes(absolute(path)?.as_os_str()))
            .collect::<Result<_, SandboxError>>()?,
        tmp: if profile.has_own_tmp { Tmp::Own } else { Tmp::Shared },
        reading: if profile.is_reading_told { Reading::Told } else { Reading::Silent },
        making: if profile.is_making_refused { Making::Refused } else { Making::Free },
    })
}

/// Whether a socket lies in the folder that the command's own takes the place of.
fn is_lost(profile: &Profile, socket: &Path) -> bool {
    profile.has_own_tmp && socket.starts_with("/tmp")
}

fn translate(access: Access) -> plan::Access {
    match access {
        Access::Hidden => plan::Access::Hidden,
        Access::Read => plan::Access::Read,
        Access::Write => plan::Access::Write,
    }
}

/// The path without `.`; it must be absolute and without `..`.
fn absolute(path: &Path) -> Result<PathBuf, SandboxError> {
    let climbs = path.components().any(|component| component == Component::ParentDir);
    if !path.is_absolute() || climbs {
        return Err(refused(format!("`{}` is not an absolute, normalised path", path.display())));
    }
    Ok(path.components().collect())
}

fn bytes(text: &OsStr) -> Result<Bytes, SandboxError> {
    if text.as_bytes().contains(&0) {
        return Err(refused(format!("`{}` holds a NUL character", text.to_string_lossy().escape_default())));
    }
    Ok(Bytes(text.as_bytes().to_vec()))
}

fn refused(reason: String) -> SandboxError {
    SandboxError::Refused { reason, hint: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{PathRule, SandboxMode};

    fn profile(paths: &[(&str, Access)]) -> Profile {
        Profile::new(
            SandboxMode::WorkspaceWrite,
            Access::Read,
            paths.iter().map(|&(path, access)| PathRule { path: path.into(), access }).collect(),
            NetworkAccess::Off,
        )
    }

    fn request(argv: &[&str], cwd: &str) -> CommandRequest {
        CommandRequest {
            argv: argv.iter().map(Into::into).collect(),
            cwd: cwd.into(),
            environment: Vec::new(),
            profile: profile(&[]),
            stdin: Stdin::Null,
            output: Output::Piped,
            proxy: Proxy::None,
            interception: Interception::Off,
        }
    }

    #[test]
    fn rules_are_sorted_and_those_that_change_nothing_are_gone() {
        let (hidden, read, write) = (Access::Hidden, Access::Read, Access::Write);
        let given = [
            ("/repo/.git", read),
            ("/repo", write),
            ("/repo-too", write),
            ("/repo/./sub//", write),
            ("/repo/.git/deep/er", write),
            ("/repo/.git/hooks", read),
            ("/etc", read),
            ("/home/me/.skein", hidden),
            ("/home/me/.skein/blobs", hidden),
            ("/twice", write),
            ("/twice", read),
        ];
        let rules = rules(&profile(&given), Proxy::None).expect("rules");
        let found: Vec<_> = rules
            .paths
            .iter()
            .map(|rule| (str::from_utf8(&rule.path.0).expect("text"), rule.access))
            .collect();
        assert_eq!(
            found,
            [
                ("/home/me/.skein", plan::Access::Hidden),
                ("/repo", plan::Access::Write),
                ("/repo/.git", plan::Access::Read),
                ("/repo/.git/deep/er", plan::Access::Write),
                ("/repo/sub", plan::Access::Write),
                ("/repo-too", plan::Access::Write),
            ]
        );
    }

    #[test]
    fn what_no_helper_can_do_is_refused() {
        for paths in [[("relative", Access::Write)], [("/a/../b", Access::Write)], [("/", Access::Hidden)]] {
            let refused = rules(&profile(&paths), Proxy::None);
            assert!(matches!(refused, Err(SandboxError::Refused { .. })), "{paths:?}");
        }
        let hidden = Profile { default_access: Access::Hidden, ..profile(&[]) };
        assert!(matches!(rules(&hidden, Proxy::None), Err(SandboxError::Refused { .. })));

        let mut socket = Profile { has_own_tmp: true, ..profile(&[]) };
        socket.unix_sockets = vec!["/run/a".into(), "/tmp/b/c".into()];
        let told = rules(&socket, Proxy::None).expect_err("it is not there").to_string();
        assert!(told.contains("`/tmp/b/c`") && told.contains("`own_tmp`"), "{told}");
        socket.has_own_tmp = false;
        rules(&socket, Proxy::None).expect("it is there");

        for request in [request(&[], "/"), request(&["a\0b"], "/"), request(&["a"], "b")] {
            let refused = build(&request, Enforcement::Supervision);
            assert!(matches!(refused, Err(SandboxError::Refused { .. })), "{request:?}");
        }
    }

    #[test]
    fn everything_writable_is_the_root_writable() {
        let open = Profile { default_access: Access::Write, ..profile(&[("/etc", Access::Read)]) };
        let rules = rules(&open, Proxy::None).expect("rules");
        let found: Vec<_> = rules.paths.iter().map(|rule| (&rule.path.0[..], rule.access)).collect();
        assert_eq!(found, [(&b"/"[..], plan::Access::Write), (b"/etc", plan::Access::Read)]);
    }

    #[test]
    fn a_proxy_is_named_in_place_of_another() {
        let mut proxied = request(&["a"], "/");
        proxied.profile.network = NetworkAccess::Rules;
        proxied.environment =
            vec![("HTTP_PROXY".into(), "http://elsewhere".into()), ("A".into(), "b".into())];
        let plain = build(&proxied, Enforcement::Namespaces).expect("plan");
        assert_eq!(plain.command.environment.len(), 2, "nobody serves one");
        proxied.proxy = Proxy::Listen;
        let plan = build(&proxied, Enforcement::Namespaces).expect("plan");
        let value = |name: &str| {
            let mut found = plan.command.environment.iter().filter(|(it, _)| it.0 == name.as_bytes());
            let value = found.next().map(|(_, value)| String::from_utf8(value.0.clone()).expect("text"));
            assert!(found.next().is_none(), "{name} twice");
            value
        };
        assert_eq!(value("A").as_deref(), Some("b"));
        assert_eq!(value("HTTP_PROXY").as_deref(), Some("http://127.0.0.1:3128"));
        assert_eq!(value("all_proxy").as_deref(), Some("socks5h://127.0.0.1:3128"));
        assert_eq!(value("no_proxy").as_deref(), Some("localhost,127.0.0.1,::1"));
    }

    #[test]
    fn a_name_of_this_machine_that_is_listed_is_asked_for_through_the_proxy() {
        use NetworkDecision::{Allow, Deny, Prompt};
        for (host, decision, expected) in [
            ("a.net", Allow, "localhost,127.0.0.1,::1"),
            ("*", Allow, "localhost,127.0.0.1,::1"),
            ("*.localhost", Allow, "localhost,127.0.0.1,::1"),
            ("localhost", Deny, "localhost,127.0.0.1,::1"),
            ("localhost:8080", Allow, "127.0.0.1,::1"),
            ("localhost", Prompt, "127.0.0.1,::1"),
            ("app.localhost", Allow, "127.0.0.1,::1"),
            ("127.0.0.1:8080", Allow, "localhost,::1"),
            ("[::ffff:127.0.0.1]:8080", Allow, "localhost,::1"),
            ("[::1]:8080", Allow, "localhost,127.0.0.1"),
        ] {
            let rule = NetworkRule::for_host(host, decision).expect("host");
            assert_eq!(without_proxy(&[rule]), expected, "{host}");
        }
        let every = ["localhost", "127.0.0.1", "::1"].map(|host| NetworkRule::for_host(host, Allow));
        assert_eq!(without_proxy(&every.map(|rule| rule.expect("host"))), "");
    }
}
