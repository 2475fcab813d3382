//! Opens the connections that stay, one after the other and not too fast.

use std::io::{Error, Result};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrStorage, bind, connect, setsockopt,
    socket, sockopt::SendTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::{LoadPlan, PORT};
use crate::clock;
use crate::error::LabError;

/// How long opening one connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Descriptors for everything that is no connection that stays.
const SPARE: u64 = 8192;

/// Raises the limit of descriptors of this process so that both ends of so many connections fit.
pub fn make_room(connections: usize) -> crate::error::Result<()> {
    let wanted = connections as u64 * 2 + SPARE;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)
        .map_err(|errno| LabError::io("read the limit of descriptors")(errno.into()))?;
    if soft >= wanted {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted)).map_err(|errno| {
        let doing = format!("raise the limit of descriptors to {wanted} (ulimit -n)");
        LabError::io(doing)(errno.into())
    })
}

/// Opens all connections of a plan from the calling thread's namespace.
pub fn open(plan: &LoadPlan) -> Result<Vec<TcpStream>> {
    let target = SocketAddr::new(plan.target, PORT);
    let start = clock::now();
    let mut streams: Vec<TcpStream> = Vec::with_capacity(plan.connections);
    for index in 0..plan.connections {
        let due = Duration::from_secs_f64(index as f64 / f64::from(plan.opened_per_second));
        clock::sleep(due.saturating_sub(start.elapsed()));
        let stream = match plan.sources.as_slice() {
            [] => TcpStream::connect_timeout(&target, CONNECT_LIMIT)?,
            sources => {
                let source = index % sources.len();
                // All sources use the port that the first has got.
                let first = streams.get(index - source);
                let port =
                    first.map_or(Ok(0), |one| one.local_addr().map(|address| address.port()))?;
                connect_from(SocketAddr::new(sources[source], port), target)?
            }
        };
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        streams.push(stream);
    }
    Ok(streams)
}

fn connect_from(source: SocketAddr, target: SocketAddr) -> Result<TcpStream> {
    let named = |error: Error| Error::new(error.kind(), format!("from {source}: {error}"));
    let protocol = None::<SockProtocol>;
    let socket = socket(family(target.ip()), SockType::Stream, SockFlag::SOCK_CLOEXEC, protocol)?;
    let limit = i64::try_from(CONNECT_LIMIT.as_millis()).unwrap_or(i64::MAX);
    setsockopt(&socket, SendTimeout, &TimeVal::milliseconds(limit))?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(source)).map_err(|e| named(e.into()))?;
    connect(socket.as_raw_fd(), &SockaddrStorage::from(target)).map_err(|e| named(e.into()))?;
    Ok(TcpStream::from(socket))
}

/// The family of sockets for an address.
pub fn family(address: IpAddr) -> AddressFamily {
    match address {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    }
}
