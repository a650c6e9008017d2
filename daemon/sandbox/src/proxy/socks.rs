//! SOCKS5 (RFC 1928): CONNECT by name or address, without authentication. Nothing else of it is offered.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use protocol::profile::NetworkProtocol;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::proxy::activity::Activity;
use crate::proxy::host;
use crate::proxy::reach::{ReachError, Way};
use crate::proxy::target::Target;

/// The first byte of every message.
pub(crate) const VERSION: u8 = 5;

const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// What the client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Done = 0,
    Failed = 1,
    NotAllowed = 2,
    NoHost = 4,
    Refused = 5,
    NoCommand = 7,
    NoAddress = 8,
}

/// Speaks with a client until a connection stands for it; `None` if there will be none.
///
/// # Errors
/// When the client hangs up or does not go on.
pub(crate) async fn open<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
    way: &Way,
    activity: &Activity,
    limit: Duration,
) -> io::Result<Option<TcpStream>> {
    let target = match timeout(limit, request(client)).await?? {
        Ok(target) => target,
        Err(Some(answer)) => return reply(client, answer).await.map(|()| None),
        Err(None) => return Ok(None),
    };
    match way.open(target, activity).await {
        Ok(stream) => reply(client, Answer::Done).await.map(|()| Some(stream)),
        Err(error) => reply(client, answer(&error)).await.map(|()| None),
    }
}

/// Reads whom the client wants to reach, or what it has to be answered; nothing if it was answered already.
async fn request<S: AsyncRead + AsyncWrite + Unpin>(
    client: &mut S,
) -> io::Result<Result<Target, Option<Answer>>> {
    let [version, methods] = read(client).await?;
    let mut offered = vec![0; usize::from(methods)];
    client.read_exact(&mut offered).await?;
    if version != VERSION || !offered.contains(&NO_AUTHENTICATION) {
        client.write_all(&[VERSION, NO_METHOD]).await?;
        return Ok(Err(None));
    }
    client.write_all(&[VERSION, NO_AUTHENTICATION]).await?;
    let [version, command, _, kind] = read(client).await?;
    let host = match kind {
        IPV4 => Ok(host::of_address(IpAddr::V4(Ipv4Addr::from(read::<4, S>(client).await?)))),
        IPV6 => Ok(host::of_address(IpAddr::V6(Ipv6Addr::from(read::<16, S>(client).await?)))),
        NAME => {
            let [length] = read(client).await?;
            let mut name = vec![0; usize::from(length)];
            client.read_exact(&mut name).await?;
            let plain = str::from_utf8(&name).ok().and_then(|name| host::plain(name).ok());
            plain.ok_or(Answer::NotAllowed)
        }
        _ => return Ok(Err(Some(Answer::NoAddress))),
    };
    let port = u16::from_be_bytes(read(client).await?);
    if version != VERSION || command != CONNECT {
        return Ok(Err(Some(Answer::NoCommand)));
    }
    Ok(match host {
        Ok(host) if port != 0 => Ok(Target { protocol: NetworkProtocol::Socks5Tcp, host, port }),
        Ok(_) => Err(Some(Answer::NotAllowed)),
        Err(answer) => Err(Some(answer)),
    })
}

async fn read<const N: usize, S: AsyncRead + Unpin>(client: &mut S) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes).await?;
    Ok(bytes)
}

/// Answers a request. Where the proxy is bound is nobody's business.
async fn reply<S: AsyncWrite + Unpin>(client: &mut S, answer: Answer) -> io::Result<()> {
    client.write_all(&[VERSION, answer as u8, 0, IPV4, 0, 0, 0, 0, 0, 0]).await
}

fn answer(error: &ReachError) -> Answer {
    match error {
        ReachError::Denied { .. } | ReachError::NotPublic { .. } => Answer::NotAllowed,
        ReachError::Name { .. } => Answer::NoHost,
        ReachError::Unreachable { source, .. } => match source.kind() {
            io::ErrorKind::ConnectionRefused => Answer::Refused,
            io::ErrorKind::HostUnreachable | io::ErrorKind::TimedOut => Answer::NoHost,
            _ => Answer::Failed,
        },
    }
}
