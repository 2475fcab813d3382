//! conntrackd in the same lab under the same load: FTFW, both caches but the external one, straight into the kernel.

use std::time::Duration;

use serde_json::Value;

use super::conntrackd::Conntrackd;
use super::{ReplicateOptions, SETTLE, cost, prepare};
use crate::clock;
use crate::conntrack;
use crate::error::{LabError, Result};
use crate::firewall::Firewall;
use crate::lab::{Lab, Options};
use crate::topology::{GW1, GW2, VIRTUAL_LAN, VIRTUAL_WAN};

/// Processor time for each connection of conntrackd, beyond that of a calm pair.
pub(super) fn churn(options: &ReplicateOptions, name: &str, hold: Duration) -> Result<Vec<Value>> {
    let conntrackd = Conntrackd::find()?;
    let stateful = Some(Firewall::snat());
    let lab = Lab::build(Options { stateful, ..options.lab.clone() })?;
    prepare(&lab)?;
    lab.topology.gateway(GW1).ip_batch(&format!(
        "address add {VIRTUAL_LAN}/24 dev lan\naddress add {VIRTUAL_WAN}/24 dev wan\n"
    ))?;
    for gateway in [GW1, GW2] {
        // Its firewall would drop what they tell each other.
        let rule = "insert rule inet evergate_lab input iifname \"sync\" accept\n";
        lab.topology.gateway(gateway).run("nft", &["-f", "-"], rule)?;
    }
    let mut children = [conntrackd.start(&lab, GW1)?, conntrackd.start(&lab, GW2)?];
    clock::sleep(SETTLE);
    let rows = cost::churn_through(&lab, GW1, options, &format!("conntrackd {name}"), hold);
    let copied = conntrack::count(lab.topology.gateway(GW2))?;
    let said = conntrackd.statistics(&lab, GW2)?;
    drop(lab);
    children.iter_mut().for_each(|child| drop(child.wait()));
    if copied < u64::from(options.per_second) {
        let text = format!("conntrackd has copied only {copied} states: {said}");
        return Err(LabError::Node { node: "conntrackd".to_owned(), text });
    }
    rows
}
