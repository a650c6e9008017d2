//! Where secrets are kept: the platform's keyring, else a file that only its owner can read. Looks at neither
//! before a secret is asked for, and asks the keyring once for each: what is known stays in memory.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;

use crate::credentials::error::CredentialError;
use crate::credentials::keyring::{PlatformRing, Ring};
use crate::credentials::secret::Secret;

/// How long the keyring may take to be read. One that is locked asks its owner, who may not be there.
const READ_LIMIT: Duration = Duration::from_secs(5);
/// How long it may take to be written, by somebody who is there to unlock it.
const WRITE_LIMIT: Duration = Duration::from_secs(20);
/// No file of secrets is larger.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// A secret, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The secret.
    pub secret: Secret,
    /// Where it is kept.
    pub place: Place,
}

/// Where secrets are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the keyring of the platform.
    Keyring,
    /// In a file.
    File {
        /// Which.
        path: PathBuf,
        /// Why not in the keyring; absent: it was not asked.
        reason: Option<String>,
    },
}

/// All secrets of a home.
pub struct Vault {
    file: PathBuf,
    ring: Arc<dyn Ring>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    known: BTreeMap<String, Option<Kept>>,
    /// Why the keyring can't be used, once that is known.
    failure: Option<String>,
}

impl Vault {
    /// With this file, and the entries of this service in the keyring. Does nothing yet.
    #[must_use]
    pub fn new(file: PathBuf, service: String) -> Self {
        Self::with(file, Arc::new(PlatformRing::new(service)))
    }

    fn with(file: PathBuf, ring: Arc<dyn Ring>) -> Self {
        Self { file, ring, state: Mutex::default() }
    }

    /// The secret of this name. The keyring may be asked, for 5 s at most.
    ///
    /// # Errors
    /// `File` when there is a file that can't be read.
    pub async fn get(&self, name: &str) -> Result<Option<Kept>, CredentialError> {
        // Held while the keyring is asked, so that sessions that need a secret together ask once.
        let mut state = self.state.lock().await;
        if let Some(known) = state.known.get(name) {
            return Ok(known.clone());
        }
        let found = match self.read().await?.secrets.remove(name) {
            Some(text) => Some(Kept { secret: Secret::new(text), place: self.in_file(None) }),
            None => self.in_ring(&mut state, name).await,
        };
        state.known.insert(name.to_owned(), found.clone());
        Ok(found)
    }

    /// Keeps a secret: in the keyring if it takes it, else in the file.
    ///
    /// # Errors
    /// `File` when the keyring did not take it and the file can't be written.
    pub async fn set(&self, name: &str, secret: Secret) -> Result<Place, CredentialError> {
        let mut state = self.state.lock().await;
        let (ring, owned, copy) = (Arc::clone(&self.ring), name.to_owned(), secret.clone());
        let place = match bounded(WRITE_LIMIT, move || ring.set(&owned, &copy)).await {
            Ok(()) => {
                state.failure = None;
                self.change(name, None).await?;
                Place::Keyring
            }
            Err(reason) => {
                self.change(name, Some(&secret)).await?;
                tracing::warn!(%reason, "the keyring takes no secrets; they are kept in a file");
                state.failure = Some(reason.clone());
                self.in_file(Some(reason))
            }
        };
        state.known.insert(name.to_owned(), Some(Kept { secret, place: place.clone() }));
        Ok(place)
    }

    /// Forgets a secret, wherever it is; whether there was one.
    ///
    /// # Errors
    /// `File` when it is in a file that can't be written.
    pub async fn remove(&self, name: &str) -> Result<bool, CredentialError> {
        let mut state = self.state.lock().await;
        let was_in_file = self.change(name, None).await?;
        let was_in_ring = match state.failure {
            Some(_) => false,
            None => {
                let (ring, owned) = (Arc::clone(&self.ring), name.to_owned());
                match bounded(WRITE_LIMIT, move || ring.remove(&owned)).await {
                    Ok(was_there) => was_there,
                    Err(reason) => {
                        state.failure = Some(reason);
                        false
                    }
                }
            }
        };
        state.known.insert(name.to_owned(), None);
        Ok(was_in_file || was_in_ring)
    }

