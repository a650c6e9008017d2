//! Whether a call would make what a pattern names. Knows paths in the command's view, and that a command which is out to
//! can change them after they were looked at: what is there, mounts hold; this tells the rest.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use helper_protocol::plan::{Access, Pattern};
use rustix::process::Pid;

use crate::attempts::Subject;
use crate::patterns::{self, Ready};
use crate::places::Layout;
use crate::sockets;
use crate::supervise::{MAX_LINKS, normal, real};

/// Whether a change of this path is to be refused.
pub(crate) fn is_refused(
    patterns: &[Pattern],
    layout: &Layout,
    thread: Pid,
    wanted: &Path,
    subject: Subject,
) -> bool {
    let patterns: Vec<_> = patterns.iter().map(Ready::new).collect();
    let mut path = wanted.to_owned();
    for _ in 0..MAX_LINKS {
        if is_named(&patterns, layout, thread, &path) {
            return matches!(subject, Subject::Content | Subject::NewName | Subject::AnyName);
        }
        match subject {
            // What is opened by a link is made where that leads.
            Subject::Content => match target(thread, &path) {
                Some(target) => path = target,
                None => return false,
            },
            Subject::NewName | Subject::AnyName | Subject::Name | Subject::Owned => return false,
        }
    }
    true
}

/// Whether a pattern names it where nothing else closes it.
fn is_named(patterns: &[Ready<'_>], layout: &Layout, thread: Pid, path: &Path) -> bool {
    let is_open =
        |path: &Path| layout.access(path) == Access::Write && patterns::most(patterns, path) < Access::Write;
    if path.starts_with("/proc") || path.starts_with("/dev") {
        // `self` means the command to the command, and another one to us: the name alone is looked at.
        let Some(name) = path.file_name() else { return false };
        let beginnings = patterns.iter().map(|ready| patterns::literal_beginning(&ready.pattern.pattern));
        return beginnings.into_iter().any(|folder| is_open(&folder.join(name)));
    }
    is_open(path) || real(thread, path).is_some_and(|real| is_open(&real))
}

/// Where a link leads.
fn target(thread: Pid, path: &Path) -> Option<PathBuf> {
    let folder = sockets::open_in_view(thread, path.parent()?).ok()?;
    let target = rustix::fs::readlinkat(folder, path.file_name()?, Vec::new()).ok()?;
    Some(normal(&path.parent()?.join(OsStr::from_bytes(target.as_bytes()))))
}
