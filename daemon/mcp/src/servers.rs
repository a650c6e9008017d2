//! The servers of a daemon: one for each recipe, whoever asks for it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use protocol::mcp::{McpPromptsResult, McpServerState, McpServerStatus, ToolApproval};
use sandbox::Launcher;
use tokio::time::Instant;
use tools::tool::{Asker, Tool};

use crate::call::Waiting;
use crate::definition::{Definition, Offer};
use crate::error::McpError;
use crate::memory::Memory;
use crate::recipe::Recipe;
use crate::server::{Budget, Offered, Server};
use crate::sign_in::accounts::Accounts;
use crate::sign_in::login::Login;
use crate::tool::McpTool;
use crate::{prompts, resources, text};

/// Servers that are known at a time; beyond it those of others are not started.
const MAX_SERVERS: usize = 64;
/// A server that no session has tools of ends after so long.
const UNLEASED: Duration = Duration::from_secs(60);

/// The servers of a daemon.
pub struct Servers {
    launcher: Arc<Launcher>,
    memory: Arc<Memory>,
    accounts: Accounts,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    servers: Vec<Arc<Server>>,
    sets: Vec<Set>,
}

/// The tools of some servers, as sessions have them; for as long as one of them does.
struct Set {
    servers: Vec<Weak<Server>>,
    offers: Vec<Option<Arc<Offer>>>,
    budget: Budget,
    tools: Weak<[Arc<dyn Tool>]>,
}

impl Servers {
    /// None yet.
    #[must_use]
    pub fn new(launcher: Arc<Launcher>, memory: Arc<Memory>, accounts: Accounts) -> Self {
        Self { launcher, memory, accounts, known: Mutex::default() }
    }

    /// Begins to sign in with a server; the browser is sent to this address. Without scopes, those of the settings are
    /// asked for, or those that the server names.
    ///
    /// # Errors
    /// `NoSignIn`, `SignIn`.
    pub async fn login(
        &self,
        recipe: &Recipe,
        scopes: Vec<String>,
        redirect: &str,
    ) -> Result<Login, McpError> {
        let account = self.accounts.of(recipe)?;
        // A server may say where and for what only to who comes without a token.
        if account.challenge().is_none()
            && let Some(server) = self.all(std::slice::from_ref(recipe)).pop()
            && server.live().await.is_ok()
        {
            tracing::debug!(server = recipe.name, "a person signs in with a server that runs already");
        }
        Login::begin(account, scopes, redirect).await
    }

    /// Forgets what somebody signed in for; whether there was something. What runs with it ends.
    ///
    /// # Errors
    /// `NoSignIn`, `SignIn`.
    pub async fn logout(&self, recipe: &Recipe) -> Result<bool, McpError> {
        self.accounts.of(recipe)?.forget().await
    }

    /// What a person let pass for good.
    #[must_use]
    pub fn memory(&self) -> &Arc<Memory> {
        &self.memory
    }

    /// Has these servers started. Waits for nothing. Called within the runtime.
    pub fn begin(&self, recipes: &[Recipe]) {
        for server in self.all(recipes) {
            server.touch();
            server.begin();
        }
    }

    /// Waits until those of these servers that are required run.
    ///
    /// # Errors
    /// Why one of them does not.
    pub async fn require(&self, recipes: &[Recipe]) -> Result<(), McpError> {
        for server in self.all(recipes).iter().filter(|server| server.recipe.server.is_required) {
            server.live().await?;
        }
        Ok(())
    }

    /// The tools of these servers, as far as they are known; the same allocation for as long as they are the same and
    /// somebody has them. If they cost more tokens than this, they are deferred. Who has them keeps the servers alive.
    /// Called within the runtime.
    #[must_use]
    pub fn tools(&self, recipes: &[Recipe], most_tokens: u64) -> Arc<[Arc<dyn Tool>]> {
        let servers = self.all(recipes);
        let offers: Vec<_> = servers.iter().map(|server| server.offer()).collect();
        for (server, offer) in servers.iter().zip(&offers) {
            server.touch();
            if offer.is_none() {
                server.begin();
            }
        }
        let budget = budget(&servers, &offers, most_tokens);
        let mut known = self.lock();
        known.sets.retain(|set| set.tools.strong_count() > 0);
        let found = known.sets.iter().find(|set| set.is_of(&servers, &offers, budget));
        if let Some(tools) = found.and_then(|set| set.tools.upgrade()) {
            return tools;
        }
        let offered =
            || servers.iter().zip(&offers).filter_map(|(server, offer)| Some((server, offer.as_ref()?)));
        let with_resources = offered().filter(|(_, offer)| offer.has_resources);
        let with_resources: Vec<_> = with_resources.map(|(server, _)| Arc::clone(server)).collect();
        let tools: Arc<[Arc<dyn Tool>]> = offered()
            .flat_map(|(server, offer)| self.tools_of(server, &offer.tools, budget))
            .chain(resources::tools(&with_resources))
            .collect();
        known.sets.push(Set {
            servers: servers.iter().map(Arc::downgrade).collect(),
            offers,
            budget,
            tools: Arc::downgrade(&tools),
        });
        tools
    }

