//! What a person can do when a rung does not hold. Reads the usual switches of Linux; changes nothing.

use std::fs;
use std::path::Path;

/// A switch, the value that closes namespaces, and what to do.
const SWITCHES: [(&str, &str, &str); 3] = [
    (
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
        "1",
        "AppArmor keeps programs from user namespaces; give Skein an AppArmor profile with `userns,`, or run: \
         sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0",
    ),
    (
        "/proc/sys/kernel/unprivileged_userns_clone",
        "0",
        "User namespaces are switched off; run: sudo sysctl kernel.unprivileged_userns_clone=1",
    ),
    (
        "/proc/sys/user/max_user_namespaces",
        "0",
        "User namespaces are switched off; run: sudo sysctl user.max_user_namespaces=10000",
    ),
];

/// Why namespaces may be closed here.
pub(crate) fn namespaces() -> Option<String> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if is_first_wsl(&read("/proc/sys/kernel/osrelease")) {
        return Some(
            "WSL 1 has no namespaces and no Landlock; convert the distribution: wsl --set-version NAME 2"
                .to_owned(),
        );
    }
    if !Path::new("/proc/self/ns/user").exists() {
        return Some("The kernel is built without user namespaces (CONFIG_USER_NS)".to_owned());
    }
    let switch = SWITCHES.iter().find(|(path, closed, _)| read(path).trim() == *closed);
    if let Some((_, _, hint)) = switch {
        return Some((*hint).to_owned());
    }
    is_filtered(&read("/proc/self/status")).then(|| {
        "Skein seems to run in a container that forbids namespaces; start it with: \
         --security-opt seccomp=unconfined --security-opt systempaths=unconfined"
            .to_owned()
    })
}

/// Why `bwrap` may be of no use here.
pub(crate) fn bubblewrap() -> Option<String> {
    if Path::new("/usr/bin/bwrap").exists() {
        return namespaces();
    }
    Some(
        "Where AppArmor lets only known programs make namespaces, install the package `bubblewrap`"
            .to_owned(),
    )
}

/// Why Landlock may be closed here.
pub(crate) fn landlock() -> String {
    "Landlock with scopes needs Linux 6.12 or later, with `landlock` among the security modules that the \
     `lsm=` boot parameter names"
        .to_owned()
}

/// `4.4.0-19041-Microsoft`; the second one says `microsoft-standard-WSL2`.
fn is_first_wsl(release: &str) -> bool {
    release.trim().ends_with("-Microsoft")
}

fn is_filtered(status: &str) -> bool {
    status.lines().filter_map(|line| line.strip_prefix("Seccomp:")).any(|mode| mode.trim() != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seccomp_filter_is_seen() {
        assert!(is_filtered("Name:\tskein\nSeccomp:\t2\nSeccomp_filters:\t1\n"));
        assert!(!is_filtered("Name:\tskein\nSeccomp:\t0\nSeccomp_filters:\t0\n"));
    }

    #[test]
    fn the_first_wsl_is_told_from_the_second() {
        assert!(is_first_wsl("4.4.0-19041-Microsoft\n"));
        assert!(!is_first_wsl("5.15.167.4-microsoft-standard-WSL2\n"));
        assert!(!is_first_wsl("6.12.0-amd64\n"));
    }
}
