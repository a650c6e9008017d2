//! What can go wrong in the harness itself. Knows nothing of what the tests look at.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A failure of the harness, or of what it was asked to verify.
#[derive(Debug, thiserror::Error)]
pub enum HarnessError {
    /// The model server could not be started.
    #[error("Could not start the scripted model server")]
    Server(#[source] io::Error),
    /// The server was used in a way that its script or the wire format does not allow.
    #[error("The scripted model server has {} complaint(s):\n{}", .0.len(), .0.join("\n"))]
    Complaints(Vec<String>),
    /// Too few requests came in time.
    #[error("Waited {waited:?} for {wanted} request(s), saw {seen}")]
    TooFewRequests {
        /// How many were waited for.
        wanted: usize,
        /// How many there were.
        seen: usize,
        /// How long it waited.
        waited: Duration,
    },
    /// A client did not hang up in time.
    #[error("Waited {waited:?} for the client to drop request {number}")]
    NotDropped {
        /// The request's number, from 0.
        number: usize,
        /// How long it waited.
        waited: Duration,
    },
    /// A script file could not be read or is malformed.
    #[error("Could not read the script `{}`: {reason}", .path.display())]
    ScriptFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, with line and column where known.
        reason: String,
    },
    /// The binary under test is not there.
    #[error("No executable at `{}`; build it first: cargo build -p skein", .0.display())]
    NotBuilt(PathBuf),
    /// A file or folder of a test's home could not be made.
    #[error("Could not set up `{}`", .path.display())]
    SetUp {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command could not be started, or not be waited for.
    #[error("Could not run `{command}`")]
    Command {
        /// The command line.
        command: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A command took too long; its process group was killed.
    #[error("`{command}` did not end within {limit:?}\nstdout: {stdout}\nstderr: {stderr}")]
    Timeout {
        /// The command line.
        command: String,
        /// How long it was given.
        limit: Duration,
        /// What it had printed.
        stdout: String,
        /// What it had complained.
        stderr: String,
    },
    /// A command that prepares a test failed.
    #[error("`{command}` failed with {status}: {stderr}")]
    Preparation {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
        /// What it complained.
        stderr: String,
    },
    /// A text did not appear in a command's output in time.
    #[error("`{command}` did not print `{wanted}` within {limit:?}; so far: {seen}")]
    NotPrinted {
        /// The command line.
        command: String,
        /// What was waited for.
        wanted: String,
        /// How long it waited.
        limit: Duration,
        /// What was there.
        seen: String,
    },
    /// The daemon could not be reached.
    #[error(transparent)]
    Wire(#[from] wire::error::WireError),
    /// A call failed.
    #[error("{call}: {reason}")]
    Rpc {
        /// Which.
        call: &'static str,
        /// What the daemon, or the connection, said.
        reason: String,
    },
    /// A program that is spoken to in messages said something else, or ended.
    #[error("The program broke off: {0}")]
    Peer(String),
    /// A feed broke a promise.
    #[error("The feed is wrong: {0}")]
    Feed(String),
    /// A feed ended.
    #[error("The feed ended: {how}")]
    FeedEnded {
        /// How.
        how: String,
    },
    /// Something did not come over a feed in time.
    #[error("It did not come within {limit:?}; the last event was {last}")]
    NotSeen {
        /// How long was waited.
        limit: Duration,
        /// The last event's place.
        last: u64,
    },
    /// A test that can't run here, where every test must.
    #[error("`{test}` may not be skipped here: {reason}")]
    MayNotSkip {
        /// The test.
        test: String,
        /// Why it can't run.
        reason: String,
    },
    /// A program that set-up needs failed.
    #[error("`{command}` failed with {status}")]
    Failed {
        /// The command line.
        command: String,
        /// Its exit status.
        status: String,
    },
}
