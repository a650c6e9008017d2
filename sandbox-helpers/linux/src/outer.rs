//! The helper's first process, which stays outside the sandbox: reads the plan, starts the rest, watches over
//! it, and cleans up. Knows the rungs.

use std::io::Read;
use std::os::fd::OwnedFd;

use helper_protocol::plan::{Access, Confinement, Plan, Rules, Stdin, VERSION};
use helper_protocol::report::{End, Failure, Report};
use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

use crate::channel::{Channel, Order};
use crate::command::{Parent, Prepared, Walls};
use crate::devices;
use crate::domain;
use crate::failure::Step;
use crate::filter;
use crate::grants::{Grant, grants};
use crate::inner::{self, Task};
use crate::places::{self, Absence, Layout};
use crate::privileges::Counted;
use crate::syscall::{self, Cloned};
use crate::tree;

/// What a person sees who starts the helper by hand.
const NOT_FOR_PEOPLE: &[u8] =
    b"The sandbox helper is started by Skein; to try a sandbox: skein sandbox -- COMMAND\n";

/// What must not end this process before the tree that it watches over: only the daemon does that, or its end. A
/// stopped one gets SIGHUP and SIGCONT when the daemon dies (setpgid(2)), and so notices.
const SURVIVED: [libc::c_int; 4] = [libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM];

/// Runs the helper and ends this process.
pub(crate) fn run() -> ! {
    syscall::block_signals(&SURVIVED);
    let channel = syscall::close_all_but_stdio().and_then(|()| Channel::take());
    let Ok(mut channel) = channel else {
        let code = if rustix::io::write(rustix::stdio::stderr(), NOT_FOR_PEOPLE).is_ok() { 2 } else { 1 };
        syscall::exit(code);
    };
    let report = match carry_out(&mut channel) {
        Ok(end) => Report::Ended(end),
        Err(failure) => Report::Failed(failure),
    };
    channel.report(&report);
    // The first process of the namespaces takes them apart; what is left to do is to reap it.
    while let Ok(_) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
    syscall::exit(0);
}

fn carry_out(channel: &mut Channel) -> Result<End, Failure> {
    let (plan, passed) = channel.plan()?;
    if plan.version != VERSION {
        let reason =
            format!("the plan has version {}, this helper knows {VERSION}; restart the daemon", plan.version);
        return Err(Failure::Plan { reason });
    }
    set_stdin(&plan, passed)?;
    let prepared = Prepared::new(&plan.command, plan.limits)?;
    match &plan.confinement {
        Confinement::Namespaces(rules) => {
            let layout = places::resolve(rules, Absence::Hold)?;
            let end = in_namespaces(channel, rules, &prepared, &layout);
            for placeholder in layout.placeholders {
                placeholder.release();
            }
            end
        }
        Confinement::Landlock(rules) => {
            let layout = places::resolve(rules, Absence::Tell)?;
            let is_read_only = layout.places.values().all(|(access, _)| *access != Access::Write);
            let walls = Walls {
                grants: grants(&layout).into_iter().chain(device_grants()).collect(),
                domain: domain::Duty::All,
                filter: filter::Duty { network: rules.network, is_shared: true, is_read_only },
                counted: Counted::AllOfTheUser,
            };
            supervised(channel, &prepared, Some(&walls))
        }
        Confinement::Supervision => supervised(channel, &prepared, None),
    }
}

/// What the command gets as standard input, in place of the socket.
fn set_stdin(plan: &Plan, passed: Option<OwnedFd>) -> Result<(), Failure> {
    let stdin = match (plan.stdin, passed) {
        (Stdin::Null, _) => {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).step("open /dev/null")?
        }
        (Stdin::Passed, Some(passed)) => passed,
        (Stdin::Passed, None) => {
            return Err(Failure::Plan { reason: "no standard input came along".to_owned() });
        }
    };
    rustix::stdio::dup2_stdin(&stdin).step("set standard input")
}

/// Writing to devices is writing too.
fn device_grants() -> impl Iterator<Item = Grant> {
    devices::NODES.into_iter().map(|node| Grant { path: node.into(), access: Access::Write })
}

