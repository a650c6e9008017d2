//! Answers for calls of the command that a filter can't decide on, because it sees no memory: connecting and binding
//! sockets, starting programs. Sees on the way what the sandbox refuses. Knows the layout, and nothing of why.
//!
//! Another thread of the command can change an address or a descriptor after it was looked at. So a call that matters
//! is never let through: its arguments are copied, and a process of ours makes it, on the command's own socket, in the
//! command's view of the files, and with no more rights than the command has. Only what the sandbox holds anyway
//! goes on as it stands.
//!
//! Of local sockets those may be connected to that the command has made itself, and those that the plan lists.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use helper_protocol::bytes::Bytes;
use helper_protocol::order::Verdict;
use helper_protocol::plan::{Access, Making, Network, Pattern, Rules};
use helper_protocol::report::{Execution, Failure, Refusal, Refusals, Report};
use rustix::fs::{AtFlags, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;

use crate::attempts::{self, Aim, Flags, Place, Subject};
use crate::channel::Channel;
use crate::hand::hand;
use crate::ledger::Ledger;
use crate::making;
use crate::outer::pipe;
use crate::places::Layout;
use crate::sockets::{self, Known, Own, Target};
use crate::syscall::{self, Cloned};
use crate::tracee::{self, Answer, Call, Notification};

/// The longest path, and how much of arguments and environment is read.
const MAX_PATH: usize = 4096;
const MAX_STRINGS: usize = 2 * 1024 * 1024;
const MAX_COUNT: usize = 64 * 1024;
/// So many links the kernel follows.
pub(crate) const MAX_LINKS: usize = 40;

/// Where processes stand when a program is to be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The command itself is about to be started: that was decided before.
    Starting,
    /// It runs.
    Running,
}

/// A program that waits for a verdict.
struct Waiting {
    notification: Notification,
    /// What was told of it.
    told: Told,
}

/// What of a program may not change while it waits.
#[derive(PartialEq, Eq)]
struct Told {
    program: Bytes,
    argv: Vec<Bytes>,
    cwd: Bytes,
    /// Its file, where it can be seen here.
    file: Option<(u64, u64)>,
}

impl Told {
    fn of(execution: &Execution, thread: Pid) -> Self {
        let Execution { program, argv, cwd, .. } = execution;
        let file = sockets::open_in_view(thread, &full_path(execution)).and_then(rustix::fs::fstat);
        Self {
            program: program.clone(),
            argv: argv.clone(),
            cwd: cwd.clone(),
            file: file.ok().map(|stat| (stat.st_dev, stat.st_ino)),
        }
    }
}

impl Waiting {
    /// Whether what would run now is what was told of. Another thread can still change it in the very last moment.
    fn is_unchanged(&self) -> bool {
        execution(&self.notification).is_ok_and(|now| Told::of(&now, self.notification.thread) == self.told)
    }
}

/// What it knows while the command runs.
pub(crate) struct Supervisor<'a> {
    layout: Option<&'a Layout>,
    /// What may not be made.
    unmade: Vec<Pattern>,
    network: Network,
    known: Known,
    ledger: Ledger,
    /// Who becomes the command, and the file that it was before.
    starter: Option<(Pid, Option<(u64, u64)>)>,
    /// Programs that wait for a verdict.
    waiting: BTreeMap<u64, Waiting>,
    /// Processes of ours that make a call that may take a while.
    calling: Vec<OwnedFd>,
}

impl<'a> Supervisor<'a> {
    /// For a command in a sandbox with these rules.
    pub(crate) fn new(rules: &Rules, layout: &'a Layout) -> Result<Self, Failure> {
        let listed = sockets::listed(rules, layout)?;
        let known = Known { listed, own: Own::default(), network: rules.network };
        let unmade = match rules.making {
            Making::Free => Vec::new(),
            Making::Refused => rules.patterns.clone(),
        };
        Ok(Self { layout: Some(layout), unmade, network: rules.network, known, ..Self::idle() })
    }

