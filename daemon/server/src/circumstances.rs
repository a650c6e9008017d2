//! What the daemon knows of sessions in memory only: the environment of the client that last made one or started a
//! turn in it, and the settings that providers and commands need. Environments hold secrets, so none of this is
//! stored; after a restart it comes from the settings on disk and whichever client starts the next turn.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use config::Settings;
use protocol::error::ProtocolError;
use protocol::ids::SessionId;
use protocol::session::{Environment, SessionSettings, SettingsOverrides};
use session::world::CommandEnvironment;

use crate::{environment, settings};

/// Sessions that are remembered; the one that was not used for longest is forgotten first.
const MAX_SESSIONS: usize = 512;

/// What counts as the environment of a client: its own, and for what that lacks the daemon's. Empty variables count as
/// absent.
#[derive(Clone)]
pub(crate) struct Variables {
    client: Arc<Environment>,
    own: Arc<Environment>,
}

impl Variables {
    /// The value of the first of these variables that there is.
    pub(crate) fn value(&self, names: &[&str]) -> Option<&str> {
        self.find(names.iter().copied()).map(|(_, value)| value)
    }

    /// The first of these variables that there is.
    pub(crate) fn name<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<&'n str> {
        self.find(names).map(|(name, _)| name)
    }

    /// What the client itself was started with.
    pub(crate) fn of_client(&self) -> &Environment {
        &self.client
    }

    fn find<'n>(&self, names: impl Iterator<Item = &'n str>) -> Option<(&'n str, &str)> {
        let names: Vec<&str> = names.collect();
        [&self.client, &self.own].into_iter().find_map(|environment| {
            names.iter().find_map(|&name| {
                let value = environment.get(name).map(String::as_str).filter(|value| !value.is_empty());
                Some((name, value?))
            })
        })
    }
}

/// What is known of a session.
pub(crate) struct Known {
    /// Of its client.
    environment: Arc<Environment>,
    /// What its settings differ in from those on disk.
    overrides: SettingsOverrides,
    settings: Settings,
    commands: CommandEnvironment,
    /// The settings on disk, when they were read.
    stamp: Stamp,
}

impl Known {
    /// The settings, overrides applied.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What commands see.
    pub(crate) fn commands(&self) -> CommandEnvironment {
        Arc::clone(&self.commands)
    }

    /// What the commands of a session with these settings see. What its profile says of the environment was fixed with
    /// it; what else the settings say holds as they are now.
    pub(crate) fn commands_of(&self, session: &SessionSettings) -> CommandEnvironment {
        let policy = session.permissions.as_ref().and_then(|profile| profile.environment.as_ref());
        match policy {
            Some(policy) if *policy != self.settings.shell_environment_policy => {
                environment::within(policy, &self.environment, &self.settings)
            }
            Some(_) | None => self.commands(),
        }
    }

    /// What the `notify` program sees.
    pub(crate) fn notifier(&self) -> impl Iterator<Item = (&str, &str)> {
        environment::for_the_notifier(&self.environment)
    }
}

/// Tells one state of a file from another, cheaply.
pub(crate) type Stamp = Option<(SystemTime, u64)>;

/// That of the file as it is now.
pub(crate) fn stamp(file: &Path) -> Stamp {
    let meta = std::fs::metadata(file).ok()?;
    Some((meta.modified().ok()?, meta.len()))
}

/// What is known of all sessions.
pub(crate) struct Circumstances {
    file: PathBuf,
    /// The daemon's own environment, for sessions whose client told none.
    own: Arc<Environment>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<SessionId, Entry>,
    uses: u64,
}

struct Entry {
    known: Arc<Known>,
    used: u64,
}

impl Circumstances {
    /// Knows nothing yet.
    pub(crate) fn new(file: PathBuf, own: Environment) -> Self {
        Self { file, own: Arc::new(own), kept: Mutex::default() }
    }

    /// The file of the settings.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    /// The environment that counts for a client.
    pub(crate) fn effective<'a>(&'a self, client: &'a Arc<Environment>) -> &'a Arc<Environment> {
        if client.is_empty() { &self.own } else { client }
    }

    /// Remembers a new session.
    pub(crate) fn remember(
        &self,
        session: SessionId,
        client: &Arc<Environment>,
        overrides: SettingsOverrides,
        settings: Settings,
    ) {
        self.keep(session, Arc::clone(self.effective(client)), overrides, settings);
    }

