//! Large payloads: files that are named by their content, `ab/cdef…` for a SHA-256 of `abcdef…`. A file is
//! written under a name of its own and gets its real one when it is complete, so there are no halves. What is kept
//! packed has `.z` after its name, and is named by its content all the same. Knows nothing of what is in them.

use std::fmt::Write as _;
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use futures_util::future::try_join_all;
use protocol::ids::{BlobId, SessionId};
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;
use tracing::warn;

use crate::error::StoreError;
use crate::platform;
use crate::rows::id_bytes;
use crate::store::{Durability, Store};
use crate::writer::{Change, Inbox};

/// How names of files begin that are not complete.
const UNFINISHED: &str = "unfinished-";
/// Bytes that a spool collects before it writes.
const BUFFER_BYTES: usize = 64 * 1024;
/// Contents that are shorter are not packed.
const PACKED_FROM_BYTES: usize = 256;

/// The payloads. A cheap handle.
#[derive(Clone)]
pub struct Blobs {
    folder: Arc<Path>,
    cap_bytes: u64,
    durability: Durability,
    inbox: Inbox,
}

impl Blobs {
    /// Opens the folder, making it if it is not there, and removes what a crash left unfinished.
    pub(crate) async fn open(
        folder: Arc<Path>,
        cap_bytes: u64,
        durability: Durability,
        inbox: Inbox,
    ) -> Result<Self, StoreError> {
        let opened = folder.clone();
        blocking(&folder, move || {
            platform::make_private_folder(&opened)?;
            remove_unfinished(&opened)
        })
        .await?;
        Ok(Self { folder, cap_bytes, durability, inbox })
    }

    /// What a payload outlives once it is kept.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Keeps a payload for a session. Beyond the cap it is cut as `spool` cuts.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Sql`, `Closed`.
    pub async fn put(&self, session: SessionId, bytes: Vec<u8>) -> Result<BlobId, StoreError> {
        let mut spool = self.spool(session).await?;
        spool.write(&bytes).await?;
        drop(bytes);
        spool.finish().await
    }

    /// Reads a payload; `None` if there is none of that name.
    ///
    /// # Errors
    /// `Io`, `Closed`.
    pub async fn get(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(key) = BlobKey::parse(id) else { return Ok(None) };
        let (file, blobs) = (key.path(&self.folder), self.clone());
        blocking(&file, move || blobs.read_key(key)).await
    }

    /// As `get`, on a thread that may wait.
    ///
    /// # Errors
    /// `Io`.
    pub fn read(&self, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(key) = BlobKey::parse(id) else { return Ok(None) };
        self.read_key(key).map_err(|source| StoreError::from_io(&key.path(&self.folder), source))
    }

    /// What a payload is called, kept or not.
    #[must_use]
    pub fn name(bytes: &[u8]) -> BlobId {
        BlobKey(Sha256::digest(bytes).into()).id()
    }

    /// Keeps payloads for a session whole, packed where that saves room. Their names come in the same order.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Sql`, `Closed`.
    pub async fn put_all(
        &self,
        session: SessionId,
        contents: Vec<Vec<u8>>,
    ) -> Result<Vec<BlobId>, StoreError> {
        let named = move || {
            let name = |bytes: Vec<u8>| (BlobKey(Sha256::digest(&bytes).into()), bytes);
            Ok(contents.into_iter().map(name).collect::<Vec<_>>())
        };
        let named = blocking(&self.folder, named).await?;
        let ids = named.iter().map(|(key, _)| key.id()).collect();
        // Invariant: first the references, then the names; `Writer::delete` relies on it.
        try_join_all(named.iter().map(|(key, _)| self.inbox.write(Change::Refer(session, *key)))).await?;
        let blobs = self.clone();
        let write = move || named.iter().try_for_each(|(key, bytes)| blobs.write_packed(*key, bytes));
        blocking(&self.folder, write).await?;
        Ok(ids)
    }

