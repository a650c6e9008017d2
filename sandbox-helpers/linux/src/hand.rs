//! Hands descriptors from the process that becomes the command to the outer one: a socket pair, and one byte that says
//! what comes along. Knows nothing of what they are for.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use helper_protocol::report::Failure;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType,
};

use crate::failure::Step;

/// What comes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thing {
    /// What the filter's calls wait at.
    Filter,
    /// The listener for the proxy.
    Proxy,
    /// The person's end of the command's terminal.
    Terminal,
    /// The first process of the namespaces: what it is signalled by.
    First,
    /// The list of the mounts that the command has.
    Mounts,
    /// A socket in the file system that was bound for the command.
    Bound,
}

/// The end that gives.
pub(crate) struct Giver(pub(crate) OwnedFd);

/// The end that takes.
pub(crate) struct Taker(OwnedFd);

/// Both ends; they close at `exec`.
pub(crate) fn hand() -> Result<(Giver, Taker), Failure> {
    let (giver, taker) =
        rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
            .step("make a socket pair")?;
    Ok((Giver(giver), Taker(taker)))
}

impl Giver {
    pub(crate) fn give(&self, thing: Thing, descriptor: impl AsFd) -> Result<(), Failure> {
        let name = match thing {
            Thing::Filter => b'F',
            Thing::Proxy => b'P',
            Thing::Terminal => b'T',
            Thing::First => b'1',
            Thing::Mounts => b'M',
            Thing::Bound => b'B',
        };
        let descriptors = [descriptor.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&[name])], &mut control, SendFlags::NOSIGNAL)
            .step("hand out a descriptor")?;
        Ok(())
    }
}

impl Taker {
    /// The next thing that was given already; none at the end, or if there is none yet.
    pub(crate) fn take(&self) -> Option<(Thing, OwnedFd)> {
        let mut name = [0];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let flags = RecvFlags::CMSG_CLOEXEC | RecvFlags::DONTWAIT;
        loop {
            match rustix::net::recvmsg(&self.0, &mut [IoSliceMut::new(&mut name)], &mut control, flags) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(_) => return None,
            }
        }
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        })?;
        match name {
            [b'F'] => Some((Thing::Filter, descriptor)),
            [b'P'] => Some((Thing::Proxy, descriptor)),
            [b'T'] => Some((Thing::Terminal, descriptor)),
            [b'1'] => Some((Thing::First, descriptor)),
            [b'M'] => Some((Thing::Mounts, descriptor)),
            [b'B'] => Some((Thing::Bound, descriptor)),
            _ => None,
        }
    }
}

impl AsFd for Taker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
