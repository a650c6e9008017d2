//! What the command line does without a daemon, over the daemon's own parts: a command in the sandbox, a patch, a
//! question to the policy. Takes plain data and returns what came of it; says nothing to anybody.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use policy::decision::{Action, decide};
use protocol::error::{ConfigurationProblem, ProtocolError};
use protocol::profile::{ApprovalPolicy, Profile, SandboxMode, SandboxRung};
use protocol::session::{Environment, SessionCreateParams, SessionSettings, SettingsOverrides};
use sandbox::{CommandRequest, Exit, Launcher, Limits, Output, SandboxError, Stdin};
use wire::error::WireError;
use wire::folders::Folders;

use crate::{environment, settings, wiring};

/// What would be done with an action.
pub use policy::decision::Decision;
/// What is done when a section of a patch can't be carried out.
pub use tools::apply_patch::Mode as PatchMode;

/// Why a thing that needs no daemon could not be done.
#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    /// The home can't be told.
    #[error(transparent)]
    Wire(#[from] WireError),
    /// The settings or a folder are not right.
    #[error(transparent)]
    Settings(#[from] ProtocolError),
    /// The command did not run.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The patch was not applied.
    #[error(transparent)]
    Patch(#[from] tools::apply_patch::PatchError),
    /// The system gives no threads.
    #[error("The command can't be supervised")]
    Runtime(#[source] std::io::Error),
}

impl LocalError {
    /// What to do about it, for a person.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        match self {
            Self::Wire(error) => error.hint(),
            Self::Settings(error) => error.hint.as_deref(),
            Self::Sandbox(error) => error.hint(),
            Self::Patch(_) | Self::Runtime(_) => None,
        }
    }
}

/// Where something is done, and with which settings: as a session that is made with them would.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// The folder, absolute.
    pub cwd: PathBuf,
    /// Further writable folders, absolute.
    pub additional_roots: Vec<PathBuf>,
    /// What differs from the settings on disk.
    pub overrides: SettingsOverrides,
    /// The environment of whoever asks.
    pub environment: Environment,
}

/// A command to run by hand.
#[derive(Clone, Debug)]
pub struct SandboxRun {
    /// This executable, absolute: it is the sandbox helper too.
    pub helper: PathBuf,
    /// Where.
    pub place: Place,
    /// How it is confined; absent: as the settings say, else the strongest way that holds.
    pub rung: Option<SandboxRung>,
    /// Program and arguments.
    pub argv: Vec<OsString>,
}

/// Runs a command as an agent's would be, with this process's own standard input and output, and returns its exit
/// code: 128 and the signal's number if a signal ended it. Blocks.
///
/// # Errors
/// `LocalError`.
pub fn sandbox(run: SandboxRun) -> Result<i32, LocalError> {
    let SandboxRun { helper, place, rung, argv } = run;
    let resolved = resolve(&Folders::resolve()?, &place)?;
    let launcher = Launcher::new(helper, rung.or(resolved.loaded.sandbox_backend));
    let request = CommandRequest {
        argv,
        cwd: resolved.session.cwd.clone(),
        environment: environment::for_commands(&place.environment, &resolved.loaded).to_vec(),
        profile: resolved.profile,
        stdin: Stdin::Inherit,
        output: Output::Inherit,
        limits: Limits::default(),
    };
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LocalError::Runtime)?;
    let exit = runtime.block_on(async { launcher.spawn(request).await?.wait().await })?;
    Ok(match exit {
        Exit::Code(code) => code,
        Exit::Signal(signal) => 128 + signal,
    })
}

/// Applies a patch in the agent's format for a person, who may change any file, and returns what the model would be
/// told. Relative paths start from `cwd`. Blocks.
///
/// # Errors
/// `Patch`.
pub fn apply(patch: &str, cwd: &Path, mode: PatchMode) -> Result<String, LocalError> {
    Ok(tools::apply_patch::apply_by_hand(patch, cwd, mode)?)
}

/// What the policy says of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What would be done with it.
    pub decision: Decision,
    /// The approval policy that decided.
    pub approval: ApprovalPolicy,
    /// What the command could touch.
    pub sandbox: SandboxMode,
    /// Settings that were not understood.
    pub warnings: Vec<ConfigurationProblem>,
}

/// Asks the policy about a command that does not ask to leave the sandbox. Runs nothing.
///
/// # Errors
/// `LocalError`.
pub fn policy_check(place: &Place, argv: &[String]) -> Result<Verdict, LocalError> {
    let Resolved { session, warnings, .. } = resolve(&Folders::resolve()?, place)?;
    let SessionSettings { approval, sandbox, .. } = session;
    let decision = decide(Action::Command { argv, is_escalated: false }, approval, sandbox);
    Ok(Verdict { decision, approval, sandbox, warnings })
}

struct Resolved {
    session: SessionSettings,
    loaded: config::Settings,
    warnings: Vec<ConfigurationProblem>,
    profile: Profile,
}

fn resolve(folders: &Folders, place: &Place) -> Result<Resolved, LocalError> {
    let mut overrides = place.overrides.clone();
    // No model is asked, so none need be chosen.
    overrides.model.get_or_insert_with(|| "none".to_owned());
    let loaded = settings::load(&folders.config_file(), &overrides)?;
    let params = SessionCreateParams {
        cwd: place.cwd.clone(),
        additional_roots: place.additional_roots.clone(),
        ..SessionCreateParams::default()
    };
    let session = settings::of_new_session(&loaded.settings, &params, &place.environment)?;
    let profile = wiring::profile(&session, &wiring::own_folders(folders), &wiring::temporary());
    Ok(Resolved { session, loaded: loaded.settings, warnings: loaded.warnings, profile })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::Access;

    #[test]
    fn a_command_by_hand_is_confined_as_the_settings_say() {
        let scratch = tempfile::tempdir().expect("scratch");
        let home = std::fs::canonicalize(scratch.path()).expect("home");
        let (repo, state) = (home.join("repo"), home.join("state"));
        for folder in [&repo, &state] {
            std::fs::create_dir(folder).expect("folder");
        }
        let folders =
            Folders { config: home.join("config"), state: state.clone(), runtime: home.join("run") };
        std::fs::create_dir(&folders.config).expect("config");
        let settings = "model_provider = \"mine\"\nsandbox_mode = \"read-only\"\n\
                        [model_providers.mine]\nname = \"Mine\"\nbase_url = \"http://127.0.0.1:1/v1\"\n";
        std::fs::write(folders.config_file(), settings).expect("settings");
        let mut place = Place { cwd: repo.clone(), ..Place::default() };
        let resolved = resolve(&folders, &place).expect("no model need be chosen");
        assert_eq!(resolved.profile.access(&repo), Access::Read);
        place.overrides.sandbox = Some(SandboxMode::WorkspaceWrite);
        let profile = resolve(&folders, &place).expect("resolved").profile;
        assert_eq!(profile.access(&repo), Access::Write);
        assert_eq!(profile.access(&repo.join(".git")), Access::Read);
        assert_eq!(profile.access(&state.join("skein.db")), Access::Hidden);
    }
}