    /// Lends a new session all that is known of another one, but for what differs in it.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings are malformed with that.
    pub(crate) fn inherit(
        &self,
        session: SessionId,
        from: SessionId,
        later: &SettingsOverrides,
    ) -> Result<(), ProtocolError> {
        let known = self.of(from)?;
        self.keep(session, Arc::clone(&known.environment), known.overrides.clone(), known.settings.clone());
        if *later == SettingsOverrides::default() { Ok(()) } else { self.amend(session, later) }
    }

    /// Notes overrides on top of those that the session has.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings are malformed with them.
    pub(crate) fn amend(&self, session: SessionId, later: &SettingsOverrides) -> Result<(), ProtocolError> {
        let known = self.of(session)?;
        let overrides = settings::merged(&known.overrides, later);
        let loaded = settings::load(&self.file, &overrides)?;
        self.keep(session, Arc::clone(&known.environment), overrides, loaded.settings);
        Ok(())
    }

    /// Brings what is known up to date for a turn that this client starts. Settings on disk that became malformed
    /// meanwhile change nothing for a session that is known.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings are malformed and the session is not known.
    pub(crate) fn refresh(&self, session: SessionId, client: &Arc<Environment>) -> Result<(), ProtocolError> {
        let known = self.find(session);
        let environment = match &known {
            Some(known) if client.is_empty() => &known.environment,
            Some(_) | None => self.effective(client),
        };
        let overrides = match &known {
            Some(known) if known.environment == *environment && known.stamp == stamp(&self.file) => {
                return Ok(());
            }
            Some(known) => known.overrides.clone(),
            None => SettingsOverrides::default(),
        };
        let settings = match (settings::load(&self.file, &overrides), &known) {
            (Ok(loaded), _) => loaded.settings,
            (Err(error), Some(known)) => {
                tracing::warn!(%error, %session, "the settings on disk are malformed; those from before are used");
                known.settings.clone()
            }
            (Err(error), None) => return Err(error),
        };
        self.keep(session, Arc::clone(environment), overrides, settings);
        Ok(())
    }

    /// Lends a client's environment to a session that has none of a client: one from before a restart.
    ///
    /// # Errors
    /// As `refresh`.
    pub(crate) fn lend(&self, session: SessionId, client: &Arc<Environment>) -> Result<(), ProtocolError> {
        match self.find(session) {
            Some(known) if !Arc::ptr_eq(&known.environment, &self.own) => Ok(()),
            Some(_) | None => self.refresh(session, client),
        }
    }

    /// What is known; of a session from before a restart, what the settings on disk and the daemon's own
    /// environment give.
    ///
    /// # Errors
    /// `InvalidRequest` when the settings are malformed.
    pub(crate) fn of(&self, session: SessionId) -> Result<Arc<Known>, ProtocolError> {
        if let Some(known) = self.find(session) {
            return Ok(known);
        }
        let overrides = SettingsOverrides::default();
        let loaded = settings::load(&self.file, &overrides)?;
        Ok(self.keep(session, Arc::clone(&self.own), overrides, loaded.settings))
    }

    /// Whether this environment, with the daemon's own, holds the key that a provider needs; whether one is stored is
    /// not looked at here. Of a provider that is not described there is nothing to be said; then it does. Reads the
    /// settings.
    pub(crate) fn suffices(&self, provider: &str, client: &Arc<Environment>) -> bool {
        let Ok(loaded) = settings::load(&self.file, &SettingsOverrides::default()) else { return true };
        let Some(provider) = loaded.settings.model_providers.get(provider) else { return true };
        // A program or an account gives its key where no variable does.
        let needs_variable =
            provider.env_key.is_some() && provider.auth.is_none() && provider.oauth.is_none();
        !needs_variable || self.variables(client).name(provider.env_keys()).is_some()
    }

    /// What counts as the environment of a client.
    pub(crate) fn variables(&self, client: &Arc<Environment>) -> Variables {
        Variables { client: Arc::clone(self.effective(client)), own: Arc::clone(&self.own) }
    }

    /// What counts as the environment of a session's client.
    pub(crate) fn variables_of(&self, known: &Known) -> Variables {
        Variables { client: Arc::clone(&known.environment), own: Arc::clone(&self.own) }
    }

    /// Forgets a session that was deleted.
    pub(crate) fn forget(&self, session: SessionId) {
        self.lock().sessions.remove(&session);
    }

    /// Whether anything is known of a session without reading the settings.
    pub(crate) fn knows(&self, session: SessionId) -> bool {
        self.lock().sessions.contains_key(&session)
    }

    /// Whether the client of some session gave it this table of settings, or something in it.
    pub(crate) fn is_given(&self, table: &str) -> bool {
        let is_in =
            |key: &str| key.strip_prefix(table).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let kept = self.lock();
        let mut known = kept.sessions.values().map(|entry| &entry.known);
        known.any(|known| known.overrides.values.iter().any(|value| is_in(&value.key)))
    }

