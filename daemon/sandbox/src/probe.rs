//! Finds out which rung holds here: a command in the sandbox tries what is forbidden, and must fail. Knows what
//! should work and what should not, not how it is kept from working.

use std::fs::{self, Permissions};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::PathBuf;
use std::time::Duration;

use helper_protocol::bytes::Bytes;
use helper_protocol::probe::{Attempt, Orders, Outcome};
use helper_protocol::report::{Bound, Bounds, Failure};
use protocol::profile::{
    Access, NetworkAccess, PathRule, Profile, RungReport, SandboxMode, SandboxReport, SandboxRung,
};
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::explain::explain_for;
use crate::helper::Helper;
use crate::hint;
use crate::plan::{self, Enforcement};
use crate::process::Exit;
use crate::request::{CommandRequest, Interception, Output, Proxy, Stdin};
use crate::start::{StartError, Streams, start};

/// How long a probe may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// More than any probe needs. A bound is asked for so that it is seen what holds it.
const AMPLE_MEMORY: u64 = 1 << 30;

/// What a probe tries, and whether it should work.
const EXPECTED: [(Attempt, bool, &str); 12] = [
    (Attempt::WriteInside, true, "write where it may"),
    (Attempt::ReadOutside, true, "read what is not hidden"),
    (Attempt::WriteOutside, false, "write outside"),
    (Attempt::WriteProtected, false, "write in a protected folder"),
    (Attempt::CreateAbsent, false, "create a protected path"),
    (Attempt::ReadHidden, false, "read a hidden file"),
    (Attempt::SendToPort, false, "reach the network"),
    (Attempt::SendToSocket, false, "reach a local socket"),
    (Attempt::ConnectToListener, false, "connect to a local socket"),
    (Attempt::Signal, false, "send a signal to a process outside"),
    (Attempt::Trace, false, "look into a process outside"),
    (Attempt::NewNamespace, false, "get new capabilities"),
];

/// Probes the rungs from the strongest on until one holds; only the forced one where one is forced.
pub(crate) async fn probe(helper: &Helper, forced: Option<SandboxRung>) -> SandboxReport {
    let ladder = [
        (SandboxRung::Namespaces, Enforcement::Namespaces),
        (SandboxRung::Bubblewrap, Enforcement::Bubblewrap),
        (SandboxRung::Landlock, Enforcement::Landlock),
    ];
    let mut rungs = Vec::new();
    for (rung, enforcement) in ladder.into_iter().filter(|(rung, _)| forced.is_none_or(|it| it == *rung)) {
        let (is_available, reason, hint) = match try_rung(helper, enforcement).await {
            Ok(bounds) => (true, shown(rung, bounds), None),
            Err(Unfit { reason, hint }) => (false, reason, hint),
        };
        tracing::info!(?rung, is_available, reason, "probed a sandbox");
        rungs.push(RungReport { rung, is_available, reason, hint });
        if is_available {
            return SandboxReport { chosen: rung, rungs };
        }
    }
    SandboxReport { chosen: SandboxRung::Refused, rungs }
}

/// What holding means on this rung.
fn shown(rung: SandboxRung, bounds: Bounds) -> String {
    let weakness = match rung {
        SandboxRung::Namespaces | SandboxRung::Refused => "",
        SandboxRung::Bubblewrap => {
            "; in a folder with a protected link, and in those above it, nothing can be made or removed directly"
        }
        SandboxRung::Landlock => {
            ". Weaker than namespaces: in a folder with \
             protected paths nothing new can be made directly, only below its subfolders, so git can't commit \
             where `git_commit` would let it; a folder with something hidden in it, at any depth, can't be listed, so \
             `ls` fails there and `git status` warns; without network \
             there is no loopback either; there are no local sockets, no network by rule, no own `/tmp`, no `/dev/shm` \
             and no new terminals (ptys); processes and the existence of hidden files can be seen; what is hidden can \
             be read while somebody outside moves a folder above it to another place; modes, owners, times and extended \
             attributes of the user's own files can be changed where anything may be written, and the priority of the \
             user's other processes"
        }
    };
    let processes = match bounds.processes {
        Bound::Group | Bound::Namespace => "the processes of a command are bounded together",
        Bound::User => "a bound on processes counts all of the user's",
        Bound::Process | Bound::Nothing => {
            "nothing here bounds the administrator's processes, a profile that bounds them is refused"
        }
    };
    let memory = match bounds.memory {
        Bound::Group => "so is their memory, by a control group",
        Bound::Namespace | Bound::User | Bound::Process | Bound::Nothing => {
            "a bound on memory holds for each process, because no control group can be made here"
        }
    };
    format!("A probe tried everything that is forbidden, and failed{weakness}; {processes}; {memory}")
}

