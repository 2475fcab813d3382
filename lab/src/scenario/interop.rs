//! Neighbours of another make: each becomes standby to the other, whatever happens to whom.
//!
//! One cell of the matrix is one dialect of VRRP, with ours on one gateway and theirs on the other. In each
//! cell everything happens to both: start in either order, stop, kill, a pulled cable, other priorities
//! by a reload on either side, equal ones. After each step exactly one gateway holds the addresses.

use std::time::Duration;

use evergate_api::status::Verdict;

use super::{Bed, Needs, Scenario, claim, claim_still_of};
use crate::clock;
use crate::config::Config;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::frr::FrrConfig;
use crate::lab::{Lab, Subject};
use crate::node::Part;
use crate::peer::PeerConfig;
use crate::topology::{GW1, GW2, Gateway, Segment, VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN};

/// A move that waits for adverts takes about four of them; twice that.
const MOVE: Duration = Duration::from_secs(9);
/// Watched time in which nothing may move.
const CALM: Duration = Duration::from_secs(4);
/// Time between two looks at who holds an address.
const LOOK: Duration = Duration::from_millis(50);
/// What keepalived says when the active router resigns.
const RESIGNED: &str = "priority 0";
/// The password of both sides where there is one.
const PASSWORD: &str = "secret12";

/// The scenarios of this file: one cell of each row in the short lab, all in the long one.
pub const SCENARIOS: &[Scenario] = &[
    cell("foreign-v2", "keepalived, version 2", false, |bed| matrix(bed, &V2, &[GW1])),
    cell("foreign-v2-pass", "keepalived, version 2 with a password", false, |bed| {
        matrix(bed, &V2_PASS, &[GW2])
    }),
    cell("foreign-v2-ah", "keepalived, version 2 with an authentication header", false, |bed| {
        matrix(bed, &V2_AH, &[GW1])
    }),
    cell("foreign-v3", "keepalived, version 3", false, |bed| matrix(bed, &V3, &[GW2])),
    cell("foreign-ipv6", "keepalived, version 3 with IPv6", false, |bed| {
        matrix(bed, &V3_IPV6, &[GW1])
    }),
    cell("foreign-v2-ah-unicast", "the same, header and unicast", true, |bed| {
        matrix(bed, &unicast(V2_AH), &[GW2])
    }),
    frr("foreign-frr-v2", "FRR, version 2", false, |bed| frr_matrix(bed, &V2, &[GW1])),
    frr("foreign-frr-v3", "FRR, version 3", false, |bed| frr_matrix(bed, &V3, &[GW2])),
    frr("foreign-frr-ipv6", "FRR, version 3 with IPv6", false, |bed| {
        frr_matrix(bed, &V3_IPV6, &[GW1])
    }),
    cell("foreign-unicast-v2", "the same, version 2 and unicast", true, |bed| {
        matrix(bed, &unicast(V2), &[GW1])
    }),
    cell("foreign-unicast-v2-pass", "the same, password and unicast", true, |bed| {
        matrix(bed, &unicast(V2_PASS), &[GW1])
    }),
    cell("foreign-unicast-v3", "the same, version 3 and unicast", true, |bed| {
        matrix(bed, &unicast(V3), &[GW1])
    }),
    cell("foreign-unicast-ipv6", "the same, version 3 with IPv6 and unicast", true, |bed| {
        matrix(bed, &unicast(V3_IPV6), &[GW1])
    }),
    cell("foreign-vmac-v2", "keepalived with use_vmac, version 2", true, |bed| {
        matrix(bed, &virtual_mac(V2), &[GW1])
    }),
    cell("foreign-vmac-v2-pass", "the same, with a password", true, |bed| {
        matrix(bed, &virtual_mac(V2_PASS), &[GW2])
    }),
    cell("foreign-vmac-v2-ah", "the same, with an authentication header", true, |bed| {
        matrix(bed, &virtual_mac(V2_AH), &[GW1])
    }),
    cell("foreign-vmac-v3", "keepalived with use_vmac, version 3", true, |bed| {
        matrix(bed, &virtual_mac(V3), &[GW2])
    }),
    cell("foreign-vmac-ipv6", "the same, with IPv6", true, |bed| {
        matrix(bed, &virtual_mac(V3_IPV6), &[GW1])
    }),
    cell("foreign-vmac-unicast", "the same, with IPv6 and unicast", true, |bed| {
        matrix(bed, &virtual_mac(unicast(V3_IPV6)), &[GW2])
    }),
    frr(
        "foreign-vmac-frr-v2",
        "FRR, ours with virtual MAC addresses too, version 2",
        true,
        |bed| frr_matrix(bed, &virtual_mac(V2), &[GW1]),
    ),
    frr("foreign-vmac-frr-v3", "the same, version 3", true, |bed| {
        frr_matrix(bed, &virtual_mac(V3), &[GW2])
    }),
    frr("foreign-vmac-frr-ipv6", "the same, with IPv6", true, |bed| {
        frr_matrix(bed, &virtual_mac(V3_IPV6), &[GW1, GW2])
    }),
    cell(
        "foreign-imported",
        "ours with the imported file of keepalived, with a password",
        false,
        |bed| imported(bed, &V2_PASS, &[GW1]),
    ),
    cell(
        "foreign-imported-ah",
        "the same, with an authentication header and unicast",
        true,
        |bed| imported(bed, &unicast(V2_AH), &[GW2]),
    ),
    cell("foreign-imported-vmac", "the same, IPv6 and virtual MAC addresses", true, |bed| {
        imported(bed, &virtual_mac(V3_IPV6), &[GW1, GW2])
    }),
    cell("foreign-swapped", "every cell, ours and theirs on the other gateway", true, swapped),
    frr("foreign-frr-swapped", "every cell of FRR, on the other gateway", true, |bed| {
        frr_matrix(bed, &V2, &[GW2])?;
        frr_matrix(bed, &V3, &[GW1])?;
        frr_matrix(bed, &V3_IPV6, &[GW2])
    }),
];

