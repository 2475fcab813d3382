//! Virtual MAC addresses: clients never see another one, a standby never sends from one, and nothing is
//! left of them in the end.

use std::fs::File;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::speed::switch_group;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::control::GROUP;
use crate::error::{LabError, Result};
use crate::fault::Fault;
use crate::lab::{Lab, Subject};
use crate::mac_watch::{MacWatch, Sent};
use crate::netns::Namespace;
use crate::node::Part;
use crate::probe::Probe;
use crate::shell;
use crate::topology::{
    GW1, GW2, Gateway, SERVER, SERVER6, Segment, VIRTUAL_LAN, VIRTUAL_LAN6, VIRTUAL_WAN,
    VIRTUAL_WAN6,
};
use crate::wait::READY_LIMIT;

/// Watched time: a few adverts.
const WATCH: Duration = Duration::from_millis(3500);
/// Probes have to be answered for so long without a break.
const STEADY: Duration = Duration::from_millis(300);
/// The service is back after a power cut within this; the claim is that it is, not how fast.
const SERVICE_LIMIT: Duration = Duration::from_secs(5);
/// How long a daemon may take to end, and settings to be back: a busy kernel removes interfaces slowly.
const BACK_LIMIT: Duration = Duration::from_secs(20);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// Settings that a virtual MAC address may have to do with, on the interfaces of routers.
const SETTINGS: [&str; 8] = [
    "ipv4/conf/IF/arp_ignore",
    "ipv4/conf/IF/arp_announce",
    "ipv4/conf/IF/arp_filter",
    "ipv4/conf/IF/rp_filter",
    "ipv4/conf/IF/accept_local",
    "ipv4/conf/IF/promote_secondaries",
    "ipv4/conf/IF/forwarding",
    "ipv6/conf/IF/forwarding",
];

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "virtual-mac",
        shows: "switchover and power cut: clients keep the virtual MAC, a standby never uses it",
        needs: Needs::Daemon,
        long: false,
        test: fails_over,
    },
    Scenario {
        name: "virtual-mac-leaves-nothing",
        shows: "neither SIGTERM nor SIGKILL leaves an interface or a setting behind",
        needs: Needs::Daemon,
        long: false,
        test: leaves_nothing,
    },
    Scenario {
        name: "virtual-mac-by-reload",
        shows: "a reload moves the addresses to the virtual MAC and back without a transition",
        needs: Needs::Daemon,
        long: false,
        test: by_reload,
    },
];

fn config() -> Config {
    Config::example().with_ipv6().with("group.gateway", "virtual_mac", "true")
}

/// The neighbours that clients and servers must have: whose table, which address, which MAC address.
fn neighbours(lab: &Lab) -> [(&Namespace, Segment, &'static str, &'static str); 4] {
    let (client, server) = (&lab.topology.client, &lab.topology.server);
    [
        (client, Segment::Lan, VIRTUAL_LAN, "00:00:5e:00:01:33"),
        (client, Segment::Lan, VIRTUAL_LAN6, "00:00:5e:00:02:33"),
        (server, Segment::Wan, VIRTUAL_WAN, "00:00:5e:00:01:34"),
        (server, Segment::Wan, VIRTUAL_WAN6, "00:00:5e:00:02:34"),
    ]
}

/// Every entry for a virtual address has the virtual MAC address.
fn claim_neighbours(lab: &Lab, when: &str) -> Result<()> {
    for (namespace, segment, address, mac) in neighbours(lab) {
        let arguments =
            ["-n", namespace.name(), "neighbour", "show", address, "dev", segment.name()];
        let entry = shell::run("ip", &arguments)?;
        claim(entry.contains(mac), || format!("{when}: {address} is at {entry:?}, not at {mac}"))?;
    }
    Ok(())
}

/// The other gateways than this one have sent nothing from a virtual MAC address.
fn claim_silent(sent: &[Sent], standby: Gateway, when: &str) -> Result<()> {
    let wrong = sent.iter().find(|frame| frame.gateway == standby);
    wrong.map_or(Ok(()), |frame| claim(false, || format!("{when}: the standby has sent {frame}")))
}

