//! The system calls that no crate wraps safely. Knows no policy: each function is one call, or one of libc's.

use std::convert::Infallible;
use std::ffi::{CStr, CString, c_char, c_int};
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;

/// What [`clone`] is for the process that returns from it.
pub(crate) enum Cloned {
    /// It is the new one.
    Child,
    /// It is the old one.
    Parent {
        /// Of the new one.
        pid: Pid,
        /// Becomes readable when the new one has ended.
        pidfd: OwnedFd,
    },
}

/// Copies this process, as `fork` does, into the new namespaces that `namespaces` names (`CLONE_NEW…`).
pub(crate) fn clone(namespaces: c_int) -> Result<Cloned, Errno> {
    let mut pidfd: c_int = -1;
    let flags = i64::from(namespaces | libc::CLONE_PIDFD | libc::SIGCHLD);
    let nothing = ptr::null_mut::<libc::c_void>();
    // SAFETY: without `CLONE_VM` the child has its own copy of the memory and goes on on the same stack, as
    // after `fork`; there are no other threads whose locks it could find taken. The kernel writes one `int` to
    // `pidfd`, which lives.
    let result = unsafe { libc::syscall(libc::SYS_clone, flags, nothing, &raw mut pidfd, nothing, nothing) };
    match c_int::try_from(result) {
        Ok(0) => Ok(Cloned::Child),
        Ok(raw) if raw > 0 => match Pid::from_raw(raw) {
            // SAFETY: the kernel has just opened it for us, and nobody else knows it.
            Some(pid) => Ok(Cloned::Parent { pid, pidfd: unsafe { OwnedFd::from_raw_fd(pidfd) } }),
            None => Err(Errno::INVAL),
        },
        _ => Err(last_error()),
    }
}

/// Ends this process without any cleaning up of the runtime.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: takes a number and does not return.
    unsafe { libc::_exit(code) }
}

/// A descriptor that was inherited, by its number; none if there is none. It closes at the next `exec`. To be called
/// once for each.
pub(crate) fn inherited(number: c_int) -> Option<OwnedFd> {
    // SAFETY: takes numbers only.
    if number < 3 || check(unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) }.into()).is_err() {
        return None;
    }
    // SAFETY: it is open, and the process that passed it on meant it for whoever asks.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Closes all descriptors from 3 on.
pub(crate) fn close_all_but_stdio() -> Result<(), Errno> {
    // SAFETY: called before anything of this process owns a descriptor beyond the standard ones.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) })
}

/// Makes all descriptors from 3 on close at the next `exec`.
pub(crate) fn close_all_but_stdio_at_exec() -> Result<(), Errno> {
    // SAFETY: sets a flag; no descriptor becomes invalid before `exec`.
    check(unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) })
}

/// Changes a mount and, if `is_recursive`, all mounts below it: sets these attributes (`MOUNT_ATTR_…`) and makes
/// it private, so that no mounts come in from elsewhere or go out.
pub(crate) fn set_mount(mount: impl AsFd, attributes: u64, reach: Reach) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH
        | match reach {
            Reach::All => libc::AT_RECURSIVE,
            Reach::One => 0,
        };
    // SAFETY: the structure is made of numbers, for which zero is valid.
    let mut wanted: libc::mount_attr = unsafe { mem::zeroed() };
    wanted.attr_set = attributes;
    wanted.propagation = libc::MS_PRIVATE;
    // SAFETY: the path is a C string; the kernel reads `wanted`, whose size is told.
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            &raw const wanted,
            mem::size_of_val(&wanted),
        )
    })
}

/// How far a change of a mount goes.
#[derive(Clone, Copy)]
pub(crate) enum Reach {
    /// This mount.
    One,
    /// And all that are mounted below it.
    All,
}

/// Leaves the caller's session keyring for a new, empty one.
pub(crate) fn join_new_keyring() -> Result<(), Errno> {
    let anonymous = ptr::null::<c_char>();
    // SAFETY: a null name asks for an anonymous keyring.
    check(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous) })
}

/// Switches on the loopback interface of this network namespace.
pub(crate) fn raise_loopback(socket: impl AsFd) -> Result<(), Errno> {
    // SAFETY: the structure is made of numbers, for which zero is valid.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(c"lo".to_bytes()) {
        *to = from.cast_signed();
    }
    let up = c_int::from(libc::IFF_UP as i16);
    request.ifr_ifru.ifru_flags = i16::try_from(up).unwrap_or_default();
    // SAFETY: the kernel reads a name that ends with zero and the flags.
    check(
        unsafe { libc::ioctl(socket.as_fd().as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }
            .into(),
    )
}

