//! The world as sessions see it: providers, profiles and environments, made of settings and of what the daemon
//! knows of a session's client.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use ::agents::tree::Trees;
use config::{ModelProvider, Settings, WebSearch, WireApi};
use extensions::trust::Trust;
use futures_util::future::BoxFuture;
use language_servers::LanguageServers;
use model::client::ModelClient;
use model::limits::Amount;
use policy::rules::NetworkRule;
use protocol::daemon::RateLimit;
use protocol::error::{ConfigurationProblem, ErrorCode, ProtocolError};
use protocol::event::Event;
use protocol::ids::{ItemId, SessionId, Timestamp};
use protocol::profile::{Access, NetworkAccess, PathRule, Profile, SandboxMode};
use protocol::question::QuestionKind;
use protocol::session::SessionSettings;
use providers::credentials::command::KeyCommand;
use providers::credentials::renewing::renewing;
use providers::credentials::source::Granted;
use providers::local::prepared::prepared;
use providers::settings::{Compaction, Key, ProviderError, RequestOptions, Search, Store, ToolCalls};
use rules::Reader;
use sandbox::Launcher;
use session::file_history::FileHistory;
use session::hooks::{HookAnswer, HookPoints, HookRequest, SessionEnd};
use session::moment::Rules;
use session::state::SessionState;
use session::world::{CommandEnvironment, OutsideTools, World};
use tokio::task::JoinSet;
use tools::agents::{Agents, NoAgents};
use tools::diagnostics::{Diagnostics, NoDiagnostics};
use tools::tool_suggest::Suggestions;
use wire::folders::Folders;
use workspace::sight::Sight;

use crate::accounts::{Accounts, key_command};
use crate::agents::DaemonOffice;
use crate::circumstances::{Circumstances, Known};
use crate::diagnostics::Finder;
use crate::files::Files;
use crate::hooks::Hooks;
use crate::mcp::SessionServers;
use crate::projects::Projects;
use crate::reach::Reach;
use crate::route::Route;
use crate::rules::{MANAGED, RuleBook};
use crate::{daemon, models, skills};

/// Clients of providers that are kept; the oldest goes first. Sessions that use it keep it alive.
const MAX_CLIENTS: usize = 16;

/// Connections that are opened ahead at a time.
const MAX_WARMING: usize = 8;

/// The world.
pub(crate) struct Wiring {
    circumstances: Arc<Circumstances>,
    accounts: Arc<Accounts>,
    rules: RuleBook,
    trust: Arc<Trust>,
    projects: Arc<Projects>,
    hooks: Option<Arc<Hooks>>,
    reach: Arc<Reach>,
    clients: Mutex<VecDeque<(Account, Arc<dyn ModelClient>)>>,
    /// Connections that are being opened ahead.
    warming: Mutex<JoinSet<()>>,
    files: Option<Arc<dyn FileHistory>>,
    mcp: Option<Arc<SessionServers>>,
    finder: Option<Arc<Finder>>,
    agents: Option<Arc<Trees>>,
    /// The folder of the settings.
    config: PathBuf,
    /// The folder of the person's own skills, where it is in one that no command may see.
    skills: Option<PathBuf>,
}

/// What one client of a provider is made of. Sessions with the same account share it, and its connections.
#[derive(Clone, PartialEq)]
struct Account {
    route: Route,
    /// The program that prints its key.
    command: Option<KeyCommand>,
    /// The context that a model of this machine is to have.
    context: Option<u64>,
    options: RequestOptions,
    recording: Option<PathBuf>,
}

