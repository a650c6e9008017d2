//! Connects and binds sockets of the command for it. Runs in a process of its own for each call, which may wait, and
//! which gives up all that the command does not have. Knows which local sockets may be reached.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{Access, Network, Rules};
use helper_protocol::report::Failure;
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, StatxFlags};
use rustix::io::Errno;
use rustix::net::AddressFamily;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags};
use rustix::thread::LinkNameSpaceType;
use rustix::time::ClockId;

use crate::hand::{Giver, Thing};
use crate::inner::tell;
use crate::places::{Layout, open_real};
use crate::privileges::{self, BoundingSet};
use crate::tracee::{self, Call, Notification};

/// Device and number of a socket in the file system.
pub(crate) type Inode = (u64, u64);

/// The longest address that the kernel takes (`struct sockaddr_storage`).
const MAX_ADDRESS: usize = 128;

/// Where the path begins in a local address.
const PATH: usize = 2;

/// Sockets of the command's own that may be connected to. The descriptors that are kept for them count against the limit
/// of this process, which is 1,024 on most machines.
const MOST_OWN: usize = 512;

/// Which local sockets may be reached.
pub(crate) struct Known {
    /// By the plan.
    pub(crate) listed: Vec<Listed>,
    pub(crate) own: Own,
    pub(crate) network: Network,
}

/// A socket that the plan lists.
pub(crate) enum Listed {
    /// What is at this real path when it is connected to: the command can't put anything there.
    At(PathBuf),
    /// What was there when the command started: the command could rename it, and give its name to another one.
    Object(OwnedFd),
}

impl Listed {
    fn inode(&self) -> Option<Inode> {
        match self {
            Self::At(path) => inode(&open_real(path).ok()?).ok(),
            Self::Object(object) => inode(object).ok(),
        }
    }
}

/// The sockets that the command has made itself.
#[derive(Default)]
pub(crate) struct Own {
    /// Invariant: each number's object is open, or a file system could give the number to another one's socket.
    objects: BTreeMap<Inode, OwnedFd>,
}

impl Own {
    /// Adds one. Those that have no name any more are let go of for it; where there are too many with one, it can't be
    /// reached.
    pub(crate) fn insert(&mut self, object: OwnedFd) {
        if self.objects.len() >= MOST_OWN {
            self.objects.retain(|_, object| rustix::fs::fstat(object).is_ok_and(|stat| stat.st_nlink > 0));
        }
        if self.objects.len() < MOST_OWN
            && let Ok(number) = inode(&object)
        {
            self.objects.insert(number, object);
        }
    }

    fn holds(&self, number: Inode) -> bool {
        self.objects.contains_key(&number)
    }
}

/// The sockets that the plan lists. One that is not there can't be connected to either.
pub(crate) fn listed(rules: &Rules, layout: &Layout) -> Result<Vec<Listed>, Failure> {
    let mut found = Vec::new();
    for Bytes(path) in &rules.local_sockets {
        let path = Path::new(OsStr::from_bytes(path));
        let Ok(real) = fs::canonicalize(path) else { continue };
        // A command could have put a link there, to a socket that nobody listed.
        let is_led = path.ancestors().any(|above| {
            layout.access(above) == Access::Write
                && fs::symlink_metadata(above).is_ok_and(|it| it.is_symlink())
        });
        if is_led {
            let reason = "is listed as a socket and lies behind a link in a writable folder".to_owned();
            return Err(Failure::Rule { path: Bytes(path.as_os_str().as_bytes().to_vec()), reason });
        }
        let is_movable = real.ancestors().any(|above| layout.access(above) == Access::Write);
        match is_movable.then(|| open_real(&real)) {
            Some(Ok(object)) => found.push(Listed::Object(object)),
            // It has just gone away.
            Some(Err(_)) => {}
            None => found.push(Listed::At(real)),
        }
    }
    Ok(found)
}

/// What a call of the command is about, copied.
pub(crate) struct Target {
    thread: Pid,
    socket: OwnedFd,
    family: AddressFamily,
    address: Vec<u8>,
}

