//! The seccomp filter: system calls that commands may not make. Knows numbers, not files.

use std::os::fd::OwnedFd;

use helper_protocol::plan::{Interception, Making, Network, Reading};
use helper_protocol::report::Failure;
use libc::{c_int, c_long};
use rustix::io::Errno;
use seccompiler::BpfProgram;

use crate::attempts::{self, FCHMODAT2};
use crate::tracee;

mod tree;

use tree::{Condition, Replies, Reply};

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
    /// Whether a call may be refused for what it would make.
    pub(crate) making: Making,
}

impl Duty {
    /// For a command without restriction, whose programs wait for a verdict.
    pub(crate) fn interception_alone() -> BpfProgram {
        let mut replies = without_clone3();
        replies.set(EXECUTING, &Reply::Waits);
        replies.program()
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
const OPENING: &[(c_long, u8)] = &[
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
const TYPING: [u32; 2] = [0x5412, 0x541c];

/// The bits of a socket's type that are not flags.
const SOCKET_TYPE: u32 = 0xf;

/// Installs the filter for this process and all it will start; gives what calls wait at. Around this process there may be
/// a sandbox already whose calls wait, and then the kernel allows no second: where nothing but looking on depends on it,
/// there is none.
pub(crate) fn install(duty: Duty) -> Result<Option<OwnedFd>, Failure> {
    match tracee::install(&program(duty, Looking::On)) {
        Ok(listener) => Ok(Some(listener)),
        Err(Errno::BUSY)
            if duty.is_shared && duty.interception == Interception::Off && duty.making == Making::Free =>
        {
            seccompiler::apply_filter(&program(duty, Looking::Off)).map_err(|_| refused(Errno::INVAL))?;
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
fn program(duty: Duty, looking: Looking) -> BpfProgram {
    let mut replies = without_clone3();
    match looking {
        Looking::On => {
            for &(call, argument) in OPENING {
                let bits = (libc::O_ACCMODE | libc::O_CREAT).cast_unsigned();
                let reply = match duty.reading {
                    Reading::Silent => Reply::WaitsIf { argument, bits },
                    Reading::Told => Reply::Waits,
                };
                replies.set([call], &reply);
            }
            // Its flags are in memory.
            match (duty.reading, duty.making) {
                (Reading::Silent, Making::Free) => {}
                (Reading::Told, _) | (_, Making::Refused) => {
                    replies.set([libc::SYS_openat2], &Reply::Waits);
                }
            }
            let owning = if duty.is_shared { &[] } else { attempts::OWNING };
            replies.set(attempts::LEAVING, &Reply::Waits);
            replies.set(attempts::CHANGING.iter().chain(owning).map(|(call, _)| *call), &Reply::Waits);
        }
        Looking::Off => {}
    }
    if !duty.is_shared {
        replies.set(SUPERVISED, &Reply::Waits);
    }
    match duty.interception {
        Interception::Off => {}
        Interception::On => replies.set(EXECUTING, &Reply::Waits),
    }
    // Invariant: what is denied comes last, so nothing that waits goes around it.
    let denied = Reply::Fails(Errno::PERM);
    replies.set(DENIED.iter().copied(), &denied);
    if duty.is_shared {
        replies.set(SHARED_IPC.iter().chain(TRACING).copied(), &denied);
        // Other processes' limits; 0 is the own process.
        replies.set([libc::SYS_prlimit64], &Reply::DeniedIf(vec![vec![Condition::IsNot(0, 0)]]));
    }
    if duty.is_read_only {
        replies.set(METADATA.iter().copied(), &denied);
    }
    let flags = NAMESPACES.map(|flag| vec![Condition::Bits(0, number(flag), number(flag))]);
    replies.set([libc::SYS_clone], &Reply::DeniedIf(flags.into()));
    let typing = TYPING.map(|request| vec![Condition::Is(1, request)]);
    replies.set([libc::SYS_ioctl], &Reply::DeniedIf(typing.into()));
    replies.set([libc::SYS_socket], &sockets(duty));
    // A pair of datagram sockets can still send to any named socket. Raw means datagram there.
    let pairs = [libc::SOCK_DGRAM, libc::SOCK_RAW].map(|kind| vec![is_of(kind)]);
    let foreign = vec![Condition::IsNot(0, number(libc::AF_UNIX))];
    replies.set([libc::SYS_socketpair], &Reply::DeniedIf(pairs.into_iter().chain([foreign]).collect()));
    replies.program()
}

/// Which sockets may not be made. Without namespaces local ones never: what listens there trusts the user. With them
/// connecting is supervised, which datagrams would go around. Where the network's namespace is the command's own, or
/// everything is open, the others are let through.
fn sockets(duty: Duty) -> Reply {
    if duty.is_shared && duty.network != Network::Full {
        return Reply::Fails(Errno::PERM);
    }
    let [inet, inet6, netlink, unix] =
        [libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK, libc::AF_UNIX].map(number);
    let mut denied = vec![
        [inet, inet6, netlink, unix].map(|family| Condition::IsNot(0, family)).into(),
        // Of netlink only routes: programs list their network interfaces with it.
        vec![Condition::Is(0, netlink), Condition::IsNot(2, number(libc::NETLINK_ROUTE))],
    ];
    if duty.is_shared {
        denied.push(vec![Condition::Is(0, unix)]);
    } else {
        for datagrams in [libc::SOCK_DGRAM, libc::SOCK_RAW] {
            denied.push(vec![Condition::Is(0, unix), is_of(datagrams)]);
        }
    }
    Reply::DeniedIf(denied)
}

/// Whether the socket that is to be made is of this type.
fn is_of(kind: c_int) -> Condition {
    Condition::Bits(1, SOCKET_TYPE, number(kind))
}

/// `clone3` answers `ENOSYS`, so that programs use `clone`, whose flags a filter can see.
fn without_clone3() -> Replies {
    let mut replies = Replies::default();
    replies.set([libc::SYS_clone3], &Reply::Fails(Errno::NOSYS));
    replies
}

fn number(value: c_int) -> u32 {
    value.cast_unsigned()
}

#[cfg(test)]
mod tests;
