//! From whom a command wants to reach to a connection with it: ask the gate, resolve once, check, connect to the
//! address that was checked. Knows nothing of how the command said it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy::activity::Activity;
use crate::proxy::address::is_public;
use crate::proxy::gate::{Attempt, Gate, Verdict};
use crate::proxy::resolver::Resolver;
use crate::proxy::target::Target;

/// So many addresses of a name are tried.
const MAX_ADDRESSES: usize = 8;

/// Why there is no connection. The texts are for whoever runs the command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReachError {
    /// The gate said no.
    #[error("`{target}` is not open to commands: {reason}")]
    Denied {
        /// Whom the command wanted to reach.
        target: Target,
        /// The gate's.
        reason: String,
    },
    /// The name leads to this machine or to its network, and the host is not listed.
    #[error(
        "`{target}` is not open to commands: {address} is no address of the internet; a rule that names the address opens it"
    )]
    NotPublic {
        /// Whom the command wanted to reach.
        target: Target,
        /// Where it is.
        address: IpAddr,
    },
    /// The name leads nowhere.
    #[error("`{}` can't be resolved: {source}", target.host)]
    Name {
        /// Whom the command wanted to reach.
        target: Target,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// Nobody answers there.
    #[error("`{target}` can't be reached: {source}")]
    Unreachable {
        /// Whom the command wanted to reach.
        target: Target,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
}

/// What all connections of one command share.
pub(crate) struct Way {
    pub(crate) gate: Arc<dyn Gate>,
    pub(crate) resolver: Arc<dyn Resolver>,
    /// How long resolving a name may take, and connecting to one address.
    pub(crate) patience: Duration,
}

impl Way {
    /// Connects, if it may be. Whatever is decided, the gate is told before anything is sent.
    pub(crate) async fn open(&self, target: Target, activity: &Activity) -> Result<TcpStream, ReachError> {
        let deciding = activity.deciding();
        let checked = self.check(&target).await;
        let (is_allowed, reason) = match &checked {
            Ok((_, reason)) => (true, reason.clone()),
            Err(ReachError::Denied { reason, .. }) => (false, reason.clone()),
            Err(error) => (false, error.to_string()),
        };
        self.gate.attempted(Attempt { target: target.clone(), is_allowed, reason }).await;
        let (addresses, _) = checked?;
        let stream = self.connect(&target, &addresses).await;
        drop(deciding);
        stream
    }

    /// The addresses that may be connected to, and why they may.
    async fn check(&self, target: &Target) -> Result<(Vec<IpAddr>, String), ReachError> {
        let (is_listed, reason) = match self.gate.decide(target.clone()).await {
            Verdict::Public { reason } => (false, reason),
            Verdict::Anywhere { reason } => (true, reason),
            Verdict::Deny { reason } => return Err(ReachError::Denied { target: target.clone(), reason }),
        };
        let addresses = self.addresses(target).await?;
        // All of them, not one: which of them is tried must not matter.
        let lists = |address| self.gate.lists(target.protocol, address, target.port);
        match addresses.iter().find(|&&address| !is_listed && !is_public(address) && !lists(address)) {
            Some(&address) => Err(ReachError::NotPublic { target: target.clone(), address }),
            None => Ok((addresses, reason)),
        }
    }

    async fn addresses(&self, target: &Target) -> Result<Vec<IpAddr>, ReachError> {
        if let Ok(address) = target.host.parse() {
            return Ok(vec![address]);
        }
        let failed = |source| ReachError::Name { target: target.clone(), source };
        let found = timeout(self.patience, self.resolver.resolve(target.host.clone())).await;
        let mut found = found.map_err(|_| failed(io::ErrorKind::TimedOut.into()))?.map_err(failed)?;
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() { Err(failed(io::ErrorKind::NotFound.into())) } else { Ok(found) }
    }

    async fn connect(&self, target: &Target, addresses: &[IpAddr]) -> Result<TcpStream, ReachError> {
        let mut source = io::Error::from(io::ErrorKind::NotFound);
        for &address in addresses {
            match timeout(self.patience, TcpStream::connect(SocketAddr::new(address, target.port))).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => source = error,
                Err(_) => source = io::ErrorKind::TimedOut.into(),
            }
        }
        Err(ReachError::Unreachable { target: target.clone(), source })
    }
}
