//! The client's side: connect to the daemon of one's own user, or say precisely why not.

use std::io;

use crate::Stream;
use crate::error::WireError;
use crate::folders::Folders;
use crate::platform;

/// Connects to the daemon. The socket's owner and the process behind it are checked before a byte is sent.
///
/// # Errors
/// `NoDaemon` when nobody listens, `ForeignDaemon` when somebody else does, `Socket` for anything else.
pub async fn connect(folders: &Folders) -> Result<Stream, WireError> {
    let path = folders.socket();
    platform::check_socket_owner(&path)?;
    let stream = match platform::connect(&path).await {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            return Err(WireError::NoDaemon(path));
        }
        Err(source) => return Err(WireError::Socket { path, source }),
    };
    match platform::check_peer(&stream) {
        Ok(()) => Ok(stream),
        Err(owner) => {
            Err(WireError::ForeignDaemon { path, owner: owner.unwrap_or(u32::MAX), user: platform::user() })
        }
    }
}
