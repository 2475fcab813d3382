//! Addresses that others touch (point 9).

use std::time::Duration;

use super::{Bed, Needs, Scenario, claim};
use crate::clock;
use crate::config::Config;
use crate::error::Result;
use crate::fault::Fault;
use crate::lab::Lab;
use crate::node::Part;
use crate::shell;
use crate::topology::{GW1, Gateway, Segment, VIRTUAL_LAN};
use crate::wait::READY_LIMIT;
use crate::watch::AddressWatch;

/// A deleted address is back within this; from the monitor, so without our own delay.
const BACK: Duration = Duration::from_millis(100);
/// The lease of an address, with what the kernel takes to notice its end.
const LEASE: Duration = Duration::from_millis(3000 + 2000);

/// The scenarios of this file.
pub const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "own-address-after-ours",
        shows: "a host's own address added after ours survives takeover, release and lapse",
        needs: Needs::Daemon,
        long: false,
        test: own_address,
    },
    Scenario {
        name: "deleted-address-returns",
        shows: "an address deleted by hand is back within 100 ms without a transition",
        needs: Needs::Daemon,
        long: false,
        test: deleted,
    },
    Scenario {
        name: "stop-leaves-nothing",
        shows: "a daemon that is stopped leaves no address and no rule behind",
        needs: Needs::Daemon,
        long: false,
        test: stopped,
    },
];

/// Does the gateway's kernel hold this address?
fn holds(lab: &Lab, gateway: Gateway, address: &str) -> Result<bool> {
    let name = lab.topology.gateway(gateway).name();
    let found = shell::run("ip", &["-o", "-n", name, "address", "show", "to", address])?;
    Ok(!found.trim().is_empty())
}

/// The host's own addresses on lan are added after the virtual one, which so is the primary of the subnet.
fn own_address_last(lab: &Lab, gateway: Gateway) -> Result<String> {
    let own = gateway.address(Segment::Lan);
    let namespace = lab.topology.gateway(gateway);
    namespace.ip_batch(&format!("address del {own}/24 dev lan\naddress add {own}/24 dev lan\n"))?;
    Ok(own)
}

fn own_address(bed: &Bed) -> Result<()> {
    for (what, fault) in [
        ("release", None),
        ("takeover after the core's death", Some(Fault::Killed(GW1, Part::Core))),
        ("lapse", Some(Fault::Killed(GW1, Part::All))),
    ] {
        let (mut lab, active) = bed.cluster(Config::example())?;
        claim(active == GW1, || format!("{active} is active, not the preferred gw1"))?;
        let own = own_address_last(&lab, GW1)?;
        match &fault {
            None => lab.stop(GW1)?,
            Some(fault) => drop(lab.inflict(fault)?),
        }
        lab.wait_one_holder(LEASE)?;
        if fault.as_ref() == Some(&Fault::Killed(GW1, Part::All)) {
            lab.wait_holder(GW1.other(), LEASE)?;
        }
        claim(holds(&lab, GW1, &own)?, || format!("{own} is gone after {what}"))?;
    }
    Ok(())
}

fn deleted(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    let watch = AddressWatch::start(&lab)?;
    lab.topology.gateway(active).ip_batch(&format!("address del {VIRTUAL_LAN}/24 dev lan\n"))?;
    clock::sleep(Duration::from_secs(3));
    let log = watch.stop()?;
    let spans = log.spans(active, VIRTUAL_LAN);
    let [first, second] = spans.as_slice() else {
        return claim(false, || format!("held in {} spans, not two", spans.len()));
    };
    let gone = Duration::from_micros(second.0 - first.1);
    println!("      gone for {gone:?}");
    claim(gone <= BACK, || format!("the address was gone for {gone:?}"))?;
    let others = log.spans(active.other(), VIRTUAL_LAN);
    claim(others.is_empty(), || "the other node took the address".to_owned())?;
    let now = lab.wait_ready(READY_LIMIT)?;
    claim(now == active, || format!("{now} is active now"))
}

fn stopped(bed: &Bed) -> Result<()> {
    let (mut lab, active) = bed.cluster(Config::example())?;
    lab.stop(active)?;
    claim(!holds(&lab, active, VIRTUAL_LAN)?, || "the address is still there".to_owned())?;
    let rules = lab.topology.gateway(active).run("nft", &["list", "ruleset"], "")?;
    claim(rules.trim().is_empty(), || format!("rules left behind:\n{rules}"))?;
    let own = active.address(Segment::Lan);
    claim(holds(&lab, active, &own)?, || format!("{own} is gone"))?;
    lab.wait_holder(active.other(), READY_LIMIT)?;
    lab.start_again(active)?;
    lab.wait_ready(READY_LIMIT).map(drop)
}
