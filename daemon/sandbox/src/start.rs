//! Starts a helper with a plan. Knows which descriptors go where; everything else is the plan's.
//!
//! The helper's standard input is its end of the socket, its standard output and standard error are the
//! command's. So nothing has to be done between fork and exec, and the standard library can start it with
//! `posix_spawn`, which does not copy the daemon's page tables.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::time::Duration;

use helper_protocol::bytes::Bytes;
use helper_protocol::frame;
use helper_protocol::plan::{Confinement, Plan};
use helper_protocol::report::{Failure, Report};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::helper::Helper;
use crate::plan;
use crate::process::{Channel, Process};
use crate::register;
use crate::request::{Output, Stdin};
use crate::terminal::Ends;

/// How long confining a command may take.
const SETTING_UP: Duration = Duration::from_secs(10);

/// Why there is no process.
pub(crate) enum StartError {
    /// The helper says why.
    Failed(Failure),
    /// It could not be started or did not say.
    Other(SandboxError),
}

impl From<io::Error> for StartError {
    fn from(source: io::Error) -> Self {
        Self::Other(SandboxError::Io { source })
    }
}

/// Where a command's streams lead.
#[derive(Debug)]
pub(crate) enum Streams {
    /// Where a caller asks for.
    Asked(Stdin, Output),
    /// Here: standard input, output and error.
    Given([OwnedFd; 3]),
}

/// Starts the command of a plan; returns when it runs. Dropping the future kills what was started.
pub(crate) async fn start(helper: &Helper, mut plan: Plan, streams: Streams) -> Result<Process, StartError> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    theirs.set_nonblocking(false)?;
    let mut command = Command::new(helper.program().await);
    command
        .arg0(helper_protocol::NAME)
        .arg(helper_protocol::ARGUMENT)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)));
    let mut ends = Ends::default();
    let (stdin, output, error) = match streams {
        // The command's process makes all three.
        Streams::Asked(_, output @ Output::Terminal(_)) => (None, Err(output), None),
        Streams::Asked(stdin, output) => {
            let stdin = match stdin {
                Stdin::Null => None,
                Stdin::Inherit => Some(io::stdin().as_fd().try_clone_to_owned()?),
                Stdin::Piped => {
                    let (writer, reader) = pipe::pipe()?;
                    ends.input = Some(writer);
                    Some(reader.into_blocking_fd()?)
                }
            };
            (stdin, Err(output), None)
        }
        Streams::Given([stdin, output, error]) => (Some(stdin), Ok(output), Some(error)),
    };
    match output {
        Ok(output) => {
            command.stdout(output);
        }
        Err(Output::Separate) => {
            let (writer, reader) = pipe::pipe()?;
            command.stdout(writer.into_blocking_fd()?);
            let (writer, from_errors) = pipe::pipe()?;
            command.stderr(writer.into_blocking_fd()?);
            (ends.output, ends.errors) = (Some(reader), Some(from_errors));
        }
        Err(Output::Piped) => {
            let (writer, reader) = pipe::pipe()?;
            let writer = writer.into_blocking_fd()?;
            command.stdout(writer.try_clone()?).stderr(writer);
            ends.output = Some(reader);
        }
        Err(Output::Inherit) => {
            command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
        }
        Err(Output::Terminal(_)) => {
            command.stdout(Stdio::null()).stderr(Stdio::null());
        }
    }
    if let Some(error) = error {
        command.stderr(error);
    }
    let child = command.spawn()?;
    // Before it has a plan: one that nobody knows of has nothing to run.
    let entry = helper.record(child.id());
    if let (Confinement::Landlock(_) | Confinement::Supervision, Some(entry)) = (&plan.confinement, &entry) {
        let name = Bytes(register::MARK.as_bytes().to_vec());
        plan.command.environment.push((name, Bytes(entry.mark().into_bytes())));
    }
    // The command still holds the helper's ends; without them only the helper's own keep the pipe open.
    drop(command);
    let mut channel = Channel::new(ours);
    let frame = frame::encode(&plan).map_err(io::Error::other)?;
    let conversation = async {
        send(&mut channel.stream, &frame, stdin.as_ref()).await?;
        channel.report().await
    };
    match timeout(SETTING_UP, conversation).await {
        Ok(Ok(Report::Started)) => {
            // Other descriptors may have come already, with the report that follows.
            let mut promised = |is_promised| channel.take_descriptors(usize::from(is_promised)).pop();
            let proxy = promised(plan::is_proxied(&plan.confinement)).map(TcpListener::from);
            let terminal = promised(plan.terminal.is_some());
            if let Some(listener) = &proxy {
                listener.set_nonblocking(true)?;
            }
            if let Some(terminal) = terminal {
                ends.sit_at(terminal)?;
            } else if plan.terminal.is_some() {
                return Err(silent("no terminal came with the helper's report"));
            }
            Ok(Process::new(child, channel, ends, entry, proxy))
        }
        Ok(Ok(Report::Failed(failure))) => Err(StartError::Failed(failure)),
        Ok(Ok(Report::Executes(_) | Report::Ended { .. })) => {
            Err(silent("the helper's report makes no sense"))
        }
        Ok(Err(error)) => Err(StartError::Other(error)),
        Err(_) => Err(silent("the helper did not answer in time")),
    }
}

fn silent(reason: &str) -> StartError {
    StartError::Other(SandboxError::Helper { reason: reason.to_owned() })
}

/// Sends the plan, and with its first bytes the standard input that the command shall have.
async fn send(stream: &mut UnixStream, frame: &[u8], stdin: Option<&OwnedFd>) -> Result<(), SandboxError> {
    let rest = match stdin {
        None => frame,
        Some(stdin) => {
            let (header, rest) = frame.split_at(frame::HEADER_BYTES);
            let descriptors = [stdin.as_fd()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&descriptors));
            // Invariant: nothing was sent before, so a few bytes always fit.
            rustix::net::sendmsg(&*stream, &[IoSlice::new(header)], &mut control, SendFlags::NOSIGNAL)
                .map_err(io::Error::from)?;
            rest
        }
    };
    Ok(stream.write_all(rest).await?)
}