impl Wiring {
    /// The world of a daemon with these folders.
    pub(crate) fn new(
        circumstances: Arc<Circumstances>,
        accounts: Arc<Accounts>,
        folders: &Folders,
        reach: Arc<Reach>,
        reader: Reader,
    ) -> Self {
        let trust = Arc::new(Trust::new(&folders.state));
        let projects = Arc::new(Projects::new(Arc::clone(&trust)));
        Self {
            circumstances,
            accounts,
            rules: RuleBook::new(&folders.config, MANAGED.into(), reader),
            projects,
            hooks: None,
            trust,
            reach,
            clients: Mutex::default(),
            warming: Mutex::default(),
            files: None,
            mcp: None,
            finder: None,
            agents: None,
            config: folders.config.clone(),
            skills: folders.config.canonicalize().ok().map(|config| config.join("skills")),
        }
    }

    /// The files with rules that can't be used, of the user and of the machine. Reads those that have changed; blocks.
    pub(crate) fn broken_rules(&self) -> Vec<ConfigurationProblem> {
        crate::rules::told(self.rules.rules().problems())
    }

    /// Has what changes in files kept in this store, so that it can be taken back.
    pub(crate) fn watching(self, store: &store::Store, folders: &Folders) -> Self {
        let files = Files::new(store.clone(), &folders.state, self.reach.own_folders().to_vec());
        let files = files.telling(Arc::clone(&self.reach));
        Self { files: Some(Arc::new(files)), ..self }
    }

    /// Gives sessions the tools of these servers.
    pub(crate) fn with_servers(self, servers: Arc<SessionServers>) -> Self {
        Self { mcp: Some(servers), ..self }
    }

    /// Has errors found in what sessions change, by servers that this launcher starts.
    pub(crate) fn finding_errors(self, launcher: &Arc<Launcher>, folders: &Folders) -> Self {
        let finder = Finder::new(
            LanguageServers::new(Arc::clone(launcher)),
            Arc::clone(&self.circumstances),
            Arc::clone(&self.reach),
            Arc::clone(&self.projects),
            folders.state.join("language-servers"),
        );
        Self { finder: Some(Arc::new(finder)), ..self }
    }

    /// Lets models start agents, which are sessions in this store.
    pub(crate) fn with_agents(self, agents: Arc<Trees>) -> Self {
        Self { agents: Some(agents), ..self }
    }

    /// What the daemon has to say of agents.
    pub(crate) fn office(&self) -> DaemonOffice {
        let (circumstances, projects) = (Arc::clone(&self.circumstances), Arc::clone(&self.projects));
        DaemonOffice { circumstances, projects, mcp: self.mcp.clone() }
    }

    /// What finds errors in what sessions change.
    pub(crate) fn finder(&self) -> Option<&Arc<Finder>> {
        self.finder.as_ref()
    }

    /// What a session with these settings sees of files. Looks at the file system.
    pub(crate) fn sight(&self, settings: &SessionSettings) -> Sight {
        Sight::new(Arc::new(self.reach.profile(settings, &[])))
    }

    /// What of a folder's declarations may be used.
    pub(crate) fn projects(&self) -> &Projects {
        &self.projects
    }

    /// Has hooks run, by this launcher.
    pub(crate) fn with_hooks(self, launcher: &Arc<Launcher>, folders: &Folders) -> Self {
        let (projects, circumstances) = (Arc::clone(&self.projects), Arc::clone(&self.circumstances));
        let hooks = Hooks::new(&folders.config, projects, circumstances, Arc::clone(launcher));
        Self { hooks: Some(Arc::new(hooks)), ..self }
    }

    /// The programs that are run in the course of sessions.
    pub(crate) fn hooks(&self) -> Option<&Arc<Hooks>> {
        self.hooks.as_ref()
    }

