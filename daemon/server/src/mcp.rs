//! Which MCP servers a session has: made of the settings, of the workspace and of its client's variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::mcp::{Guard, Recipe, Servers};
use config::{McpServer, McpTransport, Settings};
use extensions::declared;
use extensions::servers::DeclaredServer;
use futures_util::future::BoxFuture;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::mcp::{McpServerState, McpServerStatus};
use protocol::question::QuestionKind;
use protocol::session::{Environment, SessionSettings};
use session::world::OutsideTools;
use tools::tool_suggest::{Enabler, Suggestion, Suggestions};

use crate::circumstances::{Circumstances, Variables};
use crate::mcp_logins::McpLogins;
use crate::mcp_prompts::AskedPrompts;
use crate::projects::Projects;
use crate::reach::Reach;
use crate::{environment, settings};

/// How long a server that a person enables may take before the turn goes on without it.
const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// The MCP servers of sessions.
pub(crate) struct SessionServers {
    servers: Arc<Servers>,
    circumstances: Arc<Circumstances>,
    reach: Arc<Reach>,
    pub(crate) logins: McpLogins,
    /// Prompts that wait for an answer.
    pub(crate) asked: AskedPrompts,
    /// The further folders of sessions that asked for their tools.
    folders: Mutex<BTreeMap<(PathBuf, SessionId), Vec<PathBuf>>>,
}

impl SessionServers {
    /// None yet. The daemon's own folders are closed to those with a sandbox.
    pub(crate) fn new(
        servers: Arc<Servers>,
        circumstances: Arc<Circumstances>,
        reach: Arc<Reach>,
        logins: McpLogins,
    ) -> Self {
        Self {
            servers,
            circumstances,
            reach,
            logins,
            asked: AskedPrompts::default(),
            folders: Mutex::default(),
        }
    }

    /// All of them.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    /// Those of a workspace that sessions have of their clients, beside these.
    pub(crate) fn beside(&self, root: &Path, recipes: &[Recipe]) -> Vec<McpServerStatus> {
        let mut beside = self.servers.beside(root, recipes);
        beside.retain(|server| self.circumstances.is_given(&format!("mcp_servers.{}", server.name)));
        beside
    }

    /// Those that a client has in a folder. Looks at the file system.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings fit no session there.
    pub(crate) fn of_folder(
        &self,
        settings: &Settings,
        client: &Arc<Environment>,
        cwd: &Path,
        projects: &Projects,
    ) -> Result<Vec<Recipe>, ProtocolError> {
        let session = settings::of_folder(settings, cwd.to_owned(), self.circumstances.effective(client))?;
        Ok(self.recipes(settings, &self.circumstances.variables(client), &session, projects))
    }

    /// The tools of a session, as far as they are known.
    pub(crate) fn tools(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        projects: &Projects,
        enabled: &BTreeSet<String>,
    ) -> OutsideTools {
        let Ok(known) = self.circumstances.of(session) else { return OutsideTools::from([]) };
        let mut recipes = self.of_session(session, settings, projects);
        recipes.iter_mut().for_each(|recipe| switch_on(recipe, enabled));
        let tmp = self.circumstances.variables_of(&known).value(&["TMPDIR"]).map(PathBuf::from);
        // A place for what lasts no longer than a command is none of the workspace.
        let mut further = settings.additional_roots.clone();
        further.retain(|folder| Some(folder) != tmp.as_ref() && folder != Path::new("/tmp"));
        self.note_folders(session, further, &recipes);
        self.servers.tools(&recipes, known.settings().mcp_tool_tokens)
    }

    /// The servers, and the single tools of servers, that are switched off and that a person could enable for a session;
    /// `None` if there is none.
    pub(crate) fn suggestions(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        projects: &Projects,
        enabled: &BTreeSet<String>,
    ) -> Option<Suggestions> {
        let mut recipes = self.of_session(session, settings, projects);
        recipes.iter_mut().for_each(|recipe| switch_on(recipe, enabled));
        let list: Vec<_> = recipes.iter().flat_map(switched_off).collect();
        let servers = Arc::clone(&self.servers);
        (!list.is_empty()).then(|| Suggestions { list, enabler: Arc::new(SwitchedOff { servers, recipes }) })
    }

