//! A control group around a command's whole tree: bounds its processes and its memory together, for the administrator
//! too. Made where this process may make one. Knows both versions of control groups, not who goes in.

use std::fs;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use helper_protocol::report::Failure;
use rustix::fs::{Mode, OFlags};

use crate::failure::Step;
use crate::listing;

/// What names begin with; the rest is the process id of who made it.
const PREFIX: &str = "skein-tree-";

/// Processes of ours that are in the group too: the first one inside, and `bwrap`.
const OURS: u64 = 2;

/// What shall be bounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) processes: Option<u64>,
    pub(crate) memory: Option<u64>,
}

/// What can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    Processes,
    Memory,
}

impl Resource {
    /// The controller's.
    fn name(self) -> &'static str {
        match self {
            Self::Processes => "pids",
            Self::Memory => "memory",
        }
    }
}

/// One group, in up to two hierarchies. Has to be released.
#[derive(Debug, Default)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    /// Where a process writes that it goes in.
    doors: Vec<OwnedFd>,
    holds: Vec<Resource>,
}

impl Group {
    /// Makes one that bounds as much of this as can be, which may be nothing.
    pub(crate) fn make(wanted: Wanted) -> Self {
        let mut group = Self::default();
        let bounds = [(Resource::Processes, wanted.processes), (Resource::Memory, wanted.memory)];
        let bounds: Vec<_> =
            bounds.into_iter().filter_map(|(resource, most)| Some((resource, most?))).collect();
        let groups = read("/proc/self/cgroup");
        let usual = usual(bounds.iter().map(|(resource, _)| *resource), &groups);
        let is_there = !usual.is_empty() && usual.iter().all(Hierarchy::is_whole);
        // To list all mounts costs more than to make a group.
        let hierarchies = if is_there { usual } else { hierarchies(&read("/proc/self/mountinfo"), &groups) };
        for hierarchy in hierarchies {
            let open =
                bounds.iter().filter(|(resource, _)| hierarchy.has(*resource) && !group.holds(*resource));
            let open: Vec<_> = open.copied().collect();
            if !open.is_empty() {
                hierarchy.parents().iter().any(|parent| group.try_in(&hierarchy, parent, &open));
            }
        }
        group
    }

    /// Whether it bounds this.
    pub(crate) fn holds(&self, resource: Resource) -> bool {
        self.holds.contains(&resource)
    }

    /// Puts this process in, with all that it will start. For a child of the one that made it.
    pub(crate) fn enter(&self) -> Result<(), Failure> {
        for door in &self.doors {
            rustix::io::write(door, b"0").step("enter the control group")?;
        }
        Ok(())
    }

    /// Takes it away, with what is left of others. Nobody may be left in it. Nobody waits for this: the command has
    /// ended.
    pub(crate) fn release(self) {
        for folder in &self.folders {
            // Where it fails, another that is released takes it away.
            let _ = fs::remove_dir(folder);
            folder.parent().into_iter().for_each(sweep);
        }
    }

    fn try_in(&mut self, hierarchy: &Hierarchy, parent: &Path, bounds: &[(Resource, u64)]) -> bool {
        let folder = parent.join(format!("{PREFIX}{}", std::process::id()));
        match fs::create_dir(&folder) {
            // One that was killed had this number before.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if fs::remove_dir(&folder).and_then(|()| fs::create_dir(&folder)).is_err() {
                    return false;
                }
            }
            Err(_) => return false,
            Ok(()) => {}
        }
        hierarchy.hand_down(parent, &folder);
        let is_set = |(resource, most): &&(Resource, u64)| hierarchy.set(&folder, *resource, *most).is_ok();
        let held: Vec<_> = bounds.iter().filter(is_set).map(|(resource, _)| *resource).collect();
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        match rustix::fs::open(folder.join(hierarchy.door()), flags, Mode::empty()) {
            Ok(door) if !held.is_empty() => {
                self.holds.extend(held);
                self.doors.push(door);
                self.folders.push(folder);
                true
            }
            Ok(_) | Err(_) => {
                let _ = fs::remove_dir(&folder);
                false
            }
        }
    }
}

/// Takes away the groups of those that could not do it themselves, because they were killed.
fn sweep(parent: &Path) {
    listing::each(parent, |name, _| {
        let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if maker.is_some_and(|maker| !Path::new(&format!("/proc/{maker}")).exists()) {
            // It fails while somebody is left in it.
            let _ = fs::remove_dir(parent.join(name));
        }
    });
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A tree of groups that is mounted, and where this process is in it.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    version: Version,
    /// The file system's options; of the first version they name its controllers.
    options: Vec<String>,
    mount: PathBuf,
    own: PathBuf,
}

impl Hierarchy {
    fn has(&self, resource: Resource) -> bool {
        match self.version {
            Version::One => self.options.iter().any(|option| option == resource.name()),
            // What is missing is seen when it is set.
            Version::Two => true,
        }
    }

