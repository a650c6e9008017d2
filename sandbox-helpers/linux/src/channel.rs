//! The helper's end of the socket to the daemon, which is its standard input. Knows frames, not what is done
//! with them.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use helper_protocol::frame::{self, HEADER_BYTES};
use helper_protocol::plan::Plan;
use helper_protocol::report::{Failure, Report};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags};

/// What the daemon says while the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Send SIGTERM.
    Terminate,
    /// Kill the tree; also said by the daemon's death.
    Kill,
}

/// The socket.
pub(crate) struct Channel {
    stream: UnixStream,
}

impl Channel {
    /// Takes the socket away from standard input. Fails if that is none: a person started the helper.
    pub(crate) fn take() -> Result<Self, Errno> {
        let stdin = std::io::stdin();
        rustix::net::sockopt::socket_type(&stdin)?;
        let socket = rustix::io::fcntl_dupfd_cloexec(&stdin, 3)?;
        Ok(Self { stream: UnixStream::from(socket) })
    }

    /// The plan, and the descriptor that came along.
    pub(crate) fn plan(&mut self) -> Result<(Plan, Option<OwnedFd>), Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Plan { reason: format!("no plan: {error}") };
        let mut header = [0; HEADER_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &self.stream,
            &mut [IoSliceMut::new(&mut header)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let count = received.map_err(|error| broken(&error))?.bytes;
        let passed = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        self.stream.read_exact(&mut header[count..]).map_err(|error| broken(&error))?;
        let mut body = vec![0; frame::body_bytes(header).map_err(|error| broken(&error))?];
        self.stream.read_exact(&mut body).map_err(|error| broken(&error))?;
        Ok((frame::decode(&body).map_err(|error| broken(&error))?, passed))
    }

    /// The next order; to be called when the socket is readable.
    pub(crate) fn order(&mut self) -> Option<Order> {
        let mut byte = [0];
        match self.stream.read(&mut byte) {
            Ok(1) if byte[0] == helper_protocol::TERMINATE => Some(Order::Terminate),
            Ok(1) => None,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => None,
            Ok(_) | Err(_) => Some(Order::Kill),
        }
    }

    /// Tells the daemon. If it is gone, there is nobody to tell.
    pub(crate) fn report(&self, report: &Report) {
        let Ok(frame) = frame::encode(report) else { return };
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match rustix::net::send(&self.stream, rest, SendFlags::NOSIGNAL) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