    /// What is trusted of what folders declare.
    pub(crate) fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    fn account(&self, known: &Known, id: &str, provider: &ModelProvider, model: &str) -> Account {
        let variables = self.circumstances.variables_of(known);
        let settings = known.settings();
        let of_model = settings.models.get(model).and_then(|own| own.max_output_tokens);
        let of_model = of_model.map(|tokens| u32::try_from(tokens).unwrap_or(u32::MAX));
        let options = RequestOptions {
            max_output_tokens: settings.model_max_output_tokens.or(of_model).or(provider.max_output_tokens),
            verbosity: settings.model_verbosity.clone().or_else(|| provider.verbosity.clone()),
            service_tier: settings.service_tier.clone().or_else(|| provider.service_tier.clone()),
            store: if provider.store { Store::Allowed } else { Store::Never },
            tool_calls: if provider.parallel_tool_calls { ToolCalls::Parallel } else { ToolCalls::Single },
            search: match settings.web_search {
                WebSearch::Disabled => Search::Off,
                WebSearch::Cached => Search::Cached,
                WebSearch::Live => Search::Live,
            },
            compaction: match models::has_compaction(id, provider) {
                true => Compaction::Provider,
                false => Compaction::Model,
            },
        };
        Account {
            route: Route::new(id, provider, &variables),
            command: key_command(provider, &variables),
            context: models::local_context(settings, provider, model),
            options,
            recording: settings.record.clone(),
        }
    }

    fn client(&self, account: Account, known: &Known) -> Result<Arc<dyn ModelClient>, ProtocolError> {
        // A poisoned queue is whole: each change is one call.
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, client)) = clients.iter().find(|(known, _)| *known == account) {
            return Ok(Arc::clone(client));
        }
        let invalid = |error: ProviderError| ProtocolError::new(ErrorCode::InvalidRequest, error.to_string());
        let route = &account.route;
        let client = match self.accounts.source(route, account.command.clone())? {
            None => account.make(None).map_err(invalid)?,
            Some(source) => {
                let account = account.clone();
                let make = move |granted: Option<&Granted>| account.make(granted);
                renewing(route.id().to_owned(), source, make).map_err(invalid)?
            }
        };
        let client = match route.provider().local {
            None => client,
            Some(_) => {
                let variables = self.circumstances.variables_of(known);
                let server = models::server(known.settings(), route.id(), &variables)?;
                prepared(route.id().to_owned(), server, client, account.context)
            }
        };
        if clients.len() >= MAX_CLIENTS {
            clients.pop_front();
        }
        clients.push_back((account, Arc::clone(&client)));
        Ok(client)
    }

    /// Opens the way to a session's provider ahead of the turn that is about to come, so that it need not wait for
    /// certificates and handshakes. What is wrong the first request tells.
    pub(crate) fn warm_up(&self, session: SessionId, settings: &SessionSettings) {
        let Ok(known) = self.circumstances.of(session) else { return };
        // A script needs no way.
        if known.settings().model_providers.get(&settings.provider).is_none_or(|known| known.script.is_some())
        {
            return;
        }
        let Ok(client) = self.model(session, settings) else { return };
        // A poisoned set is whole: each change is one call.
        let mut warming = self.warming.lock().unwrap_or_else(PoisonError::into_inner);
        while warming.try_join_next().is_some() {}
        if warming.len() < MAX_WARMING {
            warming.spawn(client.warm_up());
        }
    }

    /// The limits that providers told of, by the providers' ids.
    pub(crate) fn rate_limits(&self) -> Vec<RateLimit> {
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let told = clients.iter().map(|(account, client)| (account.route.id(), client.rate_limits()));
        // Of two accounts with one provider the newer one's.
        let told: BTreeMap<_, _> = told.filter(|(_, limits)| !limits.is_empty()).collect();
        told.into_iter()
            .flat_map(|(id, limits)| limits.into_iter().map(|limit| rate_limit(id, limit)))
            .collect()
    }
}

