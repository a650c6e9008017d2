//! Starts helpers, one ahead if that is wanted, and writes down those that run. Knows nothing of what they run.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::OnceCell;

use crate::register::{Entry, Register};
use crate::small::Small;

/// What helpers are started from.
#[derive(Debug)]
pub(crate) struct Helper {
    /// Holds the helper among other things.
    executable: PathBuf,
    /// Holds nothing else, and starts faster.
    small: Option<Small>,
    chosen: OnceCell<PathBuf>,
    /// Where those that run are written down.
    pub(crate) register: Option<Arc<Register>>,
    /// Whether the next one is started when one has got its plan.
    pub(crate) readiness: Readiness,
    /// The next one. It waits for its plan, and ends when its socket closes.
    next: Mutex<Option<Started>>,
}

/// Whether a helper is started before there is something for it to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// No.
    WhenNeeded,
    /// Yes: one, from the first command on.
    OneAhead,
}

/// One that waits for its plan.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) child: Child,
    /// Ours of both ends.
    pub(crate) stream: UnixStream,
}

impl Helper {
    /// From this executable, or from the small one beside it.
    pub(crate) fn new(executable: PathBuf) -> Self {
        let small = Small::beside(&executable);
        Self {
            executable,
            small,
            chosen: OnceCell::new(),
            register: None,
            readiness: Readiness::WhenNeeded,
            next: Mutex::default(),
        }
    }

    /// One that waits for its plan.
    pub(crate) async fn start(&self) -> io::Result<Started> {
        let ready = self.next.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ready) = ready {
            // Somebody may have killed it.
            if ready.child.try_wait().is_ok_and(|end| end.is_none()) {
                return Ok(ready);
            }
        }
        self.start_another().await
    }

    /// Starts the next one, if that is wanted. If it can't be, it is tried again when it is needed.
    pub(crate) async fn make_ready(&self) {
        match self.readiness {
            Readiness::WhenNeeded => {}
            Readiness::OneAhead => {
                let next = self.start_another().await.ok();
                *self.next.lock().unwrap_or_else(PoisonError::into_inner) = next;
            }
        }
    }

    async fn start_another(&self) -> io::Result<Started> {
        let (stream, theirs) = UnixStream::pair()?;
        let theirs = theirs.into_std()?;
        theirs.set_nonblocking(false)?;
        let mut command = Command::new(self.program().await);
        command
            .arg0(helper_protocol::NAME)
            .arg(helper_protocol::ARGUMENT)
            .env_clear()
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Started { child: command.spawn()?, stream })
    }

    /// The program to start. The small one must hold the same helper as the large one, which it may not do where only
    /// one of both was replaced; that is looked at once.
    pub(crate) async fn program(&self) -> &Path {
        let choose = async || match &self.small {
            Some(small) if small.is_of_the_build_of(&self.executable).await => small.path(),
            Some(_) | None => self.executable.clone(),
        };
        self.chosen.get_or_init(choose).await
    }

    /// Writes down one that was started. That it can't be is no reason not to run anything: it only matters after a
    /// crash of the daemon, and then only if the helper does not notice.
    pub(crate) fn record(&self, pid: Option<u32>) -> Option<Entry> {
        let recorded = self.register.as_ref()?.record(pid?);
        recorded.inspect_err(|error| tracing::warn!(%error, "could not write down that a helper runs")).ok()
    }
}
