//! Frames that the switches lose: nftables rules in the bridge family, always replaced as a whole.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::Value;

use crate::error::{LabError, Result};
use crate::netns::Namespace;
use crate::topology::{Gateway, Segment, port};

/// The table of the rules.
const TABLE: &str = "evergate_lab";
/// Frames longer than this, in bytes, carry more than a sign of life or an acknowledgement.
const LARGE: u16 = 256;

/// Large frames of one gateway on switches that lose some of them, counted at each port that they leave by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// All.
    pub offered: u64,
    /// Those that were lost.
    pub lost: u64,
}

/// Which frames are lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// On which switch.
    pub segment: Segment,
    /// Only frames that come from this gateway.
    pub from: Option<Gateway>,
    /// Only frames that go to this gateway.
    pub to: Option<Gateway>,
    /// Only packets of this IP protocol, such as 112 for VRRP.
    pub protocol: Option<u8>,
    /// How many of a thousand.
    pub permille: u16,
}

impl Loss {
    /// All frames of a switch are lost, until narrowed by the fields.
    pub fn all(segment: Segment) -> Self {
        Self { segment, from: None, to: None, protocol: None, permille: 1000 }
    }

    fn rules(&self) -> Vec<String> {
        let from = self.from.map_or(format!("{}-*", self.segment), |one| port(one, self.segment));
        let mut head = format!("iifname \"{from}\"");
        if let Some(to) = self.to {
            let _ = write!(head, " oifname \"{}\"", port(to, self.segment));
        }
        let tail = match (self.permille, self.from) {
            (1000.., _) => "drop".to_owned(),
            (some, Some(from)) if self.protocol.is_none() => {
                let dice = format!("numgen random mod 1000 < {some}");
                return vec![
                    format!("{head} meta length > {LARGE} counter name \"offered_{from}\""),
                    format!(
                        "{head} meta length > {LARGE} {dice} counter name \"lost_{from}\" drop"
                    ),
                    format!("{head} meta length <= {LARGE} {dice} drop"),
                ];
            }
            (some, _) => format!("numgen random mod 1000 < {some} drop"),
        };
        match self.protocol {
            None => vec![format!("{head} {tail}")],
            Some(number) => vec![
                format!("{head} ip protocol {number} {tail}"),
                format!("{head} ip6 nexthdr {number} {tail}"),
            ],
        }
    }
}

/// Puts exactly these losses in force, in one transaction.
pub fn apply(switch: &Namespace, losses: &[Loss]) -> Result<()> {
    switch.run("nft", &["-f", "-"], &ruleset(losses)).map(drop)
}

/// What was counted of a gateway's large frames since the losses in force were set.
pub fn frames(switch: &Namespace, gateway: Gateway) -> Result<Frames> {
    let arguments = ["-j", "list", "counters", "table", "bridge", TABLE];
    let text = switch.run("nft", &arguments, "")?;
    let question = format!("nft {}", arguments.join(" "));
    let wrong = || LabError::Answer { question: question.clone(), text: text.clone() };
    let document: Value = serde_json::from_str(&text).map_err(|_| wrong())?;
    let objects = document["nftables"].as_array().ok_or_else(wrong)?;
    let packets = |name: String| {
        let counters = objects.iter().filter_map(|object| object.get("counter"));
        let mut named = counters.filter(|counter| counter["name"] == *name);
        named.next().and_then(|counter| counter["packets"].as_u64()).ok_or_else(wrong)
    };
    Ok(Frames {
        offered: packets(format!("offered_{gateway}"))?,
        lost: packets(format!("lost_{gateway}"))?,
    })
}

fn ruleset(losses: &[Loss]) -> String {
    // Naming the table first makes the delete valid whether it exists or not.
    let mut text = format!("table bridge {TABLE}\ndelete table bridge {TABLE}\n");
    if losses.is_empty() {
        return text;
    }
    let _ = writeln!(text, "table bridge {TABLE} {{");
    let sources: BTreeSet<Gateway> = losses.iter().filter_map(|loss| loss.from).collect();
    for gateway in sources {
        let _ = writeln!(text, "  counter offered_{gateway} {{ }}\n  counter lost_{gateway} {{ }}");
    }
    text.push_str("  chain forward {\n");
    text.push_str("    type filter hook forward priority 0; policy accept;\n");
    for rule in losses.iter().flat_map(Loss::rules) {
        let _ = writeln!(text, "    {rule}");
    }
    text.push_str("  }\n}\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{GW1, GW2};

    #[test]
    fn a_one_way_cut_names_both_ports() {
        let loss = Loss { from: Some(GW1), to: Some(GW2), ..Loss::all(Segment::Sync) };
        let text = ruleset(&[loss]);
        assert!(text.contains(r#"iifname "sync-gw1" oifname "sync-gw2" drop"#), "{text}");
    }

    #[test]
    fn a_filtered_protocol_is_filtered_in_both_families() {
        let loss = Loss { protocol: Some(112), permille: 50, ..Loss::all(Segment::Lan) };
        let rules = loss.rules();
        assert!(rules[0].ends_with("ip protocol 112 numgen random mod 1000 < 50 drop"));
        assert!(rules[1].contains("ip6 nexthdr 112"));
    }

    #[test]
    fn nothing_lost_means_no_table() {
        assert!(ruleset(&[]).ends_with("delete table bridge evergate_lab\n"));
    }
}