impl Account {
    /// A client; with a key that was granted, where none stands in a variable.
    fn make(&self, granted: Option<&Granted>) -> Result<Arc<dyn ModelClient>, ProviderError> {
        let mut settings = self.route.settings();
        settings.options = self.options.clone();
        settings.recording = self.recording.clone();
        if let Some(granted) = granted {
            settings.key = Key::Present(granted.key.clone());
            settings.http_headers.extend(granted.headers.clone());
        }
        match self.route.provider().wire_api {
            // A script is played elsewhere; what stands behind an address speaks Responses unless told otherwise.
            WireApi::Responses | WireApi::Replay => providers::responses(settings),
            WireApi::ChatCompletions => providers::chat_completions(settings),
            WireApi::Messages => providers::messages(settings),
            WireApi::Gemini => providers::gemini(settings),
        }
    }
}

impl World for Wiring {
    fn now(&self) -> Timestamp {
        daemon::now()
    }

    fn model(
        &self,
        session: SessionId,
        settings: &SessionSettings,
    ) -> Result<Arc<dyn ModelClient>, ProtocolError> {
        let known = self.circumstances.of(session)?;
        let id = &settings.provider;
        let provider = provider(known.settings(), id)?;
        match &provider.script {
            None => self.client(self.account(&known, id, provider, &settings.model), &known),
            Some(script) => replay(script),
        }
    }

    fn profile(&self, settings: &SessionSettings, granted: &[PathBuf]) -> BoxFuture<'static, Profile> {
        let (reach, settings) = (Arc::clone(&self.reach), settings.clone());
        let granted = granted.to_vec();
        let (rules, hooks, skills) = (self.rules(&settings), self.hooks.clone(), self.skills.clone());
        Box::pin(async move {
            let looking = tokio::task::spawn_blocking(move || {
                let mut profile = reach.profile(&settings, &granted);
                if profile.network == NetworkAccess::Rules {
                    profile
                        .network_rules
                        .extend(rules.networks().iter().filter_map(NetworkRule::for_profile));
                }
                add_files(&mut profile, hooks.as_deref(), skills.as_deref(), &settings.cwd);
                profile
            });
            match looking.await {
                Ok(profile) => profile,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The daemon ends, and nobody begins anything any more.
                    Err(_) => std::future::pending().await,
                },
            }
        })
    }

    fn tools(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        enabled: &BTreeSet<String>,
    ) -> OutsideTools {
        self.mcp.as_ref().map_or_else(
            || OutsideTools::from([]),
            |mcp| mcp.tools(session, settings, &self.projects, enabled),
        )
    }

    fn suggestions(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        enabled: &BTreeSet<String>,
    ) -> Option<Suggestions> {
        let servers =
            self.mcp.as_ref().and_then(|mcp| mcp.suggestions(session, settings, &self.projects, enabled));
        let Ok(known) = self.circumstances.of(session) else { return servers };
        if known.settings().disabled_skills.is_empty() {
            return servers;
        }
        let environment = self.circumstances.variables_of(&known);
        let folders = skills::Folders::of(&self.config, environment.of_client());
        let parts = self.projects.of(&settings.cwd);
        skills::Found::of(&folders, known.settings(), &parts.skills).suggestions(enabled, servers)
    }

    fn rules(&self, settings: &SessionSettings) -> Rules {
        let rules = self.rules.rules_with(&self.projects.of(&settings.cwd));
        if rules.has_unplaced() { Arc::new((*rules).clone().placed(&settings.cwd)) } else { rules }
    }

    fn hook_points(&self, session: SessionId, settings: &SessionSettings) -> HookPoints {
        self.hooks.as_ref().map(|hooks| hooks.points(session, settings)).unwrap_or_default()
    }

    fn ask_hooks(&self, request: HookRequest) -> BoxFuture<'static, HookAnswer> {
        match &self.hooks {
            Some(hooks) => hooks.ask(request),
            None => Box::pin(std::future::ready(HookAnswer::default())),
        }
    }

    fn session_ended(&self, session: SessionId, settings: &SessionSettings, end: SessionEnd) {
        if let Some(hooks) = &self.hooks {
            hooks.ended(session, settings, end);
        }
    }

    fn agents(&self, session: SessionId, call: ItemId) -> Arc<dyn Agents> {
        self.agents
            .as_ref()
            .map_or_else(|| Arc::new(NoAgents) as Arc<dyn Agents>, |agents| agents.of(session, call))
    }

    fn happened(&self, state: &SessionState, event: &Event) {
        if let Some(agents) = &self.agents {
            agents.happened(state, event);
        }
    }

    fn deleted(&self, session: SessionId) {
        if let Some(agents) = &self.agents {
            agents.deleted(session);
        }
    }

    fn files(&self) -> Option<Arc<dyn FileHistory>> {
        self.files.clone()
    }

    fn diagnostics(&self, session: SessionId, settings: &SessionSettings) -> Arc<dyn Diagnostics> {
        self.finder.as_ref().map_or_else(
            || Arc::new(NoDiagnostics) as Arc<dyn Diagnostics>,
            |finder| finder.of_session(session, settings),
        )
    }

    fn allow_always(&self, kind: &QuestionKind) -> Result<(), ProtocolError> {
        if self.mcp.as_ref().is_some_and(|mcp| mcp.allow_always(kind)) {
            return Ok(());
        }
        self.rules.allow(kind)
    }

    fn environment(&self, session: SessionId, settings: &SessionSettings) -> CommandEnvironment {
        match self.circumstances.of(session) {
            Ok(known) => known.commands_of(settings),
            Err(error) => {
                tracing::error!(%error, %session, "the settings are malformed; commands get an empty environment");
                CommandEnvironment::from([])
            }
        }
    }
}

