//! What a helper is to run and how. Knows nothing of sessions or of why.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// The version of the plan's meaning. A helper refuses others: the executable on disk may be newer than the
/// daemon.
pub const VERSION: u32 = 6;

/// One command, confined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// How it is confined.
    pub confinement: Confinement,
    /// What runs.
    pub command: Command,
    /// Where its standard input comes from.
    pub stdin: Stdin,
    /// Where its standard output and standard error lead.
    pub output: Output,
    /// The size of the terminal that it gets in place of all three standard streams, if it gets one.
    pub terminal: Option<TerminalSize>,
    /// What it may use up.
    pub limits: Limits,
    /// Whether the daemon decides on each program that the command starts.
    pub interception: Interception,
}

/// Whether the daemon decides on each program that a command starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Interception {
    /// No.
    #[default]
    Off,
    /// Yes: each waits for a verdict.
    On,
}

/// A way to confine. In each the whole tree of processes dies with the command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Confinement {
    /// Own namespaces, with Landlock and seccomp on top.
    Namespaces(Rules),
    /// The namespaces of the system's `bwrap`, with Landlock and seccomp on top.
    Bubblewrap(Rules),
    /// Landlock and seccomp alone.
    Landlock(Rules),
    /// No restriction, only supervision.
    Supervision,
}

/// What may be touched. What no rule names may be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// The deepest one that holds a path decides. Parents come before what is below them; no path comes twice;
    /// all are absolute and without `.` and `..`.
    pub paths: Vec<Rule>,
    /// What lessens the access of all that is there when the command starts, by pattern.
    pub patterns: Vec<Pattern>,
    /// What of the network is open.
    pub network: Network,
    /// Sockets in the file system that may be connected to besides the command's own; absolute.
    pub local_sockets: Vec<Bytes>,
    /// Whose `/tmp` is.
    pub tmp: Tmp,
    /// Whether it is told that something hidden was to be read.
    pub reading: Reading,
    /// Whether what a pattern names may be made.
    pub making: Making,
}

/// Whether a command may make files of names that a pattern names. What is there, the pattern holds; a call that makes
/// one is looked at, and can be changed by the command meanwhile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Making {
    /// Yes.
    #[default]
    Free,
    /// No: such a call fails, and it is told.
    Refused,
}

/// Whether it is told that a command wanted to read what is hidden from it. Then every file that it opens is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// No. It costs nothing then.
    #[default]
    Silent,
    /// Yes.
    Told,
}

/// All paths that a pattern matches, and everything below them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pattern {
    /// Absolute: `*` and `?` stay within a name, `**` crosses folders, `[…]` and `{…,…}` choose.
    pub pattern: String,
    /// The most that is allowed there.
    pub access: Access,
    /// Names of folders below the pattern's plain beginning in which it does not hold.
    pub except: Vec<String>,
}

/// Whose `/tmp` is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tmp {
    /// The machine's, as the rules say.
    #[default]
    Shared,
    /// The command's own: empty, writable, and gone with it.
    Own,
}

/// One path and everything below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Need not exist.
    pub path: Bytes,
    /// What is allowed there.
    pub access: Access,
}

/// How a path may be used; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Access {
    /// Not at all.
    Hidden,
    /// Read and executed.
    Read,
    /// Changed as well.
    Write,
}

/// What of the network is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Network {
    /// Nothing outside the sandbox.
    Off,
    /// Nothing but a listener on this port of the sandbox's own loopback, which the daemon gets.
    Proxied {
        /// The port.
        port: u16,
    },
    /// Everything but local sockets.
    Full,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Program and arguments. A program without a slash is looked for in the `PATH` of `environment`.
    pub argv: Vec<Bytes>,
    /// The program, where it is not the first argument.
    pub program: Option<Bytes>,
    /// The whole environment.
    pub environment: Vec<(Bytes, Bytes)>,
    /// Working folder, absolute.
    pub cwd: Bytes,
    /// The rights that files which it makes don't get, where they are not those of the helper.
    pub umask: Option<u32>,
    /// Whether the working folder may be behind links.
    pub links: Links,
}

/// What links on the way to the working folder mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Links {
    /// They are followed.
    Followed,
    /// There were none when the folder was decided on, so the command does not run if there are now.
    Refused,
}

/// Where standard input comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdin {
    /// Nowhere: it is at its end.
    Null,
    /// The first descriptor that came along with the plan.
    Passed,
}

/// Where standard output and standard error lead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Nowhere, or to the terminal.
    Null,
    /// The last two descriptors that came along with the plan.
    Passed,
}

/// How large a terminal is, in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalSize {
    /// In a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// What a command may use up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Processes and threads at a time. Where it is not said, a helper may set its own bound.
    pub max_processes: Option<u64>,
    /// Memory of its own of each process.
    pub max_memory_bytes: Option<u64>,
    /// The longest file that it may write.
    pub max_file_bytes: Option<u64>,
}
