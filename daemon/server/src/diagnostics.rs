//! Which language servers look at what a session changes: made of the settings, of the folder and whether a person
//! lets them work on it, and of what the session's commands see.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use config::{Diagnostics as Switch, LanguageServer, Settings};
use futures_util::future::BoxFuture;
use language_servers::{LanguageServers, Recipe, find_program, has_companion, project};
use protocol::error::ProtocolError;
use protocol::ids::SessionId;
use protocol::language_server::{LanguageServerListResult, LanguageServerState, LanguageServerStatus};
use protocol::profile::{Access, Profile, SandboxMode};
use protocol::session::{Environment, SessionSettings};
use session::world::CommandEnvironment;
use tools::diagnostics::{Diagnostics, Edited};

use crate::circumstances::Circumstances;
use crate::projects::Projects;
use crate::reach::Reach;
use crate::{environment, settings};

/// Finds errors in what sessions change.
pub(crate) struct Finder {
    servers: LanguageServers,
    circumstances: Arc<Circumstances>,
    reach: Arc<Reach>,
    projects: Arc<Projects>,
    /// Where servers keep what they make.
    caches: PathBuf,
}

/// What came of looking for servers: changes by server, and how long they may take.
type Plan = (Vec<(Recipe, Vec<Edited>)>, Duration);

impl Finder {
    /// Starts nothing yet.
    pub(crate) fn new(
        servers: LanguageServers,
        circumstances: Arc<Circumstances>,
        reach: Arc<Reach>,
        projects: Arc<Projects>,
        caches: PathBuf,
    ) -> Self {
        Self { servers, circumstances, reach, projects, caches }
    }

    /// That of a session.
    pub(crate) fn of_session(
        self: &Arc<Self>,
        session: SessionId,
        settings: &SessionSettings,
    ) -> Arc<dyn Diagnostics> {
        Arc::new(OfSession { finder: Arc::clone(self), session, settings: settings.clone() })
    }

    /// The servers that a client has in a folder. Looks at the file system.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings fit no session there.
    pub(crate) fn list(
        &self,
        settings: &Settings,
        client: &Arc<Environment>,
        cwd: &Path,
    ) -> Result<LanguageServerListResult, ProtocolError> {
        let client = self.circumstances.effective(client);
        let session = settings::of_folder(settings, cwd.to_owned(), client)?;
        let environment = environment::for_commands(client, settings);
        let parts = self.projects.of(cwd);
        let root = workspace::git::root(cwd).unwrap_or_else(|| cwd.to_owned());
        let profile = self.profile(&session);
        let place = Place::new(&profile, &environment, &root);
        let status = |(name, server): (&String, &LanguageServer)| {
            let program = place.program(server);
            let state = match &program {
                _ if !server.is_enabled => LanguageServerState::Disabled,
                None => LanguageServerState::NotFound,
                Some(_) => self.servers.state(name, &root).unwrap_or(LanguageServerState::Idle),
            };
            let endings = server.languages.keys().cloned().collect();
            LanguageServerStatus { name: name.clone(), endings, program, state }
        };
        Ok(LanguageServerListResult {
            is_on: settings.diagnostics == Switch::On,
            is_trusted: parts.lets_language_servers,
            servers: settings.language_servers.iter().map(status).collect(),
        })
    }

    /// Who looks at which of these files. `None` if nobody does. Looks at the file system.
    fn plan(&self, id: SessionId, session: &SessionSettings, edited: Vec<Edited>) -> Option<Plan> {
        let known = self.circumstances.of(id).ok()?;
        let settings = known.settings();
        let parts = self.projects.of(&session.cwd);
        let servers = in_order(settings);
        let is_wanted =
            |file: &Edited| servers.iter().any(|(_, server)| server.language_of(&file.path).is_some());
        if settings.diagnostics == Switch::Off
            || !parts.lets_language_servers
            || !edited.iter().any(is_wanted)
        {
            return None;
        }
        let profile = self.profile(session);
        let environment = known.commands_of(session);
        let place = Place::new(&profile, &environment, &parts.root);
        let mut changes: BTreeMap<(&str, PathBuf), (Recipe, Vec<Edited>)> = BTreeMap::new();
        let is_here = |file: &Edited| {
            file.path.starts_with(&parts.root) && profile.access(&file.path) != Access::Hidden
        };
        for file in edited.into_iter().filter(is_here) {
            let looks = |(_, server): &&(&str, &LanguageServer)| server.language_of(&file.path).is_some();
            let found = servers.iter().filter(looks);
            let Some((name, server, program)) =
                found.filter_map(|(name, server)| Some((*name, *server, place.program(server)?))).next()
            else {
                continue;
            };
            let root = project(server, &parts.root, &file.path);
            let recipe = || {
                let made = (environment.to_vec(), profile.clone());
                Recipe::new((name, server), program, root.clone(), &self.caches, made)
            };
            let entry = changes.entry((name, root.clone()));
            entry.or_insert_with(|| (recipe(), Vec::new())).1.push(file);
        }
        let within = Duration::from_millis(settings.diagnostics_timeout_ms);
        Some((changes.into_values().collect(), within))
    }

    /// What a session could write if it may write its workspace, which says where nothing is to be believed, and what it
    /// may read.
    fn profile(&self, session: &SessionSettings) -> Profile {
        let settings = SessionSettings { sandbox: SandboxMode::WorkspaceWrite, ..session.clone() };
        self.reach.profile(&settings, &[])
    }
}

/// The servers that are switched on: those that a person described before those that are known.
fn in_order(settings: &Settings) -> Vec<(&str, &LanguageServer)> {
    let servers = settings.language_servers.iter().filter(|(_, server)| server.is_enabled);
    let mut servers: Vec<_> = servers.map(|(name, server)| (name.as_str(), server)).collect();
    servers.sort_by_key(|(_, server)| !server.is_own);
    servers
}

/// Where executables are looked for.
struct Place<'a> {
    profile: &'a Profile,
    path: &'a OsStr,
    root: &'a Path,
}

impl<'a> Place<'a> {
    fn new(profile: &'a Profile, environment: &'a CommandEnvironment, root: &'a Path) -> Self {
        let path = environment.iter().find(|(name, _)| name == "PATH");
        Self { profile, path: path.map_or(OsStr::new(""), |(_, path)| path.as_os_str()), root }
    }

    fn program(&self, server: &LanguageServer) -> Option<PathBuf> {
        let is_trusted =
            |path: &Path| !path.starts_with(self.root) && self.profile.access(path) == Access::Read;
        let found = find_program(&server.command, self.path, is_trusted);
        found.filter(|program| server.companion.as_ref().is_none_or(|file| has_companion(program, file)))
    }
}

/// Finds errors in what one session changes.
struct OfSession {
    finder: Arc<Finder>,
    session: SessionId,
    settings: SessionSettings,
}

impl Diagnostics for OfSession {
    fn look(&self, cwd: &Path, edited: Vec<Edited>) -> BoxFuture<'static, String> {
        let (finder, session, settings) = (Arc::clone(&self.finder), self.session, self.settings.clone());
        let cwd = cwd.to_owned();
        Box::pin(async move {
            let planning = {
                let finder = Arc::clone(&finder);
                tokio::task::spawn_blocking(move || finder.plan(session, &settings, edited))
            };
            match planning.await {
                Ok(Some((changes, within))) => finder.servers.look(changes, &cwd, within).await,
                Ok(None) => String::new(),
                Err(error) => {
                    tracing::error!(%error, "nobody could look for errors");
                    String::new()
                }
            }
        })
    }
}
