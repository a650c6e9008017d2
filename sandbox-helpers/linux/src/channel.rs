//! The helper's end of the socket to the daemon, which is its standard input. Knows frames, not what is done
//! with them.

use std::io::{IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use helper_protocol::frame::{self, HEADER_BYTES};
use helper_protocol::order::{ORDER_BYTES, Order};
use helper_protocol::plan::Plan;
use helper_protocol::report::{Failure, Report};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

/// What was heard of the daemon while the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// An order.
    Order(Order),
    /// Nothing any more: it wants the tree to be killed, or is gone.
    End,
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

    /// The plan, and the descriptors that came along.
    pub(crate) fn plan(&mut self) -> Result<(Plan, Vec<OwnedFd>), Failure> {
        let broken = |error: &dyn std::fmt::Display| Failure::Plan { reason: format!("no plan: {error}") };
        let mut header = [0; HEADER_BYTES];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = rustix::net::recvmsg(
            &self.stream,
            &mut [IoSliceMut::new(&mut header)],
            &mut control,
            RecvFlags::CMSG_CLOEXEC,
        );
        let count = received.map_err(|error| broken(&error))?.bytes;
        let passed = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        let passed = passed.flatten().collect();
        self.stream.read_exact(&mut header[count..]).map_err(|error| broken(&error))?;
        let mut body = vec![0; frame::body_bytes(header).map_err(|error| broken(&error))?];
        self.stream.read_exact(&mut body).map_err(|error| broken(&error))?;
        Ok((frame::decode(&body).map_err(|error| broken(&error))?, passed))
    }

    /// The next order; to be called when the socket is readable.
    pub(crate) fn order(&mut self) -> Option<Heard> {
        let mut bytes = [0; ORDER_BYTES];
        match self.stream.read_exact(&mut bytes) {
            Ok(()) => Order::decode(bytes).map(Heard::Order),
            Err(_) => Some(Heard::End),
        }
    }

    /// Tells the daemon. If it is gone, there is nobody to tell.
    pub(crate) fn report(&self, report: &Report) {
        self.report_with(report, &[]);
    }

    /// Tells the daemon, and hands it descriptors; at most three.
    pub(crate) fn report_with(&self, report: &Report, descriptors: &[OwnedFd]) {
        let Ok(frame) = frame::encode(report) else { return };
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
        let mut rest = &frame[..];
        let mut is_first = true;
        while !rest.is_empty() {
            let mut control = SendAncillaryBuffer::new(&mut space);
            if is_first && !descriptors.is_empty() {
                control.push(SendAncillaryMessage::ScmRights(&descriptors));
            }
            match rustix::net::sendmsg(&self.stream, &[IoSlice::new(rest)], &mut control, SendFlags::NOSIGNAL)
            {
                Ok(count) => {
                    rest = &rest[count..];
                    is_first = false;
                }
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
