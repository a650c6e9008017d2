//! The seccomp filter: system calls that commands may not make. Knows numbers, not files.

use std::collections::{BTreeMap, BTreeSet};
use std::os::fd::OwnedFd;

use helper_protocol::plan::{Interception, Network, Reading};
use helper_protocol::report::Failure;
use libc::{c_int, c_long};
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

use crate::attempts::{self, FCHMODAT2};
use crate::tracee;

/// What the filter has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) network: Network,
    /// Whether the network and System V IPC are the machine's own: there are no namespaces around them.
    pub(crate) is_shared: bool,
    /// Whether nothing may be written at all. Landlock does not know of modes, owners and times.
    pub(crate) is_read_only: bool,
    /// Whether programs wait for a verdict.
    pub(crate) interception: Interception,
    /// Whether it is looked at what is opened for reading, too.
    pub(crate) reading: Reading,
}

impl Duty {
    /// For a command without restriction, whose programs wait for a verdict.
    pub(crate) fn interception_alone() -> BpfProgram {
        let mut program = ways_in();
        program.extend(notify(&EXECUTING));
        program.push(answer(libc::SECCOMP_RET_ALLOW));
        program
    }
}

/// Calls that are a wide way into the kernel, or reach past namespaces and mounts. Those that need a capability
/// in the machine's own namespace fail anyway.
const DENIED: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_delete_module,
    libc::SYS_fanotify_init,
    libc::SYS_finit_module,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_init_module,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_kexec_file_load,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_quotactl,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

/// What looks into other processes: only where a namespace of process ids holds nothing but the command's own.
const TRACING: &[c_long] = &[
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_process_madvise,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
];

/// What is made for the command by the process that watches over it, because what matters is in memory.
const SUPERVISED: [c_long; 2] = [libc::SYS_connect, libc::SYS_bind];

/// What starts programs.
const EXECUTING: [c_long; 2] = [libc::SYS_execve, libc::SYS_execveat];

/// What opens files, and which argument holds the flags.
const OPENING: &[(c_long, u32)] = &[
    (libc::SYS_openat, 2),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_open, 1),
];

/// Without an IPC namespace.
const SHARED_IPC: &[c_long] = &[
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    libc::SYS_msgget,
    libc::SYS_semget,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_semop,
    libc::SYS_semtimedop,
    libc::SYS_semctl,
    libc::SYS_shmctl,
    libc::SYS_msgctl,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
];

/// What changes files without opening them for writing.
const METADATA: &[c_long] = &[
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    SETXATTRAT,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    REMOVEXATTRAT,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_lchown,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utime,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_utimes,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_futimesat,
];

/// Newer than libc's tables; the same numbers on all architectures.
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const OPEN_TREE_ATTR: c_long = 467;

/// What `clone` may not ask for.
const NAMESPACES: [c_int; 7] = [
    libc::CLONE_NEWUSER,
    libc::CLONE_NEWNS,
    libc::CLONE_NEWPID,
    libc::CLONE_NEWIPC,
    libc::CLONE_NEWUTS,
    libc::CLONE_NEWNET,
    libc::CLONE_NEWCGROUP,
];

/// `TIOCSTI` and `TIOCLINUX`, which type into a terminal.
const TYPING: [u64; 2] = [0x5412, 0x541c];

/// The bits of a socket's type that are not flags.
const SOCKET_TYPE: u64 = 0xf;

/// Installs the filter for this process and all it will start; gives what calls wait at. Around this process there may be
/// a sandbox already whose calls wait, and then the kernel allows no second: where nothing but looking on depends on it,
/// there is none.
pub(crate) fn install(duty: Duty) -> Result<Option<OwnedFd>, Failure> {
    let build = |looking| program(duty, looking).map_err(|_| refused(Errno::NOSYS));
    match tracee::install(&build(Looking::On)?) {
        Ok(listener) => Ok(Some(listener)),
        Err(Errno::BUSY) if duty.is_shared && duty.interception == Interception::Off => {
            seccompiler::apply_filter(&build(Looking::Off)?).map_err(|_| refused(Errno::INVAL))?;
            Ok(None)
        }
        Err(errno) => Err(refused(errno)),
    }
}

/// Whether what changes files is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    On,
    Off,
}