/// Why a rung is not offered.
struct Unfit {
    reason: String,
    hint: Option<String>,
}

impl From<io::Error> for Unfit {
    fn from(error: io::Error) -> Self {
        Self { reason: format!("The probe could not be prepared: {error}"), hint: None }
    }
}

async fn try_rung(helper: &Helper, enforcement: Enforcement) -> Result<Bounds, Unfit> {
    let site = Site::new()?;
    let request = site.request()?;
    let (output, bounds) = match timeout(PATIENCE, run(helper, &request, enforcement)).await {
        Ok(Ok(ran)) => ran,
        Ok(Err(failure)) => return Err(unfit(failure, &request, enforcement)),
        Err(_) => return Err(Unfit { reason: "The probe did not end in time".to_owned(), hint: None }),
    };
    let outcomes: Vec<Outcome> = serde_json::from_slice(&output)
        .map_err(|error| Unfit { reason: format!("The probe makes no sense: {error}"), hint: None })?;
    match site.wrong(&outcomes).as_slice() {
        [] => Ok(bounds),
        wrong => Err(Unfit { reason: format!("A probe {}", wrong.join(", ")), hint: None }),
    }
}

fn unfit(error: StartError, request: &CommandRequest, enforcement: Enforcement) -> Unfit {
    let refused = matches!(error, StartError::Failed(Failure::Setup { .. }));
    let error = match error {
        StartError::Failed(failure) => explain_for(failure, request),
        StartError::Other(error) => error,
    };
    let hint = match enforcement {
        Enforcement::Namespaces if refused => hint::namespaces(),
        Enforcement::Bubblewrap => hint::bubblewrap(),
        Enforcement::Landlock if refused => Some(hint::landlock()),
        Enforcement::Namespaces | Enforcement::Landlock | Enforcement::Supervision => None,
    };
    Unfit { reason: error.to_string(), hint }
}

/// Runs the probe's command and gives what it printed, and what bounded it.
async fn run(
    helper: &Helper,
    request: &CommandRequest,
    enforcement: Enforcement,
) -> Result<(Vec<u8>, Bounds), StartError> {
    let plan = plan::build(request, enforcement).map_err(StartError::Other)?;
    let mut process = start(helper, plan, Streams::Asked(Stdin::Null, Output::Piped)).await?;
    let mut output = Vec::new();
    process.take_output().read_to_end(&mut output).await?;
    match process.wait().await.map_err(StartError::Other)? {
        Exit::Code(0) => Ok((output, process.bounds())),
        exit @ (Exit::Code(_) | Exit::Signal(_)) => {
            let reason = format!("the probe ended with {exit:?}");
            Err(StartError::Other(SandboxError::Helper { reason }))
        }
    }
}

/// Where a probe runs: a scratch folder, and sockets that must stay silent.
struct Site {
    folder: TempDir,
    port: UdpSocket,
    /// Absent where this process may not have one itself.
    socket: Option<UnixDatagram>,
    listener: Option<UnixListener>,
}

