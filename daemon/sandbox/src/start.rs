//! Starts a helper with a plan. Knows which descriptors go where; everything else is the plan's.
//!
//! The command's streams come along with the plan, so a helper can be started before it is known what for. Nothing has
//! to be done between fork and exec, and the standard library can start it with `posix_spawn`, which does not copy the
//! daemon's page tables.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use helper_protocol::bytes::Bytes;
use helper_protocol::frame;
use helper_protocol::plan::{Confinement, Plan};
use helper_protocol::report::{End, Failure, Report};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::helper::{Helper, Started};
use crate::plan;
use crate::process::{Channel, Process};
use crate::register;
use crate::request::{Output, Stdin};
use crate::stopped;
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
    let mut ends = Ends::default();
    let passed = match streams {
        Streams::Given(all) => all.into(),
        Streams::Asked(stdin, output) => passed(stdin, output, &mut ends)?,
    };
    let Started { child, stream } = helper.start().await?;
    // Before it has a plan: one that nobody knows of has nothing to run.
    let entry = helper.record(child.id());
    let is_marked = matches!(plan.confinement, Confinement::Landlock(_) | Confinement::Supervision);
    let mark = match (is_marked, &entry) {
        (false, _) => None,
        (true, Some(entry)) => Some(entry.mark()),
        (true, None) => Some(register::new_mark()?),
    };
    if let Some(mark) = &mark {
        let name = Bytes(register::MARK.as_bytes().to_vec());
        plan.command.environment.push((name, Bytes(mark.clone().into_bytes())));
    }
    let mut channel = Channel::new(stream);
    let frame = frame::encode(&plan).map_err(io::Error::other)?;
    let conversation = async {
        send(&mut channel.stream, &frame, &passed).await?;
        // Only the helper's own ends keep the pipes open.
        drop(passed);
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
            helper.make_ready().await;
            Ok(Process::new(child, channel, ends, entry, mark, proxy))
        }
        Ok(Ok(Report::Failed(failure))) => Err(StartError::Failed(failure)),
        Ok(Ok(Report::Ended { end: End::Exposed(paths), .. })) => {
            Err(StartError::Other(SandboxError::Exposed { paths: stopped::paths(paths) }))
        }
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

/// The command's ends of the streams that a caller asks for, in the order in which a plan passes them.
fn passed(stdin: Stdin, output: Output, ends: &mut Ends) -> io::Result<Vec<OwnedFd>> {
    let mut passed = Vec::new();
    match (stdin, output) {
        // The command's process makes all three.
        (_, Output::Terminal(_)) => return Ok(passed),
        (Stdin::Null, _) => {}
        (Stdin::Inherit, _) => passed.push(io::stdin().as_fd().try_clone_to_owned()?),
        (Stdin::Piped, _) => {
            let (writer, reader) = pipe::pipe()?;
            ends.input = Some(writer);
            passed.push(reader.into_blocking_fd()?);
        }
    }
    match output {
        Output::Terminal(_) => {}
        Output::Separate => {
            let ((writer, reader), (error_writer, from_errors)) = (pipe::pipe()?, pipe::pipe()?);
            passed.extend([writer.into_blocking_fd()?, error_writer.into_blocking_fd()?]);
            (ends.output, ends.errors) = (Some(reader), Some(from_errors));
        }
        Output::Piped => {
            let (writer, reader) = pipe::pipe()?;
            let writer = writer.into_blocking_fd()?;
            passed.extend([writer.try_clone()?, writer]);
            ends.output = Some(reader);
        }
        Output::Inherit => {
            passed.push(io::stdout().as_fd().try_clone_to_owned()?);
            passed.push(io::stderr().as_fd().try_clone_to_owned()?);
        }
    }
    Ok(passed)
}

/// Sends the plan, and with its first bytes the streams that the command shall have.
async fn send(stream: &mut UnixStream, frame: &[u8], passed: &[OwnedFd]) -> Result<(), SandboxError> {
    let (header, rest) = frame.split_at(frame::HEADER_BYTES);
    let descriptors: Vec<_> = passed.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
    }
    // Invariant: nothing was sent before, so a few bytes always fit.
    rustix::net::sendmsg(&*stream, &[IoSlice::new(header)], &mut control, SendFlags::NOSIGNAL)
        .map_err(io::Error::from)?;
    Ok(stream.write_all(rest).await?)
}
