//! Turns a request into a helper's plan. Pure: looks at no file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{self, Command, Confinement, Network, Plan, Rule, Rules, VERSION};
use protocol::profile::{Access, NetworkAccess, Profile};

use crate::error::SandboxError;
use crate::request::{CommandRequest, Stdin};

/// How the plan's rules are enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enforcement {
    Namespaces,
    Landlock,
    Supervision,
}

/// The plan for a request.
///
/// # Errors
/// `Refused` for what no helper can do.
pub(crate) fn build(request: &CommandRequest, enforcement: Enforcement) -> Result<Plan, SandboxError> {
    let confinement = match enforcement {
        Enforcement::Namespaces => Confinement::Namespaces(rules(&request.profile)?),
        Enforcement::Landlock => Confinement::Landlock(rules(&request.profile)?),
        Enforcement::Supervision => Confinement::Supervision,
    };
    if request.argv.is_empty() {
        return Err(refused("there is no command".to_owned()));
    }
    let environment = request
        .environment
        .iter()
        .map(|(name, value)| Ok((bytes(name)?, bytes(value)?)))
        .collect::<Result<_, SandboxError>>()?;
    Ok(Plan {
        version: VERSION,
        confinement,
        command: Command {
            argv: request.argv.iter().map(|argument| bytes(argument)).collect::<Result<_, _>>()?,
            environment,
            cwd: bytes(absolute(&request.cwd)?.as_os_str())?,
        },
        stdin: match request.stdin {
            Stdin::Null => plan::Stdin::Null,
            Stdin::Inherit => plan::Stdin::Passed,
        },
        limits: plan::Limits { max_processes: request.limits.max_processes },
    })
}

/// The profile's rules in the order that helpers want, without those that change nothing.
fn rules(profile: &Profile) -> Result<Rules, SandboxError> {
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
        NetworkAccess::Full => Network::Full,
    };
    Ok(Rules { paths, network })
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

    use crate::request::{Limits, Output};

    fn profile(paths: &[(&str, Access)]) -> Profile {
        Profile {
            mode: SandboxMode::WorkspaceWrite,
            default_access: Access::Read,
            paths: paths.iter().map(|&(path, access)| PathRule { path: path.into(), access }).collect(),
            network: NetworkAccess::Off,
        }
    }

    fn request(argv: &[&str], cwd: &str) -> CommandRequest {
        CommandRequest {
            argv: argv.iter().map(Into::into).collect(),
            cwd: cwd.into(),
            environment: Vec::new(),
            profile: profile(&[]),
            stdin: Stdin::Null,
            output: Output::Piped,
            limits: Limits::default(),
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
        let rules = rules(&profile(&given)).expect("rules");
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
            let refused = rules(&profile(&paths));
            assert!(matches!(refused, Err(SandboxError::Refused { .. })), "{paths:?}");
        }
        let hidden = Profile { default_access: Access::Hidden, ..profile(&[]) };
        assert!(matches!(rules(&hidden), Err(SandboxError::Refused { .. })));

        for request in [request(&[], "/"), request(&["a\0b"], "/"), request(&["a"], "b")] {
            let refused = build(&request, Enforcement::Supervision);
            assert!(matches!(refused, Err(SandboxError::Refused { .. })), "{request:?}");
        }
    }

    #[test]
    fn everything_writable_is_the_root_writable() {
        let open = Profile { default_access: Access::Write, ..profile(&[("/etc", Access::Read)]) };
        let rules = rules(&open).expect("rules");
        let found: Vec<_> = rules.paths.iter().map(|rule| (&rule.path.0[..], rule.access)).collect();
        assert_eq!(found, [(&b"/"[..], plan::Access::Write), (b"/etc", plan::Access::Read)]);
    }
}