const V2: Dialect =
    Dialect { version: 2, auth: None, ipv6: false, unicast: false, virtual_mac: false };
const V2_PASS: Dialect = Dialect { auth: Some("pass"), ..V2 };
const V2_AH: Dialect = Dialect { auth: Some("ah"), ..V2 };
const V3: Dialect = Dialect { version: 3, ..V2 };
const V3_IPV6: Dialect = Dialect { ipv6: true, ..V3 };

const fn cell(
    name: &'static str,
    shows: &'static str,
    long: bool,
    test: fn(&Bed) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, needs: Needs::Peer, long, test }
}

const fn frr(
    name: &'static str,
    shows: &'static str,
    long: bool,
    test: fn(&Bed) -> Result<()>,
) -> Scenario {
    Scenario { name, shows, needs: Needs::Frr, long, test }
}

/// What both sides speak.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    version: u8,
    auth: Option<&'static str>,
    ipv6: bool,
    unicast: bool,
    /// Both sides have the addresses on a virtual MAC address.
    virtual_mac: bool,
}

impl Dialect {
    fn ours(&self, them: Gateway) -> Config {
        let config = if self.ipv6 { Config::example().with_ipv6() } else { Config::example() };
        let mut config = config.with_foreign(&them.to_string()).with(
            "vrrp",
            "version",
            &self.version.to_string(),
        );
        if let Some(kind) = self.auth {
            let auth = format!("{{ type = \"{kind}\", key_file = \"vrrp.key\" }}");
            config = config.with("vrrp", "auth", &auth).with_secret("vrrp.key", PASSWORD);
        }
        if self.virtual_mac {
            config = config.with("group.gateway", "virtual_mac", "true");
        }
        for segment in [Segment::Lan, Segment::Wan].into_iter().filter(|_| self.unicast) {
            let mut speakers: Vec<String> = [GW1, GW2].map(|one| one.address(segment)).into();
            if self.ipv6 {
                speakers.extend([GW1, GW2].map(|one| one.address6(segment)));
            }
            let router = format!("group.gateway.router.{segment}");
            config = config.with(&router, "unicast_peers", &format!("{speakers:?}"));
        }
        config
    }

    fn theirs(&self) -> PeerConfig {
        let auth = self.auth.map(|kind| (if kind == "ah" { "AH" } else { "PASS" }, PASSWORD));
        let Self { version, ipv6, unicast, virtual_mac, .. } = *self;
        PeerConfig { version, ipv6, auth, unicast, virtual_mac, ..PeerConfig::default() }
    }
}

/// Who runs what: ours on one gateway, theirs on the other.
struct Pair {
    ours: Gateway,
    dialect: Dialect,
    kind: Kind,
}