/// Adverts of both routers in both families have come from their virtual MAC addresses.
fn claim_adverts(sent: &[Sent], active: Gateway, when: &str) -> Result<()> {
    for (segment, vrid) in [(Segment::Lan, 51), (Segment::Wan, 52)] {
        for family in [1, 2] {
            let is_it = |frame: &&Sent| {
                frame.gateway == active
                    && frame.segment == segment
                    && frame.family_and_vrid() == (family, vrid)
                    && frame.is_advert()
            };
            let count = sent.iter().filter(is_it).count();
            claim(count >= 2, || {
                format!("{when}: {count} adverts of {vrid}, family {family}, on {segment}")
            })?;
        }
    }
    Ok(())
}

/// While nothing moves, the active gateway advertises from its virtual MAC addresses and the other is silent.
fn claim_calm(lab: &Lab, active: Gateway, when: &str) -> Result<()> {
    let watch = MacWatch::start(lab)?;
    clock::sleep(WATCH);
    let sent = watch.stop();
    claim_silent(&sent, active.other(), when)?;
    claim_adverts(&sent, active, when)?;
    claim_neighbours(lab, when)
}

fn fails_over(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(config())?;
    claim(active == GW1, || format!("{active} is active, not the preferred gw1"))?;
    let told =
        |error: LabError, lab: &Lab| LabError::Claim(format!("{error}\n{}", lab.log_tails()));
    walk(&mut lab).map_err(|error| told(error, &lab))
}

fn walk(lab: &mut Lab) -> Result<()> {
    let probe = Probe::start(&lab.topology, SERVER6)?;
    probe.wait_steady(STEADY, READY_LIMIT)?;
    drop(probe.stop());
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(STEADY, READY_LIMIT)?;
    claim_status(lab)?;
    claim_calm(lab, GW1, "at first")?;
    drop(probe.stop());
    hand_over(lab, GW1, SERVER)?;
    claim_calm(lab, GW2, "after the switchover")?;
    hand_over(lab, GW2, SERVER6)?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(STEADY, READY_LIMIT)?;
    let cut = Fault::Power(GW1);
    lab.inflict(&cut)?;
    probe.wait_steady(STEADY, SERVICE_LIMIT)?;
    println!("      power cut: {:?} without an answer", probe.stop().outage());
    claim_neighbours(lab, "after the power cut")?;
    lab.heal(&cut)?;
    lab.start_again(GW1)?;
    lab.wait_holder(GW1, READY_LIMIT)?;
    lab.wait_ready(READY_LIMIT)?;
    claim_calm(lab, GW1, "after the power cut")
}

/// A switchover loses no probe, and the former holder is silent from the successor's first frame on.
fn hand_over(lab: &mut Lab, from: Gateway, target: &str) -> Result<()> {
    lab.wait_ready(READY_LIMIT)?;
    let probe = Probe::start(&lab.topology, target)?;
    probe.wait_steady(STEADY, READY_LIMIT)?;
    let (before, watch) = (probe.elapsed(), MacWatch::start(lab)?);
    let to = from.other();
    switch_group(lab, from, GROUP)?;
    lab.wait_holder(to, SERVICE_LIMIT)?;
    clock::sleep(WATCH);
    claim_handed_over(&watch.stop(), from)?;
    let when = format!("after a switchover to {to}");
    claim_neighbours(lab, &when)?;
    let record = probe.stop();
    let lost = record.lost_since(before);
    claim(lost == 0, || format!("{when}: {lost} probes to {target} lost, {:?}", record.gaps()))
}

