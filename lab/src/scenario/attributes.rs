//! Addresses with all that a file can say of them.

use std::time::Duration;

use super::speed::switch;
use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::node::Part;
use crate::spy::Spy;
use crate::topology::{GW1, Gateway, Segment};
use crate::wait::READY_LIMIT;

/// The lan addresses of the file, on top of that of the example.
const LAN: &str = r#"[
  "10.91.0.1/24",
  { address = "10.91.0.70/24", label = "lan:vip", broadcast = "auto" },
  { address = "10.95.0.1/24", scope = "link" },
  { address = "10.91.0.71/24", advertise = false, prefix_route = false },
  { address = "10.94.0.1/32", interface = "wan", peer = "10.94.0.2" },
  { address = "10.91.0.72/24", keep = false },
  { address = "fe80::91:1/64" },
  { address = "fd91::1/64", deprecated = false },
]"#;
/// What `ip` says of an address on the active, for each: interface, address, words.
const SHOWN: [(&str, &str, &[&str]); 6] = [
    ("lan", "10.91.0.70", &["lan:vip", "brd 10.91.0.255"]),
    ("lan", "10.95.0.1", &["scope link"]),
    ("lan", "10.91.0.71", &["noprefixroute"]),
    ("wan", "10.94.0.1", &["peer 10.94.0.2/32"]),
    ("lan", "10.91.0.72", &["scope global"]),
    ("lan", "fd91::1", &["nodad"]),
];
/// Longer than a lease: everything is renewed several times.
const RENEWALS: Duration = Duration::from_secs(4);
/// What a removal may take to be answered.
const SOON: Duration = Duration::from_secs(3);
/// The number of VRRP, and of its packets in IPv4.
const VRRP: u8 = 112;

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[Scenario {
    name: "address-attributes",
    shows: "labels, scopes, peers, other interfaces: set, renewed, moved, removed; adverts list what they should",
    needs: Needs::Daemon,
    long: false,
    test: attributes,
}];

/// What `ip` says of an address of a gateway; nothing if it is not there.
fn shown(lab: &Lab, gateway: Gateway, interface: &str, address: &str) -> Result<String> {
    let arguments = ["-d", "address", "show", "dev", interface, "to", address];
    lab.topology.gateway(gateway).run("ip", &arguments, "")
}

fn claim_all(lab: &Lab, holder: Gateway, when: &str) -> Result<()> {
    for (interface, address, words) in SHOWN {
        let text = shown(lab, holder, interface, address)?;
        for word in words.iter().chain(&["inet"]) {
            claim(text.contains(word), || {
                format!("{when}: {address} on {interface} of {holder} has no `{word}`: {text}")
            })?;
        }
        let deprecated = address == "fd91::1" && text.contains("deprecated");
        claim(!deprecated, || format!("{when}: {address} is deprecated"))?;
        let other = shown(lab, holder.other(), interface, address)?;
        claim(other.trim().is_empty(), || format!("{when}: the other has {address}: {other}"))?;
    }
    Ok(())
}

fn attributes(bed: &Bed) -> Result<()> {
    let config = Config::example().with("group.gateway.router.lan", "addresses", LAN);
    let (mut lab, active) = bed.cluster(config.clone())?;
    claim_all(&lab, active, "at the start")?;
    clock::sleep(RENEWALS);
    claim_all(&lab, active, "after renewals")?;
    adverts(&lab)?;
    kept_or_not(&mut lab, active)?;
    switch(&mut lab, active)?;
    let now = active.other();
    claim_all(&lab, now, "after a switchover")?;
    relabelled(&mut lab, now, &config)?;
    lab.inflict(&Fault::Killed(now, Part::Core))?;
    lab.wait_holder(now.other(), READY_LIMIT)?;
    claim_nothing(&lab, now, "after the death of its core")?;
    let last = lab.wait_ready(READY_LIMIT)?;
    lab.stop(last)?;
    claim_nothing(&lab, last, "after its end")
}