/// What the two sides of a pair run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Ours, and keepalived.
    Keepalived,
    /// Ours with what was imported of the file of keepalived, and keepalived with it.
    Imported,
    /// Ours, and FRR. It knows no groups, no passwords and no unicast: one router is served, on `lan`.
    Frr,
}

impl Pair {
    /// What runs on a gateway, with a priority other than the usual one if that is given.
    fn subject(&self, gateway: Gateway, priority: Option<u8>) -> Subject {
        let Dialect { version, ipv6, .. } = self.dialect;
        let theirs = PeerConfig { priority, ..self.dialect.theirs() };
        match (gateway == self.ours, self.kind) {
            (false, Kind::Frr) => return Subject::Frr(FrrConfig { version, ipv6 }),
            (false, Kind::Keepalived | Kind::Imported) => return Subject::Keepalived(theirs),
            (true, Kind::Imported) => return Subject::Imported(theirs),
            (true, Kind::Keepalived | Kind::Frr) => {}
        }
        let mut config = self.dialect.ours(gateway.other());
        if self.kind == Kind::Frr {
            config = config.without_table("group.gateway.router.wan");
        }
        let node = format!("node.{gateway}");
        Subject::Evergate(match priority {
            Some(priority) => config.with(&node, "priority", &priority.to_string()),
            None => config,
        })
    }

    fn start(&self, lab: &mut Lab, gateway: Gateway) -> Result<()> {
        lab.start(gateway, &self.subject(gateway, None))
    }

    fn reload(&self, lab: &mut Lab, gateway: Gateway, priority: Option<u8>) -> Result<()> {
        lab.reload(gateway, &self.subject(gateway, priority))
    }

    /// Waits until the gateway alone holds all addresses, of both families if both are served.
    fn wait_holder(&self, lab: &mut Lab, gateway: Gateway) -> Result<()> {
        lab.wait_holder_of(&self.addresses(), gateway, MOVE)
    }

    fn addresses(&self) -> Vec<&'static str> {
        let mut addresses = vec![VIRTUAL_LAN];
        addresses.extend((self.kind != Kind::Frr).then_some(VIRTUAL_WAN));
        addresses.extend(self.dialect.ipv6.then_some(VIRTUAL_LAN6));
        addresses
    }

    /// Watches for a while that the addresses move nowhere.
    fn claim_still(&self, lab: &mut Lab) -> Result<()> {
        claim_still_of(lab, &self.addresses(), CALM)
    }
}

const fn unicast(dialect: Dialect) -> Dialect {
    Dialect { unicast: true, ..dialect }
}

const fn virtual_mac(dialect: Dialect) -> Dialect {
    Dialect { virtual_mac: true, ..dialect }
}

fn swapped(bed: &Bed) -> Result<()> {
    let first = [V2, V2_AH, V3_IPV6, unicast(V2), unicast(V2_PASS), unicast(V3), unicast(V3_IPV6)];
    first.iter().try_for_each(|dialect| matrix(bed, dialect, &[GW2]))?;
    [V2_PASS, V3, unicast(V2_AH)].iter().try_for_each(|dialect| matrix(bed, dialect, &[GW1]))
}

fn matrix(bed: &Bed, dialect: &Dialect, ours: &[Gateway]) -> Result<()> {
    every(bed, Kind::Keepalived, dialect, ours, &STEPS)
}

fn imported(bed: &Bed, dialect: &Dialect, ours: &[Gateway]) -> Result<()> {
    every(bed, Kind::Imported, dialect, ours, &STEPS)
}

/// vrrpd reads no file while it runs: what priorities do is left out.
fn frr_matrix(bed: &Bed, dialect: &Dialect, ours: &[Gateway]) -> Result<()> {
    every(bed, Kind::Frr, dialect, ours, &STEPS[..2])
}

fn every(
    bed: &Bed,
    kind: Kind,
    dialect: &Dialect,
    ours: &[Gateway],
    chosen: &[(&str, Step)],
) -> Result<()> {
    let pair = |ours: &Gateway| Pair { ours: *ours, dialect: *dialect, kind };
    ours.iter().try_for_each(|ours| steps(bed, &pair(ours), chosen))
}

fn steps(bed: &Bed, pair: &Pair, steps: &[(&str, Step)]) -> Result<()> {
    let Pair { ours, dialect, .. } = pair;
    for (step, test) in steps {
        let mut lab = bed.lab()?;
        test(&mut lab, pair).map_err(|error| {
            let text = format!("{dialect:?}, ours on {ours}, {step}: {error}");
            LabError::Claim(format!("{text}\n{}", lab.log_tails()))
        })?;
    }
    Ok(())
}

