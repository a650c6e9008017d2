//! Starts the system's `bwrap`, and in it this executable once more, as the first process of its namespaces: where only
//! `bwrap` may make them. Turns a layout into its arguments. Knows bwrap(1), version 0.8 and later.
//!
//! Paths are told to `bwrap` by name. So the part that runs inside looks whether what it finds there is what was meant.

use std::ffi::{CString, OsStr};
use std::fs;
use std::io::{Read, Seek, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::plan::{Access, Network, Plan, Rules};
use helper_protocol::report::Failure;
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::io::{Errno, FdFlags};
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use crate::failure::Step;
use crate::grants::writable_beside_links;
use crate::group::Group;
use crate::hand::{Taker, hand};
use crate::outer::pipe;
use crate::places::{self, Kind, Layout, open_real};
use crate::syscall::{self, Cloned};

/// Where distributions put it.
const CANDIDATES: [&str; 3] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap", "/run/current-system/sw/bin/bwrap"];

/// How much of what it complains about is told.
const MAX_COMPLAINT: u64 = 512;

/// What is started.
pub(crate) struct Started {
    /// The process of `bwrap` that stays outside.
    pub(crate) monitor: Pid,
    pub(crate) setup: OwnedFd,
    pub(crate) ended: OwnedFd,
    pub(crate) taker: Taker,
    /// What `bwrap` itself has to say.
    pub(crate) complaints: OwnedFd,
}

/// What the part inside is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Briefing {
    pub(crate) plan: Plan,
    pub(crate) rules: Rules,
    /// Paths that Landlock has to let be written.
    pub(crate) writable: Vec<Bytes>,
    /// What has to be at a path: its device and number.
    pub(crate) meant: Vec<(Bytes, u64, u64)>,
    /// How many numbers of processes there may be, where it is these that bound them.
    pub(crate) numbers: Option<u64>,
    /// The descriptors that it is given.
    pub(crate) setup: i32,
    pub(crate) ended: i32,
    pub(crate) giver: i32,
    /// What the command's standard output and error become. `bwrap`, a part of which lives longer, does not get them as
    /// its own, or the output would end no sooner than that.
    pub(crate) streams: [i32; 2],
}

/// Starts it.
pub(crate) fn start(
    rules: &Rules,
    plan: &Plan,
    layout: &Layout,
    group: &Group,
    numbers: Option<u64>,
) -> Result<Started, Failure> {
    let program = find(layout)?;
    let (setup, setup_writer) = pipe()?;
    let (ended, ended_writer) = pipe()?;
    let (complaints, complaints_writer) = pipe()?;
    let (giver, taker) = hand()?;
    let stdout = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).step("keep standard output")?;
    let stderr = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3).step("keep standard error")?;
    let own = rustix::fs::open("/proc/self/exe", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .step("open the helper's executable")?;
    let briefing = Briefing {
        plan: plan.clone(),
        rules: rules.clone(),
        writable: writable_beside_links(layout).into_iter().map(|grant| bytes(&grant.path)).collect(),
        meant: meant(layout)?,
        numbers,
        setup: setup_writer.as_raw_fd(),
        ended: ended_writer.as_raw_fd(),
        giver: giver.0.as_raw_fd(),
        streams: [stdout.as_raw_fd(), stderr.as_raw_fd()],
    };
    let briefing = written(&briefing)?;
    let mut arguments = Arguments::default();
    arguments.add(&["bwrap"]);
    arguments.namespaces(rules.network);
    arguments.view(layout)?;
    let executable = format!("/proc/self/fd/{}", own.as_raw_fd());
    arguments.add(&["--", &executable, helper_protocol::INSIDE_ARGUMENT, &briefing.as_raw_fd().to_string()]);
    let argv = arguments
        .words
        .into_iter()
        .map(CString::new)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|_| Failure::Plan { reason: "a path holds a NUL character".to_owned() })?;

    let mut passed = arguments.files;
    passed.extend([setup_writer, ended_writer, giver.0, stdout, stderr, own, briefing]);
    let monitor = match syscall::clone(0).step("start bwrap's process")? {
        Cloned::Child => {
            let is_ready = group.enter().is_ok()
                && passed.iter().all(|it| rustix::io::fcntl_setfd(it, FdFlags::empty()).is_ok())
                && rustix::stdio::dup2_stdout(&complaints_writer).is_ok()
                && rustix::stdio::dup2_stderr(&complaints_writer).is_ok();
            if is_ready {
                let Err(_) = syscall::execute(&program, &argv, &[]);
            }
            syscall::exit(1);
        }
        Cloned::Parent { pid, .. } => pid,
    };
    drop((passed, complaints_writer));
    Ok(Started { monitor, setup, ended, taker, complaints })
}

/// Why `bwrap` came to nothing.
pub(crate) fn silence(complaints: OwnedFd) -> Failure {
    let mut text = Vec::new();
    let read = fs::File::from(complaints).take(MAX_COMPLAINT).read_to_end(&mut text);
    let text = String::from_utf8_lossy(&text);
    let words = if read.is_ok() && !text.trim().is_empty() { text.trim() } else { "it ended without a word" };
    let words: String = words.chars().map(|it| if it.is_control() { ' ' } else { it }).collect();
    Failure::Setup { step: format!("start bwrap ({words})"), errno: Errno::PERM.raw_os_error() }
}

