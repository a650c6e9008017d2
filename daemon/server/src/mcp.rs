//! Which MCP servers a session has: made of the settings, of the workspace and of its client's variables.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ::mcp::{Guard, Recipe, Servers};
use config::{McpServer, McpTransport, Settings};
use extensions::declared;
use extensions::servers::DeclaredServer;
use futures_util::future::BoxFuture;
use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::SessionId;
use protocol::mcp::McpServerState;
use protocol::question::QuestionKind;
use protocol::session::{Environment, SessionSettings};
use session::world::OutsideTools;
use tools::tool_suggest::{Enabler, Suggestion, Suggestions};

use crate::circumstances::{Circumstances, Variables};
use crate::mcp_logins::McpLogins;
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
}

impl SessionServers {
    /// None yet. The daemon's own folders are closed to those with a sandbox.
    pub(crate) fn new(
        servers: Arc<Servers>,
        circumstances: Arc<Circumstances>,
        reach: Arc<Reach>,
        logins: McpLogins,
    ) -> Self {
        Self { servers, circumstances, reach, logins }
    }

    /// All of them.
    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
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
        for recipe in recipes.iter_mut().filter(|recipe| enabled.contains(&recipe.name)) {
            recipe.server.is_enabled = true;
        }
        self.servers.tools(&recipes, known.settings().mcp_tool_tokens)
    }

    /// The servers that are switched off and that a person could enable for a session; `None` if there is none.
    pub(crate) fn suggestions(
        &self,
        session: SessionId,
        settings: &SessionSettings,
        projects: &Projects,
        enabled: &BTreeSet<String>,
    ) -> Option<Suggestions> {
        let mut recipes = self.of_session(session, settings, projects);
        recipes.retain(|recipe| !recipe.server.is_enabled && !enabled.contains(&recipe.name));
        let about = |recipe: &Recipe| Suggestion {
            name: recipe.name.clone(),
            about: format!("the MCP server `{}`, which is switched off in the settings", recipe.name),
        };
        let list: Vec<_> = recipes.iter().map(about).collect();
        let servers = Arc::clone(&self.servers);
        (!list.is_empty()).then(|| Suggestions { list, enabler: Arc::new(SwitchedOff { servers, recipes }) })
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
        let root = workspace::git::root(cwd).unwrap_or_else(|| cwd.clone());
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
                self.reach.profile(&settings)
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

/// Servers that are switched off, and what starts one.
struct SwitchedOff {
    servers: Arc<Servers>,
    recipes: Vec<Recipe>,
}

impl Enabler for SwitchedOff {
    fn enable<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<String, String>> {
        Box::pin(async move {
            let recipe = self.recipes.iter().find(|recipe| recipe.name == name);
            let mut recipe = recipe.cloned().ok_or_else(|| format!("There is no MCP server `{name}`"))?;
            recipe.server.is_enabled = true;
            self.servers.wait(std::slice::from_ref(&recipe), STARTS_WITHIN).await;
            let status = self.servers.list(&[recipe], u64::MAX).into_iter().next();
            match status.map(|status| status.state) {
                Some(McpServerState::Failed { message }) => Err(message),
                Some(McpServerState::LoginRequired) => {
                    Err(format!("`{name}` needs a sign-in first: a person runs `skein mcp login {name}`"))
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
