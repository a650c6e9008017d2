//! The executable that this crate's tests use as helper: what `skein` does first. Besides:
//! - `helper launch FOLDER COMMAND…` is a small daemon that runs one command with FOLDER writable, or with no
//!   restriction where FOLDER is `-`, so that a test can kill it.
//! - `helper launch-registered REGISTER FOLDER COMMAND…` does the same and writes its helper down.
//! - `helper launch-on RUNG FOLDER COMMAND…` does the first on this rung or not at all.
//! - `helper try WHAT [ARGUMENT]` tries a thing that a shell can't say, and succeeds if it worked.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};
use std::process::ExitCode;

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode, SandboxRung};
use sandbox::{CommandRequest, Exit, Interception, Launcher, Output, Proxy, SandboxError, Stdin};

fn main() -> ExitCode {
    helper_linux::run_if_helper();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<&OsStr> = arguments.iter().map(|argument| &**argument).collect();
    let worked = match arguments.split_first() {
        Some((what, [folder, argv @ ..])) if *what == "launch" => {
            launch(&Launcher::new(OWN.into(), None), folder, argv)
        }
        Some((what, [register, folder, argv @ ..])) if *what == "launch-registered" => {
            launch(&Launcher::new(OWN.into(), None).with_register(register.into()), folder, argv)
        }
        Some((what, [rung, folder, argv @ ..])) if *what == "launch-on" => {
            launch(&Launcher::new(OWN.into(), named(rung)), folder, argv)
        }
        Some((what, [thing, rest @ ..])) if *what == "try" => attempt(thing, rest).is_ok(),
        Some(_) | None => false,
    };
    if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The running executable, even if the file is replaced.
const OWN: &str = "/proc/self/exe";

fn named(rung: &OsStr) -> Option<SandboxRung> {
    match rung.as_bytes() {
        b"namespaces" => Some(SandboxRung::Namespaces),
        b"bubblewrap" => Some(SandboxRung::Bubblewrap),
        b"landlock" => Some(SandboxRung::Landlock),
        _ => Some(SandboxRung::Refused),
    }
}

fn launch(launcher: &Launcher, folder: &OsStr, argv: &[&OsStr]) -> bool {
    let mode = if folder == "-" { SandboxMode::DangerFullAccess } else { SandboxMode::WorkspaceWrite };
    let request = CommandRequest {
        argv: argv.iter().map(Into::into).collect(),
        cwd: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        profile: Profile::new(
            mode,
            Access::Read,
            vec![PathRule { path: folder.into(), access: Access::Write }],
            NetworkAccess::Off,
        ),
        stdin: Stdin::Inherit,
        output: Output::Inherit,
        proxy: Proxy::None,
        interception: Interception::Off,
    };
    match run(launcher, request) {
        Ok(exit) => exit == Exit::Code(0),
        Err(error) => {
            // For whoever reads why a test failed.
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            false
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(launcher: &Launcher, request: CommandRequest) -> Result<Exit, SandboxError> {
    launcher.spawn(request).await?.wait().await
}

fn attempt(thing: &OsStr, rest: &[&OsStr]) -> io::Result<()> {
    let argument = rest.first().copied().unwrap_or_default();
    match thing.as_bytes() {
        b"loopback" => {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            TcpStream::connect(listener.local_addr()?)?;
            listener.accept()?;
        }
        b"connect" => {
            let port = argument.to_str().and_then(|port| port.parse().ok());
            TcpStream::connect((Ipv4Addr::LOCALHOST, port.unwrap_or_default()))?;
        }
        b"socket" => {
            UnixStream::connect(argument)?;
        }
        b"abstract" => {
            UnixStream::connect_addr(&SocketAddr::from_abstract_name(argument.as_bytes())?)?;
        }
        b"own-socket" => {
            let listener = UnixListener::bind(argument)?;
            let client = UnixStream::connect(argument)?;
            listener.accept()?;
            if client.peer_addr()?.as_pathname() != Some(argument.as_ref()) {
                return Err(io::ErrorKind::AddrNotAvailable.into());
            }
        }
        // One of its own, in whose place there is another one when it connects.
        b"swapped-socket" => {
            let [own, other] = rest else { return Err(io::ErrorKind::InvalidInput.into()) };
            let _listener = UnixListener::bind(own)?;
            std::fs::rename(other, own)?;
            UnixStream::connect(own)?;
        }
        b"own-abstract" => {
            let address = SocketAddr::from_abstract_name(argument.as_bytes())?;
            let _listener = UnixListener::bind_addr(&address)?;
            UnixStream::connect_addr(&address)?;
        }
        b"datagram-pair" => {
            UnixDatagram::pair()?;
        }
        b"stream-pair" => {
            use io::{Read, Write};
            let (mut one, mut other) = UnixStream::pair()?;
            one.write_all(b"x")?;
            other.read_exact(&mut [0])?;
        }
        _ => return Err(io::ErrorKind::InvalidInput.into()),
    }
    Ok(())
}
