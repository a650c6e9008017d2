//! Whether a `-wal` file is of this database. SQLite would take any: then pages of two databases are mixed, and both
//! are lost. Each database has a random number, which stands in its header and in each copy of that in its `-wal`
//! file (sqlite.org/fileformat2.html, sections 1.3 and 4.1).

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};
use uuid::Uuid;

use crate::error::StoreError;

const WAL_HEADER_BYTES: usize = 32;
const FRAME_HEADER_BYTES: usize = 24;
/// Where the number stands in the first page: the place of `PRAGMA user_version`.
const PLACE: std::ops::Range<usize> = 60..64;

/// Refuses a `-wal` file of another database. Changes nothing.
pub(crate) async fn check(file: &Path, wal: &Path, options: &SqliteConnectOptions) -> Result<(), StoreError> {
    let noted = noted(wal).map_err(|source| StoreError::from_io(wal, source))?;
    if noted.is_empty() {
        return Ok(());
    }
    // As it is without its `-wal` file.
    let alone = options.clone().create_if_missing(false).immutable(true).read_only(true);
    let own = async {
        let mut connection = alone.connect().await?;
        let own: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(own)
    };
    let own = own.await.map_err(|source| StoreError::from_sql(file, source))?;
    // A zero was written before there was a number.
    if own == 0 || noted.iter().all(|number| [0, own].contains(number)) {
        return Ok(());
    }
    let reason = "the `-wal` file beside it is of another database".to_owned();
    Err(StoreError::Corrupt { file: file.to_owned(), reason })
}

/// Puts the number into a header, and so into the `-wal` file as the first page that is written.
pub(crate) async fn note(connection: &mut SqliteConnection) -> sqlx::Result<()> {
    let known: i32 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *connection).await?;
    let number = if known == 0 { random() } else { known };
    // A PRAGMA takes no parameters.
    let note = AssertSqlSafe(format!("PRAGMA user_version = {number}"));
    sqlx::query(note).execute(connection).await.map(drop)
}

/// Not zero.
fn random() -> i32 {
    let [.., a, b, c, d] = Uuid::now_v7().into_bytes();
    i32::from_be_bytes([a, b, c, d]) | 1
}

/// The numbers in a `-wal` file's copies of the first page.
fn noted(wal: &Path) -> io::Result<Vec<i32>> {
    let mut numbers = Vec::new();
    let mut file = match File::open(wal) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(numbers),
        Err(error) => return Err(error),
    };
    let mut header = [0; WAL_HEADER_BYTES];
    if !fill(&mut file, &mut header)? {
        return Ok(numbers);
    }
    let [_, _, _, _, _, _, _, _, size @ ..] = header;
    let page_bytes = u32::from_be_bytes([size[0], size[1], size[2], size[3]]);
    let mut frame = [0; FRAME_HEADER_BYTES];
    let mut first = [0; PLACE.end];
    // Fewer would be no page.
    while page_bytes >= 512 && fill(&mut file, &mut frame)? {
        let mut skipped = i64::from(page_bytes);
        if frame.starts_with(&1_u32.to_be_bytes()) {
            if !fill(&mut file, &mut first)? {
                break;
            }
            skipped -= i64::try_from(PLACE.end).unwrap_or(0);
            let mut number = [0; 4];
            number.copy_from_slice(&first[PLACE]);
            numbers.push(i32::from_be_bytes(number));
        }
        file.seek_relative(skipped)?;
    }
    Ok(numbers)
}

/// Whether there was enough to fill a buffer.
fn fill(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match file.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