    /// For a command without restriction, whose programs alone are looked at.
    pub(crate) fn idle() -> Self {
        let known = Known { listed: Vec::new(), own: Own::default(), network: Network::Full };
        Self {
            layout: None,
            unmade: Vec::new(),
            network: Network::Full,
            known,
            ledger: Ledger::default(),
            starter: None,
            waiting: BTreeMap::new(),
            calling: Vec::new(),
        }
    }

    /// What was refused so far.
    pub(crate) fn refusals(self) -> Refusals {
        for process in &self.calling {
            // It fails for those that are through.
            let _ = rustix::process::pidfd_send_signal(process, rustix::process::Signal::KILL);
        }
        self.ledger.refusals()
    }

    /// Looks at the next call that waits; to be called when there is one.
    pub(crate) fn attend(&mut self, listener: &OwnedFd, channel: &Channel, stage: Stage) {
        let Ok(notification) = tracee::receive(listener) else { return };
        let answer = match notification.number {
            libc::SYS_connect => self.call(listener, &notification, Call::Connect),
            libc::SYS_bind => self.call(listener, &notification, Call::Bind),
            libc::SYS_execve | libc::SYS_execveat => self.execute(&notification, channel, stage),
            call if attempts::LEAVING.contains(&call) => {
                self.ledger.note_leaving(notification.thread);
                Some(Answer::Continue)
            }
            call => match attempts::places(call) {
                Some(places) => Some(self.look_at(&notification, places)),
                None => Some(Answer::Failed(Errno::NOSYS)),
            },
        };
        if let Some(answer) = answer {
            // It fails where nobody waits any more.
            let _ = tracee::answer(listener, notification.id, answer);
        }
    }

    /// Carries out a verdict.
    pub(crate) fn decide(&mut self, listener: &OwnedFd, id: u64, verdict: Verdict) {
        let Some(waiting) = self.waiting.remove(&id) else { return };
        if !tracee::is_waiting(listener, id) {
            return;
        }
        let thread = waiting.notification.thread;
        let done = match verdict {
            Verdict::Inside if waiting.is_unchanged() => tracee::answer(listener, id, Answer::Continue),
            Verdict::Inside | Verdict::Refuse => {
                self.ledger.note(Refusal::Execute(waiting.told.program), thread);
                tracee::answer(listener, id, Answer::Failed(Errno::ACCESS))
            }
            Verdict::Exit(code) => tracee::end(listener, id, thread, code),
        };
        // It fails where nobody waits any more.
        let _ = done;
    }

    /// Makes a call of the command for it. No answer means that a process of ours gives it.
    fn call(&mut self, listener: &OwnedFd, notification: &Notification, call: Call) -> Option<Answer> {
        let target = match Target::of(notification) {
            Ok(target) => target,
            Err(errno) => return Some(Answer::Failed(errno)),
        };
        if !tracee::is_waiting(listener, notification.id) {
            return None;
        }
        if call == Call::Connect
            && self.network != Network::Full
            && let Some(address) = target.outside()
        {
            self.ledger.note(Refusal::Connect(address.to_string()), notification.thread);
        }
        self.calling.retain(|process| !has_ended(process));
        let (Ok((told, teller)), Ok((giver, taker))) = (pipe(), hand()) else {
            return Some(Answer::Failed(Errno::NOMEM));
        };
        match syscall::clone(0) {
            Err(errno) => Some(Answer::Failed(errno)),
            Ok(Cloned::Child) => {
                drop(told);
                let outcome = target.make(call, &self.known, teller, &giver);
                // A binding is known before the command can use it: there the parent answers.
                if call == Call::Connect {
                    let answer = outcome.map_or_else(Answer::Failed, |()| Answer::Done);
                    let _ = tracee::answer(listener, notification.id, answer);
                    syscall::exit(0);
                }
                syscall::exit(outcome.map_or_else(Errno::raw_os_error, |()| 0));
            }
            Ok(Cloned::Parent { pid, pidfd }) => {
                drop(teller);
                self.calling.push(pidfd);
                self.learn(told, notification.thread);
                (call == Call::Bind).then(|| {
                    let answer = ended(pid);
                    while let Some((_, object)) = taker.take() {
                        self.known.own.insert(object);
                    }
                    answer
                })
            }
        }
    }