    fn tools_of(
        &self,
        server: &Arc<Server>,
        definitions: &[Definition],
        budget: Budget,
    ) -> Vec<Arc<dyn Tool>> {
        let settings = &server.recipe.server;
        definitions
            .iter()
            .filter(|tool| settings.has_tool(&tool.name))
            .filter(|tool| settings.approval_of(&tool.name) != ToolApproval::Deny)
            .map(|tool| McpTool::of(Arc::clone(server), tool.clone(), Arc::clone(&self.memory), budget))
            .map(|tool| Arc::new(tool) as Arc<dyn Tool>)
            .collect()
    }

    /// The prompts of these servers, as far as they are known. Those of which nothing is known are started.
    #[must_use]
    pub fn prompts(&self, recipes: &[Recipe]) -> McpPromptsResult {
        let mut result = McpPromptsResult { prompts: Vec::new(), is_starting: false };
        for server in self.all(recipes) {
            match server.offered() {
                Offered::Known(offer) => result.prompts.extend(offer.prompts.iter().cloned()),
                Offered::Nothing { is_starting } => {
                    result.is_starting |= is_starting;
                    server.begin();
                }
            }
        }
        result
    }

    /// What a prompt of a server says; what the server wants to know first is asked there.
    ///
    /// # Errors
    /// `NoPrompt`, `BadCall`, or why the server did not answer.
    pub async fn prompt(
        &self,
        recipe: &Recipe,
        name: &str,
        arguments: BTreeMap<String, String>,
        asker: Arc<dyn Asker>,
    ) -> Result<String, McpError> {
        let unknown = || McpError::NoPrompt { server: recipe.name.clone(), prompt: text::line(name, 100) };
        let server = self.all(std::slice::from_ref(recipe)).pop().ok_or_else(unknown)?;
        let live = server.live().await?;
        let offer = server.offer().unwrap_or_default();
        let known = offer.prompts.iter().find(|prompt| prompt.name == name).ok_or_else(unknown)?;
        let within = Duration::from_millis(recipe.server.tool_timeout_ms);
        prompts::get(&live, known, arguments, Waiting::of_person(within, asker)).await
    }

    /// How these servers are; those that are switched off are named too.
    #[must_use]
    pub fn list(&self, recipes: &[Recipe], most_tokens: u64) -> Vec<McpServerStatus> {
        let running = self.all(recipes);
        let offers: Vec<_> = running.iter().map(|server| server.offer()).collect();
        let budget = budget(&running, &offers, most_tokens);
        let status = |recipe: &Recipe| match running.iter().find(|server| server.recipe == *recipe) {
            Some(server) => server.describe(budget),
            None => McpServerStatus {
                name: recipe.name.clone(),
                target: recipe.target(),
                state: match recipe.server.is_enabled {
                    true => McpServerState::Failed { message: too_many(&recipe.name) },
                    false => McpServerState::Disabled,
                },
                is_required: recipe.server.is_required,
                is_of_session: false,
                protocol: None,
                software: None,
                tools: Vec::new(),
                tokens: 0,
            },
        };
        recipes.iter().map(status).collect()
    }

    /// Those of a workspace that are known beside these, also such as nobody has any more.
    #[must_use]
    pub fn beside(&self, root: &Path, recipes: &[Recipe]) -> Vec<McpServerStatus> {
        let known = self.lock().servers.clone();
        let is_other = |server: &&Arc<Server>| {
            server.recipe.root == root && recipes.iter().all(|recipe| recipe.name != server.recipe.name)
        };
        let others = known.iter().filter(is_other);
        others
            .map(|server| McpServerStatus { is_of_session: true, ..server.describe(Budget::Kept) })
            .collect()
    }