impl Site {
    fn new() -> io::Result<Self> {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("skein-probe-").permissions(private).tempdir()?;
        for name in ["inside/work", "inside/protected", "outside", "hidden"] {
            fs::create_dir_all(folder.path().join(name))?;
        }
        for name in ["outside/readable", "hidden/secret"] {
            fs::write(folder.path().join(name), "x")?;
        }
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        port.set_nonblocking(true)?;
        let socket = unless_forbidden(UnixDatagram::bind(folder.path().join("socket")))?;
        socket.as_ref().map(|it| it.set_nonblocking(true)).transpose()?;
        let listener = unless_forbidden(UnixListener::bind(folder.path().join("inside/work/listener")))?;
        listener.as_ref().map(|it| it.set_nonblocking(true)).transpose()?;
        Ok(Self { folder, port, socket, listener })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn request(&self) -> io::Result<CommandRequest> {
        let bytes = |name: &str| Bytes(self.path(name).as_os_str().as_bytes().to_vec());
        let orders = Orders {
            inside: bytes("inside/work"),
            outside: bytes("outside"),
            protected: bytes("inside/protected"),
            absent: bytes("inside/absent"),
            hidden: bytes("hidden/secret"),
            port: self.port.local_addr()?.port(),
            socket: bytes("socket"),
            listener: bytes("inside/work/listener"),
            pid: std::process::id(),
            pid_namespace: Bytes(fs::read_link("/proc/self/ns/pid")?.as_os_str().as_bytes().to_vec()),
        };
        let rule = |name: &str, access| PathRule { path: self.path(name), access };
        let mut profile = Profile::new(
            SandboxMode::WorkspaceWrite,
            Access::Read,
            vec![
                rule("inside", Access::Write),
                rule("inside/protected", Access::Read),
                rule("inside/absent", Access::Read),
                rule("hidden", Access::Hidden),
            ],
            NetworkAccess::Off,
        );
        profile.limits.max_memory_bytes = Some(AMPLE_MEMORY);
        Ok(CommandRequest {
            argv: vec![
                // What the command's process is before it is the command: the helper.
                "/proc/self/exe".into(),
                helper_protocol::PROBE_ARGUMENT.into(),
                serde_json::to_string(&orders)?.into(),
            ],
            cwd: self.path("inside/work"),
            environment: Vec::new(),
            profile,
            stdin: Stdin::Null,
            output: Output::Piped,
            proxy: Proxy::None,
            interception: Interception::Off,
        })
    }

    /// What the probe could do and should not, or could not and should.
    fn wrong(&self, outcomes: &[Outcome]) -> Vec<String> {
        let mut wrong = Vec::new();
        for (attempt, expected, words) in EXPECTED {
            let told = outcomes.iter().find(|outcome| outcome.attempt == attempt).map(|it| it.worked);
            let seen = self.seen(attempt);
            if !expected && (told != Some(false) || seen == Some(true)) {
                wrong.push(format!("could {words}"));
            } else if expected && (told != Some(true) || seen == Some(false)) {
                wrong.push(format!("could not {words}"));
            }
        }
        wrong
    }

    /// Whether an attempt left a trace outside, where it would.
    fn seen(&self, attempt: Attempt) -> Option<bool> {
        let is_there = |name: &str| Some(self.path(name).exists());
        match attempt {
            Attempt::WriteInside => is_there("inside/work/probe"),
            Attempt::WriteOutside => is_there("outside/probe"),
            Attempt::WriteProtected => is_there("inside/protected/probe"),
            Attempt::CreateAbsent => is_there("inside/absent"),
            Attempt::SendToPort => Some(self.port.recv(&mut [0]).is_ok()),
            Attempt::SendToSocket => self.socket.as_ref().map(|it| it.recv(&mut [0]).is_ok()),
            Attempt::ConnectToListener => self.listener.as_ref().map(|it| it.accept().is_ok()),
            Attempt::ReadOutside
            | Attempt::ReadHidden
            | Attempt::Signal
            | Attempt::Trace
            | Attempt::NewNamespace => None,
        }
    }
}

/// This process may be in a sandbox itself.
fn unless_forbidden<T>(made: io::Result<T>) -> io::Result<Option<T>> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(None),
        made => made.map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a perfect probe tells.
    fn perfect() -> Vec<Outcome> {
        EXPECTED.map(|(attempt, worked, _)| Outcome { attempt, worked }).to_vec()
    }

    #[test]
    fn what_landlock_alone_lacks_is_said_part_by_part() {
        let bounds = Bounds { processes: Bound::User, memory: Bound::Process };
        let said = shown(SandboxRung::Landlock, bounds);
        let parts: Vec<&str> = said.split("; ").collect();
        for lack in
            ["can't be listed", "no `/dev/shm`", "ptys", "moves a folder above it", "nothing new can be made"]
        {
            assert!(parts.iter().any(|part| part.contains(lack)), "{lack}: {said}");
        }
        assert!(parts.iter().all(|part| part.len() < 240), "{parts:#?}");
        assert!(!shown(SandboxRung::Namespaces, bounds).contains("listed"));
    }

    #[test]
    fn every_hole_is_seen_whether_told_or_not() {
        let site = Site::new().expect("site");
        fs::write(site.path("inside/work/probe"), "x").expect("write");
        assert_eq!(site.wrong(&perfect()), [""; 0]);

        for index in 0..EXPECTED.len() {
            let mut lying = perfect();
            lying[index].worked = !lying[index].worked;
            assert_eq!(site.wrong(&lying).len(), 1, "{:?}", lying[index]);
            lying.remove(index);
            assert_eq!(site.wrong(&lying).len(), 1, "{:?} was not tried", EXPECTED[index].0);
        }

        fs::write(site.path("outside/probe"), "x").expect("write");
        fs::create_dir(site.path("inside/absent")).expect("mkdir");
        let sender = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("sender");
        sender.send_to(b"x", site.port.local_addr().expect("address")).expect("send");
        let wrong = site.wrong(&perfect());
        assert_eq!(
            wrong,
            ["could write outside", "could create a protected path", "could reach the network"]
        );
    }
}
