//! Disks and files that are not as they should be, and who may read them.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use protocol::error::{ErrorCode, ProtocolError};
use protocol::ids::{Seq, SessionId};
use rustix::fs::Mode;
use rustix::mount::{MountFlags, UnmountFlags};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::fixture::{Fixture, append, options_in, texts};
use crate::{Store, StoreError};

/// Changes a database behind the store's back.
pub(crate) async fn tamper(database: &Path, sql: &'static str) {
    let mut connection = SqliteConnectOptions::new().filename(database).connect().await.expect("connect");
    sqlx::query(sql).execute(&mut connection).await.expect("tamper");
    connection.close().await.expect("close");
}

/// A file system of its own, for as long as this lives.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// `None`, and a word about it, where this user may not mount.
    fn mount(folder: &'a Path, flags: MountFlags) -> Option<Self> {
        let options = CString::new("size=2m,mode=0700").expect("options");
        match rustix::mount::mount("tmpfs", folder, "tmpfs", flags, options.as_c_str()) {
            Ok(()) => Some(Self(folder)),
            Err(error) => {
                eprintln!("SKIPPED: this needs a file system of its own, and can't mount one: {error}");
                None
            }
        }
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        rustix::mount::unmount(self.0, UnmountFlags::DETACH).expect("unmount");
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    fixture.open().await.close().await;
    tamper(
        &database,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9000, 'from the future', 1, x'00', 0)",
    )
    .await;
    let before = fs::read(&database).expect("read");
    let refused = Store::open(fixture.options()).await.err().expect("refused");
    let StoreError::NewerSchema { found: 9000, known, .. } = &refused else { panic!("{refused:?}") };
    assert!(*known < 9000 && refused.hint().is_some());
    assert_eq!(fs::read(&database).expect("read"), before);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_named_and_left_alone() {
    let fixture = Fixture::new();
    let database = fixture.options().database;
    let text = "This is no database at all. ".repeat(100);
    fs::write(&database, &text).expect("write");
    let refused = Store::open(fixture.options()).await.err().expect("refused");
    assert!(matches!(&refused, StoreError::Corrupt { file, .. } if *file == database), "{refused:?}");
    let answer = ProtocolError::from(refused);
    assert_eq!(answer.code, ErrorCode::Internal);
    assert!(answer.message.contains("skein.db") && answer.hint.is_some(), "{answer:?}");
    assert_eq!(fs::read_to_string(&database).expect("read"), text);
}

#[tokio::test]
async fn a_full_disk_is_typed_and_passes() {
    let fixture = Fixture::new();
    let Some(disk) = Disk::mount(fixture.scratch.path(), MountFlags::empty()) else { return };
    let store = fixture.open().await;
    let session = SessionId::generate();
    let ballast = fixture.scratch.path().join("ballast");
    fs::write(&ballast, vec![0; 1 << 20]).expect("ballast");
    let text = "x".repeat(20_000);
    let mut seq = 0;
    let full = loop {
        match store.append(append(session, texts(seq + 1, &[&text]))).await {
            Ok(()) => seq += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, StoreError::Full { .. }) && seq > 0, "{full:?}");
    let blob = store.blobs().put(session, vec![b'y'; 1 << 20]).await;
    assert!(matches!(blob, Err(StoreError::Full { .. })), "{blob:?}");
    assert_eq!(store.events(session, Seq::ZERO, None).await.expect("read").len() as u64, seq);
    fs::remove_file(ballast).expect("space");
    store.append(append(session, texts(seq + 1, &[&text]))).await.expect("there is space again");
    store.blobs().put(session, vec![b'y'; 100_000]).await.expect("for blobs, too");
    assert_eq!(store.events(session, Seq::ZERO, None).await.expect("read").len() as u64, seq + 1);
    store.close().await;
    drop(disk);
}

#[tokio::test]
async fn a_disk_that_is_read_only_is_typed() {
    let fixture = Fixture::new();
    let Some(_disk) = Disk::mount(fixture.scratch.path(), MountFlags::RDONLY) else { return };
    let refused = Store::open(fixture.options()).await.err().expect("refused");
    assert!(matches!(refused, StoreError::ReadOnly { .. }), "{refused:?}");
    let answer = ProtocolError::from(refused);
    assert!(answer.code == ErrorCode::Unavailable && answer.hint.is_some(), "{answer:?}");
}

#[tokio::test]
async fn files_are_private_whatever_the_umask() {
    rustix::process::umask(Mode::empty());
    let fixture = Fixture::new();
    let folder = fixture.scratch.path();
    // As an older build, or a person, may have left them.
    fs::create_dir(folder.join("blobs")).expect("folder");
    fs::write(folder.join("skein.db"), "").expect("file");
    let store = Store::open(options_in(folder)).await.expect("store");
    let session = SessionId::generate();
    store.append(append(session, texts(1, &["a"]))).await.expect("append");
    store.blobs().put(session, b"hello".to_vec()).await.expect("put");
    let mut spool = store.blobs().spool(session).await.expect("spool");
    spool.write(&[b'x'; 100_000]).await.expect("write");
    let files = fixture.files();
    assert_eq!(files.len(), 5, "database, -wal, -shm, a blob, a spool: {files:?}");
    for file in files.keys() {
        for path in file.ancestors().take_while(|path| *path != folder) {
            let mode = Mode::from_raw_mode(rustix::fs::stat(path).expect("stat").st_mode);
            assert!(!mode.intersects(Mode::RWXG | Mode::RWXO), "{}: {mode:?}", path.display());
        }
    }
}
