//! Routers that do not take packets to the virtual addresses for themselves, and neighbours of another make that
//! own the addresses, or speak to another multicast group or from farther away.

use std::time::Duration;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::{Lab, Subject};
use crate::netns::Namespace;
use crate::node::Part;
use crate::peer::PeerConfig;
use crate::probe::Probe;
use crate::shell;
use crate::topology::{
    GW1, GW2, Gateway, SERVER, SERVER6, Segment, VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN,
};
use crate::wait::READY_LIMIT;

/// Probes through the gateways have to be answered for so long without a break.
const STEADY: Duration = Duration::from_millis(300);
/// The service is back within this; the claim is that it is, not how fast.
const SERVICE_LIMIT: Duration = Duration::from_secs(10);
/// What is left of killed processes is gone within this.
const GONE_LIMIT: Duration = Duration::from_secs(5);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// How long it is watched that nothing moves: some adverts.
const STILL: Duration = Duration::from_secs(5);
/// The name of our table begins with this.
const TABLE: &str = "evergate_accept_";

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "accept-off",
        shows: "nobody answers for the virtual addresses, and traffic goes through them all the same",
        needs: Needs::Daemon,
        long: false,
        test: |bed| accept_off(bed, &config()),
    },
    Scenario {
        name: "accept-off-virtual-mac",
        shows: "the same where the addresses have the virtual MAC address",
        needs: Needs::Daemon,
        long: true,
        test: |bed| accept_off(bed, &config().with("group.gateway", "virtual_mac", "true")),
    },
    Scenario {
        name: "accept-off-leaves-nothing",
        shows: "rules of accept = false go with the daemon, whichever process is killed",
        needs: Needs::Daemon,
        long: false,
        test: leaves_nothing,
    },
    Scenario {
        name: "owner-beside-keepalived",
        shows: "keepalived with priority 255 takes the addresses, and ours with 255 takes them from it",
        needs: Needs::Peer,
        long: false,
        test: owners,
    },
    Scenario {
        name: "transports-beside-keepalived",
        shows: "ours and keepalived agree on another multicast group, and on unicast with a smaller TTL",
        needs: Needs::Peer,
        long: false,
        test: transports,
    },
];

fn config() -> Config {
    Config::example().with_ipv6().with("group.gateway", "accept", "false")
}

/// Whether an address answers an echo request, within a second.
fn answers(from: &Namespace, address: &str) -> Result<bool> {
    let arguments = ["netns", "exec", from.name(), "ping", "-n", "-c", "1", "-W", "1", address];
    Ok(shell::run_unchecked("ip", &arguments, "")?.status.success())
}

/// The client knows the MAC address of an address on its segment.
fn is_resolved(lab: &Lab, address: &str) -> Result<bool> {
    let client = lab.topology.client.name();
    let entry = shell::run("ip", &["-n", client, "neighbour", "show", address, "dev", "lan"])?;
    Ok(entry.contains("lladdr"))
}

/// The client gets no answer from the virtual addresses, and one through them.
fn claim_off(lab: &Lab, active: Gateway, when: &str) -> Result<()> {
    let client = &lab.topology.client;
    for address in [VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN, "fe80::91:1%lan"] {
        let answered = answers(client, address)?;
        claim(!answered, || format!("{when}: {address} answers"))?;
    }
    for address in [VIRTUAL_LAN, VIRTUAL_LAN6, "fe80::91:1"] {
        claim(is_resolved(lab, address)?, || format!("{when}: {address} is not resolved"))?;
    }
    for address in [active.address(Segment::Lan), active.address6(Segment::Lan)] {
        claim(answers(client, &address)?, || format!("{when}: {address} does not answer"))?;
    }
    for target in [SERVER, SERVER6] {
        let probe = Probe::start(&lab.topology, target)?;
        probe.wait_steady(STEADY, SERVICE_LIMIT)?;
        probe.stop();
    }
    Ok(())
}

fn accept_off(bed: &Bed, config: &Config) -> Result<()> {
    let (mut lab, active) = bed.cluster(config.clone())?;
    claim_off(&lab, active, "at first")?;
    switch_group(&lab, active, GROUP)?;
    lab.wait_holder(active.other(), READY_LIMIT)?;
    claim_off(&lab, active.other(), "after a switchover")?;
    lab.inflict(&Fault::Killed(active.other(), Part::Core))?;
    clock::sleep(Duration::from_millis(500));
    let now = lab.wait_one_holder(SERVICE_LIMIT)?;
    lab.wait_ready(READY_LIMIT)?;
    claim_off(&lab, now, "after a crash")?;
    let accepting = config.clone().with("group.gateway", "accept", "true");
    lab.reload(now, &Subject::Evergate(accepting))?;
    clock::wait_for("an answer after the reload", SERVICE_LIMIT, LOOK, || {
        Ok(answers(&lab.topology.client, VIRTUAL_LAN)?.then_some(()))
    })?;
    claim(!has_table(&lab, now)?, || "the rules have stayed".to_owned())
}