/// Adds what hooks and skills are made of to what a profile protects and opens.
fn add_files(profile: &mut Profile, hooks: Option<&Hooks>, skills: Option<&Path>, cwd: &Path) {
    if let Some(hooks) = hooks {
        // They run outside of the sandbox, so what is in it must not write them.
        let files = hooks.files(cwd).into_iter();
        let writable = files.filter(|file| profile.access(file) == Access::Write).collect::<Vec<_>>();
        let read = |path| PathRule { path, access: Access::Read };
        profile.paths.extend(writable.into_iter().map(read));
    }
    if profile.mode != SandboxMode::DangerFullAccess {
        // What a person's skills say, and the scripts beside it, are for models, wherever they lie.
        let own = skills.into_iter().filter(|folder| folder.is_dir());
        profile.paths.extend(own.map(|path| PathRule { path: path.to_owned(), access: Access::Read }));
    }
}

/// Checks what can be known of a session's provider before it is asked. Reads a replay script.
///
/// # Errors
/// `InvalidRequest` when there is no such provider, or its script is malformed.
pub(crate) fn check_provider(settings: &Settings, id: &str) -> Result<(), ProtocolError> {
    match &provider(settings, id)?.script {
        None => Ok(()),
        Some(script) => replay(script).map(drop),
    }
}

