//! System calls about processes that wait for this one: seccomp's notifications, their memory, their end. Knows no
//! policy: each function is one thing that the kernel does.

use std::ffi::c_void;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::ptr;

use rustix::io::Errno;
use rustix::process::Pid;
use seccompiler::sock_filter;

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    /// The thread that made it.
    pub(crate) thread: Pid,
    pub(crate) number: libc::c_long,
    pub(crate) arguments: [u64; 6],
}

/// What a call that waits becomes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is made as it stands then, not as it stood when it was looked at.
    Continue,
    /// It has worked.
    Done,
    /// It has failed.
    Failed(Errno),
}

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Connect,
    Bind,
}

/// Only fatal signals interrupt a call that is being looked at. From Linux 5.19 on.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

/// `_IOWR('!', 0, struct seccomp_notif)` and so on (linux/seccomp.h); `ioctl` wants another type on each libc.
const RECEIVE: u64 = 0xc050_2100;
const SEND: u64 = 0xc018_2101;
const IS_VALID: u64 = 0x4008_2102;

/// Installs a filter for this process and all it will start; gives what its notifications come through.
pub(crate) fn install(program: &[sock_filter]) -> Result<OwnedFd, Errno> {
    let length = libc::c_ushort::try_from(program.len()).map_err(|_| Errno::TOOBIG)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: takes numbers only.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }.into())?;
    let install = |flags: libc::c_ulong| {
        // SAFETY: the kernel reads the program, whose length is told and whose layout is that of `libc::sock_filter`.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program)
        };
        check(result).map(|()| result)
    };
    let listener = install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | WAIT_KILLABLE_RECV).or_else(|errno| {
        if errno == Errno::INVAL { install(libc::SECCOMP_FILTER_FLAG_NEW_LISTENER) } else { Err(errno) }
    })?;
    let listener = libc::c_int::try_from(listener).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(listener) })
}

/// The next call that waits. `ENOENT` if it does not wait any more.
pub(crate) fn receive(listener: impl AsFd) -> Result<Notification, Errno> {
    // SAFETY: the structure is made of numbers, for which zero is valid.
    let mut raw: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: the kernel writes the structure, whose size is part of the request's number.
    check(unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), RECEIVE as _, &raw mut raw) }.into())?;
    let thread = Pid::from_raw(raw.pid.cast_signed()).ok_or(Errno::SRCH)?;
    Ok(Notification { id: raw.id, thread, number: raw.data.nr.into(), arguments: raw.data.args })
}

/// Whether a call still waits; so all that was found out about its thread before was about that one.
pub(crate) fn is_waiting(listener: impl AsFd, id: u64) -> bool {
    // SAFETY: the kernel reads one number.
    let look =
        || check(unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), IS_VALID as _, &raw const id) }.into());
    loop {
        match look() {
            Err(Errno::INTR) => {}
            looked => return looked.is_ok(),
        }
    }
}

/// Answers a call. It fails where nobody waits any more.
pub(crate) fn answer(listener: impl AsFd, id: u64, answer: Answer) -> Result<(), Errno> {
    let (error, flags) = match answer {
        Answer::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        Answer::Done => (0, 0),
        Answer::Failed(errno) => (-errno.raw_os_error(), 0),
    };
    let flags = u32::try_from(flags).unwrap_or_default();
    let mut response = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: the kernel reads the structure, whose size is part of the request's number.
    let mut send =
        || check(unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), SEND as _, &raw mut response) }.into());
    loop {
        // The end of a child may interrupt it; nobody else would answer.
        match send() {
            Err(Errno::INTR) => {}
            sent => return sent,
        }
    }
}

/// Reads another process's memory; gives how much of it could be read.
pub(crate) fn read(process: Pid, address: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let address = usize::try_from(address).map_err(|_| Errno::FAULT)?;
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let remote =
        libc::iovec { iov_base: ptr::without_provenance_mut::<c_void>(address), iov_len: buffer.len() };
    // SAFETY: the kernel writes at most the buffer's length into it, and checks the other process's addresses itself.
    let count =
        unsafe { libc::process_vm_readv(process.as_raw_pid(), &raw const local, 1, &raw const remote, 1, 0) };
    usize::try_from(count).map_err(|_| last_error())
}

