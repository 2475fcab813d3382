//! A group under a new configuration: what it knows of nodes, in their new numbers.

use super::{Asking, Group, Handover, Origin, Predecessor, Rival, State};
use crate::config::Places;
use crate::effect::Effect;
use crate::heartbeat::{Outcome, Refusal};
use crate::ident::NodeId;

impl Group {
    /// Carries what is known of nodes to their new numbers in a list of `nodes`.
    pub(crate) fn renumber_nodes(&mut self, nodes: usize, places: &Places, out: &mut Vec<Effect>) {
        let mut reports = vec![None; nodes];
        let mut taken = vec![None; nodes];
        for (position, report) in std::mem::take(&mut self.reports).into_iter().enumerate() {
            let Some(now) = places.node(NodeId::at(position)) else { continue };
            reports[now.index()] = report.and_then(|report| report.renumbered(places));
            taken[now.index()] = self.taken.get(position).copied().flatten();
        }
        self.reports = reports;
        self.taken = taken;
        let place = |node: NodeId| places.node(node);
        let since = |(node, since)| Some((place(node)?, since));
        self.last_active = self.last_active.and_then(place);
        self.holder = self.holder.and_then(since);
        self.better =
            self.better.and_then(|known| Some(super::Better { node: place(known.node)?, ..known }));
        self.answered = self.answered.and_then(|answered| answered.renumbered(places));
        let predecessor = self.predecessor.take();
        self.predecessor = predecessor
            .and_then(|former| Some(Predecessor { node: place(former.node)?, ..former }));
        self.rival = self.rival.take().and_then(|rival| match rival.node {
            Some(node) => Some(Rival { node: Some(place(node)?), ..rival }),
            None => Some(rival),
        });
        self.faults.renumber_checks(|check| places.check(check));
        self.last_change.1 = self.last_change.1.renumbered(places);
        if let State::Claiming { cause, .. } = &mut self.state {
            *cause = cause.renumbered(places);
        }
        self.renumber_handover(places, out);
        self.renumber_request(places, out);
    }

    /// A handover goes on unless its successor is gone.
    fn renumber_handover(&mut self, places: &Places, out: &mut Vec<Effect>) {
        let Some(handover) = &mut self.handover else { return };
        let origin = match handover.origin {
            Origin::Peer { node, serial } => {
                // If who wanted it is gone, nobody waits for what comes of it.
                places.node(node).map_or(Origin::Failback, |node| Origin::Peer { node, serial })
            }
            origin => origin,
        };
        let to = places.node(handover.to);
        *handover = Handover { to: to.unwrap_or(handover.to), origin, ..*handover };
        if to.is_none() {
            self.end_handover(Outcome::Failed, out);
        }
    }

    /// A wish that waits for the active node still names the same target.
    fn renumber_request(&mut self, places: &Places, out: &mut Vec<Effect>) {
        let Some(Asking { request, token, until }) = self.asking.take() else { return };
        match request.renumbered(places) {
            Some(request) => self.asking = Some(Asking { request, token, until }),
            None => {
                let outcome = Outcome::Refused(Refusal::NotAMember);
                out.push(Effect::Answer { token, outcome });
            }
        }
    }
}
