//! The last steps of the process that becomes the command. Knows which walls there are, not how each is built.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{self, Network};
use helper_protocol::report::Failure;
use rustix::fs::Access;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::domain;
use crate::failure::Step;
use crate::filter;
use crate::grants::Grant;
use crate::privileges::{self, BoundingSet, Counted};
use crate::syscall;

/// Where programs are looked for if the environment does not say.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// What confines the command.
pub(crate) struct Walls {
    pub(crate) grants: Vec<Grant>,
    pub(crate) domain: domain::Duty,
    pub(crate) filter: filter::Duty,
    pub(crate) counted: Counted,
}

/// A command in the shape that the kernel wants.
pub(crate) struct Prepared {
    /// Where the program may be, in order.
    programs: Vec<CString>,
    argv: Vec<CString>,
    environment: Vec<CString>,
    cwd: CString,
    limits: plan::Limits,
}

impl Prepared {
    /// Checks a command and finds out where to look for its program.
    pub(crate) fn new(command: &plan::Command, limits: plan::Limits) -> Result<Self, Failure> {
        let Some(Bytes(program)) = command.argv.first() else {
            return Err(Failure::Plan { reason: "there is no command".to_owned() });
        };
        let variable = |(name, value): &(Bytes, Bytes)| text([&name.0[..], b"=", &value.0].concat());
        let path = command.environment.iter().rev().find(|(name, _)| name.0 == b"PATH");
        let path = path.map_or(PATH, |(_, value)| &value.0);
        Ok(Self {
            programs: candidates(program, path).into_iter().map(text).collect::<Result<_, _>>()?,
            argv: command.argv.iter().map(|argument| text(argument.0.clone())).collect::<Result<_, _>>()?,
            environment: command.environment.iter().map(variable).collect::<Result<_, _>>()?,
            cwd: text(command.cwd.0.clone())?,
            limits,
        })
    }

    /// Becomes the command; returns only with the reason why not.
    pub(crate) fn run(&self, walls: Option<&Walls>, parent: Parent) -> Failure {
        match self.confine(walls, parent) {
            Ok(()) => self.execute(),
            Err(failure) => failure,
        }
    }

    fn confine(&self, walls: Option<&Walls>, parent: Parent) -> Result<(), Failure> {
        rustix::process::setsid().step("start a session")?;
        syscall::reset_signals();
        if let Some(walls) = walls {
            syscall::join_new_keyring().or_else(unless_absent).step("leave the session keyring")?;
            if let (Parent::First(_), Network::Off) = (&parent, walls.filter.network) {
                leave_network().step("make a new network namespace")?;
            }
            filter::install(walls.filter)?;
        }
        let bounding_set = parent.attend()?;
        let entered = rustix::process::chdir(&self.cwd);
        entered.map_err(|errno| Failure::Cwd { errno: errno.raw_os_error() })?;
        if let Some(walls) = walls {
            privileges::limit(self.limits.max_processes, walls.counted)?;
            privileges::drop_capabilities(bounding_set)?;
            domain::restrict(&walls.grants, walls.domain)?;
        }
        syscall::close_all_but_stdio_at_exec().step("close descriptors")
    }

    fn execute(&self) -> Failure {
        let mut failure = Failure::NotFound;
        for program in &self.programs {
            let Err(errno) = syscall::execute(program, &self.argv, &self.environment);
            let is_there = || rustix::fs::access(program, Access::EXISTS).is_ok();
            let is_elsewhere = matches!(errno, Errno::NOENT | Errno::NOTDIR) && !is_there();
            if !is_elsewhere {
                failure = Failure::NotExecutable { errno: errno.raw_os_error() };
            }
            if !is_elsewhere && errno != Errno::ACCESS {
                break;
            }
        }
        failure
    }
}

/// Who started the process that becomes the command.
pub(crate) enum Parent {
    /// Process 1 of the command's namespaces, which builds its view meanwhile. One byte says that it is done.
    First(OwnedFd),
    /// The outer process, which is this one.
    Outer(Pid),
}

impl Parent {
    /// Makes sure that the parent lives and has done its part; tells what it did to the bounding set.
    fn attend(self) -> Result<BoundingSet, Failure> {
        match self {
            Self::First(ready) => match rustix::io::read(&ready, &mut [0]).step("wait for the view")? {
                // It failed, and has said so.
                0 => syscall::exit(1),
                _ => Ok(BoundingSet::Cleared),
            },
            Self::Outer(pid) => {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))
                    .step("ask to die with the parent")?;
                // It may have ended before we asked.
                if rustix::process::getppid() == Some(pid) { Ok(BoundingSet::Full) } else { syscall::exit(1) }
            }
        }
    }
}

/// Making a network namespace takes as long as all the rest, so the command's process does it for itself.
fn leave_network() -> Result<(), Errno> {
    syscall::unshare(libc::CLONE_NEWNET)?;
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    syscall::raise_loopback(socket)
}

/// A kernel without keyrings has none to leave.
fn unless_absent(errno: Errno) -> Result<(), Errno> {
    if errno == Errno::NOSYS { Ok(()) } else { Err(errno) }
}

/// Where a program may be: at the path that it is, or in a folder of the search path.
fn candidates(program: &[u8], path: &[u8]) -> Vec<Vec<u8>> {
    if program.contains(&b'/') {
        return vec![program.to_vec()];
    }
    if program.is_empty() {
        return Vec::new();
    }
    let folders = path.split(|&byte| byte == b':');
    // An empty entry means the working folder.
    let folders = folders.map(|folder| if folder.is_empty() { &b"."[..] } else { folder });
    folders.map(|folder| [folder, b"/", program].concat()).collect()
}

fn text(bytes: Vec<u8>) -> Result<CString, Failure> {
    CString::new(bytes).map_err(|_| Failure::Plan { reason: "a text holds a NUL character".to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_in_the_search_path_unless_they_are_paths() {
        let check = |program: &str, path: &str, wanted: &[&str]| {
            let found = candidates(program.as_bytes(), path.as_bytes());
            let found: Vec<_> = found.iter().map(|path| str::from_utf8(path).expect("text")).collect();
            assert_eq!(found, wanted);
        };
        check("ls", "/usr/bin:/bin", &["/usr/bin/ls", "/bin/ls"]);
        check("ls", ":/bin", &["./ls", "/bin/ls"]);
        check("./ls", "/bin", &["./ls"]);
        check("", "/bin", &[]);
    }
}
