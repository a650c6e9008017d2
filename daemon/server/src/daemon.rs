//! What all handlers share: the parts of the daemon, put together, and what it says of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use ::agents::tree::Trees;
use ::mcp::Servers;
use config::Settings;
use protocol::error::ProtocolError;
use protocol::ids::{SessionId, Timestamp};
use protocol::session::Environment;
use rules::Reader;
use sandbox::Launcher;
use session::handle::SessionHandle;
use session::sessions::Sessions;
use session::world::World;
use store::{Durability, Store, StoreOptions};
use tokio::sync::Mutex;
use tokio_util::task::AbortOnDropHandle;
use tools::registry::Registry;
use uuid::Uuid;
use wire::folders::Folders;

use crate::accounts::Accounts;
use crate::circumstances::Circumstances;
use crate::connection::{Connections, MAX_CONNECTIONS};
use crate::error::ServerError;
use crate::loads::Loads;
use crate::mcp::SessionServers;
use crate::mcp_logins::{McpLogins, ServerSecrets};
use crate::notify;
use crate::own_tools::own_tools;
use crate::reach::Reach;
use crate::recovery::Recovery;
use crate::stop::Stop;
use crate::wiring::Wiring;

/// Bytes that are kept of one large payload.
const BLOB_CAP_BYTES: u64 = 256 * 1024 * 1024;

/// The daemon.
pub(crate) struct Daemon {
    pub(crate) identity: Identity,
    pub(crate) folders: Folders,
    pub(crate) connections: Arc<Connections>,
    pub(crate) circumstances: Arc<Circumstances>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) loads: Loads,
    pub(crate) world: Arc<Wiring>,
    pub(crate) mcp: Arc<SessionServers>,
    pub(crate) agents: Arc<Trees>,
    /// The tools that every session has.
    pub(crate) tools: Arc<Registry>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) store: Store,
    pub(crate) launcher: Arc<Launcher>,
    pub(crate) recovery: Recovery,
    pub(crate) stop: Stop,
    _telling: AbortOnDropHandle<()>,
    _tidying: AbortOnDropHandle<()>,
    /// Held while a session is made whose identity a client chose, so that no two are made of one.
    pub(crate) making: Mutex<()>,
}

impl Daemon {
    /// Opens the store, puts the parts together and brings to rest what the daemon before left. What is to go on does
    /// so in `recovery`. The caller holds the home.
    ///
    /// # Errors
    /// `Store`, `Recover`.
    pub(crate) async fn open(
        helper: PathBuf,
        folders: Folders,
        settings: &Settings,
        environment: Environment,
    ) -> Result<Arc<Self>, ServerError> {
        let identity = Identity::new(&helper);
        let store = Store::open(store_options(&folders, settings)).await?;
        // What the daemon before left is gone before its turns go on.
        let register = folders.state.join("children");
        sandbox::reap(&register);
        let reader = Reader::new(helper.clone());
        let program = helper.clone();
        let launcher =
            Arc::new(Launcher::new(helper, settings.sandbox_backend).with_register(register).one_ahead());
        let registry = Arc::new(own_tools(Arc::clone(&launcher), program));
        let circumstances = Arc::new(Circumstances::new(folders.config_file(), environment));
        let accounts = Arc::new(Accounts::new(&folders));
        let reach = Arc::new(Reach::new(&folders));
        let world = Wiring::new(
            Arc::clone(&circumstances),
            Arc::clone(&accounts),
            &folders,
            Arc::clone(&reach),
            reader,
        );
        let memory = ::mcp::Memory::open(folders.state.join("mcp.json"));
        let mcp_accounts = ::mcp::Accounts::new(Arc::new(ServerSecrets(Arc::clone(accounts.vault()))));
        let servers = Arc::new(Servers::new(Arc::clone(&launcher), memory, mcp_accounts));
        let logins = McpLogins::new(Arc::clone(accounts.vault()));
        let mcp = SessionServers::new(Arc::clone(&servers), Arc::clone(&circumstances), reach, logins);
        let mcp = Arc::new(mcp);
        let world = world.with_servers(Arc::clone(&mcp));
        let agents = Trees::new(store.clone(), Arc::new(world.office()));
        let world = Arc::new(
            world
                .with_agents(Arc::clone(&agents))
                .watching(&store, &folders)
                .with_hooks(&launcher, &folders)
                .finding_errors(&launcher, &folders),
        );
        let (watched, notices) = notify::watch(store.clone());
        let sessions =
            Sessions::new(Arc::new(watched), Arc::clone(&registry), Arc::clone(&world) as Arc<dyn World>);
        agents.meet(&sessions);
        let telling = tokio::spawn(notices.tell_all(
            Arc::clone(&circumstances),
            Arc::clone(&launcher),
            world.hooks().cloned(),
            Arc::downgrade(&sessions),
        ));
        agents.find_missed().await.map_err(ServerError::Recover)?;
        let recovery = Recovery::begin(&store, &sessions).await.map_err(ServerError::Recover)?;
        agents.tidy().await;
        Ok(Arc::new(Self {
            identity,
            folders,
            connections: Connections::new(MAX_CONNECTIONS),
            circumstances,
            accounts,
            loads: Loads::default(),
            world,
            mcp,
            agents,
            tools: registry,
            sessions,
            store,
            launcher,
            recovery,
            _telling: AbortOnDropHandle::new(telling),
            _tidying: AbortOnDropHandle::new(tokio::spawn(servers.tidy())),
            stop: Stop::default(),
            making: Mutex::default(),
        }))
    }