    /// Tells the servers of a session which folders it has, beside those of other sessions that share them.
    fn note_folders(&self, session: SessionId, further: Vec<PathBuf>, recipes: &[Recipe]) {
        let Some(root) = recipes.first().map(|recipe| &recipe.root) else { return };
        let all: Vec<PathBuf> = {
            // A poisoned map is whole: each change is one call.
            let mut known = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            known.retain(|(_, session), _| self.circumstances.knows(*session));
            match further.is_empty() {
                true => known.remove(&(root.clone(), session)),
                false => known.insert((root.clone(), session), further),
            };
            let here = known.iter().filter(|((other, _), _)| other == root);
            here.flat_map(|(_, folders)| folders.clone()).collect()
        };
        self.servers.tell_of_folders(recipes, &all);
    }

    /// Starts a session's servers ahead of its first turn. Looks at the file system.
    pub(crate) fn begin(&self, session: SessionId, settings: &SessionSettings, projects: &Projects) {
        self.servers.begin(&self.of_session(session, settings, projects));
    }

    /// Whether a turn of the session waits for one of them.
    pub(crate) fn are_required(&self, session: SessionId) -> bool {
        let is_required = |server: &McpServer| server.is_enabled && server.is_required;
        let known = self.circumstances.of(session);
        known.is_ok_and(|known| known.settings().mcp_servers.values().any(is_required))
    }

    /// Waits for those of a session's servers without which no turn of it begins.
    ///
    /// # Errors
    /// `Unavailable` when one of them does not run.
    pub(crate) async fn require(&self, recipes: &[Recipe]) -> Result<(), ProtocolError> {
        self.servers.require(recipes).await.map_err(|error| {
            ProtocolError::new(ErrorCode::Unavailable, error.to_string())
                .with_hint("It is `required` in the settings; `skein mcp list` tells how it is")
        })
    }

    /// Takes a leave for good. Says whether the question was about a tool of a server.
    pub(crate) fn allow_always(&self, kind: &QuestionKind) -> bool {
        match kind {
            QuestionKind::Tool { server: Some(server), tool, definition: Some(definition), .. } => {
                self.servers.memory().pass(server, tool, definition);
                true
            }
            QuestionKind::Tool { .. }
            | QuestionKind::Command { .. }
            | QuestionKind::FileChange { .. }
            | QuestionKind::Network { .. }
            | QuestionKind::Permissions { .. }
            | QuestionKind::UserInput { .. }
            | QuestionKind::Elicitation { .. }
            | QuestionKind::Sampling { .. }
            | QuestionKind::ClientTool { .. }
            | QuestionKind::Unknown(_) => false,
        }
    }

    /// Those of a session. Looks at the file system.
    pub(crate) fn of_session(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        projects: &Projects,
    ) -> Vec<Recipe> {
        let Ok(known) = self.circumstances.of(session) else { return Vec::new() };
        let variables = self.circumstances.variables_of(&known);
        self.recipes(known.settings(), &variables, settings, projects)
    }

    fn recipes(
        &self,
        settings: &Settings,
        variables: &Variables,
        session: &SessionSettings,
        projects: &Projects,
    ) -> Vec<Recipe> {
        let cwd = &session.cwd;
        let parts = projects.of(cwd);
        if settings.mcp_servers.is_empty() && parts.servers.is_empty() {
            return Vec::new();
        }
        let root = root_of(cwd);
        let environment: Vec<_> = environment::for_servers(variables.of_client())
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let recipe = |name: &String, server: &McpServer, guard: Option<Guard>| {
            let (named, sandbox): (Vec<&String>, _) = match &server.transport {
                McpTransport::Stdio { env_vars, sandbox, .. } => (env_vars.iter().collect(), *sandbox),
                McpTransport::Http { bearer_token_env_var, env_http_headers, sign_in, .. } => {
                    let secrets = bearer_token_env_var.iter().chain(&sign_in.client_secret_env_var);
                    (secrets.chain(env_http_headers.values()).collect(), None)
                }
            };
            let value = |name: &String| Some((name.clone(), variables.value(&[name])?.to_owned()));
            let confined = |mode| {
                let settings = SessionSettings {
                    cwd: root.clone(),
                    additional_roots: Vec::new(),
                    sandbox: mode,
                    permissions: None,
                    ..session.clone()
                };
                self.reach.profile(&settings, &[])
            };
            Recipe {
                name: name.clone(),
                server: server.clone(),
                root: root.clone(),
                variables: named.into_iter().filter_map(value).collect::<BTreeMap<_, _>>(),
                environment: environment.clone(),
                profile: sandbox.map(confined),
                guard,
            }
        };
        let own = settings.mcp_servers.iter().map(|(name, server)| recipe(name, server, None));
        // Of two of one name the person's own is meant.
        let is_new =
            |(server, _): &&(DeclaredServer, String)| !settings.mcp_servers.contains_key(&server.name);
        let trusted = parts.servers.iter().filter(is_new).map(|(server, hash)| {
            let (root, declared, hash) = (parts.root.clone(), server.clone(), hash.clone());
            let trusted = hash.clone();
            let is_same =
                Arc::new(move || declared::server_hash(&root, &declared).is_ok_and(|now| now == trusted));
            recipe(&server.name, &server.server, Some(Guard { hash, is_same }))
        });
        own.chain(trusted).collect()
    }
}