    /// Reads what a process of ours has to say before it makes its call: what was refused.
    fn learn(&mut self, told: OwnedFd, thread: Pid) {
        let mut text = Vec::new();
        if fs::File::from(told).read_to_end(&mut text).is_err() {
            return;
        }
        // Most have nothing to say.
        if let Ok(address) = serde_json::from_slice(&text) {
            self.ledger.note(Refusal::Connect(address), thread);
        }
    }

    fn execute(&mut self, notification: &Notification, channel: &Channel, stage: Stage) -> Option<Answer> {
        if stage == Stage::Starting && self.is_starter(notification.thread) {
            return Some(Answer::Continue);
        }
        let execution = match execution(notification) {
            Ok(execution) => execution,
            Err(errno) => return Some(Answer::Failed(errno)),
        };
        // Shells look for programs by trying to start them.
        if !is_there(notification.thread, &execution) {
            return Some(Answer::Continue);
        }
        let Ok(streams) = sockets::descriptors(notification.thread, [0, 1, 2]) else {
            return Some(Answer::Failed(Errno::ACCESS));
        };
        let told = Told::of(&execution, notification.thread);
        self.waiting.insert(notification.id, Waiting { notification: *notification, told });
        channel.report_with(&Report::Executes(execution), &streams);
        None
    }

    /// Whether a thread is about to become the command: the first that starts anything, as long as it is what it was then.
    /// The command may start programs before it is known here that it runs.
    fn is_starter(&mut self, thread: Pid) -> bool {
        let file = fs::metadata(format!("/proc/{}/exe", thread.as_raw_pid()));
        let starter = (thread, file.ok().map(|file| (file.dev(), file.ino())));
        *self.starter.get_or_insert(starter) == starter
    }

    /// Looks at a call about files. It goes on, whatever comes of it, but where it would make what may not be made: what
    /// holds the rest is the sandbox.
    fn look_at(&mut self, notification: &Notification, places: &[Place]) -> Answer {
        let Some(layout) = self.layout else { return Answer::Continue };
        if self.ledger.is_full() && self.unmade.is_empty() {
            return Answer::Continue;
        }
        let (thread, aim) = (notification.thread, aim(notification));
        for place in places {
            let Some(wanted) = wanted(notification, place) else { continue };
            if aim == Aim::Writing
                && !self.unmade.is_empty()
                && making::is_refused(&self.unmade, layout, thread, &wanted, place.subject)
            {
                let path = Bytes(wanted.into_os_string().as_bytes().to_vec());
                self.ledger.note(Refusal::Write(path), thread);
                return Answer::Failed(Errno::ACCESS);
            }
            self.note(notification, place.subject, aim, wanted);
        }
        Answer::Continue
    }

    /// Takes note if something is to be changed where nothing may be, or read that is hidden.
    fn note(&mut self, notification: &Notification, subject: Subject, aim: Aim, wanted: PathBuf) {
        let Some(layout) = self.layout else { return };
        if self.ledger.is_full() {
            return;
        }
        match aim {
            Aim::Reading if is_hidden(layout, notification.thread, &wanted) => {
                let path = Bytes(wanted.into_os_string().as_bytes().to_vec());
                return self.ledger.note(Refusal::Read(path), notification.thread);
            }
            Aim::Reading => return,
            Aim::Writing => {}
        }
        if may_be_written(layout, &wanted) {
            return;
        }
        // What it looks like may be another place behind links; and where there is no folder, nothing was refused.
        let Some(real) = real(notification.thread, &wanted) else { return };
        if !may_be_written(layout, &real) && subject.is_changed_outside(notification.thread, &wanted, &real) {
            let path = Bytes(wanted.into_os_string().as_bytes().to_vec());
            self.ledger.note(Refusal::Write(path), notification.thread);
        }
    }
}

