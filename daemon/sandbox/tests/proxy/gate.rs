//! A gate and a resolver that do as they are told, and remember what they were asked.

use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

use futures_util::future::BoxFuture;
use protocol::profile::NetworkProtocol;
use sandbox::proxy::{Attempt, Gate, Resolver, Target, Verdict};

/// What a gate says of a host.
pub(crate) type Say = fn(&str) -> Verdict;

/// A gate that answers at once.
pub(crate) struct ToldGate {
    say: Say,
    pub(crate) attempts: Mutex<Vec<Attempt>>,
}

impl ToldGate {
    pub(crate) fn new(say: Say) -> Self {
        Self { say, attempts: Mutex::default() }
    }
}

impl Gate for ToldGate {
    fn decide(&self, target: Target) -> BoxFuture<'_, Verdict> {
        Box::pin(async move { (self.say)(&target.host) })
    }

    fn lists(&self, _: NetworkProtocol, _: IpAddr, _: u16) -> bool {
        false
    }

    fn attempted(&self, attempt: Attempt) -> BoxFuture<'_, ()> {
        self.attempts.lock().expect("attempts").push(attempt);
        Box::pin(async {})
    }
}

/// A resolver for which every name is at the first address, and at the next one when it is asked again.
pub(crate) struct ToldResolver {
    addresses: Mutex<Vec<IpAddr>>,
}

impl ToldResolver {
    pub(crate) fn new(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().rev().map(|address| address.parse().expect("address")).collect();
        Self { addresses: Mutex::new(addresses) }
    }
}

impl Resolver for ToldResolver {
    fn resolve(&self, _name: String) -> BoxFuture<'_, io::Result<Vec<IpAddr>>> {
        let mut addresses = self.addresses.lock().expect("addresses");
        let found = if addresses.len() > 1 { addresses.pop() } else { addresses.last().copied() };
        Box::pin(async move { Ok(found.into_iter().collect()) })
    }
}

/// Everything may be reached, if it is of the internet.
pub(crate) fn public(_host: &str) -> Verdict {
    Verdict::Public { reason: "rule `*`".to_owned() }
}

/// Everything may be reached.
pub(crate) fn anywhere(_host: &str) -> Verdict {
    Verdict::Anywhere { reason: "it is listed".to_owned() }
}
