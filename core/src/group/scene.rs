//! What a group may know of the rest of the node: who lives, who hears us, what the links do.

use serde::{Deserialize, Serialize};

use crate::config::GroupConfig;
use crate::effect::View;
use crate::ident::{NodeId, RouterId};
use crate::input::Interface;
use crate::time::Instant;

use std::net::IpAddr;
use std::time::Duration;

/// Everything around a group at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Scene<'a> {
    /// The moment.
    pub now: Instant,
    /// When this node began.
    pub began: Instant,
    /// The group's configuration.
    pub config: &'a GroupConfig,
    /// We.
    pub me: NodeId,
    /// Each node as it is seen from here, by [`NodeId`]; our own entry and those of foreign nodes
    /// never live.
    pub sights: &'a [Sight],
    /// The state of the interfaces.
    pub interfaces: &'a [Interface],
    /// How long the kernel may hold an address without being told again.
    pub lease: Duration,
    /// Our own segments of this group do not answer: we may be cut off.
    pub isolated: bool,
    /// No living peer hears us, though there is one that we hear.
    pub unheard: bool,
    /// The process is about to end.
    pub stopping: bool,
    /// Our configuration has differed from that of a living peer for too long.
    pub differs: bool,
    /// Our copies of the peers' connections are not whole: others who are ready go first.
    pub partial: bool,
}

/// A node as it is seen from here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Sight {
    /// The verdict.
    pub view: View,
    /// Whether its own heartbeats reach us; who is only vouched for lives without.
    pub fresh: bool,
    /// Whether it hears us.
    pub hears_us: bool,
    /// When it was last heard.
    pub heard_at: Option<Instant>,
    /// It is a peer of our own make.
    pub ours: bool,
}

impl Sight {
    /// How a node that is not a peer of ours is seen: not at all.
    pub(crate) const UNSEEN: Sight =
        Sight { view: View::Unknown, fresh: false, hears_us: false, heard_at: None, ours: false };

    /// Whether it may act now: alive, or in doubt.
    pub fn lives(&self) -> bool {
        matches!(self.view, View::Alive | View::Doubt)
    }
}

impl Scene<'_> {
    /// A node as it is seen from here.
    pub fn sight(&self, node: NodeId) -> Sight {
        self.sights.get(node.index()).copied().unwrap_or(Sight::UNSEEN)
    }

    /// The address that our adverts come from on a router.
    pub fn source(&self, router: RouterId) -> Option<IpAddr> {
        let router = self.config.routers.get(router.index())?;
        let interface = self.interfaces.get(router.interface.index())?;
        match router.family {
            crate::ident::Family::V4 => interface.source_v4.map(IpAddr::V4),
            crate::ident::Family::V6 => interface.source_v6.map(IpAddr::V6),
        }
    }

    /// What decides between nodes of equal priority: the source address of the first router, as a
    /// number; addresses are compared as addresses (RFC 9568 §6.4.3 (730)).
    pub fn tie(&self) -> u128 {
        match self.source(RouterId(0)) {
            Some(IpAddr::V4(address)) => u128::from(u32::from(address)),
            Some(IpAddr::V6(address)) => u128::from(address),
            None => 0,
        }
    }
}