    /// Tells these servers which further folders the sessions of their workspace have.
    pub fn tell_of_folders(&self, recipes: &[Recipe], further: &[PathBuf]) {
        for server in self.all(recipes) {
            server.roots().set(further);
        }
    }

    /// Starts these servers and waits for them, but no longer than so long. What keeps one from running `list` tells.
    pub async fn wait(&self, recipes: &[Recipe], within: Duration) {
        let servers = self.all(recipes);
        let waiting = futures_util::future::join_all(servers.iter().map(|server| server.live()));
        if tokio::time::timeout(within, waiting).await.is_err() {
            tracing::debug!("some MCP servers take longer to start than a client waits");
        }
    }

    /// Ends servers that no session has tools of, again and again.
    pub async fn tidy(self: Arc<Self>) {
        loop {
            tokio::time::sleep(UNLEASED / 2).await;
            let ended: Vec<_> = {
                let mut known = self.lock();
                let now = Instant::now();
                // Only the list itself still has it.
                let is_needed = |server: &mut Arc<Server>| {
                    Arc::strong_count(server) > 1 || now.duration_since(server.used()) < UNLEASED
                };
                known.servers.extract_if(.., |server| !is_needed(server)).collect()
            };
            for server in ended {
                tracing::info!(server = server.recipe.name, "no session has an MCP server any more");
            }
        }
    }

    /// Those that are switched on.
    pub(crate) fn all(&self, recipes: &[Recipe]) -> Vec<Arc<Server>> {
        let mut known = self.lock();
        let mut found = Vec::new();
        for recipe in recipes.iter().filter(|recipe| recipe.server.is_enabled) {
            let server = match known.servers.iter().find(|server| server.recipe == *recipe) {
                Some(server) => Arc::clone(server),
                None if known.servers.len() >= MAX_SERVERS => {
                    tracing::warn!(server = recipe.name, "too many MCP servers; one is not used");
                    continue;
                }
                None => {
                    let (launcher, memory) = (Arc::clone(&self.launcher), Arc::clone(&self.memory));
                    let server = Arc::new(Server::new(
                        recipe.clone(),
                        launcher,
                        memory,
                        self.accounts.of(recipe).ok(),
                    ));
                    known.servers.push(Arc::clone(&server));
                    server
                }
            };
            found.push(server);
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // A poisoned list is whole: each change is one call.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn is_of(&self, servers: &[Arc<Server>], offers: &[Option<Arc<Offer>>], budget: Budget) -> bool {
        let is_same = |left: &Option<Arc<Offer>>, right: &Option<Arc<Offer>>| match (left, right) {
            (Some(left), Some(right)) => Arc::ptr_eq(left, right),
            (None, None) => true,
            (Some(_), None) | (None, Some(_)) => false,
        };
        self.budget == budget
            && self.servers.len() == servers.len()
            && self
                .servers
                .iter()
                .zip(servers)
                .all(|(left, right)| std::ptr::eq(left.as_ptr(), Arc::as_ptr(right)))
            && self.offers.iter().zip(offers).all(|(left, right)| is_same(left, right))
    }
}

/// Why a server is not used that could be.
fn too_many(server: &str) -> String {
    format!("The MCP server `{server}` is not used: {MAX_SERVERS} others are, and no more may run at a time")
}

/// Whether all that these servers offer costs more than this, as far as the settings leave it to that.
fn budget(servers: &[Arc<Server>], offers: &[Option<Arc<Offer>>], most_tokens: u64) -> Budget {
    let of_server = |(server, offer): (&Arc<Server>, &Option<Arc<Offer>>)| {
        let settings = &server.recipe.server;
        let is_counted = settings.is_deferred.is_none();
        let tools = offer.iter().flat_map(|offer| &offer.tools);
        let offered = tools.filter(|tool| {
            is_counted
                && settings.has_tool(&tool.name)
                && settings.approval_of(&tool.name) != ToolApproval::Deny
        });
        offered.map(Definition::tokens).sum::<u64>()
    };
    let tokens: u64 = servers.iter().zip(offers).map(of_server).sum();
    if tokens > most_tokens { Budget::Exceeded } else { Budget::Kept }
}
