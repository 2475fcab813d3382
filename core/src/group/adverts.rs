//! VRRP as the standard has it (RFC 9568 §6.4, RFC 3768 §6.4), for routers of another make, and for
//! our own as long as their heartbeats do not reach us.

use std::net::IpAddr;
use std::time::Duration;

use super::{Group, Rival, Scene, State};
use crate::config::Failback;
use crate::effect::{Cause, Effect, Occasion};
use crate::heartbeat::Role;
use crate::ident::{NodeId, RouterId};
use crate::vrrp::Heard;

/// An advert that its codec has accepted, with the node that it comes from if that is one of ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advert {
    /// The router that it is for.
    pub router: RouterId,
    /// Where it came from.
    pub source: IpAddr,
    /// Its priority; 0 is a resignation.
    pub priority: u8,
    /// Its interval.
    pub interval: Duration,
    /// The peer of ours that speaks from this address.
    pub node: Option<NodeId>,
}

impl Group {
    /// Takes an advert.
    pub fn advert(&mut self, scene: &Scene, advert: Advert, out: &mut Vec<Effect>) {
        if advert.router.index() >= self.speakers.len() {
            return;
        }
        let ours = advert.node.filter(|node| scene.sight(*node).lives());
        if ours.is_some() && advert.priority > 0 {
            self.peer_advert_at[advert.router.index()] = Some(scene.now);
        }
        match (self.state, ours) {
            (State::Init, _) => {}
            (State::Standby | State::Releasing { .. }, Some(node)) => {
                self.advert_of_peer(scene, node, advert);
            }
            (State::Standby | State::Releasing { .. }, None) => self.standby_hears(scene, advert),
            // Between living nodes of ours the heartbeats decide, with more knowledge and sooner.
            (State::Claiming { .. } | State::Active { .. }, Some(_)) => {}
            (State::Claiming { .. } | State::Active { .. }, None) => {
                self.active_hears(scene, advert, out);
            }
        }
    }

    /// A standby hears the advert of a living peer: a sign that it holds the group, or that it has
    /// resigned. Adverts are not sealed, anybody on the segment can write one: a resignation counts
    /// only where the peer's own heartbeats, which would say the same, do not reach us.
    fn advert_of_peer(&mut self, scene: &Scene, node: NodeId, advert: Advert) {
        let Some(priority) = self.priority(scene) else { return };
        if advert.priority == 0 && scene.sight(node).fresh {
            return;
        }
        let report = self.reports[node.index()].as_mut();
        if advert.priority == 0 {
            if let Some(report) = report.filter(|report| report.role == Role::Active) {
                report.role = Role::Releasing;
                report.ready = false;
            }
        } else {
            let speaker = &mut self.speakers[advert.router.index()];
            speaker.heard = None;
            speaker.wait(scene.now, priority);
        }
    }

    /// RFC 9568 §6.4.2: Backup.
    fn standby_hears(&mut self, scene: &Scene, advert: Advert) {
        let Some(ours) = self.priority(scene) else { return };
        let heard = Heard { at: scene.now, source: advert.source, priority: advert.priority };
        let yields = advert.priority < ours.get() && !self.tolerates(scene);
        let speaker = &mut self.speakers[advert.router.index()];
        if advert.priority == 0 {
            speaker.resigned(scene.now, ours);
        } else if !yields {
            speaker.follow(heard, advert.interval, ours);
        }
    }

    /// Whether a foreign router of lower priority keeps the group: no failback without an operator,
    /// or not yet. The owner of the addresses always takes it (RFC 9568 §3).
    fn tolerates(&self, scene: &Scene) -> bool {
        match scene.config.failback {
            _ if self.is_owner(scene) => false,
            Failback::Manual => true,
            Failback::After(delay) => scene.now < self.started_at + delay,
        }
    }