/// A provider of the settings.
///
/// # Errors
/// `InvalidRequest` when there is none, or it can't be used as it is described.
pub(crate) fn provider<'a>(settings: &'a Settings, id: &str) -> Result<&'a ModelProvider, ProtocolError> {
    let provider = settings.model_providers.get(id).ok_or_else(|| {
        let known: Vec<_> = settings.model_providers.keys().map(|known| format!("`{known}`")).collect();
        ProtocolError::new(ErrorCode::InvalidRequest, format!("There is no provider `{id}` in the settings"))
            .with_hint(format!(
                "Choose one of {}, or add `[model_providers.{id}]` to `config.toml`",
                known.join(", ")
            ))
    })?;
    if provider.wire_api == WireApi::Replay && provider.script.is_none() {
        let message = format!("The provider `{id}` has no script");
        return Err(ProtocolError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(provider)
}

/// A limit, as the wire has it.
fn rate_limit(provider: &str, limit: model::limits::RateLimit) -> RateLimit {
    let model::limits::RateLimit { name, amount, resets_at } = limit;
    let (remaining, most, used_percent) = match amount {
        Amount::Count { remaining, limit } => (Some(remaining), limit, None),
        Amount::UsedPercent(used) => (None, None, Some(used)),
    };
    let resets_at = resets_at.map(daemon::milliseconds);
    RateLimit { provider: provider.to_owned(), name, remaining, limit: most, used_percent, resets_at }
}

fn replay(script: &Path) -> Result<Arc<dyn ModelClient>, ProtocolError> {
    let refused = |message: String| ProtocolError::new(ErrorCode::InvalidRequest, message);
    if providers::is_recording(script) {
        return providers::replay(script).map_err(|error| refused(error.to_string()));
    }
    model::replay::load(script).map_err(|error| refused(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::profile::{ApprovalPolicy, EnvironmentPolicy, Permissions, SandboxMode};
    use protocol::session::{AfterCrash, Environment};
    use protocol::turn::TurnLimits;

    fn session_settings(cwd: &Path, provider: &str) -> SessionSettings {
        SessionSettings {
            cwd: cwd.to_owned(),
            additional_roots: Vec::new(),
            provider: provider.to_owned(),
            model: "m".to_owned(),
            reasoning_effort: None,
            reasoning_summary: None,
            developer_instructions: None,
            sandbox: SandboxMode::WorkspaceWrite,
            network: NetworkAccess::Off,
            approval: ApprovalPolicy::Never,
            is_tmp_writable: true,
            permissions: None,
            budget: protocol::turn::Budget::default(),
            limits: TurnLimits::default(),
            price: None,
            is_ephemeral: false,
            after_crash: AfterCrash::Wait,
            question_timeout_ms: None,
            model_context: protocol::context::ModelContext::default(),
        }
    }

    /// A world whose settings name the providers `keyed`, which needs `MY_KEY`, and `open`, which needs none.
    fn world(scratch: &tempfile::TempDir) -> Wiring {
        let home = scratch.path().to_owned();
        let folders = Folders { config: home.clone(), state: home.join("state"), runtime: home.join("run") };
        let settings = "[model_providers.keyed]\nbase_url = \"http://127.0.0.1:1/v1\"\nenv_key = \"MY_KEY\"\n\
                        [model_providers.open]\nbase_url = \"http://127.0.0.1:1/v1\"\n";
        std::fs::write(folders.config_file(), settings).expect("settings");
        let circumstances = Circumstances::new(folders.config_file(), Environment::new());
        let accounts = Arc::new(Accounts::new(&folders));
        Wiring::new(
            Arc::new(circumstances),
            accounts,
            &folders,
            Arc::new(Reach::new(&folders)),
            Reader::new("/nonexistent".into()),
        )
    }

    /// A session of a client with this key.
    fn session(world: &Wiring, key: &str) -> SessionId {
        let session = SessionId::generate();
        let environment = Environment::from([("MY_KEY".to_owned(), key.to_owned())]);
        world.circumstances.refresh(session, &Arc::new(environment)).expect("settings");
        session
    }

    #[test]
    fn sessions_with_one_key_share_a_client_and_others_do_not() {
        let scratch = tempfile::tempdir().expect("scratch");
        let world = world(&scratch);
        let client = |session, provider| {
            world.model(session, &session_settings(scratch.path(), provider)).expect("client")
        };
        let (one, two, three) = (session(&world, "a"), session(&world, "a"), session(&world, "b"));
        assert!(Arc::ptr_eq(&client(one, "keyed"), &client(two, "keyed")));
        assert!(!Arc::ptr_eq(&client(one, "keyed"), &client(three, "keyed")));
        assert!(
            Arc::ptr_eq(&client(one, "open"), &client(three, "open")),
            "where no key is needed all share"
        );
    }

    #[test]
    fn a_provider_that_is_not_in_the_settings_is_named() {
        let scratch = tempfile::tempdir().expect("scratch");
        let world = world(&scratch);
        let settings = session_settings(scratch.path(), "gone");
        let Err(error) = world.model(session(&world, "a"), &settings) else { panic!("there is none") };
        assert_eq!(error.code, ErrorCode::InvalidRequest);
        assert!(error.message.contains("`gone`"), "{}", error.message);
    }

    #[tokio::test]
    async fn commands_see_neither_keys_nor_what_the_daemon_has() {
        let scratch = tempfile::tempdir().expect("scratch");
        let world = world(&scratch);
        let home = scratch.path().canonicalize().expect("home");
        let repo = home.join("repo");
        std::fs::create_dir(&repo).expect("repo");
        let settings = session_settings(&repo, "open");
        assert_eq!(world.environment(session(&world, "a"), &settings).len(), 0);
        let profile = world.profile(&settings, &[]).await;
        for (path, expected) in [
            (repo.join("file"), Access::Write),
            (repo.join(".git/config"), Access::Read),
            (home.join("config.toml"), Access::Hidden),
            (home.join("state/skein.db"), Access::Hidden),
            (PathBuf::from("/etc/passwd"), Access::Read),
        ] {
            assert_eq!(profile.access(&path), expected, "{}", path.display());
        }
    }

    #[test]
    fn what_a_session_s_profile_says_of_the_environment_stays_when_the_settings_change() {
        let scratch = tempfile::tempdir().expect("scratch");
        let world = world(&scratch);
        let mut settings = session_settings(scratch.path(), "open");
        let id = SessionId::generate();
        let client = ["MY_CAT", "MY_DOG", "PATH"].map(|name| (name.to_owned(), "x".to_owned()));
        let client = Arc::new(Environment::from(client));
        let mut seen = |policy: Option<EnvironmentPolicy>, of_the_file: &str| {
            let file = world.circumstances.file().to_owned();
            let before = std::fs::read_to_string(&file).expect("settings");
            std::fs::write(&file, format!("{before}{of_the_file}")).expect("settings");
            world.circumstances.refresh(id, &client).expect("settings");
            let environment = policy;
            settings.permissions = Some(Permissions { environment, ..Permissions::default() });
            let seen = world.environment(id, &settings);
            seen.iter().map(|(name, _)| name.to_string_lossy().into_owned()).collect::<Vec<_>>()
        };
        let own = || EnvironmentPolicy { exclude: vec!["*_CAT".to_owned()], ..EnvironmentPolicy::default() };
        assert_eq!(seen(Some(own()), ""), ["MY_DOG", "PATH"]);
        let later = "[shell_environment_policy]\nexclude = [\"*_DOG\"]\n";
        assert_eq!(seen(Some(own()), later), ["MY_DOG", "PATH"], "its own was fixed");
        assert_eq!(seen(None, "# more\n"), ["MY_CAT", "PATH"], "without its own that of the settings holds");
    }

    /// Everything else goes on while a slow file system is looked at: that is done where blocking is allowed, of which
    /// there is one place here, and it is taken.
    #[test]
    fn looking_at_files_for_a_profile_holds_nobody_up() {
        let scratch = tempfile::tempdir().expect("scratch");
        let world = world(&scratch);
        let settings = session_settings(scratch.path(), "open");
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build();
        runtime.expect("runtime").block_on(async {
            let (release, released) = std::sync::mpsc::channel::<()>();
            let slow = tokio::task::spawn_blocking(move || released.recv());
            let mut profile = world.profile(&settings, &[]);
            for _ in 0..10 {
                assert!(futures_util::poll!(&mut profile).is_pending());
                tokio::task::yield_now().await;
            }
            release.send(()).expect("it waits");
            slow.await.expect("done").expect("told");
            assert_eq!(profile.await.mode, SandboxMode::WorkspaceWrite);
        });
    }
}
