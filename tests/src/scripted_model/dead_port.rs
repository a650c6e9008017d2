//! An address where every connection is refused. Knows nothing of the server.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::TcpSocket;

use crate::error::HarnessError;

/// A port that is taken, so that nobody else gets it, but does not listen: connecting is refused at once.
#[derive(Debug)]
pub struct DeadPort {
    _socket: TcpSocket,
    address: SocketAddr,
}

impl DeadPort {
    /// Takes a port.
    ///
    /// # Errors
    /// `Server` when there is none.
    pub fn reserve() -> Result<Self, HarnessError> {
        let socket = TcpSocket::new_v4().map_err(HarnessError::Server)?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).map_err(HarnessError::Server)?;
        let address = socket.local_addr().map_err(HarnessError::Server)?;
        Ok(Self { _socket: socket, address })
    }

    /// What a provider's `base_url` would be, were it alive.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn connecting_to_a_dead_port_is_refused() {
        let port = DeadPort::reserve().unwrap();
        let error = TcpStream::connect(port.address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    }
}