fn in_namespaces(
    channel: &mut Channel,
    rules: &Rules,
    prepared: &Prepared,
    layout: &Layout,
) -> Result<End, Failure> {
    let writable = layout.places.iter().filter(|(_, (access, _))| *access == Access::Write);
    let writable = writable.map(|(path, _)| Grant { path: path.clone(), access: Access::Write });
    let own_devices = Grant { path: "/dev".into(), access: Access::Write };
    let walls = Walls {
        grants: writable.chain([own_devices]).collect(),
        domain: domain::Duty::Writing,
        filter: filter::Duty { network: rules.network, is_shared: false, is_read_only: false },
        counted: Counted::Own,
    };
    let (user, group) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (setup, setup_writer) = pipe()?;
    let (ended, ended_writer) = pipe()?;
    let (pid, pidfd) = match syscall::clone(inner::NAMESPACES).step("make new namespaces")? {
        Cloned::Child => {
            drop((setup, ended));
            inner::run(Task {
                prepared,
                walls: &walls,
                layout,
                setup: setup_writer,
                ended: ended_writer,
                user,
                group,
            });
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((setup_writer, ended_writer));
    inner::close_stdio()?;
    let mut children = Children { main: pid, status: None };
    // The first process passes SIGTERM on; SIGKILL takes the whole namespace with it.
    let obey = |order| match order {
        Order::Terminate => rustix::process::pidfd_send_signal(&pidfd, Signal::TERM),
        Order::Kill => rustix::process::pidfd_send_signal(&pidfd, Signal::KILL),
    };
    if let Err(failure) = watch(channel, setup, &ended, &mut children, obey) {
        // It fails where nothing runs any more.
        let _ = obey(Order::Kill);
        return Err(failure);
    }
    let mut said = Vec::new();
    std::fs::File::from(ended)
        .read_to_end(&mut said)
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .step("learn how the command ended")?;
    if said.is_empty() {
        // It was killed before it could say; the kernel has killed the command before it lets go of it.
        return Ok(children.wait_for_main());
    }
    serde_json::from_slice(&said)
        .map_err(|_| Failure::Plan { reason: "the sandbox's first process makes no sense".to_owned() })
}

/// Runs the command without namespaces, as a child of this process.
fn supervised(channel: &mut Channel, prepared: &Prepared, walls: Option<&Walls>) -> Result<End, Failure> {
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).step("become a subreaper")?;
    syscall::interrupt_at_end_of_children();
    let (setup, setup_writer) = pipe()?;
    let (pid, pidfd) = match syscall::clone(0).step("start the command's process")? {
        Cloned::Child => {
            drop(setup);
            inner::tell(&setup_writer, &prepared.run(walls, Parent::Outer(own)));
            syscall::exit(1);
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop(setup_writer);
    inner::close_stdio()?;
    let mut children = Children { main: pid, status: None };
    let outcome = watch(channel, setup, &pidfd, &mut children, |order| match order {
        Order::Terminate => rustix::process::kill_process_group(pid, Signal::TERM),
        Order::Kill => rustix::process::pidfd_send_signal(&pidfd, Signal::KILL),
    });
    let end = outcome.map(|()| children.wait_for_main());
    tree::clear();
    end
}

/// This process's children: the one that it started, and orphans that came to it.
struct Children {
    main: Pid,
    status: Option<WaitStatus>,
}

impl Children {
    /// Takes note of those that have ended.
    fn reap(&mut self) {
        while let Ok(Some((pid, status))) = rustix::process::wait(WaitOptions::NOHANG) {
            if pid == self.main {
                self.status = Some(status);
            }
        }
    }

    /// How the main one ended, which it has or is about to.
    fn wait_for_main(&mut self) -> End {
        while self.status.is_none() {
            match rustix::process::waitpid(Some(self.main), WaitOptions::empty()) {
                Ok(Some((_, status))) => self.status = Some(status),
                Ok(None) | Err(Errno::INTR) => {}
                Err(_) => break,
            }
        }
        self.status.map_or(End::Signal(libc::SIGKILL), inner::end)
    }
}

/// Watches until `finished` becomes readable: says when the command runs, and obeys the daemon.
fn watch(
    channel: &mut Channel,
    setup: OwnedFd,
    finished: &OwnedFd,
    children: &mut Children,
    obey: impl Fn(Order) -> Result<(), Errno>,
) -> Result<(), Failure> {
    let mut setup = Some(setup);
    let mut said = Vec::new();
    let mut is_listening = true;
    loop {
        children.reap();
        let news = wait_for_news(channel, is_listening, setup.as_ref(), finished)?;
        if news.has_order
            && let Some(order) = channel.order()
        {
            is_listening = order != Order::Kill;
            match obey(order) {
                // There is nobody any more, which is what was wanted.
                Ok(()) | Err(Errno::SRCH) => {}
                Err(errno) => return Err(errno).step("signal the command"),
            }
        }
        if news.has_said
            && let Some(pipe) = &setup
        {
            let mut buffer = [0; 1024];
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => {
                    setup = None;
                    if said.is_empty() {
                        channel.report(&Report::Started);
                    }
                }
                Ok(count) => said.extend_from_slice(&buffer[..count]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).step("learn whether the command runs"),
            }
        }
        // Invariant: who finishes has closed the setup's pipe, so its end is not missed.
        if news.has_finished && setup.is_none() {
            return if said.is_empty() { Ok(()) } else { Err(failure(&said)) };
        }
    }
}

/// Who has something.
#[derive(Default)]
struct News {
    has_finished: bool,
    has_order: bool,
    has_said: bool,
}

/// Waits for the command's end, the daemon or the setup.
fn wait_for_news(
    channel: &Channel,
    is_listening: bool,
    setup: Option<&OwnedFd>,
    finished: &OwnedFd,
) -> Result<News, Failure> {
    let mut sources = vec![PollFd::new(finished, PollFlags::IN)];
    if is_listening {
        sources.push(PollFd::new(channel, PollFlags::IN));
    }
    if let Some(setup) = setup {
        sources.push(PollFd::new(setup, PollFlags::IN));
    }
    match rustix::event::poll(&mut sources, None) {
        Ok(_) => {}
        Err(Errno::INTR) => return Ok(News::default()),
        Err(errno) => return Err(errno).step("wait for the command"),
    }
    let mut ready = sources.iter().map(|source| !source.revents().is_empty());
    let has_finished = ready.next() == Some(true);
    let has_order = is_listening && ready.next() == Some(true);
    Ok(News { has_finished, has_order, has_said: ready.next() == Some(true) })
}

fn failure(said: &[u8]) -> Failure {
    serde_json::from_slice(said)
        .unwrap_or_else(|_| Failure::Plan { reason: "the setup ended without a reason".to_owned() })
}

/// A pipe that ends at `exec`: reader and writer.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step("make a pipe")
}