/// The workspace that a folder belongs to. Looks at the file system.
pub(crate) fn root_of(cwd: &Path) -> PathBuf {
    workspace::git::root(cwd).unwrap_or_else(|| cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned()))
}

/// How a person's yes to a tool of a server is kept, and what a model calls that tool until then.
pub(crate) fn called(server: &str, tool: &str) -> String {
    format!("{server}/{tool}")
}

/// Switches on what a person enabled. With another tool it is another server: sessions that share one have the same
/// tools.
fn switch_on(recipe: &mut Recipe, enabled: &BTreeSet<String>) {
    let Recipe { name, server, .. } = recipe;
    server.is_enabled |= enabled.contains(name);
    server.disabled_tools.retain(|tool| !enabled.contains(&called(name, tool)));
}

/// The tools that running servers are to have no more, each with its server's name.
pub(crate) fn tools_off(recipes: &[Recipe]) -> Vec<(String, String)> {
    let running = recipes.iter().filter(|recipe| recipe.server.is_enabled);
    let of_server = |recipe: &Recipe| {
        let tools = recipe.server.disabled_tools.iter().cloned();
        tools.map(|tool| (recipe.name.clone(), tool)).collect::<Vec<_>>()
    };
    running.flat_map(of_server).collect()
}

/// What of a server could be switched on: the whole, or the tools that it is to have no more.
fn switched_off(recipe: &Recipe) -> Vec<Suggestion> {
    let name = &recipe.name;
    if !recipe.server.is_enabled {
        let about = format!("the MCP server `{name}`, which is switched off in the settings");
        return vec![Suggestion { name: name.clone(), about }];
    }
    let about = |tool: &String| Suggestion {
        name: called(name, tool),
        about: format!("the tool `{tool}` of the MCP server `{name}`, which is switched off in the settings"),
    };
    recipe.server.disabled_tools.iter().map(about).collect()
}

/// Servers of which something is switched off, and what starts one.
struct SwitchedOff {
    servers: Arc<Servers>,
    recipes: Vec<Recipe>,
}

impl Enabler for SwitchedOff {
    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let is_meant = |recipe: &&Recipe| switched_off(recipe).iter().any(|one| one.name == name);
            let recipe = self.recipes.iter().find(is_meant);
            let mut recipe = recipe.cloned().ok_or_else(|| format!("There is no `{name}`"))?;
            let tool = name.strip_prefix(recipe.name.as_str()).and_then(|rest| rest.strip_prefix('/'));
            switch_on(&mut recipe, &BTreeSet::from([name.to_owned()]));
            self.servers.wait(std::slice::from_ref(&recipe), STARTS_WITHIN).await;
            let server = recipe.name.clone();
            let status = self.servers.list(&[recipe], u64::MAX).into_iter().next();
            let has_it = |status: &McpServerStatus| {
                tool.is_none_or(|tool| status.tools.iter().any(|known| known.name == tool))
            };
            match status.as_ref().map(|status| &status.state) {
                Some(McpServerState::Failed { message }) => Err(message.clone()),
                Some(McpServerState::Ready) if !status.as_ref().is_some_and(has_it) => {
                    Err(format!("The MCP server `{server}` has no such tool"))
                }
                Some(McpServerState::LoginRequired) => {
                    Err(format!("`{server}` needs a sign-in first: a person runs `skein mcp login {server}`"))
                }
                Some(
                    McpServerState::Ready
                    | McpServerState::Starting
                    | McpServerState::Idle
                    | McpServerState::Disabled
                    | McpServerState::Unknown(_),
                )
                | None => Ok(format!(
                    "`{name}` is enabled for this session. Its tools are offered from your next step on; if you do not \
                     see them, look with `tool_search`."
                )),
            }
        })
    }
}