/// From the successor's first frame on, the former holder sends no advert. Its kernel may answer a question
/// until it has released the addresses; the successor has the last word then, for switches to learn from.
fn claim_handed_over(sent: &[Sent], from: Gateway) -> Result<()> {
    let is_successor = |frame: &&Sent| frame.gateway == from.other();
    let first = sent.iter().find(is_successor).map(|frame| frame.at_us);
    let Some(first) = first else {
        return claim(false, || "the successor has sent nothing from a virtual MAC".to_owned());
    };
    let late: Vec<Sent> = sent.iter().filter(|frame| frame.at_us > first).cloned().collect();
    let adverts: Vec<Sent> = late.iter().filter(|frame| frame.is_advert()).cloned().collect();
    claim_silent(&adverts, from, "after the successor's first frame")?;
    for former in late.iter().filter(|frame| frame.gateway == from) {
        let corrects = |frame: &&Sent| {
            (frame.gateway, frame.segment) == (from.other(), former.segment)
                && frame.family_and_vrid() == former.family_and_vrid()
                && frame.at_us > former.at_us
                && !frame.is_advert()
        };
        let corrected = late.iter().any(|frame| corrects(&frame));
        claim(corrected, || format!("the former holder had the last word: {former}"))?;
    }
    claim_adverts(&late, from.other(), "after the switchover")
}

/// Status says where the addresses are.
fn claim_status(lab: &Lab) -> Result<()> {
    let group = lab.control(GW1)?.group()?;
    let routers = group.map(|group| group.routers).unwrap_or_default();
    let lan = routers.iter().find(|router| router.id == "gateway/lan/ipv4");
    let right = lan.is_some_and(|router| {
        router.virtual_mac.as_deref() == Some("00:00:5e:00:01:33")
            && (router.interface.as_str(), router.address_interface.as_str()) == ("lan", "vrrp.51")
            && router.addresses.iter().all(|address| address.present == Some(true))
    });
    claim(right, || format!("status says {lan:?}"))
}

/// The interfaces of a gateway, and the settings of those that have routers.
fn picture(lab: &Lab, gateway: Gateway) -> Result<String> {
    let namespace = lab.topology.gateway(gateway);
    let links = shell::run("ip", &["-o", "-n", namespace.name(), "link", "show"])?;
    let names = links.lines().filter_map(|line| line.split_whitespace().nth(1));
    let mut picture: String = names.map(|name| format!("{name}\n")).collect();
    for segment in [Segment::Lan, Segment::Wan] {
        for setting in SETTINGS {
            let key = setting.replace("IF", segment.name());
            let value = namespace.sysctl_number(&key)?;
            picture.push_str(&format!("{key} = {value}\n"));
        }
    }
    Ok(picture)
}

fn claim_as_before(lab: &Lab, before: &str, what: &str) -> Result<()> {
    let back = clock::wait_for("everything to be as before", BACK_LIMIT, LOOK, || {
        Ok((picture(lab, GW1)? == before).then_some(()))
    });
    if back.is_ok() {
        return Ok(());
    }
    let now = picture(lab, GW1)?;
    claim(now == before, || format!("{what}: before\n{before}now\n{now}{}", lab.log_tails()))
}

fn leaves_nothing(bed: &Bed) -> Result<()> {
    let mut lab = bed.lab()?;
    // A setting that is not the kernel's choice has to come back too.
    lab.topology.gateway(GW1).sysctl("ipv4/conf/lan/arp_announce", "1")?;
    let before = picture(&lab, GW1)?;
    lab.start_all(&Subject::Evergate(config()))?;
    lab.wait_ready(READY_LIMIT)?;
    let during = picture(&lab, GW1)?;
    let changed = during.contains("vrrp.51@lan") && during.contains("vrrp6.52@wan");
    claim(changed, || format!("no interfaces were made:\n{during}"))?;
    lab.stop(GW1)?;
    claim_as_before(&lab, &before, "after SIGTERM")?;
    for part in [Part::Core, Part::Both, Part::All] {
        lab.start_again(GW1)?;
        lab.wait_ready(READY_LIMIT)?;
        match part {
            Part::All => {
                kill_all(&mut lab)?;
                lab.start_again(GW1)?;
            }
            part => drop(lab.inflict(&Fault::Killed(GW1, part))?),
        }
        lab.wait_ready(READY_LIMIT)?;
        stop_all_of(&mut lab)?;
        claim_as_before(&lab, &before, &format!("after SIGKILL of the {part} and SIGTERM"))?;
    }
    // A daemon without the key cleans up, at its start, what a killed one with it has left.
    lab.start_again(GW1)?;
    lab.wait_ready(READY_LIMIT)?;
    kill_all(&mut lab)?;
    let left = picture(&lab, GW1)?;
    claim(left.contains("vrrp.51@lan"), || format!("nothing was left to clean up:\n{left}"))?;
    lab.stop(GW2)?;
    lab.start(GW1, &Subject::Evergate(Config::example().with_ipv6()))?;
    lab.wait_holder(GW1, READY_LIMIT)?;
    lab.stop(GW1)?;
    claim_as_before(&lab, &before, "after a start without the key")
}