impl Subject {
    /// Whether the change would be made if there were no sandbox: what fails in any case, the sandbox has not stopped.
    fn is_changed_outside(self, thread: Pid, wanted: &Path, real: &Path) -> bool {
        let (Some(folder), Some(name)) = (wanted.parent(), wanted.file_name()) else { return false };
        let Ok(folder) = sockets::open_in_view(thread, folder) else { return false };
        let is_there = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
        let may_write = |path: &Path, access| {
            rustix::fs::accessat(rustix::fs::CWD, path, access, AtFlags::EACCESS).is_ok()
        };
        let may_name = || {
            real.parent()
                .is_some_and(|it| may_write(it, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK))
        };
        match self {
            Self::Content if is_there => may_write(real, rustix::fs::Access::WRITE_OK),
            Self::Content | Self::AnyName => may_name(),
            Self::NewName => !is_there && may_name(),
            Self::Name => is_there && may_name(),
            Self::Owned => {
                let user = rustix::process::geteuid();
                let owner = || rustix::fs::stat(real).is_ok_and(|stat| stat.st_uid == user.as_raw());
                is_there && (user.is_root() || owner())
            }
        }
    }
}

/// The path that a call names, in the command's words; none where the descriptor itself is meant.
fn wanted(notification: &Notification, place: &Place) -> Option<PathBuf> {
    let folder =
        place.folder.map_or(u64::from(libc::AT_FDCWD.cast_unsigned()), |at| notification.arguments[at]);
    let name = string(notification.thread, notification.arguments[place.path], MAX_PATH).ok()?;
    let name = Path::new(OsStr::from_bytes(&name));
    if name.as_os_str().is_empty() {
        return None;
    }
    Some(normal(&base(notification.thread, folder, name)?.join(name)))
}

/// What a call wants with the file that it names.
fn aim(notification: &Notification) -> Aim {
    match attempts::flags(notification.number) {
        Some(Flags::In(argument)) => attempts::aim(notification.arguments[argument]),
        Some(Flags::Behind(argument)) => {
            let mut flags = [0; 8];
            match tracee::read(notification.thread, notification.arguments[argument], &mut flags) {
                Ok(8) => attempts::aim(u64::from_ne_bytes(flags)),
                // The call itself fails.
                Ok(_) | Err(_) => Aim::Reading,
            }
        }
        None => Aim::Writing,
    }
}

/// Whether a path leads to what the command may not see. Whether anything is there is nobody's business: the path is all
/// that is looked at, with the links on it that the command itself can see.
fn is_hidden(layout: &Layout, thread: Pid, wanted: &Path) -> bool {
    if wanted.starts_with("/proc") || wanted.starts_with("/dev") {
        return false;
    }
    if layout.access(wanted) == Access::Hidden {
        return true;
    }
    match sockets::open_in_view(thread, wanted) {
        Ok(opened) => {
            let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&opened));
            fs::read_link(link).is_ok_and(|real| layout.access(&real) == Access::Hidden)
        }
        // It is not there, or something on the way is hidden.
        Err(_) => leads_to_hidden(layout, thread, wanted),
    }
}

/// Whether one of the places on the way to a path is hidden, links followed as the command can.
fn leads_to_hidden(layout: &Layout, thread: Pid, path: &Path) -> bool {
    let backwards = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    let (mut left, mut at, mut links) = (backwards(path), PathBuf::new(), 0);
    while let Some(part) = left.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        at.push(&part);
        if layout.access(&at) == Access::Hidden {
            return true;
        }
        let target = at
            .parent()
            .and_then(|folder| sockets::open_in_view(thread, folder).ok())
            .and_then(|folder| rustix::fs::readlinkat(folder, &part, Vec::new()).ok());
        if let Some(target) = target {
            links += 1;
            if links > MAX_LINKS {
                return false;
            }
            at.pop();
            left.extend(backwards(Path::new(OsStr::from_bytes(target.as_bytes()))));
        }
    }
    false
}

