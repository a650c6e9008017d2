//! The command's own `/dev`: six devices, its own terminals and shared memory. Knows nothing of rules.

use std::os::fd::OwnedFd;
use std::path::Path;

use helper_protocol::report::Failure;
use libc::{MOUNT_ATTR_NOEXEC, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, OpenTreeFlags};

use crate::failure::Step;
use crate::mounts::{attach, new_file_system};
use crate::syscall::{Reach, set_mount};

/// The machine's devices that commands may use.
pub(crate) const NODES: [&str; 6] =
    ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom", "/dev/tty"];

const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "fd"),
    ("/proc/self/fd/0", "stdin"),
    ("/proc/self/fd/1", "stdout"),
    ("/proc/self/fd/2", "stderr"),
    ("pts/ptmx", "ptmx"),
];

/// A clone of each device that is there; to be taken while the machine's `/dev` still works.
pub(crate) fn clone_nodes() -> Result<Vec<(&'static Path, OwnedFd)>, Failure> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mut clones = Vec::new();
    for node in NODES {
        match rustix::mount::open_tree(CWD, node, flags) {
            Ok(clone) => {
                set_mount(&clone, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, Reach::One)
                    .step("prepare a device")?;
                clones.push((Path::new(node), clone));
            }
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(errno).step("prepare a device"),
        }
    }
    Ok(clones)
}

/// Mounts it, with these devices.
pub(crate) fn build(nodes: &[(&Path, OwnedFd)]) -> Result<(), Failure> {
    folder(nodes).step("mount /dev")?;
    for (path, node) in nodes {
        attach(node, path).step("mount a device")?;
    }
    let terminals = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    new_file_system("devpts", &[("ptmxmode", "0666"), ("mode", "0600")], terminals)
        .and_then(|mount| attach(mount, Path::new("/dev/pts")))
        .step("mount /dev/pts")?;
    let memory = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    new_file_system("tmpfs", &[("mode", "1777")], memory)
        .and_then(|mount| attach(mount, Path::new("/dev/shm")))
        .step("mount /dev/shm")
}

fn folder(nodes: &[(&Path, OwnedFd)]) -> Result<(), Errno> {
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let mount = new_file_system("tmpfs", &[("mode", "0755")], attributes)?;
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    for name in nodes.iter().filter_map(|(path, _)| path.file_name()) {
        rustix::fs::openat(&mount, name, flags, Mode::from_raw_mode(0o666))?;
    }
    for (target, name) in LINKS {
        rustix::fs::symlinkat(target, &mount, name)?;
    }
    for name in ["pts", "shm"] {
        rustix::fs::mkdirat(&mount, name, Mode::from_raw_mode(0o755))?;
    }
    set_mount(&mount, MOUNT_ATTR_RDONLY, Reach::One)?;
    attach(mount, Path::new("/dev"))
}