type Step = fn(&mut Lab, &Pair) -> Result<()>;

/// What happens to a pair, each in a lab of its own.
const STEPS: [(&str, Step); 4] = [
    ("the preferred gateway first", |lab, pair| orders(lab, pair, GW1)),
    ("the other gateway first", |lab, pair| orders(lab, pair, GW2).and_then(|()| moves(lab, pair))),
    ("priorities", priorities),
    ("our core killed", core_killed),
];

fn orders(lab: &mut Lab, pair: &Pair, first: Gateway) -> Result<()> {
    pair.start(lab, first)?;
    pair.wait_holder(lab, first)?;
    pair.start(lab, first.other())?;
    // The first gateway has the higher priority and takes or keeps the addresses.
    pair.wait_holder(lab, GW1)?;
    pair.claim_still(lab)?;
    let status = lab.control(pair.ours)?.status()?;
    let foreign =
        status.as_ref().is_some_and(|status| status.peers.iter().any(|peer| peer.foreign));
    claim(foreign, || "status does not say that the peer is foreign".to_owned())?;
    if pair.ours == GW1 && first == GW2 {
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
    let link =
        Fault::Carrier(GW1, if pair.kind == Kind::Frr { Segment::Lan } else { Segment::Wan });
    lab.inflict(&link)?;
    pair.wait_holder(lab, GW2)?;
    lab.heal(&link)?;
    pair.wait_holder(lab, GW1)?;
    lab.inflict(&Fault::Killed(GW1, Part::All))?;
    if pair.ours == GW1 {
        // Our lease takes the addresses away; a killed daemon of another make leaves them for ever.
        return pair.wait_holder(lab, GW2);
    }
    clock::wait_for("gw2 to take over from a killed daemon", MOVE, LOOK, || {
        Ok(lab.holders(VIRTUAL_LAN)?.contains(&GW2).then_some(()))
    })
}

/// The guardian resigns for a dead core, and theirs believes it. What it writes into its log is the witness:
/// without it, it would have waited for three adverts.
fn core_killed(lab: &mut Lab, pair: &Pair) -> Result<()> {
    if pair.ours != GW1 {
        return Ok(());
    }
    // Theirs first: where nobody was heard who could take over, the next core just goes on.
    pair.start(lab, GW2)?;
    pair.wait_holder(lab, GW2)?;
    pair.start(lab, GW1)?;
    pair.wait_holder(lab, GW1)?;
    lab.inflict(&Fault::Killed(GW1, Part::Core))?;
    let log = lab.node_directory(GW2).join("log");
    clock::wait_for("keepalived to believe the resignation", MOVE, LOOK, || {
        let text = std::fs::read_to_string(&log).map_err(LabError::io("read a log"))?;
        Ok(text.contains(RESIGNED).then_some(()))
    })?;
    // The next core is the preferred one again.
    pair.wait_holder(lab, GW1)
}

/// Priorities change by a reload on either side. Where they are equal, who holds the addresses keeps them.
fn priorities(lab: &mut Lab, pair: &Pair) -> Result<()> {
    let theirs = pair.ours.other();
    pair.start(lab, GW1)?;
    pair.start(lab, GW2)?;
    pair.wait_holder(lab, GW1)?;
    // Ours first: above or below the other, then as it was.
    let other = if pair.ours == GW1 { 50 } else { 250 };
    pair.reload(lab, pair.ours, Some(other))?;
    pair.wait_holder(lab, GW2)?;
    pair.reload(lab, pair.ours, None)?;
    pair.wait_holder(lab, GW1)?;
    let other = if theirs == GW1 { 50 } else { 250 };
    pair.reload(lab, theirs, Some(other))?;
    pair.wait_holder(lab, GW2)?;
    // Equal from here on.
    pair.reload(lab, theirs, Some(if pair.ours == GW1 { 200 } else { 100 }))?;
    pair.claim_still(lab)?;
    lab.stop(GW2)?;
    pair.wait_holder(lab, GW1)?;
    let equal = if theirs == GW2 { Some(200) } else { None };
    lab.start(GW2, &pair.subject(GW2, equal))?;
    pair.claim_still(lab)
}