    /// Whether this is where it is mounted, and from its root on: so nothing of the path is out of sight.
    fn is_whole(&self) -> bool {
        let magic = match self.version {
            Version::One => VERSION_ONE,
            Version::Two => VERSION_TWO,
        };
        rustix::fs::statfs(&self.mount).is_ok_and(|it| it.f_type == magic)
            && rustix::fs::stat(&self.mount).is_ok_and(|it| it.st_ino == ROOT)
    }

    /// The file by which the one thread of a new process goes in. In the first version a thread can go by itself, which
    /// needs no lock of the whole machine and so does not wait until all processors have let go of it.
    fn door(&self) -> &'static str {
        match self.version {
            Version::One => "tasks",
            Version::Two => "cgroup.procs",
        }
    }

    /// Where a group may be made. In the second version a group with processes hands nothing down, so it is made beside
    /// our own first.
    fn parents(&self) -> Vec<&Path> {
        let beside = self.own.parent().filter(|parent| parent.starts_with(&self.mount));
        match self.version {
            Version::One => vec![&self.own],
            Version::Two => beside.into_iter().chain([self.own.as_path()]).collect(),
        }
    }

    /// Sees to it that a new group has what bounds it.
    fn hand_down(&self, parent: &Path, folder: &Path) {
        if self.version == Version::One {
            return;
        }
        for (file, controller) in [("pids.max", "+pids"), ("memory.max", "+memory")] {
            if !folder.join(file).exists() {
                // It fails where the parent has none itself, or is not ours.
                let _ = fs::write(parent.join("cgroup.subtree_control"), controller);
            }
        }
    }

    fn set(&self, folder: &Path, resource: Resource, most: u64) -> io::Result<()> {
        let text = |most: u64| most.to_string();
        match (self.version, resource) {
            (_, Resource::Processes) => put(folder, "pids.max", &text(most.saturating_add(OURS))),
            (Version::One, Resource::Memory) => {
                put(folder, "memory.limit_in_bytes", &text(most))?;
                // Only where swapping is counted.
                let _ = put(folder, "memory.memsw.limit_in_bytes", &text(most));
                Ok(())
            }
            (Version::Two, Resource::Memory) => {
                put(folder, "memory.max", &text(most))?;
                let _ = put(folder, "memory.swap.max", "0");
                Ok(())
            }
        }
    }
}

/// Writes into a file that is there.
fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    let file = rustix::fs::open(folder.join(name), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text.as_bytes())?;
    Ok(())
}

/// The whole of a file of the kernel's, which gives more at a time to who asks for more.
fn read(path: &str) -> String {
    let mut text = Vec::with_capacity(16 * 1024);
    let _ = fs::File::open(path).and_then(|mut file| file.read_to_end(&mut text));
    String::from_utf8(text).unwrap_or_default()
}

/// Where control groups are usually mounted.
const USUAL: &str = "/sys/fs/cgroup";

/// The file systems of both versions (linux/magic.h), and the number of a hierarchy's root in them.
const VERSION_ONE: rustix::fs::FsWord = 0x0027_e0eb;
const VERSION_TWO: rustix::fs::FsWord = 0x6367_7270;
const ROOT: u64 = 1;

/// The hierarchies that bound these, from `/proc/self/cgroup` (cgroups(7)) alone: where they are usually mounted. None if
/// one of them has none.
fn usual(resources: impl Iterator<Item = Resource>, groups: &str) -> Vec<Hierarchy> {
    let lines: Vec<_> = groups
        .lines()
        .filter_map(|line| line.split_once(':')?.1.split_once(':'))
        .filter(|(_, own)| Path::new(own).components().all(|it| it != Component::ParentDir))
        .collect();
    let mut found: Vec<Hierarchy> = Vec::new();
    for resource in resources {
        if found.iter().any(|hierarchy| hierarchy.has(resource)) {
            continue;
        }
        let has = |controllers: &str| controllers.split(',').any(|it| it == resource.name());
        let one = lines.iter().find(|(controllers, _)| has(controllers));
        let Some((controllers, own)) =
            one.or_else(|| lines.iter().find(|(controllers, _)| controllers.is_empty()))
        else {
            return Vec::new();
        };
        let version = if controllers.is_empty() { Version::Two } else { Version::One };
        let mount = Path::new(USUAL).join(controllers);
        found.push(Hierarchy {
            version,
            options: controllers.split(',').map(str::to_owned).collect(),
            own: inside(&mount, Path::new(own.trim_start_matches('/'))),
            mount,
        });
    }
    found
}

/// A folder below a mount, without a slash at its end where it is the mount itself.
fn inside(mount: &Path, below: &Path) -> PathBuf {
    if below.as_os_str().is_empty() { mount.components().collect() } else { mount.join(below) }
}

