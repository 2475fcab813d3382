//! Neighbours of another make (point 7): keepalived becomes standby to us and we to it.

use std::time::Duration;

use evergate_api::status::Verdict;

use super::{Bed, Needs, Scenario, claim, claim_still};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::{Lab, Subject};
use crate::node::Part;
use crate::peer::PeerConfig;
use crate::topology::{GW1, GW2, Gateway, Segment, VIRTUAL_LAN6};

/// A move that waits for adverts takes about four of them; twice that.
const MOVE: Duration = Duration::from_secs(9);
/// Watched time in which nothing may move.
const CALM: Duration = Duration::from_secs(4);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "foreign-v2",
        shows: "keepalived, version 2: standby to each other, the address moves each way",
        needs: Needs::Peer,
        long: false,
        test: |bed| neighbours(bed, 2, false),
    },
    Scenario {
        name: "foreign-v3",
        shows: "keepalived, version 3: standby to each other, the address moves each way",
        needs: Needs::Peer,
        long: false,
        test: |bed| neighbours(bed, 3, false),
    },
    Scenario {
        name: "foreign-ipv6",
        shows: "keepalived, version 3 with IPv6: standby to each other, addresses move each way",
        needs: Needs::Peer,
        long: false,
        test: |bed| neighbours(bed, 3, true),
    },
];

/// Who runs what: ours on one gateway, keepalived on the other.
struct Pair {
    ours: Gateway,
    config: Config,
    peer: PeerConfig,
    ipv6: bool,
}

impl Pair {
    fn new(ours: Gateway, version: u8, ipv6: bool) -> Self {
        let config = if ipv6 { Config::example().with_ipv6() } else { Config::example() };
        let config = config.with_foreign(&ours.other().to_string());
        let config = config.with("vrrp", "version", &version.to_string());
        Self { ours, config, peer: PeerConfig { version, ipv6, ..PeerConfig::default() }, ipv6 }
    }

    fn start(&self, lab: &mut Lab, gateway: Gateway) -> Result<()> {
        if gateway == self.ours {
            lab.start(gateway, &Subject::Evergate(self.config.clone()))
        } else {
            lab.start(gateway, &Subject::Keepalived(self.peer.clone()))
        }
    }

    /// Waits until the gateway alone holds all addresses, of both families if both are served.
    fn wait_holder(&self, lab: &mut Lab, gateway: Gateway) -> Result<()> {
        lab.wait_holder(gateway, MOVE)?;
        if !self.ipv6 {
            return Ok(());
        }
        let what = format!("{gateway} alone to hold {VIRTUAL_LAN6}");
        clock::wait_for(&what, MOVE, Duration::from_millis(50), || {
            Ok((lab.holders(VIRTUAL_LAN6)? == [gateway]).then_some(()))
        })
    }
}

fn neighbours(bed: &Bed, version: u8, ipv6: bool) -> Result<()> {
    // The preferred gateway is ours, then theirs; each time both start orders.
    for ours in [GW1, GW2] {
        let pair = Pair::new(ours, version, ipv6);
        for first in [GW1, GW2] {
            let mut lab = bed.lab()?;
            let told = orders(&mut lab, &pair, first).and_then(|()| moves(&mut lab, &pair));
            told.map_err(|error| {
                let order = format!("ours on {ours}, {first} first");
                crate::error::LabError::Claim(format!("{order}: {error}\n{}", lab.log_tails()))
            })?;
        }
    }
    Ok(())
}

fn orders(lab: &mut Lab, pair: &Pair, first: Gateway) -> Result<()> {
    pair.start(lab, first)?;
    pair.wait_holder(lab, first)?;
    pair.start(lab, first.other())?;
    // The first gateway has the higher priority and takes or keeps the addresses.
    pair.wait_holder(lab, GW1)?;
    claim_still(lab, CALM)?;
    let status = lab.control(pair.ours)?.status()?;
    let foreign =
        status.as_ref().is_some_and(|status| status.peers.iter().any(|peer| peer.foreign));
    claim(foreign, || "status does not say that the peer is foreign".to_owned())?;
    if pair.ours == GW1 {
        let unverified = status.is_some_and(|status| status.verdict == Verdict::Unverified);
        claim(unverified, || "the verdict is not `unverified`".to_owned())?;
        let answer = lab.control(pair.ours)?.ask(&["status"])?;
        claim(answer.code == 0, || format!("status ends with {}", answer.code))?;
    }
    Ok(())
}

/// Stop, kill and link-down of the active gateway move the addresses; its return takes them back.
fn moves(lab: &mut Lab, pair: &Pair) -> Result<()> {
    lab.stop(GW1)?;
    pair.wait_holder(lab, GW2)?;
    pair.start(lab, GW1)?;
    pair.wait_holder(lab, GW1)?;
    let link = Fault::Carrier(GW1, Segment::Wan);
    lab.inflict(&link)?;
    pair.wait_holder(lab, GW2)?;
    lab.heal(&link)?;
    pair.wait_holder(lab, GW1)?;
    lab.inflict(&Fault::Killed(GW1, Part::All))?;
    if pair.ours == GW1 {
        // Our lease takes the addresses away; a killed keepalived leaves them for ever.
        return pair.wait_holder(lab, GW2);
    }
    clock::wait_for(
        "gw2 to take over from a killed keepalived",
        MOVE,
        Duration::from_millis(50),
        || Ok(lab.holders(crate::topology::VIRTUAL_LAN)?.contains(&GW2).then_some(())),
    )
}
