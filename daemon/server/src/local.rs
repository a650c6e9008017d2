//! What the command line does without a daemon, over the daemon's own parts: a command in the sandbox, a patch, a
//! question to the policy. Takes plain data and returns what came of it; says nothing to anybody.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use extensions::trust::Trust;
use policy::analysis::Word;
use policy::rules::{NetworkRule, propose};
use policy::verdict::{Intent, Verdict, evaluate};
use protocol::error::{ConfigurationProblem, ProtocolError};
use protocol::profile::{NetworkAccess, Profile};
use protocol::session::{Environment, SessionCreateParams, SessionSettings, SettingsOverrides};
use rules::Reader;
use sandbox::SandboxError;
use serde_json::json;
use session::moment::Rules;
use wire::error::WireError;
use wire::folders::Folders;

use crate::by_hand::change;
use crate::projects::Projects;
use crate::reach::Reach;
use crate::rules::{self as rule_files, MANAGED, RuleBook};
use crate::{check, settings, trust};

/// A command in the sandbox.
pub use crate::by_hand::{Backend, Changes, Ended, SandboxRun, Sandboxed};
/// What is done with a command.
pub use policy::rules::Decision;
/// A connection that a command made or tried to make.
pub use sandbox::proxy::Attempt;
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

/// Applies a patch in the agent's format for a person, who may change any file, and returns what the model would be
/// told. Relative paths start from `cwd`. Blocks.
///
/// # Errors
/// `Patch`.
pub fn apply(patch: &str, cwd: &Path, mode: PatchMode) -> Result<String, LocalError> {
    Ok(tools::apply_patch::apply_by_hand(patch, cwd, mode)?)
}

/// A command that the policy is asked about.
#[derive(Clone, Debug)]
pub struct PolicyCheck {
    /// This executable, absolute: it reads rules too.
    pub reader: PathBuf,
    /// Where.
    pub place: Place,
    /// Program and arguments, or one script.
    pub argv: Vec<String>,
    /// Whether it is to run outside the sandbox.
    pub is_escalated: bool,
}

/// What the policy says of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyVerdict {
    /// What would happen.
    pub decision: Decision,
    /// Why, for a person.
    pub reason: String,
    /// What it would run, what of that can't be known, and what "always" would write, for a person.
    pub details: Vec<String>,
    /// All of it, for a program.
    pub report: serde_json::Value,
}

/// Asks the policy about a command. Runs nothing of it; reads rules.
///
/// # Errors
/// `LocalError`.
pub fn policy_check(check: PolicyCheck) -> Result<PolicyVerdict, LocalError> {
    let PolicyCheck { reader, place, argv, is_escalated } = check;
    let argv = check::understood(argv);
    let folders = Folders::resolve()?;
    let Resolved { session, .. } = resolve(&folders, &place, &Changes::default(), &reader)?;
    let rules = (*rules(&folders, &session.cwd, reader)).clone().placed(&session.cwd);
    let intent = Intent { argv: &argv, cwd: &session.cwd, folder: &session.cwd, is_escalated };
    let verdict = evaluate(&intent, &rules, session.approval, session.sandbox);
    let proposed = propose(&intent, &verdict, &rules).map(|proposal| proposal.to_string());
    let unused = trust::unused_rules(&Trust::new(&folders.state), &session.cwd);
    Ok(told(&verdict, proposed.as_deref(), &rules, &unused))
}

fn told(
    verdict: &Verdict,
    proposed: Option<&str>,
    rules: &policy::rules::Rules,
    unused: &[check::Unused],
) -> PolicyVerdict {
    let Verdict { cause, rule, analysis, reason, approval, sandbox, .. } = verdict;
    let decision = verdict.decision;
    let words = |argv: &[Word]| argv.iter().map(|word| word.shown().to_owned()).collect::<Vec<_>>();
    let commands: Vec<_> = analysis
        .commands
        .iter()
        .map(|command| {
            json!({
                "words": words(&command.argv),
                "isExact": command.is_exact(),
                "place": command.place,
            })
        })
        .collect();
    let redirects = words(&analysis.redirects);
    let details = check::details(verdict, proposed, rules, unused);
    let problems: Vec<String> = rules.problems().iter().map(ToString::to_string).collect();
    let unused: Vec<_> =
        unused.iter().map(|unused| json!({ "file": unused.file, "isChanged": unused.is_changed })).collect();
    let report = json!({
        "decision": decision.as_str(),
        "cause": cause,
        "reason": reason,
        "rule": rule.as_ref().map(|place| json!({ "file": place.file, "line": place.line })),
        "approvalPolicy": approval.as_str(),
        "sandbox": sandbox.as_str(),
        "analysis": {
            "isPlain": analysis.is_plain,
            "commands": commands,
            "redirects": redirects,
            "features": analysis.features,
            "gaps": analysis.gaps,
        },
        "proposedRule": proposed,
        "problems": problems,
        "untrustedRules": unused,
    });
    PolicyVerdict { decision, reason: reason.clone(), details, report }
}

