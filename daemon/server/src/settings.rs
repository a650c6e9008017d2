//! From `config.toml` and what a client asks for to the settings of a session. Reads files; blocks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::{Loaded, PermissionProfile, Settings, WireApi};
use protocol::error::{ConfigurationProblem, ErrorCode, ErrorDetail, ProtocolError};
use protocol::profile::{GlobRule, NetworkAccess, Permissions};
use protocol::session::{
    AfterCrash, Environment, SessionCreateParams, SessionSettings, SettingOverride, SettingsOverrides,
};

use crate::models;

/// The name of the model that a script plays.
const REPLAY_MODEL: &str = "replay";
/// Bytes of `developer_instructions`.
const MAX_INSTRUCTIONS: usize = 32 * 1024;

/// Reads the settings.
///
/// # Errors
/// `InvalidRequest` with all that is wrong with them.
pub(crate) fn load(file: &Path, overrides: &SettingsOverrides) -> Result<Loaded, ProtocolError> {
    config::load(file, overrides).map_err(|problems| malformed(&problems))
}

/// All problems as one error: the first is the message and the detail, the others the hint.
fn malformed(problems: &[ConfigurationProblem]) -> ProtocolError {
    let Some((first, others)) = problems.split_first() else {
        return ProtocolError::new(ErrorCode::Internal, "The settings can't be read, and nothing says why");
    };
    let mut error = ProtocolError::new(ErrorCode::InvalidRequest, line(first));
    if !others.is_empty() {
        error = error.with_hint(others.iter().map(line).collect::<Vec<_>>().join("\n"));
    }
    error.with_detail(ErrorDetail::Configuration(first.clone()))
}

fn line(problem: &ConfigurationProblem) -> String {
    let place = match (problem.line, problem.column) {
        (Some(line), Some(column)) => format!("{}:{line}:{column}", problem.origin),
        (Some(line), None) => format!("{}:{line}", problem.origin),
        (None, _) => problem.origin.clone(),
    };
    format!("{place}: {}", problem.message)
}

/// The settings of a new session.
///
/// # Errors
/// `InvalidRequest` when a folder is none, or no model is chosen.
pub(crate) fn of_new_session(
    settings: &Settings,
    params: &SessionCreateParams,
    environment: &Environment,
) -> Result<SessionSettings, ProtocolError> {
    let cwd = folder(&params.cwd, "The session's folder")?;
    let asked = params.additional_roots.iter().map(|root| folder(root, "An additional folder"));
    let additional_roots = asked.collect::<Result<_, _>>()?;
    let mut resolved = resolve(settings, cwd, environment)?;
    add_roots(&mut resolved, additional_roots);
    resolved.is_ephemeral = params.is_ephemeral;
    if params.is_detached && settings.after_crash.is_none() {
        resolved.after_crash = AfterCrash::Continue;
    }
    Ok(resolved)
}

/// What a session in a folder would have, whichever model it had.
///
/// # Errors
/// `InvalidRequest` when the settings are malformed.
pub(crate) fn of_folder(
    settings: &Settings,
    cwd: PathBuf,
    environment: &Environment,
) -> Result<SessionSettings, ProtocolError> {
    let mut settings = settings.clone();
    settings.model.get_or_insert_default();
    resolve(&settings, cwd, environment)
}

/// Whether overrides may choose another provider.
pub(crate) fn choose_provider(overrides: &SettingsOverrides) -> bool {
    let names_it = |value: &SettingOverride| value.key.trim() == "model_provider";
    overrides.profile.is_some() || overrides.values.iter().any(names_it)
}

/// A session's settings after an update.
pub(crate) struct Updated {
    /// The session's.
    pub(crate) session: SessionSettings,
    /// Those that they were made of, overrides applied.
    pub(crate) loaded: Settings,
    /// What was not understood.
    pub(crate) warnings: Vec<ConfigurationProblem>,
}

