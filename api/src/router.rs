//! What `evergate status router ID --json` prints: one virtual router as RFC 6527 wants it watched, under names
//! of ours. `spec/rfc6527.toml` names the object behind each field.
//!
//! Additive only, as the status document is. Counters never go back within [`RouterReport::counting_since`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::open::open_enum;
use crate::status::{AddressStatus, Family, GroupState};

open_enum! {
    /// The state of a virtual router (RFC 9568 section 6.3).
    RouterState {
        /// Not taking part: starting, locked out, or in fault.
        Initialize = "initialize",
        /// Watching the active router.
        Backup = "backup",
        /// Answering for the addresses.
        Active = "active",
    }
}

open_enum! {
    /// Why a router became active last (RFC 6527, vrrpv3StatisticsNewMasterReason).
    ActiveReason {
        /// It has not been active.
        NotActive = "not-active",
        /// It has the highest priority: it is the owner, or the former one has resigned.
        Priority = "priority",
        /// It took over from a living router of lower priority, or was told to.
        Preempted = "preempted",
        /// The active router was silent.
        NoResponse = "no-response",
    }
}

open_enum! {
    /// Why the last packet that was refused was refused (RFC 6527, vrrpv3StatisticsProtoErrReason).
    PacketError {
        /// None was.
        NoError = "no-error",
        /// Its TTL or hop limit was not 255.
        HopLimit = "hop-limit",
        /// Its version was another one.
        Version = "version",
        /// Its checksum was wrong.
        Checksum = "checksum",
        /// Anything else: the counters tell.
        Else = "else",
    }
}

/// One virtual router of one family.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouterReport {
    /// Always [`crate::status::SCHEMA`].
    pub schema: u32,
    /// When this was read, RFC 3339 UTC with milliseconds.
    pub time: String,
    /// This node's name.
    pub node: String,
    /// `GROUP/ROUTER/FAMILY`, such as `gateway/lan/ipv4`.
    pub id: String,
    /// The group whose state it shares.
    pub group: String,
    /// The interface on this node.
    pub interface: String,
    /// The address family.
    pub family: Family,
    /// The virtual router identifier, 1 to 255; null when it sends no adverts.
    pub vrid: Option<u8>,
    /// The VRRP version on the wire, 2 or 3; null without `vrid`.
    pub version: Option<u8>,
    /// The state as the RFC has it.
    pub state: RouterState,
    /// The state of its group, which says more.
    pub group_state: GroupState,
    /// The address from which the active router advertises; null when it is not known.
    pub active_address: Option<String>,
    /// The address from which we advertise, or would; null when the interface has none that would do.
    pub primary_address: Option<String>,
    /// The priority that counts in the election now, 0 to 255.
    pub priority: u8,
    /// The interval of our own adverts, in milliseconds.
    pub advert_ms: f64,
    /// The interval that the active router has announced last, in milliseconds; null when none was heard.
    pub active_advert_ms: Option<f64>,
    /// Whether a higher priority takes over from a lower one by itself.
    pub preempt: bool,
    /// Whether packets to the virtual addresses are taken by the node itself while it is active.
    pub accept: bool,
    /// For how long it has been out of Initialize, in milliseconds; null while it is in it.
    pub up_ms: Option<u64>,
    /// The virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// Why it became active last.
    pub active_reason: ActiveReason,
    /// Why the last refused packet was refused.
    pub packet_error: PacketError,
    /// Since when the counters count: the start of the daemon, or of the router by a reload.
    pub counting_since: String,
    /// What the RFC wants counted, each of them there from the start.
    pub counters: RouterCounters,
    /// Everything that was counted, by the names of the status document; what never occurred is absent.
    pub all_counters: BTreeMap<String, u64>,
    /// What counts for the node as a whole.
    pub node_counters: NodeCounters,
}

/// The counters of one virtual router (RFC 6527, vrrpv3StatisticsTable).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RouterCounters {
    /// How often it has become active.
    pub active_transitions: u64,
    /// Adverts that were received and taken.
    pub adverts_received: u64,
    /// Adverts that were sent.
    pub adverts_sent: u64,
    /// Adverts with another interval than ours. Version 2 refuses them, version 3 takes the interval over.
    pub interval_errors: u64,
    /// Packets whose TTL or hop limit was not 255.
    pub hop_limit_errors: u64,
    /// Adverts of priority 0 that were received.
    pub resignations_received: u64,
    /// Adverts of priority 0 that were sent.
    pub resignations_sent: u64,
    /// Packets of another type than 1.
    pub type_errors: u64,
    /// Adverts whose list of addresses is not ours; they are taken all the same.
    pub address_list_errors: u64,
    /// Packets that are too short.
    pub length_errors: u64,
}

/// The counters of the node (RFC 6527, vrrpv3Statistics).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeCounters {
    /// Packets with a wrong checksum.
    pub checksum_errors: u64,
    /// Packets of an unknown version.
    pub version_errors: u64,
    /// Packets with a VRID that no virtual router of the node has.
    pub vrid_errors: u64,
}
