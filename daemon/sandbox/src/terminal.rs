//! The daemon's ends of a command's streams: pipes, or the end of a terminal that a person would sit at. Knows nothing of
//! the command.

use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use rustix::io::Errno;
use rustix::termios::Winsize;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::unix::pipe;

use crate::request::TerminalSize;

/// The daemon's ends of a command's streams.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) output: Option<pipe::Receiver>,
    /// Where it is separate.
    pub(crate) errors: Option<pipe::Receiver>,
    pub(crate) input: Option<pipe::Sender>,
    terminal: Option<OwnedFd>,
}

impl Ends {
    /// Output and input are those of this terminal. When the last of the three is dropped, the command is hung up on.
    pub(crate) fn sit_at(&mut self, terminal: OwnedFd) -> io::Result<()> {
        rustix::io::ioctl_fionbio(&terminal, true)?;
        // They are no pipes, but the runtime does nothing with these that it would not do with a terminal.
        self.output = Some(pipe::Receiver::from_owned_fd_unchecked(terminal.try_clone()?)?);
        self.input = Some(pipe::Sender::from_owned_fd_unchecked(terminal.try_clone()?)?);
        self.terminal = Some(terminal);
        Ok(())
    }

    /// Changes the size of the terminal.
    pub(crate) fn resize(&self, size: TerminalSize) -> io::Result<()> {
        let terminal = self.terminal.as_ref().ok_or(Errno::NOTTY)?;
        let size = Winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(terminal, size)?)
    }
}

/// What a command prints; nothing where somebody else reads it.
pub(crate) struct Printed(pub(crate) Option<pipe::Receiver>);

impl AsyncRead for Printed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(pipe) = &mut self.0 else { return Poll::Ready(Ok(())) };
        Pin::new(pipe).poll_read(cx, buffer).map(|read| match read {
            // A terminal's end: nobody has it open any more, and all that was printed was read.
            Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(()),
            read => read,
        })
    }
}