/// The settings of a session after an update: what the overrides touch is new, everything else stays as it is.
/// Folders are only ever added. `loaded` is what the overrides make of the file.
///
/// # Errors
/// `InvalidRequest` when the settings are malformed or no model is chosen.
pub(crate) fn of_updated_session(
    file: &Path,
    current: &SessionSettings,
    overrides: &SettingsOverrides,
    loaded: Loaded,
    environment: &Environment,
) -> Result<Updated, ProtocolError> {
    let resolved = |mut settings: Settings| {
        if model(&settings).is_err() {
            // What a server of this machine offers is looked for where somebody chooses it, and not here.
            settings.model = Some(current.model.clone());
        }
        resolve(&settings, current.cwd.clone(), environment)
    };
    let without = resolved(load(file, &SettingsOverrides::default())?.settings);
    let with = resolved(loaded.settings.clone())?;
    // The settings on disk alone may be incomplete; then everything counts as touched that an override names.
    let without = without.unwrap_or_else(|_| with.clone());
    let named: BTreeSet<&str> =
        overrides.values.iter().filter_map(|value| value.key.split('.').next()).map(str::trim).collect();
    let names = |keys: &[&str]| keys.iter().any(|key| named.contains(key));

    let mut updated = current.clone();
    let is_provider_named = names(&["model_provider"]) || with.provider != without.provider;
    if is_provider_named {
        updated.provider = with.provider;
    }
    if overrides.model.is_some() || names(&["model", "model_provider"]) || with.model != without.model {
        updated.model = with.model;
    }
    if is_provider_named || updated.model != current.model || names(&["model_prices", "models"]) {
        updated.price = models::facts(&loaded.settings, &updated.provider, &updated.model).price;
        updated.model_context = models::context(&loaded.settings, &updated.provider, &updated.model);
    }
    if names(&["model_auto_compact_token_limit"]) {
        updated.model_context.compact_at_tokens = loaded.settings.model_auto_compact_token_limit;
    }
    if names(&["model_reasoning_effort"]) || with.reasoning_effort != without.reasoning_effort {
        updated.reasoning_effort = with.reasoning_effort;
    }
    if names(&["model_reasoning_summary"]) || with.reasoning_summary != without.reasoning_summary {
        updated.reasoning_summary = with.reasoning_summary;
    }
    if names(&["developer_instructions"]) || with.developer_instructions != without.developer_instructions {
        updated.developer_instructions = with.developer_instructions;
    }
    let are_permissions_named = overrides.permissions.is_some() || names(&["default_permissions"]);
    let is_mode_named = overrides.sandbox.is_some() || names(&["sandbox_mode"]);
    // Permissions hold as they were resolved, whatever became of the file, until something else is chosen.
    if are_permissions_named
        || with.permissions != without.permissions
        || (is_mode_named && updated.permissions.is_some())
    {
        updated.sandbox = with.sandbox;
        updated.network = with.network;
        updated.permissions = with.permissions;
    } else if is_mode_named || with.sandbox != without.sandbox {
        updated.sandbox = with.sandbox;
    }
    if overrides.approval.is_some() || names(&["approval_policy"]) || with.approval != without.approval {
        updated.approval = with.approval;
    }
    if names(&["limits"]) || with.limits != without.limits {
        updated.limits = with.limits;
    }
    if names(&["budget"]) || with.budget != without.budget {
        updated.budget = with.budget;
    }
    if names(&["after_crash"]) || with.after_crash != without.after_crash {
        updated.after_crash = with.after_crash;
    }
    if names(&["question_timeout"]) || with.question_timeout_ms != without.question_timeout_ms {
        updated.question_timeout_ms = with.question_timeout_ms;
    }
    let is_workspace_named = names(&["sandbox_workspace_write"]);
    // Those of permissions are part of what was resolved.
    if updated.permissions.is_none() && (is_workspace_named || with.network != without.network) {
        updated.network = with.network;
    }
    if is_workspace_named || with.is_tmp_writable != without.is_tmp_writable {
        updated.is_tmp_writable = with.is_tmp_writable;
    }
    if is_workspace_named || with.additional_roots != without.additional_roots {
        add_roots(&mut updated, with.additional_roots);
    }
    Ok(Updated { session: updated, loaded: loaded.settings, warnings: loaded.warnings })
}

