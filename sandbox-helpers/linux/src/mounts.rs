//! Builds the command's view of the file system in a new mount namespace: everything read-only, then the
//! exceptions on top. Knows places, not the rules they came from.
//!
//! Writable places are cloned while they are still writable, then one recursive call makes all that is mounted
//! read-only, then the clones are put in place, parents first. No mount of before is changed or taken away, so
//! mounts that the kernel has locked for us do not matter.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use helper_protocol::plan::Access;
use helper_protocol::report::Failure;
use libc::{MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, MOUNT_ATTR_RDONLY};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags};

use crate::devices;
use crate::failure::Step;
use crate::places::{Kind, Layout, open_real};
use crate::syscall::{Reach, set_mount};

/// Neither set-user-id programs nor devices work anywhere in the sandbox.
const EVERYWHERE: u64 = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;

/// Builds the view. To be called with all capabilities in the namespaces, which may hold this many processes.
pub(crate) fn build(layout: &Layout, max_processes: u64) -> Result<(), Failure> {
    let clones = layout
        .places
        .iter()
        .filter(|(path, _)| path.parent().is_some())
        .map(|(path, &(access, kind))| {
            let step = || format!("prepare `{}`", path.display());
            let clone = match (access, kind) {
                (Access::Hidden, _) | (_, Kind::Absent | Kind::Own) => None,
                (Access::Read | Access::Write, Kind::Folder | Kind::File | Kind::Link) => {
                    Some(prepare(path, access).step(&step())?)
                }
            };
            Ok((path.as_path(), access, kind, clone))
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    let devices = devices::clone_nodes()?;

    let root = open_real(Path::new("/")).step("open the root folder")?;
    let base = match layout.access(Path::new("/")) {
        Access::Write => EVERYWHERE,
        Access::Read | Access::Hidden => EVERYWHERE | MOUNT_ATTR_RDONLY,
    };
    set_mount(&root, base, Reach::All).step("make everything read-only")?;

    let void = Void::new().step("make the empty folder that covers what is hidden")?;
    devices::build(&devices)?;
    process_files(max_processes).step("mount /proc")?;
    for (path, access, kind, clone) in clones {
        let attached = match clone {
            Some(clone) => attach(&clone, path),
            None => void.cover(layout, path, access, kind),
        };
        attached.step(&format!("mount `{}`", path.display()))?;
    }
    Ok(())
}

/// Puts a detached mount onto a path.
pub(crate) fn attach(mount: impl AsFd, path: &Path) -> Result<(), Errno> {
    let target = open_real(path)?;
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, c"", target, c"", flags)
}

/// A new file system of this type, detached.
pub(crate) fn new_file_system(
    name: &str,
    options: &[(&str, &str)],
    attributes: MountAttrFlags,
) -> Result<OwnedFd, Errno> {
    let context = rustix::mount::fsopen(name, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for &(key, value) in options {
        rustix::mount::fsconfig_set_string(&context, key, value)?;
    }
    rustix::mount::fsconfig_create(&context)?;
    rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
}

fn prepare(path: &Path, access: Access) -> Result<OwnedFd, Errno> {
    let source = open_real(path)?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH
        | OpenTreeFlags::AT_RECURSIVE;
    let clone = rustix::mount::open_tree(source, c"", flags)?;
    let attributes = if access == Access::Write { EVERYWHERE } else { EVERYWHERE | MOUNT_ATTR_RDONLY };
    set_mount(&clone, attributes, Reach::All)?;
    Ok(clone)
}

/// The processes of the own namespace. Nothing in it may be written: for user id 0 some of it is the machine's.
fn process_files(max_processes: u64) -> Result<(), Errno> {
    let mount = new_file_system("proc", &[], detached())?;
    // Before, the file is the machine's, and can't be written here.
    let _ = bound_processes(&mount, max_processes);
    set_mount(&mount, MOUNT_ATTR_RDONLY, Reach::One)?;
    attach(mount, Path::new("/proc"))
}

/// Bounds the numbers that processes get, and so how many there are: from Linux 6.14 on, and not below 301. It holds for
/// the administrator too, whose processes the usual limit does not count.
pub(crate) fn bound_processes(processes: &OwnedFd, max_processes: u64) -> Result<(), Errno> {
    let flags = OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::openat(processes, c"sys/kernel/pid_max", flags, Mode::empty())?;
    rustix::io::write(&file, max_processes.max(LEAST_PROCESSES).to_string().as_bytes()).map(drop)
}

/// The kernel reserves the first 300 numbers.
const LEAST_PROCESSES: u64 = 301;

/// What covers hidden and absent places.
struct Void {
    mount: OwnedFd,
}

impl Void {
    /// Makes it, and attaches it where the private `/dev` will cover it: older kernels clone only what is
    /// attached.
    fn new() -> Result<Self, Errno> {
        let mount = new_file_system("tmpfs", &[("mode", "0755")], detached())?;
        rustix::fs::mkdirat(&mount, c"empty", Mode::from_raw_mode(0o555))?;
        rustix::fs::mkdirat(&mount, c"hidden", Mode::empty())?;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
        rustix::fs::openat(&mount, c"file", flags, Mode::empty())?;
        set_mount(&mount, MOUNT_ATTR_RDONLY, Reach::One)?;
        attach(&mount, Path::new("/dev"))?;
        Ok(Self { mount })
    }

    fn cover(&self, layout: &Layout, path: &Path, access: Access, kind: Kind) -> Result<(), Errno> {
        let inside: Vec<_> =
            layout.places.keys().filter(|other| other.starts_with(path) && *other != path).collect();
        if kind == Kind::Own {
            let mount = new_file_system("tmpfs", &[("mode", "1777")], shared())?;
            make_ways(&mount, layout, path, &inside, Mode::from_raw_mode(0o755))?;
            return attach(mount, path);
        }
        if access == Access::Hidden && kind == Kind::Folder && !inside.is_empty() {
            return cover_with_ways(layout, path, &inside);
        }
        let name = match (access, kind) {
            (Access::Hidden, Kind::File | Kind::Link) => c"file",
            (Access::Hidden, Kind::Folder | Kind::Absent | Kind::Own) => c"hidden",
            (Access::Read | Access::Write, _) => c"empty",
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        attach(rustix::mount::open_tree(&self.mount, name, flags)?, path)
    }
}

/// Covers a folder, and leaves ways to the places inside it: folders that can be passed through and not listed.
fn cover_with_ways(layout: &Layout, path: &Path, inside: &[&PathBuf]) -> Result<(), Errno> {
    let mount = new_file_system("tmpfs", &[("mode", "0111")], detached())?;
    make_ways(&mount, layout, path, inside, Mode::from_raw_mode(0o111))?;
    set_mount(&mount, MOUNT_ATTR_RDONLY, Reach::One)?;
    attach(mount, path)
}

/// Makes the mount points of the places inside a new folder, and the folders with this mode on the way to them.
fn make_ways(
    mount: &OwnedFd,
    layout: &Layout,
    path: &Path,
    inside: &[&PathBuf],
    way: Mode,
) -> Result<(), Errno> {
    for place in inside {
        let Ok(relative) = place.strip_prefix(path) else { continue };
        let folders: Vec<_> = relative.ancestors().skip(1).filter(|it| it.parent().is_some()).collect();
        for folder in folders.into_iter().rev() {
            already(rustix::fs::mkdirat(mount, folder, way))?;
        }
        match layout.places.get(*place) {
            Some((_, Kind::File | Kind::Link)) => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(mount, relative, flags, Mode::empty())?;
            }
            Some((_, Kind::Folder | Kind::Absent | Kind::Own)) | None => {
                already(rustix::fs::mkdirat(mount, relative, way))?;
            }
        }
    }
    Ok(())
}

fn already(made: Result<(), Errno>) -> Result<(), Errno> {
    if made == Err(Errno::EXIST) { Ok(()) } else { made }
}

fn detached() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}

/// Programs may be run there, as in any folder for temporary files.
fn shared() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV
}
