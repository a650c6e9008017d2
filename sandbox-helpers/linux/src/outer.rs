//! The helper's first process, which stays outside the sandbox: reads the plan, starts the rest, has it watched over,
//! and cleans up. Knows the rungs.

use std::os::fd::OwnedFd;

use helper_protocol::plan::{
    Access, Confinement, Interception, Network, Output, Plan, Rules, Stdin, Tmp, VERSION,
};
use helper_protocol::report::{Bound, Bounds, End, Failure, Refusals, Report};
use rustix::io::Errno;
use rustix::pipe::PipeFlags;
use rustix::process::WaitOptions;

use crate::bounds::{self, Around};
use crate::bwrap;
use crate::channel::Channel;
use crate::command::{Parent, Prepared, Walls};
use crate::devices;
use crate::domain;
use crate::failure::Step;
use crate::filter;
use crate::grants::{Grant, grants};
use crate::group::Group;
use crate::guards::Guards;
use crate::hand::hand;
use crate::inner::{self, Task, View};
use crate::placeholder::Placeholder;
use crate::places::{self, Absence, Layout};
use crate::privileges::{Counted, MAX_PROCESSES};
use crate::supervise::Supervisor;
use crate::syscall::{self, Cloned};
use crate::tree;
use crate::watch::{self, Children, Promise, Signalling, Watch};

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
    let mut group = Group::default();
    let mut leftovers = Vec::new();
    let report = match carry_out(&mut channel, &mut group, &mut leftovers) {
        Ok(Outcome { end, refusals, bounds }) => Report::Ended { end, refusals, bounds },
        Err(failure) => Report::Failed(failure),
    };
    channel.report(&report);
    // The first process of the namespaces takes them apart; what is left to do is to reap it.
    while let Ok(_) | Err(Errno::INTR) = rustix::process::wait(WaitOptions::empty()) {}
    group.release();
    syscall::exit(0);
}

/// What came of a command.
struct Outcome {
    end: End,
    refusals: Refusals,
    bounds: Bounds,
}

/// Carries out the plan. What is let go of after the report is added to the leftovers.
fn carry_out(
    channel: &mut Channel,
    group: &mut Group,
    leftovers: &mut Vec<OwnedFd>,
) -> Result<Outcome, Failure> {
    let (plan, passed) = channel.plan()?;
    if plan.version != VERSION {
        let reason =
            format!("the plan has version {}, this helper knows {VERSION}; restart the daemon", plan.version);
        return Err(Failure::Plan { reason });
    }
    set_streams(&plan, passed)?;
    match &plan.confinement {
        Confinement::Namespaces(rules) | Confinement::Bubblewrap(rules) => {
            let around = match &plan.confinement {
                Confinement::Bubblewrap(_) => Around::Bubblewrap,
                Confinement::Namespaces(_) | Confinement::Landlock(_) | Confinement::Supervision => {
                    Around::Namespaces
                }
            };
            let bounds;
            (*group, bounds) = bounds::bound(plan.limits, around)?;
            let layout = places::resolve(rules, Absence::Hold)?;
            let outcome = match around {
                Around::Bubblewrap => {
                    let numbers = numbers(&plan, bounds);
                    in_bwrap(channel, rules, &plan, &layout, group, numbers)
                }
                Around::Namespaces | Around::Nothing => in_namespaces(channel, rules, &plan, &layout, group),
            };
            let outcome = outcome.map_err(|failure| layout.blame(failure));
            leftovers.extend(layout.placeholders.into_iter().filter_map(Placeholder::release));
            outcome.map(|watch::Outcome { end, refusals, leftover }| {
                leftovers.extend(leftover);
                Outcome { end, refusals, bounds }
            })
        }
        Confinement::Landlock(rules) => {
            refuse_what_landlock_lacks(rules)?;
            let bounds;
            (*group, bounds) = bounds::bound(plan.limits, Around::Nothing)?;
            let layout = places::resolve(rules, Absence::Tell)?;
            let is_read_only = layout.places.values().all(|(access, _)| *access != Access::Write);
            let walls = Walls {
                grants: grants(&layout).into_iter().chain(device_grants()).collect(),
                domain: domain::Duty::All,
                filter: filter::Duty {
                    network: rules.network,
                    is_shared: true,
                    is_read_only,
                    interception: plan.interception,
                    reading: rules.reading,
                    making: rules.making,
                },
                counted: match bounds.processes {
                    Bound::Group => Counted::InAGroup,
                    Bound::Namespace | Bound::User | Bound::Process | Bound::Nothing => Counted::ByLimits,
                },
            };
            let supervisor = Supervisor::new(rules, &layout)?;
            let outcome = supervised(channel, &plan, Some(&walls), supervisor, group);
            outcome.map(|watch::Outcome { end, refusals, .. }| Outcome { end, refusals, bounds })
        }
        Confinement::Supervision => {
            let outcome = supervised(channel, &plan, None, Supervisor::idle(), group);
            let bounds = Bounds::default();
            outcome.map(|watch::Outcome { end, refusals, .. }| Outcome { end, refusals, bounds })
        }
    }
}