/// Later overrides on top of earlier ones.
pub(crate) fn merged(earlier: &SettingsOverrides, later: &SettingsOverrides) -> SettingsOverrides {
    SettingsOverrides {
        profile: later.profile.clone().or_else(|| earlier.profile.clone()),
        values: merged_values(&earlier.values, &later.values),
        model: later.model.clone().or_else(|| earlier.model.clone()),
        // Of a mode and permissions the later one holds.
        sandbox: later.sandbox.or(earlier.sandbox.filter(|_| later.permissions.is_none())),
        approval: later.approval.or(earlier.approval),
        permissions: later
            .permissions
            .clone()
            .or_else(|| earlier.permissions.clone().filter(|_| later.sandbox.is_none())),
    }
}

/// Later values behind earlier ones, of which those go that are set anew.
fn merged_values(earlier: &[SettingOverride], later: &[SettingOverride]) -> Vec<SettingOverride> {
    let is_kept = |value: &&SettingOverride| later.iter().all(|newer| newer.key != value.key);
    earlier.iter().filter(is_kept).chain(later).cloned().collect()
}

fn resolve(
    settings: &Settings,
    cwd: PathBuf,
    environment: &Environment,
) -> Result<SessionSettings, ProtocolError> {
    let model = model(settings)?;
    let workspace = &settings.sandbox_workspace_write;
    let tmp = Path::new("/tmp");
    let tmpdir =
        environment.get("TMPDIR").map(PathBuf::from).filter(|folder| is_private_tmp(folder, environment));
    // One flag of the session stands for all temporary folders; where only some may be written, those are added.
    let is_tmp_writable = !workspace.exclude_slash_tmp && !workspace.exclude_tmpdir_env_var;
    let mut additional_roots = workspace.writable_roots.clone();
    if !workspace.exclude_slash_tmp && workspace.exclude_tmpdir_env_var {
        additional_roots.push(tmp.to_owned());
    }
    if let Some(tmpdir) = tmpdir
        && !workspace.exclude_tmpdir_env_var
        && !(is_tmp_writable && tmpdir.starts_with(tmp))
    {
        additional_roots.push(tmpdir);
    }
    let price = models::facts(settings, &settings.model_provider, &model).price;
    let context = models::context(settings, &settings.model_provider, &model);
    let network = if workspace.network_access { NetworkAccess::Full } else { NetworkAccess::Off };
    let network = settings.permissions.as_ref().and_then(|profile| profile.network).unwrap_or(network);
    let permissions = settings.permissions.as_ref().map(|profile| permissions(profile, &cwd, environment));
    let mut resolved = SessionSettings {
        cwd,
        additional_roots: Vec::new(),
        provider: settings.model_provider.clone(),
        model,
        reasoning_effort: settings.model_reasoning_effort.clone(),
        reasoning_summary: settings.model_reasoning_summary.clone(),
        developer_instructions: instructions(settings)?,
        sandbox: settings.sandbox_mode,
        network,
        approval: settings.approval_policy,
        is_tmp_writable,
        permissions: permissions.transpose()?,
        limits: settings.limits.clone(),
        budget: settings.budget.clone(),
        price,
        is_ephemeral: false,
        after_crash: settings.after_crash.clone().unwrap_or_default(),
        question_timeout_ms: settings.question_timeout_ms,
        model_context: context,
    };
    add_roots(&mut resolved, additional_roots);
    Ok(resolved)
}

