//! What ends the bridge, but for the end of its input. What goes wrong in a request is an answer, not an end.

use std::io;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
pub enum AcpError {
    /// What the editor says can't be read.
    #[error("Can't read from the editor")]
    Input(#[source] io::Error),
    /// The editor does not take what is said.
    #[error("Can't write to the editor")]
    Output(#[source] io::Error),
}