    /// RFC 9568 §6.4.3: Active.
    fn active_hears(&mut self, scene: &Scene, advert: Advert, out: &mut Vec<Effect>) {
        let Some(ours) = self.priority(scene) else { return };
        if advert.priority == 0 {
            return self.speak(scene, advert.router, ours.get(), out);
        }
        let own = scene.source(advert.router);
        let higher = (advert.priority, Some(advert.source)) > (ours.get(), own);
        if higher {
            if scene.config.conduct.advert_before_yield {
                self.speak(scene, advert.router, ours.get(), out);
            }
            let heard = Heard { at: scene.now, source: advert.source, priority: advert.priority };
            self.leave(scene, Cause::Outranked, out);
            self.speakers[advert.router.index()].follow(heard, advert.interval, ours);
            return;
        }
        // The loser learns at once who holds the group (§6.4.3 (745)), and its announcements, which
        // may have drawn traffic away, are answered by ours, now and when it must have let go.
        if scene.config.conduct.answer_lower {
            self.speak(scene, advert.router, ours.get(), out);
        }
        if self.rival.is_none() {
            self.note_conflict(true, out);
            out.push(Effect::Announce { group: self.id, occasion: Occasion::LowerHeard });
        }
        let announce_at = scene.now + scene.config.advert;
        self.rival = Some(Rival { node: None, announce_at });
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sight;
    use super::*;
    use crate::config::{Conduct, GroupConfig, RouterConfig, Version};
    use crate::effect::View;
    use crate::heartbeat::GroupReport;
    use crate::ident::{Family, GroupId, InterfaceId, Priority, Vrid};
    use crate::time::Instant;

    const PEER: NodeId = NodeId(1);

    fn config() -> GroupConfig {
        let router = RouterConfig {
            id: "gateway/lan/ipv4".into(),
            interface: InterfaceId(0),
            path: None,
            family: Family::V4,
            vrid: Vrid::new(51),
            version: Version::V3,
            addresses: Vec::new(),
            unicast_peers: Vec::new(),
        };
        GroupConfig {
            name: "gateway".into(),
            priorities: vec![Priority::new(100), Priority::new(200), Priority::new(50)],
            failback: Failback::Manual,
            advert: Duration::from_secs(1),
            conduct: Conduct::default(),
            track: Vec::new(),
            routers: vec![router],
        }
    }

    /// What a standby does after an advert of priority 0 from its living, active peer.
    fn after_a_resignation(fresh: bool) -> Role {
        let config = config();
        let sight = Sight { view: View::Doubt, fresh, ours: true, ..Sight::UNSEEN };
        let scene = Scene {
            now: Instant::from_nanos(1),
            began: Instant::ZERO,
            config: &config,
            me: NodeId(0),
            sights: &[Sight::UNSEEN, sight, Sight::UNSEEN],
            interfaces: &[],
            lease: Duration::from_secs(3),
            isolated: false,
            unheard: false,
            stopping: false,
            differs: false,
            partial: false,
        };
        let mut group = Group::new(GroupId(0), 3);
        let mut out = Vec::new();
        group.start(&scene, false, false, &mut out);
        let report = GroupReport {
            group: GroupId(0),
            role: Role::Active,
            priority: Priority::new(200).expect("not zero"),
            ready: true,
            term: 0,
            tie: 0,
            successor: None,
            held: None,
            request: None,
            answered: None,
        };
        group.hear_report(&scene, PEER, &report, &mut out);
        group.decide(&scene, &mut out);
        let source = IpAddr::from([10, 0, 0, 3]);
        let (router, interval) = (RouterId(0), Duration::from_secs(1));
        let advert = Advert { router, source, priority: 0, interval, node: Some(PEER) };
        group.advert(&scene, advert, &mut out);
        group.decide(&scene, &mut out);
        group.role()
    }

    #[test]
    fn a_resignation_by_advert_counts_only_where_heartbeats_do_not_arrive() {
        assert_eq!(after_a_resignation(true), Role::Standby);
        assert_eq!(after_a_resignation(false), Role::Claiming);
    }
}
