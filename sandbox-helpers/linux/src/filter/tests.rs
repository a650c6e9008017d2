//! Each entry of the filter by itself: what it answers to a call with these arguments, as the kernel would run it.

use std::collections::BTreeSet;

use seccompiler::sock_filter;

use super::tree::{
    AND, ANSWER, ARCHITECTURE, ARCHITECTURE_AT, ARGUMENTS_AT, JUMP, JUMP_BITS, JUMP_EQUAL, JUMP_FROM, LOAD,
    NUMBER_AT, plain,
};
use super::*;

/// What the filter answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Goes,
    Waits,
    Kills,
    Denied(Errno),
}

const DENIED_NOW: Answer = Answer::Denied(Errno::PERM);

/// A number below which all calls are.
const BEYOND: c_long = 512;

const SHARED: Duty = Duty {
    network: Network::Off,
    is_shared: true,
    is_read_only: false,
    interception: Interception::Off,
    reading: Reading::Silent,
    making: Making::Free,
};
const OWN: Duty = Duty { is_shared: false, ..SHARED };
const WATCHED: Duty = Duty { reading: Reading::Told, ..OWN };

/// Runs a filter as the kernel does (net/core/filter.c), with the instructions that ours have.
fn run(program: &[sock_filter], architecture: u32, call: u32, arguments: [u64; 6]) -> Answer {
    let word = |at: u32| match at {
        NUMBER_AT => call,
        ARCHITECTURE_AT => architecture,
        _ => {
            let argument = arguments[usize::try_from((at - ARGUMENTS_AT) / 8).unwrap()];
            u32::try_from(if at.is_multiple_of(8) { argument & 0xffff_ffff } else { argument >> 32 }).unwrap()
        }
    };
    let (mut at, mut value) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[at];
        at += 1;
        let holds = match code {
            LOAD => {
                value = word(k);
                continue;
            }
            AND => {
                value &= k;
                continue;
            }
            // Jumps without a condition.
            JUMP => {
                at += usize::try_from(k).unwrap();
                continue;
            }
            JUMP_EQUAL => value == k,
            JUMP_FROM => value >= k,
            JUMP_BITS => value & k != 0,
            ANSWER => {
                return match k & libc::SECCOMP_RET_ACTION_FULL {
                    libc::SECCOMP_RET_ALLOW => Answer::Goes,
                    libc::SECCOMP_RET_USER_NOTIF => Answer::Waits,
                    libc::SECCOMP_RET_KILL_PROCESS => Answer::Kills,
                    libc::SECCOMP_RET_ERRNO => {
                        let errno = i32::try_from(k & libc::SECCOMP_RET_DATA).unwrap();
                        Answer::Denied(Errno::from_raw_os_error(errno))
                    }
                    other => panic!("answer {other:#x}"),
                };
            }
            other => panic!("instruction {other:#x}"),
        };
        at += usize::from(if holds { jt } else { jf });
    }
}

fn asked(duty: Duty, call: c_long, arguments: &[i64]) -> Answer {
    let mut all = [0; 6];
    for (at, argument) in arguments.iter().enumerate() {
        all[at] = argument.cast_unsigned();
    }
    run(&program(duty, Looking::On), ARCHITECTURE, plain(call), all)
}

/// The calls that are denied whatever their arguments are, as far as zeros and ones can tell.
fn denied(duty: Duty) -> BTreeSet<c_long> {
    let program = program(duty, Looking::On);
    let answers = |call, arguments| run(&program, ARCHITECTURE, plain(call), arguments) == DENIED_NOW;
    (0..BEYOND).filter(|&call| answers(call, [0; 6]) && answers(call, [1; 6])).collect()
}

/// The wide ways into the kernel, written down once more and by hand: what is forgotten in one list is in the other.
fn ways_into_the_kernel() -> BTreeSet<c_long> {
    BTreeSet::from([
        // Mounts.
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_pivot_root,
        libc::SYS_fsopen,
        libc::SYS_fsconfig,
        libc::SYS_fsmount,
        libc::SYS_fspick,
        libc::SYS_move_mount,
        libc::SYS_open_tree,
        libc::SYS_mount_setattr,
        467,
        // Namespaces; `clone` is asked for its flags.
        libc::SYS_unshare,
        libc::SYS_setns,
        // The kernel itself.
        libc::SYS_kexec_load,
        libc::SYS_kexec_file_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_syslog,
        libc::SYS_quotactl,
        // Wide machinery.
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_fanotify_init,
        // Keys, and files without a path.
        libc::SYS_keyctl,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_open_by_handle_at,
    ])
}

#[test]
fn in_namespaces_just_the_ways_into_the_kernel_are_denied() {
    assert_eq!(denied(OWN), ways_into_the_kernel());
}