/// Whether a gateway has our rules.
fn has_table(lab: &Lab, gateway: Gateway) -> Result<bool> {
    let rules = lab.topology.gateway(gateway).run("nft", &["list", "ruleset"], "")?;
    Ok(rules.contains(TABLE))
}

fn leaves_nothing(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(config())?;
    for gateway in [GW1, GW2] {
        claim(has_table(&lab, gateway)?, || format!("{gateway} has no rules"))?;
    }
    lab.inflict(&Fault::Killed(active, Part::Guardian))?;
    clock::sleep(STEADY);
    claim_off(&lab, active, "after the guardian was killed")?;
    lab.inflict(&Fault::Killed(active, Part::All))?;
    clock::wait_for("the rules are gone", GONE_LIMIT, LOOK, || {
        Ok((!has_table(&lab, active)?).then_some(()))
    })?;
    lab.stop(active.other())?;
    claim(!has_table(&lab, active.other())?, || "a stop leaves rules behind".to_owned())
}

/// Ours beside keepalived: version 2, as most people run it.
fn foreign() -> Config {
    Config::example().with_foreign("gw2").with("vrrp", "version", "2")
}

fn owners(bed: &Bed) -> Result<()> {
    let peer = Subject::Keepalived(PeerConfig { priority: Some(255), ..PeerConfig::default() });
    let mut lab = bed.lab()?;
    lab.start(GW1, &Subject::Evergate(foreign()))?;
    lab.wait_holder(GW1, READY_LIMIT)?;
    lab.start(GW2, &peer)?;
    lab.wait_holder(GW2, SERVICE_LIMIT)?;
    lab.stop(GW2)?;
    lab.wait_holder(GW1, SERVICE_LIMIT)?;
    lab.stop(GW1)?;
    // Now ours is the owner, and manual failback changes nothing.
    let owner = foreign().with("group.gateway", "owner", "\"gw1\"");
    let owner = owner.with("group.gateway", "failback", "\"manual\"");
    let usual = PeerConfig { priority: Some(254), ..PeerConfig::default() };
    lab.start(GW2, &Subject::Keepalived(usual))?;
    lab.wait_holder(GW2, SERVICE_LIMIT)?;
    let start = clock::now();
    lab.start(GW1, &Subject::Evergate(owner))?;
    lab.wait_holder(GW1, SERVICE_LIMIT)?;
    println!("      the owner serves {:?} after its start", start.elapsed());
    super::claim_still(&mut lab, STILL)
}

fn transports(bed: &Bed) -> Result<()> {
    let group = PeerConfig { multicast: Some("224.0.0.77"), ..PeerConfig::default() };
    let far = PeerConfig { unicast: true, ttl: Some(64), ..PeerConfig::default() };
    let peers = |segment: Segment| {
        let [one, other] = [GW1, GW2].map(|gateway| gateway.address(segment));
        format!("[\"{one}\", \"{other}\"]")
    };
    let unicast = foreign()
        .with("group.gateway.router.lan", "unicast_peers", &peers(Segment::Lan))
        .with("group.gateway.router.wan", "unicast_peers", &peers(Segment::Wan))
        .with("vrrp", "hop_limit", "64")
        .with("vrrp", "min_hop_limit", "64");
    let other = foreign().with("vrrp", "multicast", "{ ipv4 = \"224.0.0.77\" }");
    for (ours, theirs) in [(other, group), (unicast, far)] {
        let mut lab = bed.lab()?;
        lab.start(GW2, &Subject::Keepalived(theirs))?;
        lab.wait_holder(GW2, SERVICE_LIMIT)?;
        lab.start(GW1, &Subject::Evergate(ours))?;
        lab.wait_holder(GW1, SERVICE_LIMIT)?;
        super::claim_still(&mut lab, STILL)?;
        lab.stop(GW1)?;
        lab.wait_holder(GW2, SERVICE_LIMIT)?;
    }
    Ok(())
}
