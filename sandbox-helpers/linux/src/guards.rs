//! Notices that a mount which protects a path has fallen off. Knows the layout, and nothing of what is done about it.
//!
//! What is protected has a mount on it, and nobody inside can take that away. But when somebody outside replaces or
//! removes what it is mounted on (an editor that saves by renaming a new file over the old one, `git clean`), the kernel
//! detaches it, and from then on the command meets what is there now. The kernel has no way to forbid that. It does tell
//! that the list of mounts has changed, so that is watched, and who watches ends the command. To mount it again would
//! take rights in the command's namespaces, which nobody in them has any more; and what was there is gone.
//!
//! What moves a protected path away, or a folder on the way to it, changes no mount: the mount goes along, and what is put
//! in the old place (editors that keep a backup do that) has none. So the folders that hold those names are watched as
//! well, if the kernel has watches left for us. All but the watching of the list begins when the command has run for a
//! moment: most are through before, and pay nothing.
//!
//! A window stays. From the change on it takes until this process runs and has read the list, until the first process of
//! the namespaces has died of its signal, and until the kernel has killed all others with it: some hundred microseconds,
//! more where every processor is busy, and up to [`MOMENT`] for what happens while a command starts and for what is moved
//! before that. A command that waits for just that can read or write the path in the meantime.

use std::collections::{BTreeSet, HashSet};
use std::io::{Read, Seek};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::Access;
use helper_protocol::report::{Failure, MAX_EXPOSED};
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::inotify::{self, ReadFlags, WatchFlags};
use rustix::io::Errno;

use crate::failure::Step;
use crate::places::{Kind, Layout};

/// How a change of the mounts is told; see proc_pid_mounts(5).
pub(crate) const CHANGE: PollFlags = PollFlags::PRI;

/// Enough for the list of mounts of most machines.
const USUAL_BYTES: usize = 32 * 1024;

/// How long a command runs before all is looked at for the first time.
const MOMENT: Duration = Duration::from_millis(20);

/// The mounts that protect.
#[derive(Default)]
pub(crate) struct Guards {
    /// Where they are.
    paths: Vec<PathBuf>,
    /// The list of the mounts of the command's namespace.
    list: Option<std::fs::File>,
    /// When it is to be read for the first time, if it was not yet.
    first_look: Option<Instant>,
    moves: Option<Moves>,
}

impl Guards {
    /// Those of a layout: what may be used less than what is around it.
    pub(crate) fn of(layout: &Layout) -> Self {
        let guarded = layout.places.iter().filter_map(|(path, (access, _))| {
            let around = path.parent().map(|parent| layout.access(parent));
            (*access < around.unwrap_or(Access::Hidden)).then(|| path.clone())
        });
        Self { paths: guarded.collect(), ..Self::default() }
    }

    /// Where no mount protects links, none can fall off.
    pub(crate) fn but_links(mut self, layout: &Layout) -> Self {
        self.paths.retain(|path| !matches!(layout.places.get(path), Some((_, Kind::Link))));
        self
    }

    /// Begins to watch this list, which may have changed since it was opened.
    pub(crate) fn watch(&mut self, list: OwnedFd) -> Result<(), Failure> {
        if self.paths.is_empty() {
            return Ok(());
        }
        // Takes what is told of changes until now. The first look is after that.
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::event::poll(&mut [PollFd::new(&list, CHANGE)], Some(&now)).step("look at the mounts")?;
        self.list = Some(list.into());
        self.first_look = Some(Instant::now() + MOMENT);
        Ok(())
    }

    /// What has a [`CHANGE`] when the mounts have changed; none where there is nothing to watch.
    pub(crate) fn changes(&self) -> Option<BorrowedFd<'_>> {
        self.list.as_ref().map(AsFd::as_fd)
    }

    /// What becomes readable when something near the paths was moved.
    pub(crate) fn moves(&self) -> Option<BorrowedFd<'_>> {
        self.moves.as_ref().map(|moves| moves.queue.as_fd())
    }

    /// Whether one of the paths may have been moved, or a folder on the way to it; to be asked when [`Self::moves`] is
    /// readable.
    pub(crate) fn may_have_moved(&mut self) -> bool {
        self.moves.as_mut().is_some_and(Moves::may_matter)
    }

    /// How long to wait at most until the first look, if that is still to come.
    pub(crate) fn patience(&self) -> Option<Duration> {
        self.first_look.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Reads the list: which paths have lost their protection, as many as are told.
    pub(crate) fn fallen(&mut self) -> Result<Vec<Bytes>, Failure> {
        let Some(list) = &mut self.list else { return Ok(Vec::new()) };
        if self.first_look.take().is_some() {
            // Before the list is read, so that nothing comes to pass between.
            self.moves = Moves::watch(&self.paths).ok();
        }
        let mut text = Vec::with_capacity(USUAL_BYTES);
        list.rewind()
            .and_then(|()| list.read_to_end(&mut text))
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
            .step("read the list of mounts")?;
        let points: HashSet<_> = points(&text).collect();
        let fallen = self.paths.iter().map(|path| path.as_os_str().as_bytes());
        let fallen = fallen.filter(|path| !points.contains(*path)).take(MAX_EXPOSED);
        Ok(fallen.map(|path| Bytes(path.to_vec())).collect())
    }

    /// Lets go of the list at once: who has it open last takes the namespace apart, and that is better done by those who
    /// end with it. Gives what takes the kernel time to let go of.
    pub(crate) fn release(self) -> Option<OwnedFd> {
        self.moves.map(|moves| moves.queue)
    }
}