    fn find(&self, session: SessionId) -> Option<Arc<Known>> {
        let mut kept = self.lock();
        kept.uses += 1;
        let used = kept.uses;
        let entry = kept.sessions.get_mut(&session)?;
        entry.used = used;
        Some(Arc::clone(&entry.known))
    }

    fn keep(
        &self,
        session: SessionId,
        environment: Arc<Environment>,
        overrides: SettingsOverrides,
        settings: Settings,
    ) -> Arc<Known> {
        let stamp = stamp(&self.file);
        let mut kept = self.lock();
        // Sessions of clients that are alike share one copy, so that many sessions cost little.
        let alike = kept.sessions.values().map(|entry| &entry.known).find(|known| {
            known.stamp == stamp
                && known.environment == environment
                && known.overrides == overrides
                && known.settings == settings
        });
        let known = match alike {
            Some(known) => Arc::clone(known),
            None => {
                let commands = environment::for_commands(&environment, &settings);
                Arc::new(Known { environment, overrides, settings, commands, stamp })
            }
        };
        kept.uses += 1;
        let entry = Entry { known: Arc::clone(&known), used: kept.uses };
        kept.sessions.insert(session, entry);
        if kept.sessions.len() > MAX_SESSIONS
            && let Some(oldest) = kept.sessions.iter().min_by_key(|(_, entry)| entry.used).map(|(id, _)| *id)
        {
            kept.sessions.remove(&oldest);
        }
        known
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // A poisoned map is whole: each change is one call.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    fn circumstances(own: &[(&str, &str)]) -> (tempfile::TempDir, Circumstances) {
        let scratch = tempfile::tempdir().expect("scratch");
        let circumstances = Circumstances::new(scratch.path().join("config.toml"), environment(own));
        (scratch, circumstances)
    }

    fn variable(circumstances: &Circumstances, session: SessionId, name: &str) -> Option<String> {
        let known = circumstances.of(session).expect("known");
        circumstances.variables_of(&known).value(&[name]).map(str::to_owned)
    }

    #[test]
    fn a_key_comes_from_the_client_and_else_from_the_daemon() {
        let (_scratch, circumstances) = circumstances(&[("KEY", "daemon"), ("OTHER", "daemon")]);
        let session = SessionId::generate();
        let client = Arc::new(environment(&[("KEY", "client"), ("OTHER", "")]));
        circumstances.refresh(session, &client).expect("refresh");
        assert_eq!(variable(&circumstances, session, "KEY").as_deref(), Some("client"));
        assert_eq!(variable(&circumstances, session, "OTHER").as_deref(), Some("daemon"));
        assert_eq!(variable(&circumstances, session, "NEITHER"), None);
    }

    #[test]
    fn whoever_starts_a_turn_brings_the_environment_and_who_has_none_leaves_it() {
        let (_scratch, circumstances) = circumstances(&[]);
        let session = SessionId::generate();
        for (client, expected) in [
            (&[("NAME", "one")][..], Some("one")),
            (&[("NAME", "two")], Some("two")),
            (&[], Some("two")),
            (&[("ELSE", "x")], None),
        ] {
            circumstances.refresh(session, &Arc::new(environment(client))).expect("refresh");
            assert_eq!(variable(&circumstances, session, "NAME").as_deref(), expected, "{client:?}");
        }
    }

    #[test]
    fn sessions_that_are_alike_share_what_is_known() {
        let (_scratch, circumstances) = circumstances(&[]);
        let known = [0; 2].map(|_| {
            let session = SessionId::generate();
            circumstances.refresh(session, &Arc::new(environment(&[("A", "b")]))).expect("refresh");
            circumstances.of(session).expect("known")
        });
        assert!(Arc::ptr_eq(&known[0], &known[1]));
    }

    #[test]
    fn the_session_that_was_not_used_for_longest_is_forgotten() {
        let (_scratch, circumstances) = circumstances(&[]);
        let client = Arc::new(environment(&[("NAME", "client")]));
        let sessions: Vec<_> = (0..=MAX_SESSIONS).map(|_| SessionId::generate()).collect();
        for session in &sessions[..MAX_SESSIONS] {
            circumstances.refresh(*session, &client).expect("refresh");
        }
        circumstances.of(sessions[0]).expect("used again");
        circumstances.refresh(sessions[MAX_SESSIONS], &client).expect("refresh");
        assert!(circumstances.find(sessions[0]).is_some());
        assert!(circumstances.find(sessions[1]).is_none());
        assert_eq!(circumstances.lock().sessions.len(), MAX_SESSIONS);
    }
}
