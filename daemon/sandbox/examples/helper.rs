//! The executable that this crate's tests use as helper: what `skein` does first. Besides:
//! - `helper launch FOLDER COMMAND…` is a small daemon that runs one command with FOLDER writable, or with no
//!   restriction where FOLDER is `-`, so that a test can kill it.
//! - `helper launch-registered REGISTER FOLDER COMMAND…` does the same and writes its helper down.
//! - `helper try WHAT [ARGUMENT]` tries a thing that a shell can't say, and succeeds if it worked.

use std::ffi::OsStr;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixStream};
use std::process::ExitCode;

use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use sandbox::{CommandRequest, Exit, Launcher, Limits, Output, SandboxError, Stdin};

fn main() -> ExitCode {
    helper_linux::run_if_helper();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let arguments: Vec<&OsStr> = arguments.iter().map(|argument| &**argument).collect();
    let worked = match arguments.split_first() {
        Some((what, [folder, argv @ ..])) if *what == "launch" => launch(None, folder, argv),
        Some((what, [register, folder, argv @ ..])) if *what == "launch-registered" => {
            launch(Some(register), folder, argv)
        }
        Some((what, [thing, rest @ ..])) if *what == "try" => attempt(thing, rest).is_ok(),
        Some(_) | None => false,
    };
    if worked { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn launch(register: Option<&OsStr>, folder: &OsStr, argv: &[&OsStr]) -> bool {
    let mode = if folder == "-" { SandboxMode::DangerFullAccess } else { SandboxMode::WorkspaceWrite };
    let request = CommandRequest {
        argv: argv.iter().map(Into::into).collect(),
        cwd: "/".into(),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
        profile: Profile {
            mode,
            default_access: Access::Read,
            paths: vec![PathRule { path: folder.into(), access: Access::Write }],
            network: NetworkAccess::Off,
        },
        stdin: Stdin::Inherit,
        output: Output::Inherit,
        limits: Limits::default(),
    };
    matches!(run(register, request), Ok(Exit::Code(0)))
}

#[tokio::main(flavor = "current_thread")]
async fn run(register: Option<&OsStr>, request: CommandRequest) -> Result<Exit, SandboxError> {
    let mut launcher = Launcher::new("/proc/self/exe".into(), None);
    if let Some(register) = register {
        launcher = launcher.with_register(register.into());
    }
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