/// What is moved out of folders; see inotify(7).
struct Moves {
    queue: OwnedFd,
    /// The names that matter, wherever they are: one too many costs a look.
    names: HashSet<Vec<u8>>,
}

impl Moves {
    /// Watches over the entries that make up these paths, as far as their folders can be watched.
    fn watch(paths: &[PathBuf]) -> Result<Self, Errno> {
        let queue = inotify::init(inotify::CreateFlags::CLOEXEC | inotify::CreateFlags::NONBLOCK)?;
        let entries: BTreeSet<_> = paths.iter().flat_map(|path| path.ancestors()).collect();
        let folders: BTreeSet<_> = entries.iter().filter_map(|entry| entry.parent()).collect();
        let flags = WatchFlags::MOVED_FROM | WatchFlags::ONLYDIR | WatchFlags::DONT_FOLLOW;
        for folder in folders {
            // It fails for a folder that may not be listed, and when there are too many.
            let _ = inotify::add_watch(&queue, folder, flags);
        }
        let names = entries.iter().filter_map(|entry| Some(entry.file_name()?.as_bytes().to_vec()));
        Ok(Self { names: names.collect(), queue })
    }

    /// Takes some of what is told. Where something was lost, it may matter.
    fn may_matter(&mut self) -> bool {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.queue, &mut buffer);
        let mut may_matter = false;
        while let Ok(event) = reader.next() {
            may_matter |= match event.file_name() {
                Some(name) => self.names.contains(name.to_bytes()),
                None => event.events().contains(ReadFlags::QUEUE_OVERFLOW),
            };
            if reader.is_buffer_empty() {
                // What came meanwhile is told again, after all else was looked at.
                break;
            }
        }
        may_matter
    }
}

/// The mount points in a list of mounts: the fifth word of each line; see proc_pid_mountinfo(5).
fn points(list: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    list.split(|&byte| byte == b'\n').filter_map(|line| line.split(|&byte| byte == b' ').nth(4)).map(plain)
}

/// A word in which some bytes are written as `\040`.
fn plain(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let [first, after @ ..] = rest {
        let escaped = after.first_chunk::<3>().filter(|_| *first == b'\\').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 8).ok()
        });
        plain.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_used_less_than_what_is_around_it_is_guarded() {
        let places = [
            ("/home/.ssh", Access::Hidden),
            ("/home/.ssh/known", Access::Read),
            ("/usr/share", Access::Read),
            ("/repo", Access::Write),
            ("/repo/.git", Access::Read),
            ("/repo/.git/refs", Access::Write),
            ("/repo/deep", Access::Write),
            ("/repo/deep/.env", Access::Hidden),
        ];
        let places = places.map(|(path, access)| (PathBuf::from(path), (access, Kind::Folder)));
        let layout = Layout { places: places.into(), placeholders: Vec::new() };
        let expected = ["/home/.ssh", "/repo/.git", "/repo/deep/.env"];
        assert_eq!(Guards::of(&layout).paths, expected.map(PathBuf::from));
    }

    #[test]
    fn mount_points_are_read_as_they_are() {
        let list = b"22 1 8:1 / / rw - ext4 /dev/root rw\n\
            23 22 0:5 /x\\040y /repo/a\\040b\\134c\\012d rw,nosuid shared:7 - tmpfs none rw\n";
        assert_eq!(points(list).collect::<Vec<_>>(), [&b"/"[..], b"/repo/a b\\c\nd"]);
        assert_eq!(plain(b"a\\04"), b"a\\04");
        assert_eq!(plain(b"\\"), b"\\");
    }

    #[test]
    fn a_path_without_its_mount_has_fallen() {
        let own = std::fs::File::open("/proc/self/mountinfo").expect("mounts");
        let places = ["/", "/proc", "/no such mount"].map(PathBuf::from);
        let mut guards = Guards { paths: places.into(), ..Guards::default() };
        guards.watch(own.into()).expect("watched");
        assert!(guards.patience().is_some() && guards.moves().is_none());
        assert_eq!(guards.fallen().expect("read"), [Bytes(b"/no such mount".to_vec())]);
        assert!(guards.patience().is_none() && guards.moves().is_some());
        assert_eq!(guards.fallen().expect("read again").len(), 1);
    }

    #[test]
    fn what_is_moved_on_the_way_to_a_path_may_matter() {
        let scratch = tempfile::tempdir().expect("scratch");
        let root = std::fs::canonicalize(scratch.path()).expect("real");
        std::fs::create_dir_all(root.join("a/b")).expect("mkdir");
        for name in ["a/b/kept", "a/other"] {
            std::fs::write(root.join(name), "x").expect("write");
        }
        let mut moves = Moves::watch(&[root.join("a/b/kept")]).expect("watched");
        let mut check = |from: &str, to: &str| {
            std::fs::rename(root.join(from), root.join(to)).expect("rename");
            moves.may_matter()
        };
        assert!(!check("a/other", "a/b/other"));
        assert!(!check("a/b/other", "a/another"));
        assert!(check("a/b/kept", "a/b/kept~"));
        assert!(check("a/b", "a/c"));
        assert!(check("a", "d"));
    }
}
