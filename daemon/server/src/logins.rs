//! Sign-ins that are under way. Each goes on in a task of its own, whether or not somebody waits for it, and ends by
//! itself in time; a new one of the same provider ends the one before, whose listener is then closed.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::account::{LoginId, LoginStatus};
use protocol::error::{ErrorCode, ProtocolError};
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

/// Sign-ins that are remembered; the oldest goes first.
const MAX_LOGINS: usize = 8;
/// How long a call waits for one to end.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

/// What is told of one that ended before anybody signed in.
const GIVEN_UP: &str = "The sign-in was given up, or another one began";

/// All of them.
#[derive(Default)]
pub(crate) struct Logins(Mutex<VecDeque<Login>>);

struct Login {
    id: LoginId,
    provider: String,
    status: watch::Receiver<LoginStatus>,
    /// Dropping it ends the sign-in.
    _task: AbortOnDropHandle<()>,
}

impl Logins {
    /// Begins one, which `work` carries out.
    pub(crate) fn begin(
        &self,
        provider: &str,
        work: impl Future<Output = LoginStatus> + Send + 'static,
    ) -> LoginId {
        let id = LoginId(Uuid::now_v7());
        let (tell, status) = watch::channel(LoginStatus::Pending);
        let task = tokio::spawn(async move {
            let end = work.await;
            tell.send_replace(end);
        });
        let login = Login { id, provider: provider.to_owned(), status, _task: AbortOnDropHandle::new(task) };
        let mut logins = self.lock();
        logins.retain(|login| login.provider != provider);
        if logins.len() >= MAX_LOGINS {
            logins.pop_front();
        }
        logins.push_back(login);
        id
    }

    /// Ends what is under way of a provider, so that its listener is closed before another one is opened.
    pub(crate) fn give_up(&self, provider: &str) {
        self.lock().retain(|login| login.provider != provider);
    }

    /// How one ended; `Pending` if it has not within 20 s.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) async fn wait(&self, id: LoginId) -> Result<LoginStatus, ProtocolError> {
        let found = self.lock().iter().find(|login| login.id == id).map(|login| login.status.clone());
        let gone = || {
            ProtocolError::new(
                ErrorCode::NotFound,
                "There is no such sign-in; it was given up, or another one began",
            )
            .with_hint("Begin again with `skein login`")
        };
        let mut status = found.ok_or_else(gone)?;
        let ended =
            tokio::time::timeout(WAIT_LIMIT, status.wait_for(|status| *status != LoginStatus::Pending));
        match ended.await {
            Ok(Ok(status)) => Ok(status.clone()),
            Ok(Err(_)) => Ok(LoginStatus::Failed { message: GIVEN_UP.to_owned() }),
            Err(_) => Ok(LoginStatus::Pending),
        }
    }

    /// Gives one up.
    pub(crate) fn cancel(&self, id: LoginId) {
        self.lock().retain(|login| login.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Login>> {
        // A poisoned queue is whole: each change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