/// Connects or binds a socket to an address in the kernel's form.
pub(crate) fn address(call: Call, socket: impl AsFd, address: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(address.len()).map_err(|_| Errno::INVAL)?;
    let (socket, address) = (socket.as_fd().as_raw_fd(), address.as_ptr().cast());
    // SAFETY: the kernel reads as many bytes as it is told, and takes any for an address.
    let result = unsafe {
        match call {
            Call::Connect => libc::connect(socket, address, length),
            Call::Bind => libc::bind(socket, address, length),
        }
    };
    check(result.into())
}

/// The user namespace that a namespace belongs to.
pub(crate) fn owner(namespace: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: takes no memory; gives a new descriptor.
    let owner = unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), NS_GET_USERNS as _) };
    check(owner.into())?;
    // SAFETY: the kernel has just opened it for us, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(owner) })
}

/// `_IO(0xb7, 1)` (linux/nsfs.h).
const NS_GET_USERNS: u64 = 0xb701;

/// Lets a thread's call fail, and makes its whole process exit with this code instead of going on.
pub(crate) fn end(listener: impl AsFd, id: u64, thread: Pid, code: i32) -> Result<(), Errno> {
    let raw = thread.as_raw_pid();
    let nothing = ptr::null_mut::<c_void>();
    // SAFETY: these requests take no memory of ours. The thread stops before it is back in its program, because it was
    // told to before its call is answered.
    let result = unsafe {
        check(libc::ptrace(libc::PTRACE_SEIZE, raw, nothing, nothing))
            .and_then(|()| check(libc::ptrace(libc::PTRACE_INTERRUPT, raw, nothing, nothing)))
    };
    if let Err(errno) = result {
        // It can't be made to exit; so what it wanted fails.
        let _ = answer(listener, id, Answer::Failed(Errno::ACCESS));
        return Err(errno);
    }
    answer(listener, id, Answer::Failed(Errno::ACCESS))?;
    let mut status = 0;
    // SAFETY: the kernel writes one number.
    while check(unsafe { libc::waitpid(raw, &raw mut status, libc::__WALL) }.into()) == Err(Errno::INTR) {}
    if !libc::WIFSTOPPED(status) {
        return Ok(());
    }
    // SAFETY: the structure is made of numbers, for which zero is valid.
    let mut registers: libc::user_regs_struct = unsafe { mem::zeroed() };
    let mut vector =
        libc::iovec { iov_base: (&raw mut registers).cast(), iov_len: mem::size_of_val(&registers) };
    let set = ptr::without_provenance_mut::<c_void>(NT_PRSTATUS);
    // SAFETY: the kernel writes and reads the registers, whose size is told. The thread is stopped.
    unsafe {
        check(libc::ptrace(libc::PTRACE_GETREGSET, raw, set, &raw mut vector))?;
        call_exit(&mut registers, code);
        check(libc::ptrace(libc::PTRACE_SETREGSET, raw, set, &raw mut vector))?;
        check(libc::ptrace(libc::PTRACE_DETACH, raw, nothing, nothing))
    }
}

/// The general registers (linux/elf.h).
const NT_PRSTATUS: usize = 1;

/// Puts the thread back onto the instruction that made its call, which then is another one.
#[cfg(target_arch = "x86_64")]
fn call_exit(registers: &mut libc::user_regs_struct, code: i32) {
    registers.rip -= 2;
    registers.rax = libc::SYS_exit_group.cast_unsigned();
    // No call is under way, so that the kernel does not restart one.
    registers.orig_rax = u64::MAX;
    registers.rdi = u64::from(code.cast_unsigned());
}

#[cfg(target_arch = "aarch64")]
fn call_exit(registers: &mut libc::user_regs_struct, code: i32) {
    registers.pc -= 4;
    registers.regs[8] = libc::SYS_exit_group.cast_unsigned();
    registers.regs[0] = u64::from(code.cast_unsigned());
}

fn check(result: libc::c_long) -> Result<(), Errno> {
    if result < 0 { Err(last_error()) } else { Ok(()) }
}

fn last_error() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}
