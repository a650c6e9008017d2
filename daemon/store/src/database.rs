//! Opens the database: private files, the right schema, one connection that writes and a few that read.
//! Knows nothing of what is in the tables.

use std::io;
use std::path::{Path, PathBuf};

use protocol::ids::SessionId;
use sqlx::migrate::{Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlSafeStr, SqliteConnection, SqlitePool};

use crate::error::StoreError;
use crate::identity;
use crate::platform;
use crate::rows::id_of;
use crate::store::Durability;
use crate::usage;

/// Connections for reading: one may be busy with a long log while the other answers.
const READERS: u32 = 2;

/// An open database.
pub(crate) struct Database {
    pub(crate) writer: SqliteConnection,
    pub(crate) readers: SqlitePool,
    /// Sessions that are set aside, and why.
    pub(crate) damaged: Vec<(SessionId, String)>,
}

impl Database {
    /// Opens the database, making it if it is not there, and brings its schema up to date.
    pub(crate) async fn open(file: &Path, durability: Durability) -> Result<Self, StoreError> {
        refuse_emptied(file)?;
        make_private(file).map_err(|source| StoreError::from_io(file, source))?;
        let options = SqliteConnectOptions::new()
            .filename(file)
            .disable_statement_logging()
            .thread_name(|number| format!("store-{number}"));
        identity::check(file, &beside(file, "-wal"), &options).await?;
        let mut writer = options
            .clone()
            .synchronous(match durability {
                Durability::Process => SqliteSynchronous::Normal,
                Durability::Power => SqliteSynchronous::Full,
            })
            // A KiB each. Bodies are written once and read seldom, there is little to keep.
            .pragma("cache_size", "-1024")
            // In bytes: what a burst left of the `-wal` file is given back.
            .pragma("journal_size_limit", "8388608")
            .connect()
            .await
            .map_err(|source| StoreError::from_sql(file, source))?;
        migrate(file, &mut writer).await?;
        identity::note(&mut writer).await.map_err(|source| StoreError::from_sql(file, source))?;
        usage::forget_old(&mut writer).await;
        let damaged = damaged(&mut writer).await;
        // Invariant: no timeouts, or the pool would keep a timer running.
        let readers = SqlitePoolOptions::new()
            .min_connections(0)
            .max_connections(READERS)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true).pragma("cache_size", "-512"));
        Ok(Self { writer, readers, damaged })
    }
}

/// A database that is empty while its `-wal` file is not was emptied by somebody. SQLite would take it for a new
/// one, and remove the `-wal` file, which may be all that is left.
fn refuse_emptied(file: &Path) -> Result<(), StoreError> {
    let bytes = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    if bytes(file) == 0 && bytes(&beside(file, "-wal")) > 0 {
        let reason = "it is empty or gone, and its `-wal` file is not".to_owned();
        return Err(StoreError::Corrupt { file: file.to_owned(), reason });
    }
    Ok(())
}

/// The database gets its mode before SQLite opens it; the `-wal` and `-shm` files get theirs from it.
fn make_private(file: &Path) -> io::Result<()> {
    platform::make_private_file(file)?;
    for suffix in ["-wal", "-shm"] {
        match platform::own_file(&beside(file, suffix)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Brings the schema up to date. Nothing is written before it is known that the schema is not a newer one.
async fn migrate(file: &Path, connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let sorted = |source| StoreError::from_sql(file, source);
    let migrator = migrator();
    let known = migrator.iter().map(|migration| migration.version).max().unwrap_or(0);
    let found = schema_version(connection, &migrator).await.map_err(sorted)?;
    if found > known {
        return Err(StoreError::NewerSchema { file: file.to_owned(), found, known });
    }
    sqlx::query("PRAGMA journal_mode = WAL").execute(&mut *connection).await.map_err(sorted)?;
    migrator.run_direct(None, connection, false).await.map_err(|error| sorted(sql_error(error)))
}

/// Sessions that are set aside. If even that can't be read, they are found to be damaged once more.
async fn damaged(connection: &mut SqliteConnection) -> Vec<(SessionId, String)> {
    let rows = sqlx::query_as::<_, (Vec<u8>, String)>("SELECT session_id, reason FROM damaged");
    let rows = rows.fetch_all(connection).await.unwrap_or_else(|error| {
        tracing::error!(%error, "could not read which sessions are damaged");
        Vec::new()
    });
    rows.into_iter().filter_map(|(id, reason)| Some((id_of(&id)?, reason))).collect()
}

fn migrator() -> Migrator {
    let all = [
        ("initial", include_str!("../migrations/0001_initial.sql")),
        ("request_id", include_str!("../migrations/0002_request_id.sql")),
        ("damaged", include_str!("../migrations/0003_damaged.sql")),
        ("checksum", include_str!("../migrations/0004_checksum.sql")),
        ("usage", include_str!("../migrations/0005_usage.sql")),
        ("agents", include_str!("../migrations/0006_agents.sql")),
        ("untold", include_str!("../migrations/0007_untold.sql")),
        ("time", include_str!("../migrations/0008_time.sql")),
    ];
    let migrations = (1..).zip(all).map(|(version, (name, sql))| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}

async fn schema_version(connection: &mut SqliteConnection, migrator: &Migrator) -> sqlx::Result<i64> {
    let is_new = sqlx::query("SELECT 1 FROM sqlite_schema WHERE name = ?")
        .bind(&*migrator.table_name)
        .fetch_optional(&mut *connection)
        .await?
        .is_none();
    if is_new {
        return Ok(0);
    }
    let applied = connection.list_applied_migrations(&migrator.table_name).await.map_err(sql_error)?;
    Ok(applied.iter().map(|migration| migration.version).max().unwrap_or(0))
}

fn sql_error(error: MigrateError) -> sqlx::Error {
    match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _) => source,
        other => other.into(),
    }
}