/// Permissions for a folder, with real paths: a name that leads elsewhere closes what it leads to.
fn permissions(
    profile: &PermissionProfile,
    cwd: &Path,
    environment: &Environment,
) -> Result<Permissions, ProtocolError> {
    let refused = |reason: String| {
        let message = format!("The permissions `{}` can't be used: {reason}", profile.name);
        ProtocolError::new(ErrorCode::InvalidRequest, message)
    };
    let home = environment.get("HOME").map(Path::new).filter(|home| home.is_absolute());
    let home =
        home.map(workspace::path::resolve).transpose().map_err(|error| refused(format!("`~`: {error}")))?;
    let mut resolved = profile
        .resolve(cwd, home.as_deref())
        .ok_or_else(|| refused("they name `~`, and `HOME` is not an absolute path".to_owned()))?;
    let rules = resolved.paths.iter_mut().map(|rule| &mut rule.path);
    for path in rules.chain(&mut resolved.unix_sockets) {
        *path = workspace::path::resolve(path)
            .map_err(|error| refused(format!("`{}`: {error}", path.display())))?;
    }
    for rule in resolved.globs.iter_mut().filter(|rule| rule.is_absolute()) {
        // What stands before the first sign of a pattern is a folder.
        let is_plain = |part: &&str| !part.contains(['*', '?', '[', ']', '{', '}', '\\']);
        let length: usize = rule.pattern.split('/').take_while(is_plain).map(|part| part.len() + 1).sum();
        let (folder, rest) = rule.pattern.split_at(length.min(rule.pattern.len()));
        let real = workspace::path::resolve(Path::new(folder))
            .map_err(|error| refused(format!("`{}`: {error}", rule.pattern)))?;
        rule.pattern = GlobRule::pattern_below(&real, rest);
    }
    Ok(resolved)
}

/// What the model is told besides, which every request carries.
fn instructions(settings: &Settings) -> Result<Option<String>, ProtocolError> {
    let text = settings.developer_instructions.clone();
    if text.as_ref().is_some_and(|text| text.len() > MAX_INSTRUCTIONS) {
        let message = format!("`developer_instructions` is longer than {MAX_INSTRUCTIONS} bytes");
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, message)
            .with_hint("What is longer belongs into a file that they name"));
    }
    Ok(text)
}

fn model(settings: &Settings) -> Result<String, ProtocolError> {
    if let Some(model) = &settings.model {
        return Ok(model.clone());
    }
    let provider = settings.model_providers.get(&settings.model_provider);
    if provider.is_some_and(|provider| provider.wire_api == WireApi::Replay) {
        return Ok(REPLAY_MODEL.to_owned());
    }
    if let Some(model) = model::catalogue::built_in().default_model(&settings.model_provider) {
        return Ok(model.to_owned());
    }
    let message = format!("No model is chosen for the provider `{}`", settings.model_provider);
    Err(ProtocolError::new(ErrorCode::InvalidRequest, message)
        .with_hint("Choose one with `-m MODEL`, or with `model = \"…\"` in `config.toml`"))
}

/// Adds folders that are not there yet, with their real paths. One that does not exist is left out: there is
/// nothing in it to write to, and nobody may make it.
fn add_roots(settings: &mut SessionSettings, folders: Vec<PathBuf>) {
    for folder in folders {
        match std::fs::canonicalize(&folder) {
            Ok(folder) if folder.is_dir() => {
                if folder != settings.cwd && !settings.additional_roots.contains(&folder) {
                    settings.additional_roots.push(folder);
                }
            }
            Ok(_) | Err(_) => {
                tracing::warn!(folder = %folder.display(), "a writable folder does not exist and is left out");
            }
        }
    }
}

/// Whether it can be a temporary folder. A variable that names the root, the home or a folder above it would
/// open all that lies there.
fn is_private_tmp(folder: &Path, environment: &Environment) -> bool {
    let holds_home = environment.get("HOME").is_some_and(|home| Path::new(home).starts_with(folder));
    folder.is_absolute() && folder.parent().is_some() && !holds_home
}