    /// The session, loaded if need be; of one whose turn waits to go on, when it has.
    ///
    /// # Errors
    /// `NotFound`, or what the store says.
    pub(crate) async fn session(&self, id: SessionId) -> Result<SessionHandle, ProtocolError> {
        self.recovery.passed(id).await;
        self.sessions.open(id).await
    }
}

fn store_options(folders: &Folders, settings: &Settings) -> StoreOptions {
    let durability = match settings.daemon.durability {
        config::Durability::Process => Durability::Process,
        config::Durability::Power => Durability::Power,
    };
    StoreOptions {
        database: folders.state.join("skein.db"),
        blobs: folders.state.join("blobs"),
        durability,
        blob_cap_bytes: BLOB_CAP_BYTES,
    }
}

/// Who the daemon is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The version of the package.
    pub(crate) version: &'static str,
    /// The version with what tells one build of it from another.
    pub(crate) build: String,
    /// New at every start.
    pub(crate) epoch: Uuid,
    /// When it started.
    pub(crate) started_at: Timestamp,
    /// Where its executable stood then.
    installed: PathBuf,
}

impl Identity {
    /// Of a daemon that starts now from this executable. Two builds of one version are told apart by the size and
    /// the time of the file: cheap, and the same for every process that was started from it.
    pub(crate) fn new(executable: &Path) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let build = mark(executable).map_or_else(|| version.to_owned(), |mark| format!("{version}+{mark}"));
        // Of a process the system tells by a link which file it runs; the file may be replaced, the place stays.
        let installed = std::fs::read_link(executable).unwrap_or_else(|_| executable.to_owned());
        Self { version, build, epoch: Uuid::now_v7(), started_at: now(), installed }
    }

    /// The build that now stands where the daemon's own was started from; absent if none does. Of another build the
    /// version is not known without running it, so `?` stands there.
    pub(crate) fn installed_build(&self) -> Option<String> {
        let mark = mark(&self.installed)?;
        let is_own = self.build.split_once('+').is_some_and(|(_, own)| own == mark);
        Some(if is_own { self.build.clone() } else { format!("?+{mark}") })
    }
}

/// What tells a file from another that stood in its place: size and time.
fn mark(executable: &Path) -> Option<String> {
    let meta = std::fs::metadata(executable).ok().filter(std::fs::Metadata::is_file)?;
    let modified = meta.modified().map_or(0, |time| milliseconds(time).0);
    Some(format!("{:x}.{modified:x}", meta.len()))
}

/// The time.
pub(crate) fn now() -> Timestamp {
    milliseconds(SystemTime::now())
}

/// A time, as the wire has it.
pub(crate) fn milliseconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_executable_is_told_from_the_one_that_runs() {
        let scratch = tempfile::tempdir().expect("scratch");
        let (installed, link) = (scratch.path().join("skein"), scratch.path().join("exe"));
        std::fs::write(&installed, "old").expect("old");
        rustix::fs::symlink(&installed, &link).expect("link");
        let identity = Identity::new(&link);
        assert_eq!(identity.installed_build().as_ref(), Some(&identity.build));
        std::fs::remove_file(&installed).expect("remove");
        assert_eq!(identity.installed_build(), None);
        std::fs::write(&installed, "newer").expect("new");
        let now = identity.installed_build().expect("a build");
        assert!(now.starts_with("?+5.") && now != identity.build, "{now}");
    }
}