/// Lets programs wait for a verdict, and restricts nothing.
pub(crate) fn install_interception() -> Result<OwnedFd, Failure> {
    tracee::install(&Duty::interception_alone()).map_err(refused)
}

fn refused(errno: Errno) -> Failure {
    Failure::Setup { step: "install the seccomp filter".to_owned(), errno: errno.raw_os_error() }
}

/// The filter. Calls of another architecture kill the process; denied ones answer `EPERM`.
fn program(duty: Duty, looking: Looking) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    let always = |calls: &[c_long], rules: &mut BTreeMap<_, _>| {
        rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    };
    always(DENIED, &mut rules);
    if duty.is_shared {
        always(SHARED_IPC, &mut rules);
        always(TRACING, &mut rules);
        // Other processes' limits; 0 is the own process.
        rules.insert(libc::SYS_prlimit64, vec![rule(&[(0, SeccompCmpOp::Ne, 0)])?]);
    }
    if duty.is_read_only {
        always(METADATA, &mut rules);
    }
    let flags = NAMESPACES.iter().map(|&flag| number(flag));
    let flags = flags.map(|flag| rule(&[(0, SeccompCmpOp::MaskedEq(flag), flag)]));
    rules.insert(libc::SYS_clone, flags.collect::<Result<_, _>>()?);
    let typing = TYPING.map(|request| rule(&[(1, SeccompCmpOp::Eq, request)]));
    rules.insert(libc::SYS_ioctl, typing.into_iter().collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_socket, sockets(duty)?);
    // A pair of datagram sockets can still send to any named socket. Raw means datagram there.
    let pairs = [libc::SOCK_DGRAM, libc::SOCK_RAW].map(number);
    let pairs = pairs.map(|kind| rule(&[(1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), kind)]));
    let foreign = rule(&[(0, SeccompCmpOp::Ne, number(libc::AF_UNIX))]);
    rules.insert(libc::SYS_socketpair, pairs.into_iter().chain([foreign]).collect::<Result<_, _>>()?);
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(Errno::PERM.raw_os_error().cast_unsigned()),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let mut program = ways_in();
    match duty.interception {
        Interception::Off => {}
        Interception::On => program.extend(notify(&EXECUTING)),
    }
    if !duty.is_shared {
        program.extend(notify(&SUPERVISED));
    }
    match looking {
        Looking::On => {
            match duty.reading {
                Reading::Silent => program
                    .extend(OPENING.iter().flat_map(|(call, argument)| notify_writing(*call, *argument))),
                Reading::Told => program.extend(notify_all(
                    OPENING.iter().map(|(call, _)| plain(*call)).chain([plain(libc::SYS_openat2)]),
                )),
            }
            // Invariant: what waits is not denied any more; so nothing of `METADATA` waits where that is denied.
            let owning = if duty.is_shared { &[] } else { attempts::OWNING };
            program.extend(notify_all(attempts::CHANGING.iter().chain(owning).map(|(call, _)| plain(*call))));
        }
        Looking::Off => {}
    }
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// Which sockets may not be made. Without namespaces local ones never: what listens there trusts the user. With them
/// connecting is supervised, which datagrams would go around. Where the network's namespace is the command's own, or
/// everything is open, the others are let through.
fn sockets(duty: Duty) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    if duty.is_shared && duty.network != Network::Full {
        return Ok(Vec::new());
    }
    let [inet, inet6, netlink, unix] =
        [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX].map(number);
    let other = |family| (0, SeccompCmpOp::Ne, family);
    let kind = |kind| (1, SeccompCmpOp::MaskedEq(SOCKET_TYPE), number(kind));
    let mut denied = vec![
        rule(&[other(inet), other(inet6), other(netlink), other(unix)])?,
        // Of netlink only routes: programs list their network interfaces with it.
        rule(&[(0, SeccompCmpOp::Eq, netlink), (2, SeccompCmpOp::Ne, number(libc::NETLINK_ROUTE))])?,
    ];
    if duty.is_shared {
        denied.push(rule(&[(0, SeccompCmpOp::Eq, unix)])?);
    } else {
        for datagrams in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            denied.push(rule(&[(0, SeccompCmpOp::Eq, unix), kind(datagrams)])?);
        }
    }
    Ok(denied)
}