/// What has no meaning without namespaces is refused by its name.
fn refuse_what_landlock_lacks(rules: &Rules) -> Result<(), Failure> {
    let lack = |reason: &str| Err(Failure::Lack { reason: format!("Landlock alone can't {reason}") });
    match rules.network {
        Network::Off | Network::Full => {}
        Network::Proxied { .. } => return lack("open the network by rule"),
    }
    match rules.tmp {
        Tmp::Shared => {}
        Tmp::Own => return lack("give a command a `/tmp` of its own"),
    }
    if rules.local_sockets.is_empty() { Ok(()) } else { lack("open listed local sockets") }
}

/// What the command gets as standard streams, in place of the socket and of nothing.
fn set_streams(plan: &Plan, passed: Vec<OwnedFd>) -> Result<(), Failure> {
    let mut passed = passed.into_iter();
    let mut next = || passed.next().ok_or_else(|| silent("not all standard streams came along"));
    let stdin = match plan.stdin {
        Stdin::Null => {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty()).step("open /dev/null")?
        }
        Stdin::Passed => next()?,
    };
    rustix::stdio::dup2_stdin(&stdin).step("set standard input")?;
    match plan.output {
        Output::Null => Ok(()),
        Output::Passed => {
            rustix::stdio::dup2_stdout(next()?).step("set standard output")?;
            rustix::stdio::dup2_stderr(next()?).step("set standard error")
        }
    }
}

/// Writing to devices is writing too.
fn device_grants() -> impl Iterator<Item = Grant> {
    devices::NODES.into_iter().map(|node| Grant { path: node.into(), access: Access::Write })
}

/// What confines a command in namespaces, whoever has made them.
pub(crate) fn walls_in_namespaces(rules: &Rules, writable: Vec<Grant>, interception: Interception) -> Walls {
    let own_devices = Grant { path: "/dev".into(), access: Access::Write };
    Walls {
        grants: writable.into_iter().chain([own_devices]).collect(),
        domain: domain::Duty::Writing,
        filter: filter::Duty {
            network: rules.network,
            is_shared: false,
            is_read_only: false,
            interception,
            reading: rules.reading,
            making: rules.making,
        },
        counted: Counted::ByLimits,
    }
}

/// The writable places of a layout.
pub(crate) fn writable(layout: &Layout) -> Vec<Grant> {
    let writable = layout.places.iter().filter(|(_, (access, _))| *access == Access::Write);
    writable.map(|(path, _)| Grant { path: path.clone(), access: Access::Write }).collect()
}