/// Kills all processes of the first gateway, which leaves to the kernel what they have made.
fn kill_all(lab: &mut Lab) -> Result<()> {
    lab.inflict(&Fault::Killed(GW1, Part::All))?;
    wait_ended(lab)?;
    lab.wait_holder(GW2, SERVICE_LIMIT)
}

/// Waits until the processes are gone, and what they had open too: the kernel takes its time for sockets.
fn wait_ended(lab: &Lab) -> Result<()> {
    let path = lab.node_directory(GW1).join("evergate.sock.lock");
    let ended = || {
        let gone = lab.daemon_processes(GW1)?.is_empty();
        // The file itself may have gone with the daemon.
        let is_free = File::open(&path).map_or(true, |file| file.try_lock().is_ok());
        Ok((gone && is_free).then_some(()))
    };
    clock::wait_for("the daemon to end", BACK_LIMIT, LOOK, ended).map_err(|error| {
        let left = lab.daemon_processes(GW1);
        LabError::Claim(format!("{error}; left: {left:?}\n{}", lab.log_tails()))
    })
}

/// Ends a daemon whose first process may have been killed: the one that stands in for it is asked.
fn stop_all_of(lab: &mut Lab) -> Result<()> {
    lab.signal(GW1, Part::Guardian, Signal::SIGTERM)?;
    wait_ended(lab)?;
    lab.stop(GW1)
}

fn by_reload(bed: &Bed) -> Result<()> {
    let plain = Config::example().with_ipv6();
    let (mut lab, active) = bed.cluster(plain.clone())?;
    let probe = Probe::start(&lab.topology, SERVER)?;
    probe.wait_steady(STEADY, READY_LIMIT)?;
    for (config, interface) in [(config(), "vrrp.51"), (plain, "lan")] {
        for gateway in [active.other(), active] {
            lab.reload(gateway, &Subject::Evergate(config.clone()))?;
        }
        let name = lab.topology.gateway(active).name().to_owned();
        let has = || {
            let arguments = ["-o", "-n", &name, "address", "show", "to", VIRTUAL_LAN];
            let lines = shell::run("ip", &arguments)?;
            let on = lines.split_whitespace().nth(1).unwrap_or_default();
            Ok((on == interface && lines.lines().count() == 1).then_some(()))
        };
        let what = format!("{VIRTUAL_LAN} to be on {interface} alone");
        clock::wait_for(&what, SERVICE_LIMIT, LOOK, has)?;
        let now = lab.wait_ready(READY_LIMIT)?;
        claim(now == active, || format!("{now} is active now\n{}", lab.log_tails()))?;
        probe.wait_steady(Duration::from_millis(500), SERVICE_LIMIT)?;
    }
    println!("      two moves: {:?} without an answer", probe.stop().outage());
    let events = lab.control(active)?.events()?;
    let moved = events.iter().filter(|event| event.event == "state").count();
    // Standby and active when it began.
    claim(moved <= 3, || format!("{moved} changes of state: {}", lab.log_tails()))
}
