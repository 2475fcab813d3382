//! Waiting for the states that every demonstration, test and measurement begins or ends with.

use std::time::Duration;

use evergate_api::status::{GroupState, Verdict};

use crate::clock;
use crate::control::GROUP;
use crate::error::Result;
use crate::lab::Lab;
use crate::topology::{Gateway, VIRTUAL_LAN, VIRTUAL_WAN};

/// How long a cluster may take from its start until it is ready; keepalived at its default needs five seconds.
pub const READY_LIMIT: Duration = Duration::from_secs(20);
/// How long replication may take until both sides have all that they need.
pub const SYNC_LIMIT: Duration = Duration::from_secs(30);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// How long a state without a status to ask must last to count as settled.
const SETTLED: Duration = Duration::from_millis(1500);

impl Lab {
    /// The gateway that holds both virtual IPv4 addresses, if it is exactly one.
    pub fn one_holder(&self) -> Result<Option<Gateway>> {
        self.holder_of(&[VIRTUAL_LAN, VIRTUAL_WAN])
    }

    /// The gateway that holds these addresses, if it is exactly one.
    pub fn holder_of(&self, addresses: &[&str]) -> Result<Option<Gateway>> {
        let mut all = addresses.iter().map(|address| self.holders(address));
        let first = all.next().transpose()?.unwrap_or_default();
        for holders in all {
            if holders? != first {
                return Ok(None);
            }
        }
        Ok(if let [one] = first[..] { Some(one) } else { None })
    }

    /// Waits until exactly one gateway holds both virtual IPv4 addresses; gives which.
    pub fn wait_one_holder(&mut self, limit: Duration) -> Result<Gateway> {
        clock::wait_for("one gateway to hold both virtual addresses", limit, LOOK, || {
            self.check_alive()?;
            self.one_holder()
        })
    }

    /// Waits until this gateway is the only one that holds both virtual IPv4 addresses.
    pub fn wait_holder(&mut self, gateway: Gateway, limit: Duration) -> Result<()> {
        self.wait_holder_of(&[VIRTUAL_LAN, VIRTUAL_WAN], gateway, limit)
    }

    /// Waits until this gateway is the only one that holds these addresses.
    pub fn wait_holder_of(
        &mut self,
        addresses: &[&str],
        gateway: Gateway,
        limit: Duration,
    ) -> Result<()> {
        let what = format!("{gateway} alone to hold {}", addresses.join(" and "));
        clock::wait_for(&what, limit, LOOK, || {
            self.check_alive()?;
            Ok((self.holder_of(addresses)? == Some(gateway)).then_some(()))
        })
    }

    /// Waits until a takeover would work: one gateway serves and every daemon of ours says it is ready
    /// (unverified where its neighbours are foreign). Gives the gateway that serves.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<Gateway> {
        let ours: Vec<_> = self.gateways().into_iter().filter(|one| self.is_ours(*one)).collect();
        if ours.is_empty() {
            return self.wait_settled(limit);
        }
        clock::wait_for("one gateway to be active and the other ready", limit, LOOK, || {
            self.check_alive()?;
            let Some(holder) = self.one_holder()? else { return Ok(None) };
            for gateway in &ours {
                let Some(status) = self.control(*gateway)?.status()? else { return Ok(None) };
                let good = matches!(status.verdict, Verdict::Ready | Verdict::Unverified);
                let group = status.groups.iter().find(|group| group.name == GROUP);
                let active = group.is_some_and(|group| group.state == GroupState::Active);
                if !good || active != (*gateway == holder) {
                    return Ok(None);
                }
            }
            Ok(Some(holder))
        })
    }

    /// Waits until every daemon of ours that tells of replication says that its peers have all that they need.
    pub fn wait_in_sync(&self, limit: Duration) -> Result<()> {
        clock::wait_for("replication to be in sync", limit, LOOK, || {
            for gateway in self.gateways().into_iter().filter(|one| self.is_ours(*one)) {
                let Some(status) = self.control(gateway)?.status()? else { return Ok(None) };
                if status.replication.peers.iter().any(|peer| peer.in_sync != Some(true)) {
                    return Ok(None);
                }
            }
            Ok(Some(()))
        })
    }

    /// Waits until the same gateway has served for a while; for daemons that tell no status.
    fn wait_settled(&mut self, limit: Duration) -> Result<Gateway> {
        let mut since = None;
        clock::wait_for("one gateway to serve steadily", limit, LOOK, || {
            self.check_alive()?;
            let holder = self.one_holder()?;
            match (holder, since) {
                (Some(now), Some((before, start))) if now == before => {
                    let start: std::time::Instant = start;
                    Ok((start.elapsed() >= SETTLED).then_some(now))
                }
                (Some(now), _) => {
                    since = Some((now, clock::now()));
                    Ok(None)
                }
                (None, _) => {
                    since = None;
                    Ok(None)
                }
            }
        })
    }
}