    /// Keeps payloads that are there for another session too. One that is gone stays gone.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Sql`, `Closed`.
    pub async fn share(
        &self,
        session: SessionId,
        ids: impl IntoIterator<Item = BlobId>,
    ) -> Result<(), StoreError> {
        let keys = ids.into_iter().filter_map(|id| BlobKey::parse(&id));
        try_join_all(keys.map(|key| self.inbox.write(Change::Refer(session, key)))).await?;
        Ok(())
    }

    fn read_key(&self, key: BlobKey) -> io::Result<Option<Vec<u8>>> {
        match std::fs::read(key.path(&self.folder)) {
            Ok(bytes) => return Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let packed = match std::fs::File::open(key.packed_path(&self.folder)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        DeflateDecoder::new(packed).take(self.cap_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > self.cap_bytes {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "unpacked, it is beyond the cap"));
        }
        Ok(Some(bytes))
    }

    /// Writes a payload, unless it is there.
    fn write_packed(&self, key: BlobKey, bytes: &[u8]) -> io::Result<()> {
        let (plain, packed) = (key.path(&self.folder), key.packed_path(&self.folder));
        if plain.try_exists()? || packed.try_exists()? {
            return Ok(());
        }
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
        // Invariant: nothing beyond the cap is packed; `read_key` unpacks no more.
        if bytes.len() >= PACKED_FROM_BYTES && bytes.len() as u64 <= self.cap_bytes {
            let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(bytes)?;
            let short = encoder.finish()?;
            if short.len() < bytes.len() / 10 * 9 {
                file.write_all(&short)?;
                return name_file(file, &packed, self.durability);
            }
        }
        file.write_all(bytes)?;
        name_file(file, &plain, self.durability)
    }

    /// Opens a payload that grows.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Closed`.
    pub async fn spool(&self, session: SessionId) -> Result<BlobSpool, StoreError> {
        let folder = self.folder.clone();
        let sink = blocking(&self.folder, move || {
            let file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(folder)?;
            Ok(Sink { file, hasher: Sha256::new() })
        })
        .await?;
        Ok(BlobSpool {
            blobs: self.clone(),
            session,
            sink: Some(sink),
            buffer: Vec::new(),
            kept: 0,
            omitted: 0,
        })
    }
}

impl Store {
    /// Reads a payload that was kept for this session; `None` if none of that name was.
    ///
    /// # Errors
    /// `Io`, `Sql`, `Closed`.
    pub async fn blob_of(&self, session: SessionId, id: &BlobId) -> Result<Option<Vec<u8>>, StoreError> {
        let Some(key) = BlobKey::parse(id) else { return Ok(None) };
        let kept: Option<i64> =
            sqlx::query_scalar("SELECT 1 FROM blob_ref WHERE session_id = ? AND blob = ?")
                .bind(id_bytes(session))
                .bind(key.as_bytes())
                .fetch_optional(self.readers())
                .await
                .map_err(|source| self.sorted(source))?;
        if kept.is_some() { self.blobs().get(id).await } else { Ok(None) }
    }
}

/// A payload that grows. Dropping it unfinished removes it.
pub struct BlobSpool {
    blobs: Blobs,
    session: SessionId,
    /// `None` while it is written to, and after that failed.
    sink: Option<Sink>,
    buffer: Vec<u8>,
    kept: u64,
    omitted: u64,
}

impl BlobSpool {
    /// Adds bytes; beyond the cap they are counted and forgotten. A future that is dropped, like a failure,
    /// loses the payload: `finish` fails then.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Closed`.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let room = usize::try_from(self.blobs.cap_bytes - self.kept).unwrap_or(usize::MAX);
        let (kept, omitted) = bytes.split_at(room.min(bytes.len()));
        self.kept += kept.len() as u64;
        self.omitted += omitted.len() as u64;
        self.buffer.extend_from_slice(kept);
        if self.buffer.len() >= BUFFER_BYTES { self.flush().await } else { Ok(()) }
    }