fn in_namespaces(
    channel: &mut Channel,
    rules: &Rules,
    plan: &Plan,
    layout: &Layout,
    group: &Group,
) -> Result<watch::Outcome, Failure> {
    let prepared = Prepared::new(plan)?;
    let walls = walls_in_namespaces(rules, writable(layout), plan.interception);
    let supervisor = Supervisor::new(rules, layout)?;
    let (user, group_id) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let (setup, setup_writer) = pipe()?;
    let (ended, ended_writer) = pipe()?;
    let (giver, taker) = hand()?;
    let (pid, pidfd) = match syscall::clone(inner::NAMESPACES).step("make new namespaces")? {
        Cloned::Child => {
            drop((setup, ended, taker));
            if let Err(failure) = group.enter() {
                inner::tell(&setup_writer, &failure);
                syscall::exit(1);
            }
            inner::run(Task {
                prepared: &prepared,
                walls: &walls,
                view: View::Build { layout, user, group: group_id },
                giver,
                setup: setup_writer,
                ended: ended_writer,
            });
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((setup_writer, ended_writer, giver));
    inner::close_stdio()?;
    let mut watch = Watch::new(channel, Children::new(pid), setup, taker, supervisor, Promise::Filter)
        .guarding(Guards::of(layout));
    // The first process passes SIGTERM on; SIGKILL takes the whole namespace with it.
    watch.until_the_end_of(ended, &Signalling::First(&pidfd), || {
        silent("the sandbox's first process said nothing")
    })
}

/// How many numbers of processes there may be, where nothing else bounds the administrator's.
fn numbers(plan: &Plan, bounds: Bounds) -> Option<u64> {
    let is_meant = rustix::process::geteuid().is_root() && bounds.processes == Bound::Namespace;
    is_meant.then_some(plan.limits.max_processes.unwrap_or(MAX_PROCESSES))
}

fn in_bwrap(
    channel: &mut Channel,
    rules: &Rules,
    plan: &Plan,
    layout: &Layout,
    group: &Group,
    numbers: Option<u64>,
) -> Result<watch::Outcome, Failure> {
    // What is wrong with the command is said before anything is started.
    Prepared::new(plan)?;
    let supervisor = Supervisor::new(rules, layout)?;
    let started = bwrap::start(rules, plan, layout, group, numbers)?;
    inner::close_stdio()?;
    let mut watch = Watch::new(
        channel,
        Children::new(started.monitor),
        started.setup,
        started.taker,
        supervisor,
        Promise::Filter,
    )
    .guarding(Guards::of(layout).but_links(layout));
    watch.until_the_end_of(started.ended, &Signalling::Handed, || bwrap::silence(started.complaints))
}

/// Runs the command without namespaces, as a child of this process.
fn supervised(
    channel: &mut Channel,
    plan: &Plan,
    walls: Option<&Walls>,
    supervisor: Supervisor<'_>,
    group: &Group,
) -> Result<watch::Outcome, Failure> {
    let prepared = Prepared::new(plan)?;
    let own = rustix::process::getpid();
    rustix::process::set_child_subreaper(Some(own)).step("become a subreaper")?;
    syscall::interrupt_at_end_of_children();
    let (setup, setup_writer) = pipe()?;
    let (giver, taker) = hand()?;
    let (pid, pidfd) = match syscall::clone(0).step("start the command's process")? {
        Cloned::Child => {
            drop((setup, taker));
            let failure = match group.enter() {
                Ok(()) => prepared.run(walls, Parent::Outer(own), &giver),
                Err(failure) => failure,
            };
            inner::tell(&setup_writer, &failure);
            syscall::exit(1);
        }
        Cloned::Parent { pid, pidfd } => (pid, pidfd),
    };
    drop((setup_writer, giver));
    inner::close_stdio()?;
    let mut watch = Watch::new(channel, Children::new(pid), setup, taker, supervisor, Promise::Nothing);
    let outcome = watch.until_it_ends(&pidfd, &Signalling::Group(pid, &pidfd));
    tree::clear();
    outcome
}

fn silent(reason: &str) -> Failure {
    Failure::Plan { reason: reason.to_owned() }
}

/// A pipe that ends at `exec`: reader and writer.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Failure> {
    rustix::pipe::pipe_with(PipeFlags::CLOEXEC).step("make a pipe")
}