#[test]
fn without_namespaces_looking_into_others_and_sharing_memory_by_key_are_too() {
    let mut expected = ways_into_the_kernel();
    expected.extend([
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_process_madvise,
        libc::SYS_pidfd_getfd,
        libc::SYS_kcmp,
        libc::SYS_shmget,
        libc::SYS_shmat,
        libc::SYS_shmctl,
        libc::SYS_semget,
        libc::SYS_semop,
        libc::SYS_semtimedop,
        libc::SYS_semctl,
        libc::SYS_msgget,
        libc::SYS_msgsnd,
        libc::SYS_msgrcv,
        libc::SYS_msgctl,
        libc::SYS_mq_open,
        libc::SYS_mq_unlink,
        libc::SYS_socket,
    ]);
    assert_eq!(denied(SHARED), expected);
    let read_only = Duty { is_read_only: true, ..SHARED };
    let metadata: BTreeSet<_> = denied(read_only).difference(&expected).copied().collect();
    assert_eq!(metadata, ways_to_change_a_file_unopened());
}

/// Modes, owners, times and attributes, by hand.
fn ways_to_change_a_file_unopened() -> BTreeSet<c_long> {
    let mut calls = BTreeSet::from([
        libc::SYS_fchmod,
        libc::SYS_fchmodat,
        452,
        libc::SYS_fchown,
        libc::SYS_fchownat,
        libc::SYS_utimensat,
        libc::SYS_setxattr,
        libc::SYS_lsetxattr,
        libc::SYS_fsetxattr,
        463,
        libc::SYS_removexattr,
        libc::SYS_lremovexattr,
        libc::SYS_fremovexattr,
        466,
    ]);
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ]);
    calls
}

#[test]
fn a_call_is_asked_for_its_arguments() {
    let (inet, unix, netlink) =
        (i64::from(libc::AF_INET), i64::from(libc::AF_UNIX), i64::from(libc::AF_NETLINK));
    let (stream, datagram, raw) =
        (i64::from(libc::SOCK_STREAM), i64::from(libc::SOCK_DGRAM), i64::from(libc::SOCK_RAW));
    let close = i64::from(libc::SOCK_CLOEXEC);
    let full = Duty { network: Network::Full, ..SHARED };
    for (duty, call, arguments, expected) in [
        // New namespaces, one by one and among other flags; processes and threads go.
        (OWN, libc::SYS_clone, &[i64::from(libc::SIGCHLD)][..], Answer::Goes),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_VM | libc::CLONE_THREAD)], Answer::Goes),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWUSER | libc::SIGCHLD)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWNS)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWPID)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWIPC)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWUTS)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWNET)], DENIED_NOW),
        (OWN, libc::SYS_clone, &[i64::from(libc::CLONE_NEWCGROUP)], DENIED_NOW),
        (OWN, libc::SYS_clone3, &[0], Answer::Denied(Errno::NOSYS)),
        // Typing into a terminal, also with a high half that the kernel ignores.
        (OWN, libc::SYS_ioctl, &[0, 0x5401], Answer::Goes),
        (OWN, libc::SYS_ioctl, &[0, 0x5412], DENIED_NOW),
        (OWN, libc::SYS_ioctl, &[0, 0x541c], DENIED_NOW),
        (OWN, libc::SYS_ioctl, &[0, 0x1_0000_5412], DENIED_NOW),
        // Sockets.
        (OWN, libc::SYS_socket, &[inet, stream], Answer::Goes),
        (OWN, libc::SYS_socket, &[unix, stream | close], Answer::Goes),
        (OWN, libc::SYS_socket, &[unix, datagram], DENIED_NOW),
        (OWN, libc::SYS_socket, &[unix, raw | close], DENIED_NOW),
        (OWN, libc::SYS_socket, &[netlink, raw, i64::from(libc::NETLINK_ROUTE)], Answer::Goes),
        (OWN, libc::SYS_socket, &[netlink, raw, i64::from(libc::NETLINK_AUDIT)], DENIED_NOW),
        (OWN, libc::SYS_socket, &[i64::from(libc::AF_PACKET), raw], DENIED_NOW),
        (OWN, libc::SYS_socket, &[i64::from(libc::AF_VSOCK), stream], DENIED_NOW),
        (SHARED, libc::SYS_socket, &[inet, stream], DENIED_NOW),
        (full, libc::SYS_socket, &[inet, stream], Answer::Goes),
        (full, libc::SYS_socket, &[unix, stream], DENIED_NOW),
        (OWN, libc::SYS_socketpair, &[unix, stream], Answer::Goes),
        (OWN, libc::SYS_socketpair, &[unix, datagram | close], DENIED_NOW),
        (OWN, libc::SYS_socketpair, &[inet, stream], DENIED_NOW),
        // Its own limits, not those of others.
        (SHARED, libc::SYS_prlimit64, &[0], Answer::Goes),
        (SHARED, libc::SYS_prlimit64, &[1], DENIED_NOW),
        // Connecting is done by the helper where there are namespaces.
        (OWN, libc::SYS_connect, &[3], Answer::Waits),
        (OWN, libc::SYS_bind, &[3], Answer::Waits),
        (SHARED, libc::SYS_connect, &[3], Answer::Goes),
        // Opening is looked at where it may write.
        (OWN, libc::SYS_openat, &[0, 0, i64::from(libc::O_RDONLY)], Answer::Goes),
        (OWN, libc::SYS_openat, &[0, 0, i64::from(libc::O_WRONLY)], Answer::Waits),
        (OWN, libc::SYS_openat, &[0, 0, i64::from(libc::O_CREAT)], Answer::Waits),
        (OWN, libc::SYS_openat2, &[0], Answer::Goes),
        // For reading, too, where that is to be told.
        (WATCHED, libc::SYS_openat, &[0, 0, i64::from(libc::O_RDONLY)], Answer::Waits),
        (WATCHED, libc::SYS_openat2, &[0], Answer::Waits),
        // And where making may be refused.
        (Duty { making: Making::Refused, ..OWN }, libc::SYS_openat2, &[0], Answer::Waits),
        (Duty { making: Making::Refused, ..OWN }, libc::SYS_openat, &[0, 0, 0], Answer::Goes),
        (WATCHED, libc::SYS_read, &[0], Answer::Goes),
        (WATCHED, libc::SYS_newfstatat, &[0], Answer::Goes),
        // Changes that the sandbox stops are looked at, and none that it does not.
        (OWN, libc::SYS_fchmodat, &[0], Answer::Waits),
        (SHARED, libc::SYS_fchmodat, &[0], Answer::Goes),
        (Duty { is_read_only: true, ..SHARED }, libc::SYS_fchmodat, &[0], DENIED_NOW),
        (SHARED, libc::SYS_readlinkat, &[0], Answer::Goes),
        (OWN, libc::SYS_newfstatat, &[0], Answer::Goes),
        (OWN, libc::SYS_fchmod, &[0], Answer::Goes),
        // Programs wait only if they are to.
        (OWN, libc::SYS_execve, &[], Answer::Goes),
        (Duty { interception: Interception::On, ..OWN }, libc::SYS_execve, &[], Answer::Waits),
        (Duty { interception: Interception::On, ..SHARED }, libc::SYS_execveat, &[], Answer::Waits),
    ] {
        assert_eq!(asked(duty, call, arguments), expected, "{call} {arguments:x?} {duty:?}");
    }
}

