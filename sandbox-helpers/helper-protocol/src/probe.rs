//! What the command of a probe tries, and what worked. Whether it should have worked, the daemon knows.

use serde::{Deserialize, Serialize};

use crate::bytes::Bytes;

/// What is where for a probe.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Orders {
    /// A writable folder.
    pub inside: Bytes,
    /// A folder that may only be read.
    pub outside: Bytes,
    /// A folder inside the writable one that may only be read.
    pub protected: Bytes,
    /// A protected path inside the writable folder that does not exist.
    pub absent: Bytes,
    /// A file that may not be read.
    pub hidden: Bytes,
    /// A datagram port of the daemon on loopback.
    pub port: u16,
    /// A datagram socket of the daemon in the file system.
    pub socket: Bytes,
    /// A listener of the daemon in the writable folder.
    pub listener: Bytes,
    /// The daemon's process id.
    pub pid: u32,
    /// What `/proc/self/ns/pid` is for the daemon.
    pub pid_namespace: Bytes,
}

/// What a probe tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// Make a file in the writable folder.
    WriteInside,
    /// Read a file that is not hidden.
    ReadOutside,
    /// Make a file outside.
    WriteOutside,
    /// Make a file in the protected folder.
    WriteProtected,
    /// Make the protected path that does not exist.
    CreateAbsent,
    /// Read the hidden file.
    ReadHidden,
    /// Send to the daemon's port.
    SendToPort,
    /// Send to the daemon's socket.
    SendToSocket,
    /// Connect to the daemon's listener.
    ConnectToListener,
    /// Send the daemon a signal.
    Signal,
    /// Look into the daemon's memory.
    Trace,
    /// Get new capabilities in a user namespace.
    NewNamespace,
}

/// One attempt and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// What was tried.
    pub attempt: Attempt,
    /// As far as the probe can tell.
    pub worked: bool,
}
