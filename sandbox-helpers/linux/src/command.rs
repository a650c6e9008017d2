//! The last steps of the process that becomes the command. Knows which walls there are, not how each is built.

use std::ffi::CString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{self, Interception, Links, Network, TerminalSize};
use helper_protocol::report::Failure;
use rustix::fs::{Access, Mode};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::{Pid, Signal};

use crate::domain;
use crate::failure::Step;
use crate::filter;
use crate::grants::Grant;
use crate::hand::{Giver, Thing};
use crate::privileges::{self, BoundingSet, Counted};
use crate::syscall;
use crate::terminal;

/// Where programs are looked for if the environment does not say.
const PATH: &[u8] = b"/usr/local/bin:/usr/bin:/bin";

/// How many connections to the proxy may wait until they are accepted.
const BACKLOG: i32 = 128;

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
    umask: Option<Mode>,
    links: Links,
    limits: plan::Limits,
    interception: Interception,
    terminal: Option<TerminalSize>,
}

impl Prepared {
    /// Checks a command and finds out where to look for its program.
    pub(crate) fn new(plan: &plan::Plan) -> Result<Self, Failure> {
        let plan::Plan { command, limits, interception, terminal, .. } = plan;
        let Some(Bytes(program)) = command.program.as_ref().or(command.argv.first()) else {
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
            umask: command.umask.map(Mode::from_bits_truncate),
            links: command.links,
            limits: *limits,
            interception: *interception,
            terminal: *terminal,
        })
    }

    /// How many processes it may have in namespaces of its own.
    pub(crate) fn max_processes(&self) -> u64 {
        self.limits.max_processes.unwrap_or(privileges::MAX_PROCESSES)
    }

    /// Becomes the command; returns only with the reason why not.
    pub(crate) fn run(&self, walls: Option<&Walls>, parent: Parent, giver: &Giver) -> Failure {
        match self.confine(walls, parent, giver) {
            Ok(()) => self.execute(),
            Err(failure) => failure,
        }
    }

    fn confine(&self, walls: Option<&Walls>, parent: Parent, giver: &Giver) -> Result<(), Failure> {
        rustix::process::setsid().step("start a session")?;
        syscall::reset_signals();
        let has_view = matches!(parent, Parent::First(_) | Parent::Inside(_));
        // Before the filter, at which it would wait, where it can be.
        if !has_view {
            self.enter()?;
        }
        if let Some(walls) = walls {
            syscall::join_new_keyring().or_else(unless_absent).step("leave the session keyring")?;
            if let (Parent::First(_), Network::Off | Network::Proxied { .. }) =
                (&parent, walls.filter.network)
            {
                leave_network().step("make a new network namespace")?;
            }
            if let Network::Proxied { port } = walls.filter.network {
                giver.give(Thing::Proxy, &listen(port).step("listen for the proxy")?)?;
            }
            if let Some(listener) = filter::install(walls.filter)? {
                giver.give(Thing::Filter, &listener)?;
            }
        } else if self.interception == Interception::On {
            giver.give(Thing::Filter, &filter::install_interception()?)?;
        }
        let bounding_set = parent.attend()?;
        // In the view, so that its name is the command's own.
        let terminal = self.terminal.map(|size| terminal::take(size, giver)).transpose()?;
        if has_view {
            self.enter()?;
        }
        if let Some(walls) = walls {
            privileges::limit(self.limits, walls.counted)?;
            privileges::drop_capabilities(bounding_set)?;
            let grants: Vec<_> = walls.grants.iter().cloned().chain(terminal).collect();
            domain::restrict(&grants, walls.domain)?;
        }
        syscall::close_all_but_stdio_at_exec().step("close descriptors")
    }

    fn enter(&self) -> Result<(), Failure> {
        let failure = |errno: Errno| Failure::Cwd { errno: errno.raw_os_error() };
        rustix::process::chdir(&self.cwd).map_err(failure)?;
        match self.links {
            Links::Followed => Ok(()),
            Links::Refused if rustix::process::getcwd(Vec::new()).map_err(failure)? == self.cwd => Ok(()),
            Links::Refused => Err(failure(Errno::LOOP)),
        }
    }

    fn execute(&self) -> Failure {
        if let Some(umask) = self.umask {
            rustix::process::umask(umask);
        }
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
    /// The same, where `bwrap` has made the view and the network's namespace.
    Inside(OwnedFd),
    /// The outer process, which is this one.
    Outer(Pid),
}

impl Parent {
    /// Makes sure that the parent lives and has done its part; tells what it did to the bounding set.
    fn attend(self) -> Result<BoundingSet, Failure> {
        match self {
            Self::First(ready) | Self::Inside(ready) => {
                match rustix::io::read(&ready, &mut [0]).step("wait for the view")? {
                    // It failed, and has said so.
                    0 => syscall::exit(1),
                    _ => Ok(BoundingSet::Cleared),
                }
            }
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

/// The listener that the daemon's proxy gets: on the sandbox's own loopback, so that only the command reaches it.
fn listen(port: u16) -> Result<OwnedFd, Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A kernel without keyrings has none to leave. Containers forbid the call; the command can't reach any keyring then
/// either, because its filter forbids the same.
fn unless_absent(errno: Errno) -> Result<(), Errno> {
    if matches!(errno, Errno::NOSYS | Errno::PERM) { Ok(()) } else { Err(errno) }
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