/// Devices, processes and what goes by descriptor are not files that matter here.
fn may_be_written(layout: &Layout, path: &Path) -> bool {
    path.starts_with("/dev") || path.starts_with("/proc") || layout.access(path) == Access::Write
}

fn execution(notification: &Notification) -> Result<Execution, Errno> {
    let Notification { id, thread, arguments, .. } = *notification;
    let [program, argv, environment] = match notification.number {
        libc::SYS_execveat => [arguments[1], arguments[2], arguments[3]],
        _ => [arguments[0], arguments[1], arguments[2]],
    };
    let mut name = string(thread, program, MAX_PATH)?;
    if notification.number == libc::SYS_execveat {
        let folder = arguments[0];
        let base = base(thread, folder, Path::new(OsStr::from_bytes(&name))).ok_or(Errno::BADF)?;
        name = if name.is_empty() {
            base.into_os_string()
        } else {
            base.join(OsStr::from_bytes(&name)).into_os_string()
        }
        .as_bytes()
        .to_vec();
    }
    let mut left = MAX_STRINGS;
    Ok(Execution {
        id,
        program: Bytes(name),
        argv: strings(thread, argv, &mut left)?,
        environment: strings(thread, environment, &mut left)?,
        cwd: path(thread, "cwd").ok_or(Errno::NOENT)?,
        umask: umask(thread).ok_or(Errno::SRCH)?,
        has_more_descriptors: has_more_descriptors(thread),
    })
}

/// The rights that files of a thread don't get.
fn umask(thread: Pid) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{}/status", thread.as_raw_pid())).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(line.trim(), 8).ok()
}

/// Whether a program that a thread starts has more descriptors than the standard streams, or that can't be known.
fn has_more_descriptors(thread: Pid) -> bool {
    let Ok(all) = fs::read_dir(format!("/proc/{}/fdinfo", thread.as_raw_pid())) else { return true };
    all.flatten().any(|entry| {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        number.is_none_or(|number| number > 2) && !is_closed_at_exec(&entry.path())
    })
}

fn is_closed_at_exec(path: &Path) -> bool {
    let Ok(text) = fs::read_to_string(path) else { return false };
    let flags = text.lines().find_map(|line| line.strip_prefix("flags:"));
    let flags = flags.and_then(|flags| u32::from_str_radix(flags.trim(), 8).ok());
    flags.is_some_and(|flags| OFlags::from_bits_retain(flags).contains(OFlags::CLOEXEC))
}

/// Where the program is, in the command's words.
fn full_path(execution: &Execution) -> PathBuf {
    Path::new(OsStr::from_bytes(&execution.cwd.0)).join(OsStr::from_bytes(&execution.program.0))
}

/// Whether the program may be there in the command's view. What leads through `/proc` counts as there: `self` means the
/// command to the command, and to nobody else.
fn is_there(thread: Pid, execution: &Execution) -> bool {
    let path = full_path(execution);
    !matches!(sockets::open_in_view(thread, &path), Err(Errno::NOENT)) || !is_surely_absent(thread, &path)
}

/// Whether the first part of a path that can't be followed is missing, and no link that leads elsewhere.
fn is_surely_absent(thread: Pid, path: &Path) -> bool {
    let mut missing = path;
    for folder in path.ancestors().skip(1) {
        let Ok(opened) = sockets::open_in_view(thread, folder) else {
            missing = folder;
            continue;
        };
        let is_in_proc =
            rustix::fs::fstatfs(&opened).is_ok_and(|system| system.f_type == rustix::fs::PROC_SUPER_MAGIC);
        let Some(name) = missing.file_name() else { return false };
        let found = rustix::fs::statat(&opened, name, AtFlags::SYMLINK_NOFOLLOW);
        return !is_in_proc && matches!(found, Err(Errno::NOENT));
    }
    false
}

