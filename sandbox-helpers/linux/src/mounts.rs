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

/// Builds the view. To be called with all capabilities in the namespaces.
pub(crate) fn build(layout: &Layout) -> Result<(), Failure> {
    let clones = layout
        .places
        .iter()
        .filter(|(path, _)| path.parent().is_some())
        .map(|(path, &(access, kind))| {
            let step = || format!("prepare `{}`", path.display());
            let clone = match (access, kind) {
                (Access::Hidden, _) | (_, Kind::Absent) => None,
                (Access::Read | Access::Write, _) => Some(prepare(path, access).step(&step())?),
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
    process_files().step("mount /proc")?;
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
fn process_files() -> Result<(), Errno> {
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY
        | MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    attach(new_file_system("proc", &[], attributes)?, Path::new("/proc"))
}

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
        if access == Access::Hidden && kind == Kind::Folder && !inside.is_empty() {
            return cover_with_ways(layout, path, &inside);
        }
        let name = match (access, kind) {
            (Access::Hidden, Kind::File | Kind::Link) => c"file",
            (Access::Hidden, Kind::Folder | Kind::Absent) => c"hidden",
            (Access::Read | Access::Write, _) => c"empty",
        };
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        attach(rustix::mount::open_tree(&self.mount, name, flags)?, path)
    }
}

/// Covers a folder, and leaves ways to the places inside it: folders that can be passed through and not listed.
fn cover_with_ways(layout: &Layout, path: &Path, inside: &[&PathBuf]) -> Result<(), Errno> {
    let way = Mode::from_raw_mode(0o111);
    let mount = new_file_system("tmpfs", &[("mode", "0111")], detached())?;
    for place in inside {
        let Ok(relative) = place.strip_prefix(path) else { continue };
        let folders: Vec<_> = relative.ancestors().skip(1).filter(|it| it.parent().is_some()).collect();
        for folder in folders.into_iter().rev() {
            already(rustix::fs::mkdirat(&mount, folder, way))?;
        }
        match layout.places.get(*place) {
            Some((_, Kind::File | Kind::Link)) => {
                let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
                rustix::fs::openat(&mount, relative, flags, Mode::empty())?;
            }
            Some((_, Kind::Folder | Kind::Absent)) | None => {
                already(rustix::fs::mkdirat(&mount, relative, way))?;
            }
        }
    }
    set_mount(&mount, MOUNT_ATTR_RDONLY, Reach::One)?;
    attach(mount, path)
}

fn already(made: Result<(), Errno>) -> Result<(), Errno> {
    if made == Err(Errno::EXIST) { Ok(()) } else { made }
}

fn detached() -> MountAttrFlags {
    MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC
}
