//! The seccomp filter: system calls that commands may not make. Knows numbers, not files.

use std::collections::BTreeMap;

use helper_protocol::plan::Network;
use helper_protocol::report::Failure;
use libc::{c_int, c_long};
use rustix::io::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    TargetArch, sock_filter,
};

/// What the filter has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duty {
    pub(crate) network: Network,
    /// Whether the network and System V IPC are the machine's own: there are no namespaces around them.
    pub(crate) is_shared: bool,
    /// Whether nothing may be written at all. Landlock does not know of modes, owners and times.
    pub(crate) is_read_only: bool,
}

/// Calls that are a wide way into the kernel, or reach past namespaces and mounts. Those that need a capability
/// in the machine's own namespace fail anyway.
const DENIED: &[c_long] = &[
    libc::SYS_add_key,
    libc::SYS_bpf,
    libc::SYS_fanotify_init,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fsopen,
    libc::SYS_fspick,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_io_uring_setup,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_by_handle_at,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_syslog,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
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
const FCHMODAT2: c_long = 452;
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

/// Installs the filter for this process and all it will start.
pub(crate) fn install(duty: Duty) -> Result<(), Failure> {
    let refused = |errno: Errno| Failure::Setup {
        step: "install the seccomp filter".to_owned(),
        errno: errno.raw_os_error(),
    };
    let program = program(duty).map_err(|_| refused(Errno::NOSYS))?;
    seccompiler::apply_filter(&program).map_err(|error| match error {
        seccompiler::Error::Prctl(error) | seccompiler::Error::Seccomp(error) => {
            refused(Errno::from_io_error(&error).unwrap_or(Errno::IO))
        }
        _ => refused(Errno::INVAL),
    })
}

/// The filter. Calls of another architecture kill the process; denied ones answer `EPERM`.
fn program(duty: Duty) -> Result<BpfProgram, seccompiler::BackendError> {
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    let always = |calls: &[c_long], rules: &mut BTreeMap<_, _>| {
        rules.extend(calls.iter().map(|&call| (call, Vec::new())));
    };
    always(DENIED, &mut rules);
    if duty.is_shared {
        always(SHARED_IPC, &mut rules);
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
    let mut program = prelude().to_vec();
    program.extend(BpfProgram::try_from(filter)?);
    Ok(program)
}

/// Which sockets may not be made. Local ones never: what listens there trusts the user. Where the network
/// namespace is the command's own, or everything is open, the others are let through.
fn sockets(duty: Duty) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    if duty.is_shared && duty.network == Network::Off {
        return Ok(Vec::new());
    }
    let (inet, inet6) = (number(libc::AF_INET), number(libc::AF_INET6));
    let netlink = number(libc::AF_NETLINK);
    Ok(vec![
        rule(&[(0, SeccompCmpOp::Ne, inet), (0, SeccompCmpOp::Ne, inet6), (0, SeccompCmpOp::Ne, netlink)])?,
        // Of netlink only routes: programs list their network interfaces with it.
        rule(&[(0, SeccompCmpOp::Eq, netlink), (2, SeccompCmpOp::Ne, number(libc::NETLINK_ROUTE))])?,
    ])
}

/// What seccompiler can't say: `clone3` answers `ENOSYS`, so that programs use `clone`, whose flags a filter can
/// see; and x32 calls, which have the architecture of ordinary ones, kill the process.
fn prelude() -> [sock_filter; 5] {
    let (load, jump_equal, jump_from, answer) = (0x20, 0x15, 0x35, 0x06);
    let instruction = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let no_call = libc::SECCOMP_RET_ERRNO | Errno::NOSYS.raw_os_error().cast_unsigned();
    [
        // The call's number is the first field of what a filter sees.
        instruction(load, 0, 0, 0),
        instruction(jump_from, 0, 1, 0x4000_0000),
        instruction(answer, 0, 0, libc::SECCOMP_RET_KILL_PROCESS),
        instruction(jump_equal, 0, 1, clone3),
        instruction(answer, 0, 0, no_call),
    ]
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