    async fn in_ring(&self, state: &mut State, name: &str) -> Option<Kept> {
        if state.failure.is_some() {
            return None;
        }
        let (ring, owned) = (Arc::clone(&self.ring), name.to_owned());
        match bounded(READ_LIMIT, move || ring.get(&owned)).await {
            Ok(found) => found.map(|secret| Kept { secret, place: Place::Keyring }),
            Err(reason) => {
                tracing::info!(%reason, "the keyring can't be asked; it is left alone from now on");
                state.failure = Some(reason);
                None
            }
        }
    }

    fn in_file(&self, reason: Option<String>) -> Place {
        Place::File { path: self.file.clone(), reason }
    }

    async fn read(&self) -> Result<Contents, CredentialError> {
        let file = self.file.clone();
        self.on_disk(move || read(&file)).await
    }

    /// Sets or removes a secret of the file; whether there was one. Nothing is written where nothing changes.
    async fn change(&self, name: &str, secret: Option<&Secret>) -> Result<bool, CredentialError> {
        let (file, name, secret) = (self.file.clone(), name.to_owned(), secret.cloned());
        self.on_disk(move || {
            let mut contents = read(&file)?;
            let before = match &secret {
                Some(secret) => contents.secrets.insert(name, secret.reveal().to_owned()),
                None => contents.secrets.remove(&name),
            };
            if secret.is_some() || before.is_some() {
                write(&file, &contents)?;
            }
            Ok(before.is_some())
        })
        .await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, CredentialError> {
        let done = tokio::task::spawn_blocking(work).await;
        let done = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        done.map_err(|source| CredentialError::File { path: self.file.clone(), source })
    }
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
struct Contents {
    #[serde(default)]
    secrets: BTreeMap<String, String>,
}

impl Drop for Contents {
    fn drop(&mut self) {
        for secret in self.secrets.values_mut() {
            zeroize::Zeroize::zeroize(secret);
        }
    }
}

fn read(file: &Path) -> io::Result<Contents> {
    let mut text = zeroize::Zeroizing::new(String::new());
    match fs::File::open(file) {
        Ok(open) => open.take(MAX_FILE_BYTES).read_to_string(&mut text)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Contents::default()),
        Err(error) => return Err(error),
    };
    // The error would quote what it stumbled over.
    serde_json::from_str(&text).map_err(|error| {
        let place = format!("it is no JSON (line {}, column {})", error.line(), error.column());
        io::Error::new(io::ErrorKind::InvalidData, place)
    })
}

/// Writes anew, so that a crash leaves the old file or the new one. A temporary file is its owner's alone.
fn write(file: &Path, contents: &Contents) -> io::Result<()> {
    let folder = file.parent().unwrap_or(Path::new("."));
    let text = zeroize::Zeroizing::new(serde_json::to_vec(contents)?);
    let mut fresh = tempfile::Builder::new().prefix(".credentials-").tempfile_in(folder)?;
    fresh.write_all(&text)?;
    fresh.as_file().sync_all()?;
    fresh.persist(file).map_err(|error| error.error)?;
    Ok(())
}

/// Runs what may block for ever, and waits for it only so long. What is late goes on alone, on a thread of its own,
/// so that it never keeps the daemon from stopping.
async fn bounded<T: Send + 'static>(
    limit: Duration,
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("skein-keyring".to_owned()).spawn(move || {
        // Nobody listens any more if it took too long.
        let _ = tell.send(work());
    });
    thread.map_err(|error| error.to_string())?;
    match tokio::time::timeout(limit, told).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("it failed inside".to_owned()),
        Err(_) => Err(format!("it did not answer within {} s", limit.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex as StdMutex;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A keyring in memory.
    #[derive(Default)]
    struct MemoryRing {
        entries: StdMutex<BTreeMap<String, Secret>>,
        reads: AtomicU32,
    }

    impl Ring for MemoryRing {
        fn get(&self, name: &str) -> Result<Option<Secret>, String> {
            self.reads.fetch_add(1, Ordering::Relaxed);
            Ok(self.entries.lock().unwrap().get(name).cloned())
        }

        fn set(&self, name: &str, secret: &Secret) -> Result<(), String> {
            self.entries.lock().unwrap().insert(name.to_owned(), secret.clone());
            Ok(())
        }

        fn remove(&self, name: &str) -> Result<bool, String> {
            Ok(self.entries.lock().unwrap().remove(name).is_some())
        }
    }

    /// One that never answers, until the test is over.
    struct SilentRing(StdMutex<std::sync::mpsc::Receiver<()>>);

    impl SilentRing {
        fn wait(&self) -> String {
            let _ = self.0.lock().unwrap().recv();
            "the test is over".to_owned()
        }
    }

    impl Ring for SilentRing {
        fn get(&self, _name: &str) -> Result<Option<Secret>, String> {
            Err(self.wait())
        }

        fn set(&self, _name: &str, _secret: &Secret) -> Result<(), String> {
            Err(self.wait())
        }

        fn remove(&self, _name: &str) -> Result<bool, String> {
            Err(self.wait())
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::new(text.to_owned())
    }

    #[tokio::test]
    async fn the_keyring_is_preferred_and_asked_once() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials.json");
        let ring = Arc::new(MemoryRing::default());
        let vault = Vault::with(file.clone(), ring.clone());
        assert_eq!(vault.set("a", secret("s")).await.unwrap(), Place::Keyring);
        assert!(!file.exists());
        let other = Vault::with(file, ring.clone());
        for _ in 0..3 {
            let kept = other.get("a").await.unwrap().unwrap();
            assert_eq!((kept.secret.reveal(), kept.place), ("s", Place::Keyring));
            assert_eq!(other.get("b").await.unwrap(), None);
        }
        assert_eq!(ring.reads.load(Ordering::Relaxed), 2);
        assert!(other.remove("a").await.unwrap() && !other.remove("a").await.unwrap());
        assert_eq!(other.get("a").await.unwrap(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_keyring_that_hangs_is_given_up_once_and_the_file_is_used() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials.json");
        let (end, ended) = std::sync::mpsc::channel();
        let vault = Vault::with(file.clone(), Arc::new(SilentRing(StdMutex::new(ended))));
        assert_eq!(vault.get("a").await.unwrap(), None);
        let begun = tokio::time::Instant::now();
        assert_eq!(vault.get("b").await.unwrap(), None);
        assert_eq!(begun.elapsed(), Duration::ZERO, "it is not asked again");
        let place = vault.set("a", secret("s")).await.unwrap();
        let Place::File { path, reason: Some(reason) } = place else { panic!("not a file") };
        assert!(path == file && reason.contains("20 s"), "{reason}");
        let again = Vault::with(file, Arc::new(MemoryRing::default()));
        assert_eq!(again.get("a").await.unwrap().unwrap().secret, secret("s"));
        assert!(again.remove("a").await.unwrap());
        drop(end);
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_file_is_its_owners_alone_and_no_error_quotes_it() {
        let scratch = tempfile::tempdir().unwrap();
        let file = scratch.path().join("credentials.json");
        let vault = Vault::with(file.clone(), Arc::new(MemoryRing::default()));
        vault.change("a", Some(&secret("sk-planted"))).await.unwrap();
        assert_eq!(rustix::fs::stat(&file).unwrap().st_mode & 0o777, 0o600);
        fs::write(&file, "{\"secrets\": {\"a\": sk-planted").unwrap();
        let error = vault.get("a").await.unwrap_err().full_message();
        assert!(error.contains("no JSON") && !error.contains("planted"), "{error}");
    }
}