/// The rules that hold in a folder.
fn rules(folders: &Folders, folder: &Path, reader: PathBuf) -> Rules {
    let projects = Projects::new(Arc::new(Trust::new(&folders.state)));
    RuleBook::new(&folders.config, MANAGED.into(), Reader::new(reader)).rules_with(&projects.of(folder))
}

/// What a session here would have.
pub(crate) struct Resolved {
    pub(crate) session: SessionSettings,
    pub(crate) loaded: config::Settings,
    pub(crate) profile: Profile,
    /// What of the settings is not used.
    pub(crate) warnings: Vec<ConfigurationProblem>,
    /// The files with rules that can't be used, where the network is open by rule.
    pub(crate) broken_rules: Vec<ConfigurationProblem>,
}

/// Resolves the settings, with changes for one command, as a session would. Rules are read, by this executable, only
/// where hosts are listed in them.
pub(crate) fn resolve(
    folders: &Folders,
    place: &Place,
    changes: &Changes,
    reader: &Path,
) -> Result<Resolved, LocalError> {
    let mut overrides = place.overrides.clone();
    // No model is asked, so none need be chosen.
    overrides.model.get_or_insert_with(|| "none".to_owned());
    let loaded = settings::load(&folders.config_file(), &overrides)?;
    let params = SessionCreateParams {
        cwd: place.cwd.clone(),
        additional_roots: place.additional_roots.clone(),
        ..SessionCreateParams::default()
    };
    let mut session = settings::of_new_session(&loaded.settings, &params, &place.environment)?;
    change(&mut session, changes);
    let reach = Reach::new(folders);
    let mut profile = reach.profile(&session, &[]);
    let mut broken_rules = Vec::new();
    if profile.network == NetworkAccess::Rules {
        let rules = rules(folders, &session.cwd, reader.to_owned());
        broken_rules = rule_files::told(rules.problems());
        profile.network_rules.extend(rules.networks().iter().filter_map(NetworkRule::for_profile));
    }
    let mut warnings = loaded.warnings;
    let opened = session.permissions.iter().flat_map(|permissions| &permissions.paths).map(|rule| &rule.path);
    let folders = policy::profile::roots(&session).into_iter().chain(opened);
    let problems = folders.flat_map(|folder| reach.problems(folder));
    warnings.extend(problems.map(|(path, what)| trust::problem(path.display().to_string(), what.to_owned())));
    Ok(Resolved { session, loaded: loaded.settings, profile, warnings, broken_rules })
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{Access, SandboxMode};

    #[test]
    fn rules_that_can_not_be_read_are_told_where_the_network_is_open_by_rule() {
        let scratch = tempfile::tempdir().expect("scratch");
        let home = std::fs::canonicalize(scratch.path()).expect("home");
        let repo = home.join("repo");
        let folders =
            Folders { config: home.join("config"), state: home.join("state"), runtime: home.join("run") };
        for folder in [&repo, &folders.state, &folders.config.join("rules")] {
            std::fs::create_dir_all(folder).expect("folder");
        }
        // No reader is there, so no file can be read.
        std::fs::write(folders.config.join("rules/a.rules"), "network_rule(").expect("rules");
        let settings = "default_permissions = \"p\"\n[permissions.p]\nnetwork = \"rules\"\n";
        std::fs::write(folders.config_file(), settings).expect("settings");
        let place = Place { cwd: repo, ..Place::default() };
        for (network, expected) in [
            (None, 1),
            (Some(NetworkAccess::Rules), 1),
            (Some(NetworkAccess::Off), 0),
            (Some(NetworkAccess::Full), 0),
        ] {
            let changes = Changes { network, ..Changes::default() };
            let broken =
                resolve(&folders, &place, &changes, Path::new("/nowhere")).expect("resolved").broken_rules;
            assert_eq!(broken.len(), expected, "{network:?}: {broken:?}");
            assert!(broken.iter().all(|problem| problem.origin.ends_with("a.rules")), "{broken:?}");
        }
    }

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
        let none = Changes::default();
        let reader = Path::new("/nowhere");
        let resolved = resolve(&folders, &place, &none, reader).expect("no model need be chosen");
        assert_eq!(resolved.profile.access(&repo), Access::Read);
        place.overrides.sandbox = Some(SandboxMode::WorkspaceWrite);
        let profile = resolve(&folders, &place, &none, reader).expect("resolved").profile;
        assert_eq!(profile.access(&repo), Access::Write);
        assert_eq!(profile.access(&repo.join(".git")), Access::Read);
        assert_eq!(profile.access(&state.join("skein.db")), Access::Hidden);
    }
}
