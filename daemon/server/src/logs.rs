//! The daemon's log: a file that is never larger than its cap, and the one before it. Knows nothing of what is
//! logged.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::process;

/// The cap of each of the two files.
const MAX_FILE_BYTES: u64 = 5 * 1024 * 1024;

/// Outside crates that say too much: of them, only what went wrong.
const QUIET: [&str; 8] = ["jsonrpsee", "soketto", "hyper", "h2", "reqwest", "rustls", "sqlx", "interprocess"];

/// Whether the log is shown on standard error too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Echo {
    /// For a person who runs the daemon in a terminal.
    StandardError,
    /// For a daemon in the background.
    None,
}

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The file can't be opened.
    #[error("Can't write the log `{path}`")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The process logs already.
    #[error("The process logs to another place already")]
    Taken(#[source] TryInitError),
}

/// Sends everything that this process logs at `level` and above to the file, panics included.
///
/// # Errors
/// `LogError`.
pub(crate) fn install(path: &Path, level: Level, echo: Echo) -> Result<(), LogError> {
    let file = LogFile::open(path, MAX_FILE_BYTES)
        .map_err(|source| LogError::File { path: path.to_owned(), source })?;
    // A line that can't be written is lost. Telling standard error instead would panic where that is closed.
    let layer = || tracing_subscriber::fmt::layer().with_ansi(false).log_internal_errors(false);
    let to_file = layer().with_writer(file);
    let to_terminal =
        (echo == Echo::StandardError).then(|| layer().with_target(false).with_writer(io::stderr));
    tracing_subscriber::registry()
        .with(to_file.and_then(to_terminal).with_filter(filter(level)))
        .try_init()
        .map_err(LogError::Taken)?;
    std::panic::set_hook(Box::new(|panic| tracing::error!(%panic, "a task panicked")));
    Ok(())
}

fn filter(level: Level) -> Targets {
    let quiet = QUIET.map(|target| (target, LevelFilter::from_level(level.min(Level::WARN))));
    Targets::new().with_default(level).with_targets(quiet)
}

/// A file that is renamed to `<name>.1` when it is full.
struct LogFile {
    path: PathBuf,
    cap: u64,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    bytes: u64,
}

impl LogFile {
    fn open(path: &Path, cap: u64) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), cap, open: Mutex::new(Open::append(path)?) })
    }

    fn previous(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }
}

impl Open {
    fn append(path: &Path) -> io::Result<Self> {
        let file = process::append_private(path)?;
        let bytes = file.metadata()?.len();
        Ok(Self { file, bytes })
    }
}

/// One call is one entry.
impl Write for &LogFile {
    fn write(&mut self, entry: &[u8]) -> io::Result<usize> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.bytes > 0 && open.bytes + entry.len() as u64 > self.cap {
            fs::rename(&self.path, self.previous())?;
            *open = Open::append(&self.path)?;
        }
        // An entry that is larger than a whole file loses its end.
        let kept = usize::try_from(self.cap).map_or(entry, |cap| &entry[..entry.len().min(cap)]);
        open.file.write_all(kept)?;
        open.bytes += kept.len() as u64;
        Ok(entry.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogFile {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> &'a Self {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file_gives_way_to_a_new_one() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("daemon.log");
        let log = LogFile::open(&path, 100).expect("open");
        for number in 0..50 {
            writeln!(&log, "entry {number:02}").expect("write");
        }
        let read = |path: &Path| fs::read_to_string(path).expect("read");
        let (now, before) = (read(&path), read(&log.previous()));
        assert!(now.len() <= 100 && before.len() <= 100);
        assert!(now.ends_with("entry 49\n"));
        assert!(
            format!("{before}{now}").contains("entry 40\n"),
            "what is before and now follows on each other"
        );
        assert_eq!(fs::read_dir(scratch.path()).expect("folder").count(), 2);
    }

    #[test]
    fn a_log_goes_on_where_the_last_daemon_ended() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("daemon.log");
        writeln!(&LogFile::open(&path, 100).expect("first"), "one").expect("write");
        writeln!(&LogFile::open(&path, 100).expect("second"), "two").expect("write");
        assert_eq!(fs::read_to_string(&path).expect("read"), "one\ntwo\n");
    }

    #[test]
    fn an_entry_never_bursts_the_cap() {
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("daemon.log");
        let log = LogFile::open(&path, 100).expect("open");
        (&log).write_all(&[b'x'; 1000]).expect("write");
        assert_eq!(fs::metadata(&path).expect("meta").len(), 100);
    }

    #[cfg(unix)]
    #[test]
    fn only_its_user_may_read_it_whatever_the_umask() {
        rustix::process::umask(rustix::fs::Mode::empty());
        let scratch = tempfile::tempdir().expect("scratch");
        let path = scratch.path().join("daemon.log");
        let mode = || rustix::fs::stat(&path).expect("stat").st_mode & 0o777;
        LogFile::open(&path, 100).expect("new");
        assert_eq!(mode(), 0o600);
        rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o644)).expect("chmod");
        LogFile::open(&path, 100).expect("old");
        assert_eq!(mode(), 0o600);
    }

    #[test]
    fn outside_crates_are_quiet_and_ours_are_not() {
        let filter = filter(Level::DEBUG);
        assert!(filter.would_enable("session::actor", &Level::DEBUG));
        assert!(!filter.would_enable("jsonrpsee-server", &Level::INFO));
        assert!(filter.would_enable("jsonrpsee-server", &Level::WARN));
        assert!(!super::filter(Level::ERROR).would_enable("hyper", &Level::WARN));
    }
}
