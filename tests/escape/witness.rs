//! What an attempt could have done, seen from outside: files, sockets, another process, what was told, what stayed.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use skein_tests::environment::leftover;
use skein_tests::environment::process::{Output, Running};

use crate::yard::{SECRET, Yard};

/// Names that may not come to be in a workspace.
const PROTECTED: [&str; 7] = ["nested/.git", ".git", ".skein", ".codex", ".claude", ".agents", ".vscode"];

/// What something runs later: what is there may not change, and no such name may come to be.
const LATE: [&str; 11] = [
    "late",
    ".github",
    ".husky",
    "fresh/Makefile",
    "fresh/a/Makefile",
    "fresh/package.json",
    "fresh/build.rs",
    "fresh/.envrc",
    "fresh/.git",
    "fresh/.vscode",
    "fresh/.husky",
];

/// What watches during an attempt.
pub(crate) struct Witness<'a> {
    yard: &'a Yard,
    tcp: TcpListener,
    udp: UdpSocket,
    stream: OwnedFd,
    datagram: OwnedFd,
    named: OwnedFd,
    fifo: OwnedFd,
    victim: Running,
    mark: String,
    before: BTreeMap<String, String>,
}

impl<'a> Witness<'a> {
    pub(crate) fn new(yard: &'a Yard) -> Self {
        let mark = yard.root().file_name().unwrap().to_str().unwrap().to_owned();
        let place = |name: &str| SocketAddrUnix::new(yard.path(name)).unwrap();
        let stream = local_socket(SocketType::STREAM, &place("sockets/stream"));
        let datagram = local_socket(SocketType::DGRAM, &place("sockets/datagram"));
        for name in ["sockets/stream", "sockets/datagram"] {
            let mode = Mode::from_raw_mode(0o777);
            rustix::fs::chmod(yard.path(name), mode).unwrap();
        }
        let victim =
            yard.invocation(["sleep", "900"].map(OsString::from).to_vec()).variable("VICTIM_SAYS", SECRET);
        let fifo = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fifo = rustix::fs::open(yard.path("outside/fifo"), fifo, Mode::empty()).unwrap();
        let victim = victim.spawn().unwrap();
        // Until it is the program that it shall be.
        let name = format!("/proc/{}/comm", victim.pid());
        while fs::read_to_string(&name).unwrap().trim() != "sleep" {
            std::thread::yield_now();
        }
        let mut witness = Self {
            yard,
            tcp: TcpListener::bind("0.0.0.0:0").unwrap(),
            udp: UdpSocket::bind("127.0.0.1:0").unwrap(),
            stream,
            datagram,
            named: local_socket(
                SocketType::STREAM,
                &SocketAddrUnix::new_abstract_name(mark.as_bytes()).unwrap(),
            ),
            fifo,
            victim,
            mark,
            before: BTreeMap::new(),
        };
        witness.tcp.set_nonblocking(true).unwrap();
        witness.udp.set_nonblocking(true).unwrap();
        witness.before = witness.state();
        witness
    }

    /// Where what watches is, for a script.
    pub(crate) fn variables(&self) -> Vec<(&'static str, OsString)> {
        let port = |address: std::net::SocketAddr| address.port().to_string().into();
        vec![
            ("TCP", port(self.tcp.local_addr().unwrap())),
            ("UDP", port(self.udp.local_addr().unwrap())),
            ("STREAM", self.yard.path("sockets/stream").into()),
            ("DATAGRAM", self.yard.path("sockets/datagram").into()),
            ("ABSTRACT", self.mark.clone().into()),
            ("MARK", self.mark.clone().into()),
            ("VICTIM", self.victim.pid().to_string().into()),
            ("IPC", fs::read_link("/proc/self/ns/ipc").unwrap().into()),
            ("NET", fs::read_link("/proc/self/ns/net").unwrap().into()),
        ]
    }