/// The real path of a folder that a client named.
fn folder(path: &Path, what: &str) -> Result<PathBuf, ProtocolError> {
    let invalid = |reason: String| ProtocolError::new(ErrorCode::InvalidRequest, reason);
    let shown = path.display();
    if !path.is_absolute() {
        return Err(invalid(format!("{what} `{shown}` is not an absolute path")));
    }
    let real = std::fs::canonicalize(path)
        .map_err(|error| invalid(format!("{what} `{shown}` can't be used: {error}")))?;
    if !real.is_dir() {
        return Err(invalid(format!("{what} `{shown}` is not a folder")));
    }
    if real.to_str().is_none() {
        return Err(invalid(format!("{what} `{shown}` has a name that is not UTF-8")));
    }
    Ok(real)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{Access, ApprovalPolicy, PathRule, SandboxMode};

    fn params(cwd: &Path) -> SessionCreateParams {
        SessionCreateParams { cwd: cwd.to_owned(), ..SessionCreateParams::default() }
    }

    fn new_session(
        settings: &Settings,
        params: &SessionCreateParams,
    ) -> Result<SessionSettings, ProtocolError> {
        of_new_session(settings, params, &Environment::new())
    }

    #[test]
    fn defaults_fill_what_nobody_chose() {
        let scratch = tempfile::tempdir().expect("scratch");
        let settings = new_session(&Settings::default(), &params(scratch.path())).expect("settings");
        assert_eq!(settings.model, "gpt-5.5");
        assert_eq!(settings.sandbox, SandboxMode::WorkspaceWrite);
        assert_eq!(settings.network, NetworkAccess::Off);
        assert!(settings.is_tmp_writable);
        assert_eq!(settings.additional_roots, [""; 0].map(PathBuf::from));
    }

    #[test]
    fn a_folder_must_be_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("file");
        std::fs::write(&file, "").expect("file");
        for (path, wanted) in [
            (PathBuf::from("relative"), "not an absolute path"),
            (scratch.path().join("absent"), "can't be used"),
            (file, "not a folder"),
        ] {
            let error = new_session(&Settings::default(), &params(&path)).expect_err("refused");
            assert_eq!(error.code, ErrorCode::InvalidRequest);
            assert!(error.message.contains(wanted), "{}", error.message);
        }
    }

    #[cfg(unix)]
    #[test]
    fn folders_are_known_by_their_real_paths() {
        let scratch = tempfile::tempdir().expect("scratch");
        let real = std::fs::canonicalize(scratch.path()).expect("real").join("real");
        std::fs::create_dir(&real).expect("folder");
        let link = scratch.path().join("link");
        rustix::fs::symlink(&real, &link).expect("link");
        let params = SessionCreateParams { additional_roots: vec![link.clone()], ..params(&link) };
        let settings = new_session(&Settings::default(), &params).expect("settings");
        assert_eq!(settings.cwd, real);
        assert_eq!(
            settings.additional_roots,
            [""; 0].map(PathBuf::from),
            "the folder itself is no additional one"
        );
    }

    #[test]
    fn a_provider_without_a_model_asks_for_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let mut settings = Settings { model_provider: "mine".to_owned(), ..Settings::default() };
        let mut provider = config::ModelProvider::new("mine");
        settings.model_providers.insert("mine".to_owned(), provider.clone());
        let error = new_session(&settings, &params(scratch.path())).expect_err("refused");
        assert!(error.message.contains("`mine`"), "{}", error.message);
        provider.wire_api = WireApi::Replay;
        settings.model_providers.insert("mine".to_owned(), provider);
        assert_eq!(new_session(&settings, &params(scratch.path())).expect("settings").model, REPLAY_MODEL);
    }

    #[test]
    fn temporary_folders_are_open_as_far_as_the_settings_say() {
        let scratch = tempfile::tempdir_in("/var/tmp").expect("scratch");
        let real = std::fs::canonicalize(scratch.path()).expect("real");
        let environment = Environment::from([
            ("TMPDIR".to_owned(), scratch.path().to_string_lossy().into_owned()),
            ("HOME".to_owned(), "/home/me".to_owned()),
        ]);
        let tmp = PathBuf::from("/tmp");
        for (slash, tmpdir, expected_flag, expected_roots) in [
            (false, false, true, vec![real.clone()]),
            (true, false, false, vec![real]),
            (false, true, false, vec![std::fs::canonicalize(tmp).expect("tmp")]),
            (true, true, false, vec![]),
        ] {
            let mut settings = Settings::default();
            settings.sandbox_workspace_write.exclude_slash_tmp = slash;
            settings.sandbox_workspace_write.exclude_tmpdir_env_var = tmpdir;
            let resolved = resolve(&settings, "/".into(), &environment).expect("settings");
            assert_eq!(
                (resolved.is_tmp_writable, resolved.additional_roots),
                (expected_flag, expected_roots)
            );
        }
        for bad in ["/", "/home", "relative"] {
            assert!(!is_private_tmp(Path::new(bad), &environment), "{bad}");
        }
    }

    #[test]
    fn an_update_changes_what_it_names_and_nothing_else() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("config.toml");
        let mut current = new_session(&Settings::default(), &params(scratch.path())).expect("settings");
        current.model = "chosen".to_owned();
        current.sandbox = SandboxMode::ReadOnly;
        let update = |overrides: &SettingsOverrides| {
            let loaded = load(&file, overrides).expect("settings");
            of_updated_session(&file, &current, overrides, loaded, &Environment::new())
                .expect("updated")
                .session
        };
        let overrides =
            SettingsOverrides { approval: Some(ApprovalPolicy::Never), ..SettingsOverrides::default() };
        let expected = SessionSettings { approval: ApprovalPolicy::Never, ..current.clone() };
        assert_eq!(update(&overrides), expected);
        // What is asked for is the default on disk, and not what holds in the session.
        let overrides =
            SettingsOverrides { sandbox: Some(SandboxMode::WorkspaceWrite), ..SettingsOverrides::default() };
        assert_eq!(update(&overrides).sandbox, SandboxMode::WorkspaceWrite);
        assert_eq!(update(&overrides).model, "chosen");
        let value = SettingOverride { key: "model".to_owned(), value: "other".to_owned() };
        let overrides = SettingsOverrides { values: vec![value], ..SettingsOverrides::default() };
        assert_eq!(update(&overrides).model, "other");
        assert_eq!(update(&overrides).sandbox, SandboxMode::ReadOnly);
        let told = |text: &str| SettingsOverrides {
            values: vec![SettingOverride {
                key: "developer_instructions".to_owned(),
                value: text.to_owned(),
            }],
            ..SettingsOverrides::default()
        };
        let briefly = update(&told("'Be brief.'")).developer_instructions;
        assert_eq!(briefly.as_deref(), Some("Be brief."));
        assert_eq!(update(&told("''")).developer_instructions, None);
        assert_eq!(merged(&told("'one'"), &told("'two'")), told("'two'"), "they do not pile up");
    }

    /// The settings of a file with permissions `p` that only say these paths, in a folder.
    fn write_permissions(file: &Path, paths: &str) {
        let text = format!(
            "model = 'm'\n[permissions.p]\nextends = 'read-only'\nnetwork = 'rules'\npaths = {paths}\n"
        );
        std::fs::write(file, text).expect("file");
    }

    #[test]
    fn permissions_are_resolved_once_and_a_later_edit_does_not_widen_them() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (file, folder) = (scratch.path().join("config.toml"), scratch.path().join("folder"));
        std::fs::create_dir(&folder).expect("folder");
        write_permissions(&file, "{ 'a' = 'none', '~/x' = 'read' }");
        let environment = Environment::from([("HOME".to_owned(), "/nowhere/me".to_owned())]);
        let chosen = SettingsOverrides { permissions: Some("p".to_owned()), ..SettingsOverrides::default() };
        let settings = load(&file, &chosen).expect("settings").settings;
        let created = of_new_session(&settings, &params(&folder), &environment).expect("created");
        let real = std::fs::canonicalize(&folder).expect("real");
        let rule = |path: PathBuf, access| PathRule { path, access };
        let expected = [rule(real.join("a"), Access::Hidden), rule("/nowhere/me/x".into(), Access::Read)];
        let permissions = created.permissions.clone().expect("permissions");
        assert_eq!(permissions.paths, expected);
        assert_eq!((created.sandbox, created.network), (SandboxMode::ReadOnly, NetworkAccess::Rules));

        write_permissions(&file, "{ '/' = 'write' }");
        let update = |overrides: &SettingsOverrides| {
            let loaded = load(&file, overrides).expect("settings");
            of_updated_session(&file, &created, overrides, loaded, &environment).expect("updated").session
        };
        let other = SettingsOverrides { model: Some("n".to_owned()), ..SettingsOverrides::default() };
        assert_eq!(update(&other).permissions, Some(permissions));
        let open = SettingOverride {
            key: "sandbox_workspace_write.network_access".to_owned(),
            value: "true".to_owned(),
        };
        let open = SettingsOverrides { values: vec![open], ..SettingsOverrides::default() };
        assert_eq!(update(&open), created);
        let mode =
            SettingsOverrides { sandbox: Some(SandboxMode::WorkspaceWrite), ..SettingsOverrides::default() };
        let updated = update(&mode);
        assert_eq!((updated.sandbox, updated.network), (SandboxMode::WorkspaceWrite, NetworkAccess::Off));
        assert_eq!(updated.permissions, None);
        let again = update(&chosen).permissions.expect("permissions");
        assert_eq!(again.paths, [rule("/".into(), Access::Write)]);
    }

    #[cfg(unix)]
    #[test]
    fn permissions_hold_for_what_a_link_leads_to() {
        let scratch = tempfile::tempdir().expect("scratch");
        let real = std::fs::canonicalize(scratch.path()).expect("real");
        rustix::fs::symlink(real.join("target"), real.join("link")).expect("link");
        let file = real.join("config.toml");
        write_permissions(&file, "{ 'link/below' = 'none', '~/*.key' = 'none', 'link/*.pem' = 'none' }");
        let chosen = SettingsOverrides { permissions: Some("p".to_owned()), ..SettingsOverrides::default() };
        let settings = load(&file, &chosen).expect("settings").settings;
        let home = real.join("link").to_string_lossy().into_owned();
        let environment = Environment::from([("HOME".to_owned(), home)]);
        let created = of_new_session(&settings, &params(&real), &environment).expect("created");
        let permissions = created.permissions.expect("permissions");
        assert_eq!(permissions.paths[0].path, real.join("target/below"));
        for name in ["a.key", "a.pem"] {
            let path = real.join("target").join(name);
            assert!(permissions.globs.iter().any(|rule| rule.matches(&path)), "{name}: {permissions:?}");
        }
    }

    #[test]
    fn a_home_that_permissions_need_must_be_known() {
        let scratch = tempfile::tempdir().expect("scratch");
        let file = scratch.path().join("config.toml");
        write_permissions(&file, "{ '~/.ssh' = 'none' }");
        let chosen = SettingsOverrides { permissions: Some("p".to_owned()), ..SettingsOverrides::default() };
        let settings = load(&file, &chosen).expect("settings").settings;
        let error = of_new_session(&settings, &params(scratch.path()), &Environment::new());
        assert!(error.expect_err("refused").message.contains("`HOME`"));
    }

    #[test]
    fn of_a_mode_and_permissions_the_later_one_is_kept() {
        let permissions =
            SettingsOverrides { permissions: Some("p".to_owned()), ..SettingsOverrides::default() };
        let mode = SettingsOverrides { sandbox: Some(SandboxMode::ReadOnly), ..SettingsOverrides::default() };
        assert_eq!(merged(&permissions, &mode), mode);
        assert_eq!(merged(&mode, &permissions), permissions);
        assert_eq!(merged(&permissions, &SettingsOverrides::default()), permissions);
    }

    #[test]
    fn every_problem_is_told() {
        let problem = |message: &str, line| ConfigurationProblem {
            origin: "config.toml".to_owned(),
            line: Some(line),
            column: Some(3),
            key: None,
            message: message.to_owned(),
            suggestion: None,
            excerpt: None,
        };
        let error = malformed(&[problem("One", 1), problem("Two", 2)]);
        assert_eq!(error.message, "config.toml:1:3: One");
        assert_eq!(error.hint.as_deref(), Some("config.toml:2:3: Two"));
        assert_eq!(error.detail.as_deref(), Some(&ErrorDetail::Configuration(problem("One", 1))));
    }
}
