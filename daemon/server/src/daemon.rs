//! What all handlers share: the parts of the daemon, put together, and what it says of itself.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use config::Settings;
use protocol::ids::Timestamp;
use protocol::session::Environment;
use sandbox::Launcher;
use session::sessions::Sessions;
use store::{Durability, Store, StoreOptions};
use tokio_util::sync::CancellationToken;
use tools::apply_patch::ApplyPatch;
use tools::registry::Registry;
use tools::shell::Shell;
use uuid::Uuid;
use wire::folders::Folders;

use crate::circumstances::Circumstances;
use crate::connection::{Connections, MAX_CONNECTIONS};
use crate::error::ServerError;
use crate::wiring::Wiring;

/// Bytes that are kept of one large payload.
const BLOB_CAP_BYTES: u64 = 256 * 1024 * 1024;

/// The daemon.
pub(crate) struct Daemon {
    pub(crate) identity: Identity,
    pub(crate) folders: Folders,
    pub(crate) connections: Arc<Connections>,
    pub(crate) circumstances: Arc<Circumstances>,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) store: Store,
    pub(crate) launcher: Arc<Launcher>,
    /// Cancelled when the daemon is to stop.
    pub(crate) stop: CancellationToken,
}

impl Daemon {
    /// Opens the store, puts the parts together and recovers the sessions of the daemon before. The caller holds the
    /// home.
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
        let launcher = Arc::new(Launcher::new(helper, settings.sandbox_backend));
        let shell = Arc::new(Shell::new(Arc::clone(&launcher)));
        let registry = Arc::new(Registry::new(shell, Arc::new(ApplyPatch), Vec::new()));
        let circumstances = Arc::new(Circumstances::new(folders.config_file(), environment));
        let world = Arc::new(Wiring::new(Arc::clone(&circumstances), &folders));
        let sessions = Sessions::new(store.clone(), registry, world);
        sessions.recover().await.map_err(ServerError::Recover)?;
        Ok(Arc::new(Self {
            identity,
            folders,
            connections: Connections::new(MAX_CONNECTIONS),
            circumstances,
            sessions,
            store,
            launcher,
            stop: CancellationToken::new(),
        }))
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
}

impl Identity {
    /// Of a daemon that starts now from this executable. Two builds of one version are told apart by the size and
    /// the time of the file: cheap, and the same for every process that was started from it.
    pub(crate) fn new(executable: &Path) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let build = std::fs::metadata(executable).map_or_else(
            |_| version.to_owned(),
            |meta| {
                let modified = meta.modified().map_or(0, |time| milliseconds(time).0);
                format!("{version}+{:x}.{modified:x}", meta.len())
            },
        );
        Self { version, build, epoch: Uuid::now_v7(), started_at: now() }
    }
}

/// The time.
pub(crate) fn now() -> Timestamp {
    milliseconds(SystemTime::now())
}

fn milliseconds(time: SystemTime) -> Timestamp {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