    /// What of it happened. Empty if the attempt was held.
    pub(crate) fn leaks(self, output: &Output) -> Vec<String> {
        let mut leaks = Vec::new();
        if output.stdout.contains(SECRET) || output.stderr.contains(SECRET) {
            let told = output.stdout.lines().chain(output.stderr.lines()).find(|line| line.contains(SECRET));
            leaks.push(format!("it told a secret, or that it worked: {told:?}"));
        }
        let after = self.state();
        for (what, before) in &self.before {
            if after.get(what) != Some(before) {
                leaks.push(format!("{what} was {before} and is {:?}", after.get(what)));
            }
        }
        leaks.extend(
            after.keys().filter(|what| !self.before.contains_key(*what)).map(|what| format!("{what} is new")),
        );
        let reached = [
            ("TCP", self.tcp.accept().is_ok()),
            ("UDP", self.udp.recv(&mut [0]).is_ok()),
            ("the local socket", rustix::net::accept(&self.stream).is_ok()),
            ("the local datagrams", rustix::io::read(&self.datagram, &mut [0]).is_ok()),
            ("the abstract socket", rustix::net::accept(&self.named).is_ok()),
            ("the pipe", rustix::io::read(&self.fifo, &mut [0]).is_ok()),
        ];
        leaks.extend(
            reached.iter().filter(|(_, worked)| *worked).map(|(what, _)| format!("{what} was reached")),
        );
        for process in leftover::of_home(&self.yard.path("home")) {
            if !process.wait(std::time::Duration::from_secs(2)) {
                leaks.push(format!("it left `{}`", process.command));
                process.kill();
            }
        }
        leaks
    }

    /// All that must stay as it is.
    fn state(&self) -> BTreeMap<String, String> {
        let mut state = BTreeMap::new();
        for folder in ["outside", "sockets", "skein/config.toml"] {
            look(&self.yard.path(folder), Exactness::Changes, &mut state);
        }
        for name in PROTECTED.iter().chain(&LATE) {
            look(&self.yard.path("work").join(name), Exactness::Content, &mut state);
        }
        for entry in fs::read_dir(self.yard.root()).unwrap() {
            state.insert(format!("{}", entry.unwrap().path().display()), "there".to_owned());
        }
        let pid = self.victim.pid();
        for file in ["oom_score_adj", "limits"] {
            let text = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
            state.insert(format!("{file} of the other process"), text);
        }
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields: Vec<&str> = stat.split_whitespace().collect();
        // State (proc_pid_stat(5), field 3) and nice (field 19).
        // One that was killed may need a moment to be gone: it has a signal, or is on its way out (`PF_EXITING`).
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pending = status.lines().filter_map(|line| line.split_once("Pnd:"));
        let has_signal = pending.into_iter().any(|(_, set)| set.trim().chars().any(|digit| digit != '0'));
        let is_leaving =
            fields.get(8).and_then(|flags| flags.parse::<u64>().ok()).is_none_or(|flags| flags & 4 != 0);
        let lives = matches!(fields.get(2), Some(&"R" | &"S" | &"D")) && !has_signal && !is_leaving;
        let of_victim = format!("lives: {lives}, {:?}", fields.get(18));
        state.insert("state and priority of the other process".to_owned(), of_victim);
        for file in
            ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/kernel/modprobe"]
        {
            state.insert(file.to_owned(), fs::read_to_string(file).unwrap_or_default());
        }
        let shared = Path::new("/dev/shm").join(&self.mark);
        state.insert("shared memory".to_owned(), shared.exists().to_string());
        let owner = fs::metadata(self.yard.path("work")).unwrap().st_uid().to_string();
        let segments = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
        // Other tests have segments too, but none of this size.
        let mine = segments.lines().filter(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(3) == Some(&"64") && fields.get(7) == Some(&owner.as_str())
        });
        state.insert("segments of shared memory".to_owned(), mine.count().to_string());
        state
    }
}

impl Drop for Witness<'_> {
    fn drop(&mut self) {
        // It may not be there.
        let _ = fs::remove_file(Path::new("/dev/shm").join(&self.mark));
    }
}

/// A local socket that waits for whoever comes, and does not block.
fn local_socket(kind: SocketType, address: &SocketAddrUnix) -> OwnedFd {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
    rustix::net::bind(&socket, address).unwrap();
    if kind == SocketType::STREAM {
        rustix::net::listen(&socket, 16).unwrap();
    }
    socket
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Exactness {
    /// Any change of a file, its mode and its links.
    Changes,
    /// What it says.
    Content,
}

fn look(path: &PathBuf, exactness: Exactness, state: &mut BTreeMap<String, String>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let changed = (metadata.st_ctime(), metadata.st_ctime_nsec());
    let kind = metadata.file_type();
    let content = if kind.is_file() { fs::read(path).unwrap_or_default() } else { Vec::new() };
    let content = String::from_utf8_lossy(&content).into_owned();
    let exact = if exactness == Exactness::Changes {
        format!(" {changed:?} {:o}", metadata.st_mode())
    } else {
        String::new()
    };
    state.insert(path.display().to_string(), format!("{kind:?} {content:?}{exact}"));
    if kind.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            look(&entry.unwrap().path(), exactness, state);
        }
    }
}
