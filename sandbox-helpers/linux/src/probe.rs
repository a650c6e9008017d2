//! The command of a probe: tries what should work and what should not, from inside a sandbox. Does not know
//! which is which.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::probe::{Attempt, Orders, Outcome};
use rustix::process::Pid;

use crate::inner::tell;
use crate::syscall;

/// Tries everything, prints the outcomes, and ends this process.
pub(crate) fn run(orders: &OsString) -> ! {
    let Ok(orders) = serde_json::from_slice(orders.as_bytes()) else { syscall::exit(2) };
    tell(rustix::stdio::stdout(), &outcomes(&orders));
    syscall::exit(0);
}

fn outcomes(orders: &Orders) -> Vec<Outcome> {
    let write = |folder: &Bytes| fs::write(path(folder).join("probe"), "x").is_ok();
    let is_same_namespace =
        fs::read_link("/proc/self/ns/pid").is_ok_and(|own| own == path(&orders.pid_namespace));
    let daemon = i32::try_from(orders.pid).ok().and_then(Pid::from_raw);
    let signal = || daemon.is_some_and(|pid| rustix::process::test_kill_process(pid).is_ok());
    let trace = || fs::read(format!("/proc/{}/environ", orders.pid)).is_ok();
    // Whether it arrives, only the daemon sees.
    let _ = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))
        .and_then(|socket| socket.send_to(b"x", (Ipv4Addr::LOCALHOST, orders.port)));
    let send_to_socket =
        || UnixDatagram::unbound().and_then(|socket| socket.send_to(b"x", path(&orders.socket))).is_ok();
    [
        (Attempt::WriteInside, write(&orders.inside)),
        (Attempt::ReadOutside, fs::read(path(&orders.outside).join("readable")).is_ok()),
        (Attempt::WriteOutside, write(&orders.outside)),
        (Attempt::WriteProtected, write(&orders.protected)),
        (Attempt::CreateAbsent, fs::create_dir(path(&orders.absent)).is_ok()),
        (Attempt::ReadHidden, fs::read(path(&orders.hidden)).is_ok()),
        (Attempt::SendToPort, false),
        (Attempt::SendToSocket, send_to_socket()),
        (Attempt::ConnectToListener, UnixStream::connect(path(&orders.listener)).is_ok()),
        // In another namespace the number is another process's.
        (Attempt::Signal, is_same_namespace && signal()),
        (Attempt::Trace, is_same_namespace && trace()),
        // Last: where it works, this process is another one afterwards.
        (Attempt::NewNamespace, syscall::unshare(libc::CLONE_NEWUSER).is_ok()),
    ]
    .map(|(attempt, worked)| Outcome { attempt, worked })
    .to_vec()
}

fn path(bytes: &Bytes) -> PathBuf {
    Path::new(OsStr::from_bytes(&bytes.0)).to_owned()
}