impl Target {
    /// Copies the socket and the address.
    pub(crate) fn of(notification: &Notification) -> Result<Self, Errno> {
        let [socket, address, length, ..] = notification.arguments;
        let thread = notification.thread;
        let length = usize::try_from(length & u64::from(u32::MAX)).unwrap_or(usize::MAX);
        if length > MAX_ADDRESS {
            return Err(Errno::INVAL);
        }
        let mut bytes = vec![0; length];
        if length > 0 && tracee::read(thread, address, &mut bytes)? < length {
            return Err(Errno::FAULT);
        }
        let [socket] = descriptors(
            thread,
            [u32::try_from(socket & u64::from(u32::MAX)).unwrap_or_default().cast_signed()],
        )?;
        let family = rustix::net::sockopt::socket_domain(&socket)?;
        Ok(Self { thread, socket, family, address: bytes })
    }

    /// The address, if it is one of the internet and not of this machine.
    pub(crate) fn outside(&self) -> Option<SocketAddr> {
        let address = internet(&self.address)?;
        let ip = address.ip().to_canonical();
        (!ip.is_loopback() && !ip.is_unspecified()).then_some(address)
    }

    /// Makes the call. What was refused is told before anything can take long; a socket that was bound is given.
    pub(crate) fn make(
        &self,
        call: Call,
        known: &Known,
        teller: OwnedFd,
        giver: &Giver,
    ) -> Result<(), Errno> {
        let family = self.address.first_chunk().map(|family| u16::from_ne_bytes(*family));
        let is_local = self.family == AddressFamily::UNIX && family == Some(AddressFamily::UNIX.as_raw());
        match self.address.get(PATH..) {
            Some([0, ..]) if is_local && known.network == Network::Full => {
                // Names without a file are those of the network's namespace, which here is the machine's.
                tell(&teller, &"an abstract socket");
                Err(Errno::PERM)
            }
            Some(path @ [_, ..]) if is_local && path[0] != 0 => {
                let path = path.split(|&byte| byte == 0).next().unwrap_or_default();
                self.make_in_view(call, Path::new(OsStr::from_bytes(path)), known, teller, giver)
            }
            Some(_) | None => {
                give_up()?;
                drop(teller);
                tracee::address(call, &self.socket, &self.address)
            }
        }
    }

    /// Makes a call about a path, in the command's view of the files.
    fn make_in_view(
        &self,
        call: Call,
        path: &Path,
        known: &Known,
        teller: OwnedFd,
        giver: &Giver,
    ) -> Result<(), Errno> {
        let listed: BTreeSet<_> = known.listed.iter().filter_map(Listed::inode).collect();
        let descriptors = folder("/proc/self/fd".to_owned())?;
        self.enter_view()?;
        match call {
            Call::Connect => {
                let object = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
                if FileType::from_raw_mode(rustix::fs::fstat(&object)?.st_mode) != FileType::Socket {
                    return Err(Errno::CONNREFUSED);
                }
                let socket = inode(&object)?;
                if !known.own.holds(socket) && !listed.contains(&socket) {
                    tell(&teller, &path.display().to_string());
                    return Err(Errno::ACCESS);
                }
                drop(teller);
                // The very object that was looked at, whatever the path leads to by now.
                rustix::process::fchdir(descriptors)?;
                let mut address = AddressFamily::UNIX.as_raw().to_ne_bytes().to_vec();
                address.extend_from_slice(object.as_raw_fd().to_string().as_bytes());
                address.push(0);
                tracee::address(call, &self.socket, &address)
            }
            Call::Bind => {
                let before = rustix::time::clock_gettime(ClockId::RealtimeCoarse);
                tracee::address(call, &self.socket, &self.address)?;
                let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let object = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
                let made = rustix::fs::statx(&object, c"", AtFlags::EMPTY_PATH, StatxFlags::BTIME)?;
                // Somebody could have put an older socket there in the meantime. That one is not the command's.
                let born = (made.stx_btime.tv_sec, i64::from(made.stx_btime.tv_nsec));
                if made.stx_mask & StatxFlags::BTIME.bits() != 0 && born >= (before.tv_sec, before.tv_nsec) {
                    giver.give(Thing::Bound, &object).map_err(|_| Errno::NOMEM)?;
                }
                Ok(())
            }
        }
    }