/// One that nobody but the administrator can have put there.
fn find(layout: &Layout) -> Result<CString, Failure> {
    let mut reason = "is not there, nor in the other places where distributions put it";
    for candidate in CANDIDATES {
        let Ok(real) = places::real(Path::new(candidate)) else { continue };
        let is_safe = real.ancestors().all(|path| {
            fs::symlink_metadata(path).is_ok_and(|stat| stat.uid() == 0 && stat.mode() & 0o022 == 0)
                && layout.access(path) != Access::Write
        });
        if is_safe {
            return CString::new(real.as_os_str().as_bytes())
                .map_err(|_| Failure::Plan { reason: "a path holds a NUL character".to_owned() });
        }
        reason = "could have been put there by others than the administrator";
    }
    Err(Failure::Rule { path: bytes(Path::new(CANDIDATES[0])), reason: reason.to_owned() })
}

fn written(briefing: &Briefing) -> Result<OwnedFd, Failure> {
    let file = rustix::fs::memfd_create(c"briefing", MemfdFlags::CLOEXEC).step("make a file in memory")?;
    let mut file = fs::File::from(file);
    let text = serde_json::to_vec(briefing).unwrap_or_default();
    file.write_all(&text)
        .and_then(|()| file.rewind())
        .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
        .step("write to a file in memory")?;
    Ok(file.into())
}

/// What is at the places that are mounted as they are.
fn meant(layout: &Layout) -> Result<Vec<(Bytes, u64, u64)>, Failure> {
    let mut meant = Vec::new();
    for (path, (access, kind)) in &layout.places {
        if *access != Access::Hidden && matches!(kind, Kind::Folder | Kind::File | Kind::Absent) {
            let stat = open_real(path).and_then(rustix::fs::fstat).step("look at a place")?;
            meant.push((bytes(path), stat.st_dev, stat.st_ino));
        }
    }
    Ok(meant)
}

fn bytes(path: &Path) -> Bytes {
    Bytes(path.as_os_str().as_bytes().to_vec())
}

#[derive(Default)]
struct Arguments {
    words: Vec<Vec<u8>>,
    /// Empty files that are put in place of hidden ones.
    files: Vec<OwnedFd>,
}

impl Arguments {
    fn add(&mut self, words: &[&str]) {
        self.words.extend(words.iter().map(|word| word.as_bytes().to_vec()));
    }

    fn mount(&mut self, words: &[&str], path: &Path) {
        self.add(words);
        self.words.push(path.as_os_str().as_bytes().to_vec());
    }

    fn bind(&mut self, word: &str, path: &Path) {
        self.mount(&[word], path);
        self.words.push(path.as_os_str().as_bytes().to_vec());
    }

    fn namespaces(&mut self, network: Network) {
        self.add(&[
            "--unshare-user",
            "--unshare-pid",
            "--unshare-ipc",
            "--unshare-uts",
            "--unshare-cgroup-try",
        ]);
        match network {
            Network::Off | Network::Proxied { .. } => self.add(&["--unshare-net"]),
            Network::Full => {}
        }
        self.add(&["--die-with-parent", "--as-pid-1", "--cap-drop", "ALL", "--chdir", "/"]);
    }

    fn view(&mut self, layout: &Layout) -> Result<(), Failure> {
        let root = Path::new("/");
        self.bind(if layout.access(root) == Access::Write { "--bind" } else { "--ro-bind" }, root);
        self.add(&["--dev", "/dev", "--proc", "/proc"]);
        let mut covers: Vec<PathBuf> = Vec::new();
        for (path, (access, kind)) in layout.places.iter().filter(|(path, _)| path.parent().is_some()) {
            self.ways(layout, path);
            match (access, kind) {
                (_, Kind::Own) => self.mount(&["--perms", "1777", "--tmpfs"], path),
                // It would be followed. What Landlock is told holds it in its place.
                (_, Kind::Link) => {}
                (Access::Hidden, Kind::File) => {
                    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                    let empty = rustix::fs::open("/dev/null", flags, Mode::empty()).step("open /dev/null")?;
                    self.mount(&["--perms", "0000", "--ro-bind-data", &empty.as_raw_fd().to_string()], path);
                    self.files.push(empty);
                }
                (Access::Hidden, Kind::Folder | Kind::Absent) => {
                    let has_ways = layout.places.keys().any(|it| it.starts_with(path) && it != path);
                    self.mount(&["--perms", if has_ways { "0111" } else { "0000" }, "--tmpfs"], path);
                    covers.push(path.clone());
                }
                // One step in place of two, each of which makes `bwrap` read all mounts: the placeholder covers itself.
                (Access::Read, Kind::Folder | Kind::File | Kind::Absent) | (Access::Write, Kind::Absent) => {
                    self.bind("--ro-bind", path);
                }
                (Access::Write, Kind::Folder | Kind::File) => self.bind("--bind", path),
            }
        }
        for cover in &covers {
            self.mount(&["--remount-ro"], cover);
        }
        Ok(())
    }

    /// Makes the folders between a place and the hidden one around it: they can be passed through and not listed.
    fn ways(&mut self, layout: &Layout, path: &Path) {
        let around = path.ancestors().skip(1).find_map(|above| layout.places.get_key_value(above));
        let Some((cover, (Access::Hidden, Kind::Folder))) = around else { return };
        let between: Vec<_> = path.ancestors().skip(1).take_while(|above| above != cover).collect();
        for folder in between.into_iter().rev() {
            self.mount(&["--perms", "0111", "--dir"], folder);
        }
    }
}

/// What was meant, as a path.
pub(crate) fn path(bytes: &Bytes) -> &Path {
    Path::new(OsStr::from_bytes(&bytes.0))
}