/// The hierarchies of `/proc/self/mountinfo` and `/proc/self/cgroup` (cgroups(7)) in which this process's group is seen.
fn hierarchies(mounts: &str, groups: &str) -> Vec<Hierarchy> {
    let mut found = Vec::new();
    for line in mounts.lines() {
        let Some((place, kind)) = line.split_once(" - ") else { continue };
        let (place, kind): (Vec<_>, Vec<_>) = (place.split(' ').collect(), kind.split(' ').collect());
        let ([_, _, _, root, mount, ..], [kind, _, options, ..]) = (&place[..], &kind[..]) else { continue };
        let version = match *kind {
            "cgroup" => Version::One,
            "cgroup2" => Version::Two,
            _ => continue,
        };
        let options: Vec<_> = options.split(',').map(str::to_owned).collect();
        let is_of_it = |controllers: &str| match version {
            Version::One => {
                !controllers.is_empty()
                    && controllers.split(',').all(|it| options.iter().any(|option| option == it))
            }
            Version::Two => controllers.is_empty(),
        };
        let own = groups.lines().find_map(|line| {
            let (_, rest) = line.split_once(':')?;
            let (controllers, path) = rest.split_once(':')?;
            is_of_it(controllers).then_some(path)
        });
        let below = own.and_then(|own| Path::new(own).strip_prefix(root).ok());
        // Outside of what this process sees, the path climbs.
        let below = below.filter(|path| path.components().all(|it| matches!(it, Component::Normal(_))));
        let Some(below) = below else { continue };
        let own = inside(Path::new(mount), below);
        found.push(Hierarchy { version, options, mount: PathBuf::from(mount), own });
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mounts: &str, groups: &str, wanted: &[(Version, &str, &[&str])]) {
        let found = hierarchies(mounts, groups);
        let found: Vec<_> =
            found.iter().map(|it| (it.version, it.own.to_str().expect("text"), it.parents())).collect();
        let wanted: Vec<_> = wanted
            .iter()
            .map(|(version, own, parents)| (*version, *own, parents.iter().map(Path::new).collect()))
            .collect();
        assert_eq!(found, wanted);
    }

    #[test]
    fn the_own_group_is_found_in_both_versions() {
        check(
            "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate",
            "0::/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
            &[(
                Version::Two,
                "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
                &[
                    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice",
                    "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service/app.slice/a.scope",
                ],
            )],
        );
        check(
            "1 0 0:1 /docker/x /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n\
             2 0 0:2 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
             3 0 0:3 / /tmp rw - tmpfs tmpfs rw",
            "8:pids:/docker/x/y\n2:cpu,cpuacct:/\n1:name=systemd:/\n0::/",
            &[
                (Version::One, "/sys/fs/cgroup/pids/y", &["/sys/fs/cgroup/pids/y"]),
                (Version::One, "/sys/fs/cgroup/cpu,cpuacct", &["/sys/fs/cgroup/cpu,cpuacct"]),
            ],
        );
    }

    #[test]
    fn the_usual_places_are_those_that_a_list_of_all_mounts_gives() {
        let check = |resources: &[Resource], mounts: &str, groups: &str, count: usize| {
            let usual = usual(resources.iter().copied(), groups);
            assert_eq!(usual.len(), count, "{groups}");
            let all = hierarchies(mounts, groups);
            for hierarchy in usual {
                let same = all.iter().find(|it| it.mount == hierarchy.mount).expect("is listed");
                assert_eq!((same.version, &same.own, same.parents()), {
                    (hierarchy.version, &hierarchy.own, hierarchy.parents())
                });
            }
        };
        let both = [Resource::Processes, Resource::Memory];
        let two = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        check(&both, two, "0::/user.slice/a.scope", 1);
        check(&both, two, "0::/", 1);
        let one = "1 0 0:1 / /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n\
                   2 0 0:2 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory";
        check(&both, one, "8:pids:/a/b\n2:memory:/\n1:name=systemd:/x\n0::/", 2);
        check(&both[..1], one, "8:pids:/a/b\n2:memory:/", 1);
        check(&both, "", "0::/../other", 0);
        check(&both, "", "8:pids:/x", 0);
        check(&both, "", "", 0);
    }

    #[test]
    fn a_group_that_is_out_of_sight_is_none() {
        let mounts = "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
        check(mounts, "0::/../other", &[]);
        check("1 0 0:1 /other /sys/fs/cgroup rw - cgroup2 cgroup2 rw", "0::/own", &[]);
        check(mounts, "8:pids:/x", &[]);
        check(mounts, "0::/", &[(Version::Two, "/sys/fs/cgroup", &["/sys/fs/cgroup"])]);
        check("", "0::/", &[]);
        check("1 0 - cgroup2", "0::/", &[]);
    }
}