/// Removes every capability from the bounding set.
pub(crate) fn clear_bounding_set() -> Result<(), Errno> {
    for capability in 0..64_u64 {
        // SAFETY: takes numbers only.
        match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) }.into()) {
            Ok(()) => {}
            // The kernel knows no more.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives the standard signals their default action and blocks none.
pub(crate) fn reset_signals() {
    for signal in 1..=libc::SIGSYS {
        // SAFETY: sets no handler. For the few signals that can't be set the call fails, which is all right.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    let none = signals(&[]);
    // SAFETY: reads a valid set.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut()) };
}

/// Blocks these signals, for all processes that are made from now on too; [`next_signal`] takes them.
pub(crate) fn block_signals(wanted: &[c_int]) {
    let set = signals(wanted);
    // SAFETY: reads a valid set.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, &raw const set, ptr::null_mut()) };
}

/// Waits for one of these signals, which must be blocked.
pub(crate) fn next_signal(wanted: &[c_int]) -> Result<c_int, Errno> {
    let set = signals(wanted);
    // SAFETY: reads a valid set; asks for no details.
    let signal = unsafe { libc::sigwaitinfo(&raw const set, ptr::null_mut()) };
    check(signal.into()).map(|()| signal)
}

/// Lets waiting for news (`poll`) return with `EINTR` when a child ends. All other calls are taken up again: also opening a
/// file waits where a sandbox around this one looks at it.
pub(crate) fn interrupt_at_end_of_children() {
    extern "C" fn nothing(_signal: c_int) {}
    let handler: extern "C" fn(c_int) = nothing;
    // SAFETY: zero is a valid `sigaction`; the handler does nothing, which is safe at any time. `poll` is
    // interrupted in any case (signal(7)).
    unsafe {
        let mut action: libc::sigaction = mem::zeroed();
        action.sa_sigaction = handler as usize;
        action.sa_flags = libc::SA_NOCLDSTOP | libc::SA_RESTART;
        libc::sigaction(libc::SIGCHLD, &raw const action, ptr::null_mut());
    }
}

/// Has the kernel go from a call that waits to who answers it, and back, on one processor and at once: from Linux 6.6 on
/// (seccomp_unotify(2), `SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP`). A signal with a handler of the command's own ends the wait with
/// `EINTR` until the call has been looked at for the first time, and no flag changes that; so that moment is to be short.
pub(crate) fn answer_at_once(listener: impl AsFd) -> Result<(), Errno> {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: takes numbers only.
    check(unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), SET_FLAGS as _, SYNC_WAKE_UP) }.into())
}

/// `SECCOMP_IOCTL_NOTIF_SET_FLAGS` (linux/seccomp.h).
const SET_FLAGS: u64 = 0x4008_2104;

/// Sends every other process of this process-id namespace a signal.
pub(crate) fn signal_all_others(signal: c_int) {
    // SAFETY: takes numbers only. It fails when there are no others.
    unsafe { libc::kill(-1, signal) };
}

/// Becomes another program.
pub(crate) fn execute(
    program: &CStr,
    argv: &[CString],
    environment: &[CString],
) -> Result<Infallible, Errno> {
    let pointers = |strings: &[CString]| -> Vec<*const c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv, environment) = (pointers(argv), pointers(environment));
    // SAFETY: both lists end with null and point to C strings that outlive the call.
    unsafe { libc::execve(program.as_ptr(), argv.as_ptr(), environment.as_ptr()) };
    Err(last_error())
}

/// Leaves for new namespaces (`CLONE_NEW…`).
pub(crate) fn unshare(namespaces: c_int) -> Result<(), Errno> {
    // SAFETY: takes a number. Namespaces hold no memory; descriptors stay as they are.
    check(unsafe { libc::unshare(namespaces) }.into())
}

fn signals(wanted: &[c_int]) -> libc::sigset_t {
    // SAFETY: `sigemptyset` makes the set valid before it is used; the signals are libc's constants.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigemptyset(&raw mut set);
        for &signal in wanted {
            libc::sigaddset(&raw mut set, signal);
        }
        set
    }
}

fn check(result: libc::c_long) -> Result<(), Errno> {
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{PollFd, PollFlags};
    use std::sync::mpsc;
    use std::thread;

    #[test]
    fn the_end_of_a_child_interrupts_poll_and_no_other_call() {
        interrupt_at_end_of_children();
        let (tell, told) = mpsc::channel();
        // SAFETY: takes nothing.
        let own = || unsafe { libc::pthread_self() };
        // SAFETY: the thread was not joined yet.
        let signal = |thread| unsafe { libc::pthread_kill(thread, libc::SIGCHLD) };

        let (reader, writer) = rustix::pipe::pipe().expect("pipe");
        let (reading, polling) = (tell.clone(), tell);
        let reading = thread::spawn(move || {
            reading.send(own()).expect("told");
            rustix::io::read(&reader, &mut [0])
        });
        let thread = told.recv().expect("thread");
        for _ in 0..1000 {
            signal(thread);
            rustix::thread::sched_yield();
        }
        rustix::io::write(&writer, &[1]).expect("write");
        assert_eq!(reading.join().expect("read"), Ok(1));

        let (idle, _writer) = rustix::pipe::pipe().expect("pipe");
        let waiting = thread::spawn(move || {
            polling.send(own()).expect("told");
            rustix::event::poll(&mut [PollFd::new(&idle, PollFlags::IN)], None)
        });
        let thread = told.recv().expect("thread");
        while !waiting.is_finished() {
            signal(thread);
            rustix::thread::sched_yield();
        }
        assert_eq!(waiting.join().expect("polled"), Err(Errno::INTR));
    }
}
