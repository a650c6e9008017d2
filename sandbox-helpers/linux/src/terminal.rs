//! The command's own terminal: made in the command's view, so that its name leads to it there. Knows nothing of who
//! sits at it.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use helper_protocol::plan::{Access, TerminalSize};
use helper_protocol::report::Failure;
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use rustix::termios::{InputModes, OptionalActions, Winsize};

use crate::failure::Step;
use crate::grants::Grant;
use crate::hand::{Giver, Thing};

const FLAGS: OpenptFlags = OpenptFlags::RDWR.union(OpenptFlags::NOCTTY).union(OpenptFlags::CLOEXEC);

/// Makes a terminal, gives the person's end of it away, and takes the other as standard streams and as what controls this
/// session, which has none yet. Gives what has to be allowed, so that the command may open it by name.
pub(crate) fn take(size: TerminalSize, giver: &Giver) -> Result<Grant, Failure> {
    let ours = rustix::pty::openpt(FLAGS).step("make a terminal")?;
    rustix::pty::unlockpt(&ours).step("unlock the terminal")?;
    let name = rustix::pty::ptsname(&ours, Vec::new()).step("name the terminal")?;
    let commands = other_end(&ours).step("open the terminal")?;
    let mut modes = rustix::termios::tcgetattr(&commands).step("read the terminal's modes")?;
    // So that rubbing out a character takes all of its bytes.
    modes.input_modes |= InputModes::IUTF8;
    rustix::termios::tcsetattr(&commands, OptionalActions::Now, &modes).step("set the terminal's modes")?;
    let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&commands, size).step("set the terminal's size")?;
    rustix::process::ioctl_tiocsctty(&commands).step("be controlled by the terminal")?;
    rustix::stdio::dup2_stdin(&commands)
        .and_then(|()| rustix::stdio::dup2_stdout(&commands))
        .and_then(|()| rustix::stdio::dup2_stderr(&commands))
        .step("take the terminal as standard streams")?;
    giver.give(Thing::Terminal, &ours)?;
    Ok(Grant { path: PathBuf::from(OsStr::from_bytes(name.as_bytes())), access: Access::Write })
}

/// The command's end of a terminal, by the person's.
pub(crate) fn other_end(terminal: impl AsFd) -> Result<OwnedFd, Errno> {
    rustix::pty::ioctl_tiocgptpeer(terminal, FLAGS)
}