fn claim_nothing(lab: &Lab, gateway: Gateway, when: &str) -> Result<()> {
    for (interface, address, _) in SHOWN {
        clock::wait_for(&format!("{address} to be gone {when}"), SOON, SOON / 50, || {
            let text = shown(lab, gateway, interface, address)?;
            Ok(text.trim().is_empty().then_some(()))
        })?;
    }
    Ok(())
}

/// Adverts list every address but the excluded one, also the one on another interface.
fn adverts(lab: &Lab) -> Result<()> {
    let mut spy = Spy::plug_in(&lab.topology)?;
    spy.record()?;
    clock::sleep(SOON);
    let frames = spy.take();
    let of_lan = frames.iter().filter(|frame| frame.segment == Segment::Lan);
    let mut seen = 0;
    for frame in of_lan.filter(|frame| frame.bytes.get(23) == Some(&VRRP)) {
        // Behind Ethernet, IPv4 and eight octets of VRRP come the addresses.
        let lists = |address: [u8; 4]| frame.bytes[42..].windows(4).any(|four| four == address);
        for address in [[10, 91, 0, 1], [10, 91, 0, 70], [10, 94, 0, 1], [10, 91, 0, 72]] {
            claim(lists(address), || format!("an advert does not list {address:?}"))?;
        }
        claim(!lists([10, 91, 0, 71]), || "an advert lists the excluded address".to_owned())?;
        seen += 1;
    }
    claim(seen > 0, || "no advert was heard on lan".to_owned())
}

/// Of two that are removed, one comes back; the other does when the group is taken over again.
fn kept_or_not(lab: &mut Lab, active: Gateway) -> Result<()> {
    let namespace = lab.topology.gateway(active);
    namespace.ip_batch("address del 10.91.0.72/24 dev lan\naddress del 10.91.0.70/24 dev lan\n")?;
    clock::wait_for("the address to be back", SOON, SOON / 100, || {
        let text = shown(lab, active, "lan", "10.91.0.70")?;
        Ok(text.contains("lan:vip").then_some(()))
    })?;
    clock::sleep(SOON);
    let text = shown(lab, active, "lan", "10.91.0.72")?;
    claim(text.trim().is_empty(), || format!("it is back although it is not kept: {text}"))?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active, || format!("{now} is active now"))
}

/// A reload that changes a label makes that address anew and touches no other.
fn relabelled(lab: &mut Lab, active: Gateway, config: &Config) -> Result<()> {
    let before = shown(lab, active, "lan", "10.91.0.71")?;
    let lan = LAN
        .replace("lan:vip", "lan:new")
        .replace("keep = false }", "keep = false, label = \"lan:c\" }");
    let config = config.clone().with("group.gateway.router.lan", "addresses", &lan);
    for gateway in [GW1, GW1.other()] {
        lab.write_config(gateway, &config)?;
        let answer = lab.control(gateway)?.ask(&["reload"])?;
        claim(matches!(answer.code, 0 | 1), || format!("reload: {}", answer.errors))?;
    }
    clock::wait_for("the new label", SOON, SOON / 50, || {
        let text = shown(lab, active, "lan", "10.91.0.70")?;
        Ok(text.contains("lan:new").then_some(()))
    })?;
    // What we remove ourselves to make it anew is not taken for removed by others.
    clock::sleep(SOON);
    let text = shown(lab, active, "lan", "10.91.0.72")?;
    claim(text.contains("lan:c"), || format!("10.91.0.72 has no new label: {text}"))?;
    let put_back = lab.control(active)?.events()?.iter().filter(|e| e.event == "address").count();
    claim(put_back == 0, || format!("{put_back} events of addresses that were put back"))?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active, || format!("{now} is active after a reload"))?;
    claim(before.contains("inet"), || "nothing was there before".to_owned())?;
    let after = shown(lab, active, "lan", "10.91.0.71")?;
    claim(after.contains("noprefixroute"), || format!("the other address is touched: {after}"))
}
