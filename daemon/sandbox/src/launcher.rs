//! Runs commands on the strongest rung that holds here. Knows which rungs there are, not how they confine.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use helper_protocol::report::Failure;
use protocol::profile::{SandboxMode, SandboxReport, SandboxRung};
use tokio::sync::OnceCell;

use crate::error::SandboxError;
use crate::execution::Execution;
use crate::explain::{explain, explain_for};
use crate::helper::{Helper, Readiness};
use crate::plan::{self, Enforcement};
use crate::probe;
use crate::process::Process;
use crate::register::Register;
use crate::request::CommandRequest;
use crate::start::{StartError, Streams, start};

/// How often a command is started for which files change while its sandbox is set up.
const TRIES: u32 = 3;

/// Starts commands. One per daemon; shared.
#[derive(Debug)]
pub struct Launcher {
    helper: Helper,
    forced: Option<SandboxRung>,
    /// Replaced when the machine has to be probed again.
    probed: Mutex<Arc<OnceCell<SandboxReport>>>,
}

impl Launcher {
    /// Uses this executable as the helper: an absolute path, outside everything that commands may write, or
    /// `/proc/self/exe`, which stays the running one when the file is replaced. Where a smaller one of the same build
    /// stands beside it, that is used.
    ///
    /// With a forced rung, commands run on that one or not at all.
    #[must_use]
    pub fn new(helper: PathBuf, forced: Option<SandboxRung>) -> Self {
        Self { helper: Helper::new(helper), forced, probed: Mutex::default() }
    }

    /// Writes down in a folder which helpers run, so that [`reap`](crate::reap) can find them if this process dies. The
    /// folder is made if need be; the one above it exists.
    #[must_use]
    pub fn with_register(mut self, folder: PathBuf) -> Self {
        self.helper.register = Some(Register::new(folder));
        self
    }

    /// Has the next helper ready when a command comes, from the second one on: it is started already, and waits. For who
    /// starts many. Commands are to be started from one runtime alone then.
    #[must_use]
    pub fn one_ahead(mut self) -> Self {
        self.helper.readiness = Readiness::OneAhead;
        self
    }

    /// Starts a command; returns when it runs. Dropping the future kills what was started.
    ///
    /// # Errors
    /// `Refused` when the profile can't be enforced here; `NotFound`, `NotExecutable` and `Cwd` when it can't
    /// run; `Helper` and `Io` when the sandbox itself fails.
    pub async fn spawn(&self, request: CommandRequest) -> Result<Process, SandboxError> {
        if request.profile.mode == SandboxMode::DangerFullAccess {
            let started = self.start(&request, Enforcement::Supervision).await?;
            return started.map_err(|failure| explain_for(failure, &request));
        }
        let report = self.report().await;
        let failure = match self.start(&request, self.enforcement(&report)?).await? {
            Ok(process) => return Ok(process),
            Err(failure) => failure,
        };
        if matches!(failure, Failure::Setup { .. }) {
            // The machine may have changed since it was probed.
            let again = self.probe_again().await;
            if again.chosen != report.chosen {
                let started = self.start(&request, self.enforcement(&again)?).await?;
                return started.map_err(|failure| explain_for(failure, &request));
            }
        }
        Err(explain_for(failure, &request))
    }

    /// Starts a program that a command in a sandbox wanted to start, outside of every sandbox, with the streams, the
    /// folder, the file mode mask and the environment that it had there. How it ends, the caller tells the command
    /// ([`Verdict::Ran`](crate::Verdict::Ran)).
    ///
    /// # Errors
    /// As [`Launcher::spawn`].
    pub async fn run_outside(&self, execution: &Execution) -> Result<Process, SandboxError> {
        let [stdin, output, error] = &execution.streams;
        let streams = Streams::Given([stdin.try_clone()?, output.try_clone()?, error.try_clone()?]);
        match start(&self.helper, plan::outside(execution)?, streams).await {
            Ok(process) => Ok(process),
            Err(StartError::Failed(failure)) => Err(explain(failure, &execution.program, &execution.cwd)),
            Err(StartError::Other(error)) => Err(error),
        }
    }

    /// What this machine can enforce. Probes at the first call.
    pub async fn report(&self) -> SandboxReport {
        let cell = Arc::clone(&self.probed.lock().unwrap_or_else(PoisonError::into_inner));
        cell.get_or_init(|| probe::probe(&self.helper, self.forced)).await.clone()
    }

    /// Probes again, for all who ask from now on.
    pub async fn probe_again(&self) -> SandboxReport {
        *self.probed.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        self.report().await
    }

    fn enforcement(&self, report: &SandboxReport) -> Result<Enforcement, SandboxError> {
        enforcement(report, self.forced)
    }

    async fn start(
        &self,
        request: &CommandRequest,
        enforcement: Enforcement,
    ) -> Result<Result<Process, Failure>, SandboxError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let plan = plan::build(request, enforcement)?;
            match start(&self.helper, plan, Streams::Asked(request.stdin, request.output)).await {
                Ok(process) => return Ok(Ok(process)),
                // It has not run.
                Err(
                    StartError::Failed(Failure::Changed { .. })
                    | StartError::Other(SandboxError::Exposed { .. }),
                ) if tries < TRIES => {}
                Err(StartError::Failed(failure)) => return Ok(Err(failure)),
                Err(StartError::Other(error)) => return Err(error),
            }
        }
    }
}

fn enforcement(report: &SandboxReport, forced: Option<SandboxRung>) -> Result<Enforcement, SandboxError> {
    match report.chosen {
        SandboxRung::Namespaces => Ok(Enforcement::Namespaces),
        SandboxRung::Bubblewrap => Ok(Enforcement::Bubblewrap),
        SandboxRung::Landlock => Ok(Enforcement::Landlock),
        SandboxRung::Refused => {
            let reasons: Vec<_> = report.rungs.iter().map(|rung| rung.reason.as_str()).collect();
            let reasons = reasons.join("; ");
            let reason = match forced {
                // Another one may well hold; it was not tried.
                Some(rung) => {
                    format!("`{}`, which was asked for, does not hold here ({reasons})", setting(rung))
                }
                None => format!("no sandbox holds on this machine ({reasons})"),
            };
            let hint = report.rungs.iter().find_map(|rung| rung.hint.clone());
            Err(SandboxError::Refused { reason, hint })
        }
    }
}

/// A rung as people ask for it.
fn setting(rung: SandboxRung) -> &'static str {
    match rung {
        SandboxRung::Namespaces => "namespaces",
        SandboxRung::Bubblewrap => "bwrap",
        SandboxRung::Landlock => "landlock",
        SandboxRung::Refused => "none",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::RungReport;

    #[test]
    fn only_what_was_tried_is_said_not_to_hold() {
        let rung = |rung| RungReport { rung, is_available: false, reason: "no".to_owned(), hint: None };
        let refusal = |rungs: &[SandboxRung], forced| {
            let rungs = rungs.iter().map(|&it| rung(it)).collect();
            let report = SandboxReport { chosen: SandboxRung::Refused, rungs };
            enforcement(&report, forced).expect_err("nothing holds").to_string()
        };
        let all = [SandboxRung::Namespaces, SandboxRung::Bubblewrap, SandboxRung::Landlock];
        assert!(refusal(&all, None).contains("no sandbox holds on this machine (no; no; no)"));
        for (forced, named) in all.into_iter().zip(["`namespaces`", "`bwrap`", "`landlock`"]) {
            let told = refusal(&[forced], Some(forced));
            assert!(
                told.contains(&format!("{named}, which was asked for, does not hold here (no)")),
                "{told}"
            );
        }
    }
}