    /// Sees the files as the command does, with its rights.
    fn enter_view(&self) -> Result<(), Errno> {
        let of = |name: &str| format!("/proc/{}/{name}", self.thread.as_raw_pid());
        let open = |name: &str| rustix::fs::open(of(name), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let mount = open("ns/mnt")?;
        // Not the command's own one: `bwrap` makes one more inside the one that the mounts belong to.
        let user = tracee::owner(&mount)?;
        let cwd = folder(of("cwd"))?;
        rustix::thread::move_into_link_name_space(user.as_fd(), Some(LinkNameSpaceType::User))?;
        rustix::thread::move_into_link_name_space(mount.as_fd(), Some(LinkNameSpaceType::Mount))?;
        rustix::process::fchdir(cwd)?;
        give_up()
    }
}

/// Opens a path as the command sees it.
pub(crate) fn open_in_view(thread: Pid, path: &Path) -> Result<OwnedFd, Errno> {
    let root = folder(format!("/proc/{}/root", thread.as_raw_pid()))?;
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS)
}

/// Descriptors of the command.
pub(crate) fn descriptors<const COUNT: usize>(
    thread: Pid,
    numbers: [i32; COUNT],
) -> Result<[OwnedFd; COUNT], Errno> {
    // Of the thread itself from Linux 6.9 on; before, its process is asked for, which has the same.
    let process =
        rustix::process::pidfd_open(thread, PidfdFlags::from_bits_retain(libc::O_EXCL.cast_unsigned()))
            .or_else(|_| {
                rustix::process::pidfd_open(leader(thread).unwrap_or(thread), PidfdFlags::empty())
            })?;
    let take = |number| rustix::process::pidfd_getfd(&process, number, PidfdGetfdFlags::empty());
    let taken = numbers.iter().map(|&number| take(number)).collect::<Result<Vec<_>, _>>()?;
    taken.try_into().map_err(|_| Errno::BADF)
}

fn leader(thread: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", thread.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Tgid:"))?;
    Pid::from_raw(line.trim().parse().ok()?)
}

fn folder(path: String) -> Result<OwnedFd, Errno> {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
}

fn inode(object: &OwnedFd) -> Result<Inode, Errno> {
    let stat = rustix::fs::fstat(object)?;
    Ok((stat.st_dev, stat.st_ino))
}

fn give_up() -> Result<(), Errno> {
    privileges::drop_capabilities(BoundingSet::Cleared).map_err(|_| Errno::PERM)
}

/// An address of the internet in the kernel's form.
fn internet(address: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*address.first_chunk()?);
    let port = u16::from_be_bytes(*address.get(2..)?.first_chunk()?);
    let ip: IpAddr = if family == AddressFamily::INET.as_raw() {
        Ipv4Addr::from(*address.get(4..)?.first_chunk::<4>()?).into()
    } else if family == AddressFamily::INET6.as_raw() {
        Ipv6Addr::from(*address.get(8..)?.first_chunk::<16>()?).into()
    } else {
        return None;
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;

    fn bound(path: &Path) -> (UnixListener, OwnedFd, Inode) {
        let listener = UnixListener::bind(path).expect("bind");
        let object = open_real(path).expect("open");
        let number = inode(&object).expect("number");
        (listener, object, number)
    }

    #[test]
    fn what_has_no_name_any_more_keeps_its_number_until_it_is_let_go_of() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = fs::canonicalize(scratch.path()).expect("real path");
        let mut own = Own::default();
        let (_listener, object, gone) = bound(&root.join("gone"));
        own.insert(object);
        fs::remove_file(root.join("gone")).expect("remove");
        let held = own.objects.get(&gone).expect("held");
        // No name, and not freed: so no other socket can get the number while it counts as the command's.
        assert_eq!(rustix::fs::fstat(held).expect("open").st_nlink, 0);
        for number in 0..MOST_OWN - 1 {
            let (_, object, _) = bound(&root.join(number.to_string()));
            own.insert(object);
        }
        assert!(own.holds(gone));
        let (_listener, object, one_more) = bound(&root.join("one more"));
        own.insert(object);
        assert!(!own.holds(gone), "let go of for one with a name");
        assert!(own.holds(one_more));
        let (_listener, object, too_many) = bound(&root.join("too many"));
        own.insert(object);
        assert!(!own.holds(too_many));
        assert_eq!(own.objects.len(), MOST_OWN);
    }
}