/// What `/proc/THREAD/NAME` leads to, in the command's own words.
pub(crate) fn path(thread: Pid, name: &str) -> Option<Bytes> {
    let link = fs::read_link(format!("/proc/{}/{name}", thread.as_raw_pid())).ok()?;
    Some(Bytes(link.as_os_str().as_bytes().to_vec()))
}

/// The folder that a path starts from.
fn base(thread: Pid, folder: u64, name: &Path) -> Option<PathBuf> {
    if name.is_absolute() {
        return Some(PathBuf::from("/"));
    }
    // The register holds an `int`.
    let folder = u32::try_from(folder & u64::from(u32::MAX)).ok()?.cast_signed();
    let link = if folder == libc::AT_FDCWD { "cwd".to_owned() } else { format!("fd/{folder}") };
    path(thread, &link).map(|Bytes(path)| PathBuf::from(OsStr::from_bytes(&path)))
}

/// The path with its folder's links resolved in the command's view; none if there is no such folder.
pub(crate) fn real(thread: Pid, path: &Path) -> Option<PathBuf> {
    let folder = sockets::open_in_view(thread, path.parent()?).ok()?;
    let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
    Some(fs::read_link(link).ok()?.join(path.file_name()?))
}

/// The path without `.` and `..`.
pub(crate) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => normal.push(component),
        }
    }
    normal
}

/// A string in the command's memory.
fn string(thread: Pid, address: u64, most: usize) -> Result<Vec<u8>, Errno> {
    const PAGE: usize = 4096;
    let mut found = Vec::new();
    let mut at = address;
    while found.len() < most {
        let mut page = [0; PAGE];
        // Up to the end of a page: the next one may not be there.
        let offset = usize::try_from(at % 4096).unwrap_or_default();
        let count = tracee::read(thread, at, &mut page[..PAGE - offset])?;
        let read = &page[..count];
        if let Some(end) = read.iter().position(|&byte| byte == 0) {
            found.extend_from_slice(&read[..end]);
            return if found.len() <= most { Ok(found) } else { Err(Errno::NAMETOOLONG) };
        }
        if count == 0 {
            return Err(Errno::FAULT);
        }
        found.extend_from_slice(read);
        at = at.checked_add(u64::try_from(count).unwrap_or_default()).ok_or(Errno::FAULT)?;
    }
    Err(Errno::NAMETOOLONG)
}

/// A list of strings that ends with null.
fn strings(thread: Pid, address: u64, left: &mut usize) -> Result<Vec<Bytes>, Errno> {
    let mut found = Vec::new();
    if address == 0 {
        return Ok(found);
    }
    for index in 0..MAX_COUNT {
        let mut pointer = [0; 8];
        let at = u64::try_from(index * 8).ok().and_then(|offset| address.checked_add(offset));
        if tracee::read(thread, at.ok_or(Errno::FAULT)?, &mut pointer)? < pointer.len() {
            return Err(Errno::FAULT);
        }
        let pointer = u64::from_ne_bytes(pointer);
        if pointer == 0 {
            return Ok(found);
        }
        let text = string(thread, pointer, *left)
            .map_err(|errno| if errno == Errno::NAMETOOLONG { Errno::TOOBIG } else { errno })?;
        *left = left.saturating_sub(text.len() + 1);
        found.push(Bytes(text));
    }
    Err(Errno::TOOBIG)
}

fn has_ended(process: &OwnedFd) -> bool {
    let mut sources = [rustix::event::PollFd::new(process, rustix::event::PollFlags::IN)];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    rustix::event::poll(&mut sources, Some(&now)).is_ok_and(|ready| ready > 0)
}

/// How a process of ours ended: with an error number.
fn ended(pid: Pid) -> Answer {
    let status = loop {
        match rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()) {
            Ok(Some((_, status))) => break status.exit_status(),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => break None,
        }
    };
    match status {
        Some(0) => Answer::Done,
        Some(errno) => Answer::Failed(Errno::from_raw_os_error(errno)),
        None => Answer::Failed(Errno::IO),
    }
}
