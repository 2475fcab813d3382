//! The socket towards a peer that runs conntrackd: on the link's interface alone.

use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;

use evergate_api::config::model::Conntrackd as Plan;

use super::super::Way;
use crate::kernel::Interface;
use crate::kernel::udp_socket::PeerSocket;
use crate::sys::ready::Poller;

/// The way to the peer; it opens and closes with the interface.
pub(super) struct PeerWay {
    port: u16,
    /// The peer alone; otherwise anybody on the link may be the peer.
    address: Option<IpAddr>,
    /// Where datagrams go.
    target: IpAddr,
    source: Option<IpAddr>,
    socket: Option<(Interface, PeerSocket)>,
}

impl PeerWay {
    pub fn new(plan: &Plan) -> PeerWay {
        let target = plan.address.unwrap_or(plan.group.into());
        let (port, address) = (plan.port, plan.address);
        PeerWay { port, address, target, source: None, socket: None }
    }

    /// Goes where the link goes.
    pub fn follow(&mut self, way: Option<&Way>, poller: &Poller, token: u64) -> io::Result<()> {
        let interface = way.map(|way| way.interface.clone());
        let source = way.and_then(|way| way.source);
        self.source = source.filter(|source| source.is_ipv4() == self.target.is_ipv4());
        if self.socket.as_ref().map(|(known, _)| known) == interface.as_ref() {
            return Ok(());
        }
        // Closed, the poller forgets it.
        self.socket = None;
        let Some(interface) = interface else { return Ok(()) };
        let socket = PeerSocket::open(&interface, self.port, self.target)
            .map_err(|error| io::Error::other(error.to_string()))?;
        poller.add(&socket, token)?;
        self.socket = Some((interface, socket));
        Ok(())
    }

    /// Sends a datagram; whether the kernel took it.
    pub fn send(&self, datagram: &[u8]) -> bool {
        let Some((_, socket)) = &self.socket else { return false };
        socket.send(datagram, self.source, self.target).is_ok()
    }

    /// The length of the next datagram of the peer; `None` if none waits, a cause if it is not of the
    /// peer.
    pub fn receive(
        &self,
        buffer: &mut [u8],
        own: &BTreeSet<IpAddr>,
    ) -> Result<Option<usize>, &'static str> {
        let Some((_, socket)) = &self.socket else { return Ok(None) };
        let Ok(Some(received)) = socket.receive(buffer) else { return Ok(None) };
        if own.contains(&received.source) {
            return Err("conntrackd_own_echo");
        }
        if self.address.is_some_and(|address| address != received.source) {
            return Err("conntrackd_stranger");
        }
        if received.truncated {
            return Err("conntrackd_truncated");
        }
        Ok(Some(received.length))
    }
}