/// What seccompiler can't say: `clone3` answers `ENOSYS`, so that programs use `clone`, whose flags a filter can
/// see; x32 calls, which have the architecture of ordinary ones, kill the process, and so do those of others.
/// Afterwards the call's number is at hand.
fn ways_in() -> BpfProgram {
    let no_call = libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error().cast_unsigned();
    vec![
        instruction(LOAD, 0, 0, ARCHITECTURE_AT),
        instruction(JUMP_EQUAL, 1, 0, ARCHITECTURE),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        instruction(LOAD, 0, 0, NUMBER_AT),
        instruction(JUMP_FROM, 0, 1, 0x4000_0000),
        answer(libc::SECCOMP_RET_KILL_PROCESS),
        instruction(JUMP_EQUAL, 0, 1, plain(libc::SYS_clone3)),
        answer(no_call),
    ]
}

/// These calls wait for an answer.
fn notify(calls: &[c_long]) -> BpfProgram {
    let one =
        |&call: &c_long| [instruction(JUMP_EQUAL, 0, 1, plain(call)), answer(libc::SECCOMP_RET_USER_NOTIF)];
    calls.iter().flat_map(one).collect()
}

/// The same for many, in as few steps as can be.
fn notify_all(calls: impl Iterator<Item = u32>) -> BpfProgram {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for call in calls.collect::<BTreeSet<_>>() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == call => *last = call,
            Some(_) | None => runs.push((call, call)),
        }
    }
    search(&runs)
}

/// The kernel runs a filter once for each call that there is when it is installed, so each step that all calls take costs
/// there, too: about a microsecond.
fn search(runs: &[(u32, u32)]) -> BpfProgram {
    let waits = answer(libc::SECCOMP_RET_USER_NOTIF);
    match *runs {
        [] => Vec::new(),
        [(first, last)] => {
            vec![instruction(JUMP_FROM, 0, 2, first), instruction(JUMP_FROM, 1, 0, last + 1), waits]
        }
        _ => {
            let (low, high) = runs.split_at(runs.len() / 2);
            let (first, low, high) = (high[0].0, search(low), search(high));
            let beyond = u32::try_from(low.len()).unwrap_or(u32::MAX);
            let over = u8::try_from(high.len() + 1).unwrap_or(u8::MAX);
            [vec![instruction(JUMP_FROM, 0, over, first)], high, vec![instruction(JUMP, 0, 0, beyond)], low]
                .concat()
        }
    }
}

/// A call that opens a file waits if the file may be written.
fn notify_writing(call: c_long, argument: u32) -> [sock_filter; 5] {
    let writing = (libc::O_ACCMODE | libc::O_CREAT).cast_unsigned();
    [
        instruction(JUMP_EQUAL, 0, 4, plain(call)),
        instruction(LOAD, 0, 0, ARGUMENTS_AT + 8 * argument),
        instruction(JUMP_BITS, 0, 1, writing),
        answer(libc::SECCOMP_RET_USER_NOTIF),
        instruction(LOAD, 0, 0, NUMBER_AT),
    ]
}

/// Instructions, and where the parts of what a filter sees begin (linux/bpf_common.h, `struct seccomp_data`).
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_FROM: u16 = 0x35;
const JUMP_BITS: u16 = 0x45;
const ANSWER: u16 = 0x06;
const NUMBER_AT: u32 = 0;
const ARCHITECTURE_AT: u32 = 4;
const ARGUMENTS_AT: u32 = 16;

/// This machine's (linux/audit.h).
#[cfg(target_arch = "x86_64")]
const ARCHITECTURE: u32 = 0xc000_003e;
#[cfg(target_arch = "aarch64")]
const ARCHITECTURE: u32 = 0xc000_00b7;

fn instruction(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn answer(value: u32) -> sock_filter {
    instruction(ANSWER, 0, 0, value)
}

fn plain(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// A call is denied when all of these hold: argument, comparison, value.
fn rule(conditions: &[(u8, SeccompCmpOp, u64)]) -> Result<SeccompRule, seccompiler::BackendError> {
    let conditions = conditions.iter().map(|(argument, comparison, value)| {
        SeccompCondition::new(*argument, SeccompCmpArgLen::Dword, comparison.clone(), *value)
    });
    SeccompRule::new(conditions.collect::<Result<_, _>>()?)
}

fn number(value: c_int) -> u64 {
    u64::from(value.cast_unsigned())
}

#[cfg(test)]
mod tests;
