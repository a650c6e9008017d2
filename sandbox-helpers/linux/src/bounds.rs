//! What bounds how many processes a command has and how much memory it uses: a control group where it takes one and one
//! can be made, namespaces, or limits of the user or of each process. Knows rungs, not control groups.

use helper_protocol::plan::Limits;
use helper_protocol::report::{Bound, Bounds, Failure};

use crate::group::{Group, Resource, Wanted};
use crate::privileges::MAX_PROCESSES;

/// What is around the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Around {
    /// Namespaces of our own making.
    Namespaces,
    /// Those of `bwrap`.
    Bubblewrap,
    /// None.
    Nothing,
}

/// Whose processes the command's are, as far as limits go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum User {
    /// The administrator's are not counted.
    Administrator,
    Ordinary,
}

/// Sees to it that a command is bounded. A bound on processes that was asked for and that nothing holds is refused;
/// without one, a wide one holds wherever there is a way.
pub(crate) fn bound(limits: Limits, around: Around) -> Result<(Group, Bounds), Failure> {
    let user = if rustix::process::geteuid().is_root() { User::Administrator } else { User::Ordinary };
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let by_itself = processes_by_itself(around, user, &release);
    let wanted = wanted(limits, by_itself, user);
    let group = if wanted == Wanted::default() { Group::default() } else { Group::make(wanted) };
    let processes = if group.holds(Resource::Processes) { Bound::Group } else { by_itself };
    if processes == Bound::Nothing && limits.max_processes.is_some() {
        let reason = "A bound on processes can't be held for the administrator here: it takes a control group that \
                      Skein may make, or namespaces and Linux 6.14";
        group.release();
        return Err(Failure::Lack { reason: reason.to_owned() });
    }
    let memory = if group.holds(Resource::Memory) { Bound::Group } else { Bound::Process };
    Ok((group, Bounds { processes, memory }))
}

/// What bounds processes without a control group.
fn processes_by_itself(around: Around, user: User, release: &str) -> Bound {
    match (around, user) {
        (Around::Namespaces | Around::Bubblewrap, User::Ordinary) => Bound::Namespace,
        (Around::Namespaces | Around::Bubblewrap, User::Administrator) if has_own_numbers(release) => {
            Bound::Namespace
        }
        (Around::Nothing, User::Ordinary) => Bound::User,
        (Around::Namespaces | Around::Bubblewrap | Around::Nothing, User::Administrator) => Bound::Nothing,
    }
}

/// What a control group is needed for. Numbers of processes have a least bound, so an administrator's own goes before it.
fn wanted(limits: Limits, by_itself: Bound, user: User) -> Wanted {
    let is_exact = by_itself == Bound::Namespace && user == User::Ordinary;
    let processes = match limits.max_processes {
        Some(most) => (!is_exact).then_some(most),
        None => (by_itself == Bound::Nothing).then_some(MAX_PROCESSES),
    };
    Wanted { processes, memory: limits.max_memory_bytes }
}

/// From Linux 6.14 on each namespace bounds the numbers of its own processes.
fn has_own_numbers(release: &str) -> bool {
    let mut numbers = release.split(['.', '-']).map_while(|part| part.parse::<u32>().ok());
    (numbers.next().unwrap_or_default(), numbers.next().unwrap_or_default()) >= (6, 14)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_holds_an_administrator_but_newer_namespaces() {
        let check = |around, user, release, wanted| {
            assert_eq!(processes_by_itself(around, user, release), wanted, "{around:?} {user:?} {release}");
        };
        for release in ["6.14.0-rc1", "6.18.44-fc-v657", "7.0"] {
            check(Around::Namespaces, User::Administrator, release, Bound::Namespace);
            check(Around::Bubblewrap, User::Administrator, release, Bound::Namespace);
        }
        for release in ["6.13.9", "5.15.167.4-microsoft-standard-WSL2", "6", ""] {
            check(Around::Namespaces, User::Administrator, release, Bound::Nothing);
            check(Around::Bubblewrap, User::Administrator, release, Bound::Nothing);
            check(Around::Namespaces, User::Ordinary, release, Bound::Namespace);
        }
        check(Around::Nothing, User::Administrator, "7.0", Bound::Nothing);
        check(Around::Nothing, User::Ordinary, "7.0", Bound::User);
    }

    #[test]
    fn a_control_group_is_made_only_for_what_needs_one() {
        let check = |limits: Limits, by_itself, user, processes, memory| {
            assert_eq!(
                wanted(limits, by_itself, user),
                Wanted { processes, memory },
                "{limits:?} {by_itself:?}"
            );
        };
        let none = Limits::default();
        let few = Limits { max_processes: Some(7), ..none };
        let small = Limits { max_memory_bytes: Some(9), ..none };
        check(none, Bound::Namespace, User::Ordinary, None, None);
        check(none, Bound::Namespace, User::Administrator, None, None);
        check(none, Bound::User, User::Ordinary, None, None);
        check(none, Bound::Nothing, User::Administrator, Some(MAX_PROCESSES), None);
        check(few, Bound::Namespace, User::Ordinary, None, None);
        check(few, Bound::Namespace, User::Administrator, Some(7), None);
        check(few, Bound::User, User::Ordinary, Some(7), None);
        check(small, Bound::Namespace, User::Ordinary, None, Some(9));
    }
}