/// What makes, takes away, names and cuts off, by hand.
fn ways_to_change_a_folder() -> BTreeSet<c_long> {
    let mut calls = BTreeSet::from([
        libc::SYS_mkdirat,
        libc::SYS_mknodat,
        libc::SYS_unlinkat,
        libc::SYS_renameat,
        libc::SYS_renameat2,
        libc::SYS_linkat,
        libc::SYS_symlinkat,
        libc::SYS_truncate,
    ]);
    #[cfg(target_arch = "x86_64")]
    calls.extend([
        libc::SYS_creat,
        libc::SYS_mkdir,
        libc::SYS_mknod,
        libc::SYS_unlink,
        libc::SYS_rmdir,
        libc::SYS_rename,
        libc::SYS_link,
        libc::SYS_symlink,
    ]);
    calls
}

#[test]
fn what_changes_a_folder_waits_and_hardly_anything_else() {
    let waiting = |duty| -> BTreeSet<_> {
        (0..BEYOND).filter(|&call| asked(duty, call, &[0, 0, 0]) == Answer::Waits).collect()
    };
    let mut expected = ways_to_change_a_folder();
    // What goes elsewhere: where a program was started is told with it.
    expected.extend([libc::SYS_chdir, libc::SYS_fchdir]);
    assert_eq!(waiting(SHARED), expected);
    expected.extend([libc::SYS_connect, libc::SYS_bind, libc::SYS_fchmodat, 452, libc::SYS_fchownat]);
    #[cfg(target_arch = "x86_64")]
    expected.extend([libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown]);
    assert_eq!(waiting(OWN), expected);
    let without = program(SHARED, Looking::Off);
    let waits = |call: c_long| run(&without, ARCHITECTURE, plain(call), [0; 6]) == Answer::Waits;
    assert!(!(0..BEYOND).any(waits), "where there is nobody who looks");
}

#[test]
fn calls_of_another_architecture_kill() {
    let program = program(OWN, Looking::On);
    // AUDIT_ARCH_I386, and x32, which has ours.
    assert_eq!(run(&program, 0x4000_0003, 1, [0; 6]), Answer::Kills);
    assert_eq!(run(&program, ARCHITECTURE, 0x4000_0000 + 39, [0; 6]), Answer::Kills);
    assert_eq!(run(&program, ARCHITECTURE, plain(libc::SYS_getpid), [0; 6]), Answer::Goes);
}