    /// Keeps it, with a last line that says how much was left out, if anything was.
    ///
    /// # Errors
    /// `Full`, `ReadOnly`, `Io`, `Sql`, `Closed`; the payload is gone then.
    pub async fn finish(mut self) -> Result<BlobId, StoreError> {
        if self.omitted > 0 {
            let line = format!("\n[{} more bytes were left out]\n", self.omitted);
            self.buffer.extend_from_slice(line.as_bytes());
        }
        self.flush().await?;
        let Sink { file, hasher } = self.sink.take().ok_or_else(|| self.lost())?;
        let key = BlobKey(hasher.finalize().into());
        // Invariant: first the reference, then the name; `Writer::delete` relies on it.
        self.blobs.inbox.write(Change::Refer(self.session, key)).await?;
        let path = key.path(&self.blobs.folder);
        let named = path.clone();
        let durability = self.blobs.durability;
        blocking(&path, move || name_file(file, &named, durability)).await?;
        Ok(key.id())
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        let mut sink = self.sink.take().ok_or_else(|| self.lost())?;
        let mut buffer = std::mem::take(&mut self.buffer);
        let (sink, buffer) = blocking(&self.blobs.folder, move || {
            sink.hasher.update(&buffer);
            sink.file.write_all(&buffer)?;
            buffer.clear();
            Ok((sink, buffer))
        })
        .await?;
        self.sink = Some(sink);
        self.buffer = buffer;
        Ok(())
    }

    fn lost(&self) -> StoreError {
        let source = io::Error::new(io::ErrorKind::BrokenPipe, "an earlier write to it did not succeed");
        StoreError::Io { file: self.blobs.folder.to_path_buf(), source }
    }
}

/// Where a spool's bytes go. Dropping it removes the file.
struct Sink {
    file: NamedTempFile,
    hasher: Sha256,
}

/// The SHA-256 of a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlobKey([u8; 32]);

impl BlobKey {
    /// Reads an id; `None` if it is not in the one form that `id` writes, so that it can't name another file.
    fn parse(id: &BlobId) -> Option<Self> {
        let digits = id.0.strip_prefix("sha256:")?.as_bytes();
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let bytes: Option<Vec<u8>> =
            pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
        bytes?.try_into().ok().map(Self)
    }

    fn id(self) -> BlobId {
        BlobId(format!("sha256:{}", self.digits()))
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn path(self, folder: &Path) -> PathBuf {
        let digits = self.digits();
        let (first, rest) = digits.split_at(2);
        folder.join(first).join(rest)
    }

    fn packed_path(self, folder: &Path) -> PathBuf {
        self.path(folder).with_extension("z")
    }

    fn digits(self) -> String {
        self.0.iter().fold(String::with_capacity(64), |mut digits, byte| {
            // Writing to a string can't fail.
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

/// Removes the files of payloads; those that are gone already are no error.
pub(crate) async fn remove(folder: &Arc<Path>, keys: Vec<Vec<u8>>) -> Result<(), StoreError> {
    let keys = keys.into_iter().filter_map(|key| Some(BlobKey(key.try_into().ok()?)));
    let paths: Vec<PathBuf> = keys.flat_map(|key| [key.path(folder), key.packed_path(folder)]).collect();
    if paths.is_empty() {
        return Ok(());
    }
    blocking(folder, move || {
        paths.iter().try_for_each(|path| match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        })
    })
    .await
}

/// Gives a complete file its name.
fn name_file(file: NamedTempFile, path: &Path, durability: Durability) -> io::Result<()> {
    let Some(folder) = path.parent() else { return Err(io::ErrorKind::InvalidInput.into()) };
    platform::make_private_folder(folder)?;
    match durability {
        Durability::Process => {
            file.persist(path)?;
            Ok(())
        }
        Durability::Power => {
            file.as_file().sync_all()?;
            file.persist(path)?;
            platform::sync_folder(folder)
        }
    }
}

fn remove_unfinished(folder: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(UNFINISHED.as_bytes()) {
            warn!(file = %entry.path().display(), "removing a payload that a crash left unfinished");
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Does file work on a thread that may wait. It is done even if the future is dropped.
async fn blocking<T: Send + 'static>(
    file: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome.map_err(|source| StoreError::from_io(file, source)),
        // The runtime ends.
        Err(_) => Err(StoreError::Closed),
    }
}
