//! Starts a helper with a plan. Knows which descriptors go where; everything else is the plan's.
//!
//! The helper's standard input is its end of the socket, its standard output and standard error are the
//! command's. So nothing has to be done between fork and exec, and the standard library can start it with
//! `posix_spawn`, which does not copy the daemon's page tables.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use helper_protocol::frame;
use helper_protocol::plan::Plan;
use helper_protocol::report::{Failure, Report};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::process::Command;
use tokio::time::timeout;

use crate::error::SandboxError;
use crate::process::{Channel, Process};
use crate::register::{Entry, Register};
use crate::request::{Output, Stdin};

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

/// What helpers are started from.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) executable: PathBuf,
    /// Where those that run are written down.
    pub(crate) register: Option<Arc<Register>>,
}

impl Helper {
    /// Writes down one that was started. That it can't be is no reason not to run anything: it only matters after a
    /// crash of the daemon, and then only if the helper does not notice.
    fn record(&self, pid: Option<u32>) -> Option<Entry> {
        let recorded = self.register.as_ref()?.record(pid?);
        recorded.inspect_err(|error| tracing::warn!(%error, "could not write down that a helper runs")).ok()
    }
}

/// Starts the command of a plan; returns when it runs. Dropping the future kills what was started.
pub(crate) async fn start(
    helper: &Helper,
    plan: &Plan,
    stdin: Stdin,
    output: Output,
) -> Result<Process, StartError> {
    let (ours, theirs) = UnixStream::pair()?;
    let theirs = theirs.into_std()?;
    theirs.set_nonblocking(false)?;
    let mut command = Command::new(&helper.executable);
    command
        .arg0(helper_protocol::NAME)
        .arg(helper_protocol::ARGUMENT)
        .env_clear()
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(theirs)));
    let output = match output {
        Output::Piped => {
            let (writer, reader) = pipe::pipe()?;
            let writer = writer.into_blocking_fd()?;
            command.stdout(writer.try_clone()?).stderr(writer);
            Some(reader)
        }
        Output::Inherit => {
            command.stdout(Stdio::inherit()).stderr(Stdio::inherit());
            None
        }
    };
    let child = command.spawn()?;
    // Before it has a plan: one that nobody knows of has nothing to run.
    let entry = helper.record(child.id());
    // The command still holds the helper's ends; without them only the helper's own keep the pipe open.
    drop(command);
    let mut channel = Channel::new(ours);
    let frame = frame::encode(plan).map_err(io::Error::other)?;
    let conversation = async {
        send(&mut channel.stream, &frame, stdin).await?;
        channel.report().await
    };
    match timeout(SETTING_UP, conversation).await {
        Ok(Ok(Report::Started)) => Ok(Process::new(child, channel, output, entry)),
        Ok(Ok(Report::Failed(failure))) => Err(StartError::Failed(failure)),
        Ok(Ok(Report::Ended(_))) => Err(silent("the helper's report makes no sense")),
        Ok(Err(error)) => Err(StartError::Other(error)),
        Err(_) => Err(silent("the helper did not answer in time")),
    }
}

fn silent(reason: &str) -> StartError {
    StartError::Other(SandboxError::Helper { reason: reason.to_owned() })
}

/// Sends the plan, and with its first bytes this process's standard input where the command shall have it.
async fn send(stream: &mut UnixStream, frame: &[u8], stdin: Stdin) -> Result<(), SandboxError> {
    let rest = match stdin {
        Stdin::Null => frame,
        Stdin::Inherit => {
            let (header, rest) = frame.split_at(frame::HEADER_BYTES);
            let own = io::stdin();
            let descriptors = [own.as_fd()];
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
