//! What `evergate status --json` prints: the truth about this node and what it knows of the others.
//!
//! Additive only: a field may be added, none is renamed or removed within [`SCHEMA`]. `None`
//! travels as `null` and means unknown.
//! Times are RFC 3339 in UTC with milliseconds. Facts about other nodes carry `age_ms`, so nothing
//! stale looks fresh.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::open::open_enum;

/// The version of this document; it changes only when a field changes its meaning.
pub const SCHEMA: u32 = 1;

open_enum! {
    /// The answer to "if I pull this plug now, will it work?".
    Verdict {
        /// Every group has a standby of ours that could take over now, and every configured path
        /// lives.
        Ready = "ready",
        /// Served, but a takeover could fail; the blockers say why.
        Degraded = "degraded",
        /// At least one group is served by nobody.
        Down = "down",
        /// At least one group is active on two nodes.
        Split = "split",
        /// Served; the only standbys are of another make, and what they could do is unknown.
        Unverified = "unverified",
    }
}

impl Verdict {
    /// The exit code of `evergate status`: 0 ready (or unverified), 1 degraded, 2 no service or
    /// split.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Ready | Self::Unverified => 0,
            Self::Degraded | Self::Other(_) => 1,
            Self::Down | Self::Split => 2,
        }
    }
}

open_enum! {
    /// The state of a group, on one node.
    GroupState {
        /// Started, not yet taking part.
        Init = "init",
        /// Following the active node, able to claim.
        Standby = "standby",
        /// Taking over right now.
        Claiming = "claiming",
        /// Holding the addresses and serving.
        Active = "active",
        /// Giving the addresses away right now.
        Releasing = "releasing",
        /// An own check failed; the reasons name it.
        Fault = "fault",
        /// An operator locked it out, until told otherwise.
        Locked = "locked",
    }
}

open_enum! {
    /// How the active node of a group is chosen.
    ElectionKind {
        /// The standard on the wire, RFC 3768 and RFC 9568.
        Vrrp = "vrrp",
        /// Our own election among nodes of ours.
        Cluster = "cluster",
    }
}

open_enum! {
    /// The address family of a virtual router.
    Family {
        /// IPv4.
        Ipv4 = "ipv4",
        /// IPv6.
        Ipv6 = "ipv6",
    }
}

open_enum! {
    /// What is known of another node.
    PeerState {
        /// At least one path lives in both directions and none is in question.
        Alive = "alive",
        /// Silent on some paths, or heard by a third node only.
        Doubt = "doubt",
        /// Silent on all paths for longer than the dead time.
        Dead = "dead",
        /// Never heard, or of another make and not heard now.
        Unknown = "unknown",
    }
}

open_enum! {
    /// What kind of path two nodes hear each other on.
    PathKind {
        /// A `[link.NAME]` of the configuration.
        Link = "link",
        /// The interface of a router of a group.
        Router = "router",
    }
}

/// The whole status document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Always [`SCHEMA`].
    pub schema: u32,
    /// When this was read, RFC 3339 UTC with milliseconds.
    pub time: String,
    /// The kernel's boot identifier; sequence numbers and times since boot hold within one boot.
    pub boot_id: String,
    /// The sequence number of the last event.
    pub seq: u64,
    /// This node's name.
    pub node: String,
    /// The cluster's name.
    pub cluster: String,
    /// The version of the daemon.
    pub version: String,
    /// Which configuration runs.
    pub config: ConfigStatus,
    /// The verdict in one word.
    pub verdict: Verdict,
    /// Could any plug be pulled now? Null where only foreign standbys exist.
    pub ready: Option<bool>,
    /// Why not, one entry for each cause; empty when ready.
    pub blockers: Vec<Blocker>,
    /// Every group of the configuration, in the order of their names.
    pub groups: Vec<GroupStatus>,
    /// Every other node.
    pub peers: Vec<PeerStatus>,
    /// Replication of connections; absent facts are null.
    pub replication: ReplicationStatus,
    /// What was counted since the daemon started, by stable name: packets refused by cause, events
    /// lost, pauses. A cause that never occurred is absent.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// Which configuration a node runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigStatus {
    /// Hash of the parsed file without secrets, 16 hexadecimal digits; equal on all nodes that
    /// agree.
    pub hash: String,
    /// Counts the configurations applied since the daemon started, from 1.
    pub generation: u64,
}

/// One cause why the cluster is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blocker {
    /// A stable code such as `peer-dead`, `path-silent`, `config-differs`.
    pub code: String,
    /// The group concerned, if it is one.
    pub group: Option<String>,
    /// The node concerned, if it is one.
    pub node: Option<String>,
    /// One sentence for people.
    pub text: String,
    /// Since when, if known.
    pub since: Option<String>,
}

/// One group as this node sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupStatus {
    /// The group's name.
    pub name: String,
    /// How the active node is chosen.
    pub election: ElectionKind,
    /// The state on this node.
    pub state: GroupState,
    /// Since when it is in this state.
    pub since: Option<String>,
    /// The priority in use, 0 to 255.
    pub priority: u8,
    /// The priority of the configuration.
    pub priority_base: u8,
    /// What checks add to or take from the base, in the order of their names.
    pub priority_terms: Vec<PriorityTerm>,
    /// The node that is active, if this node knows it: a name, or an address for a foreign router.
    pub active_node: Option<String>,
    /// A switchover that holds against priority.
    pub held: Option<Held>,
    /// Why this node is in fault, locked or not ready; empty otherwise.
    pub reasons: Vec<Reason>,
    /// The last handover that this node took part in.
    pub last_handover: Option<LastHandover>,
    /// What was run for the last transition that anything was run for; null before that.
    #[serde(default)]
    pub procedures: Option<ProceduresStatus>,
    /// The state of the group on every node, this one included.
    pub nodes: Vec<GroupNode>,
    /// The virtual routers of the group, one for each family.
    pub routers: Vec<RouterStatus>,
}

/// What is run for a transition of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProceduresStatus {
    /// The number of the transition, as the procedures are told it.
    pub sequence: u64,
    /// Where it led: `active`, `releasing`, `standby`, `fault`, `locked`, `stopped`, `lower-heard`.
    pub to: String,
    /// The procedure that runs now; null when all have ended.
    pub running: Option<String>,
    /// How many transitions wait behind it.
    pub waiting: u64,
    /// How many transitions were skipped since the daemon started, because newer ones made them idle.
    pub skipped: u64,
    /// Those that have ended, in the order in which they were run.
    pub ended: Vec<ProcedureStatus>,
}

/// A procedure that has ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProcedureStatus {
    /// Its name: `activate 1`, `deactivate 2`, `notify master`, `notify any (master)`.
    pub procedure: String,
    /// It ended by itself, in time, with exit status 0.
    pub ok: bool,
    /// The exit status of one that has ended by itself.
    pub exit_status: Option<i32>,
    /// How it ended, in words.
    pub text: String,
    /// When.
    pub at: String,
    /// How long it took, in milliseconds.
    pub took_ms: f64,
}

/// What one check does to a priority.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriorityTerm {
    /// The check's name.
    pub check: String,
    /// What it adds now, -254 to 254.
    pub weight: i32,
}

/// A held switchover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Who asked: a user's name, or the node that was asked.
    pub by: String,
    /// When the hold ends by itself; null when only a failback or a failure of the target ends it.
    pub until: Option<String>,
}

/// One named reason of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// A stable code such as `carrier`, `segment-silent`, `kernel-stuck`, `operator`.
    pub code: String,
    /// One sentence for people.
    pub text: String,
    /// Since when, if known.
    pub since: Option<String>,
}

/// The last handover of a group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LastHandover {
    /// The sequence number of its event.
    pub seq: u64,
    /// What caused it, in the words of the event's `reason`.
    pub cause: String,
    /// How long each phase took.
    pub phases_ms: PhasesMs,
}

/// The phases of a handover, each in milliseconds; null when the phase did not take place or was
/// not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PhasesMs {
    /// From the first missed sign of life to the verdict.
    pub detect: Option<f64>,
    /// From the verdict to the claim.
    pub claim: Option<f64>,
    /// Until the replicated connections are admitted.
    pub states: Option<f64>,
    /// Until the addresses are in the kernel.
    pub addresses: Option<f64>,
    /// Until they are announced.
    pub announce: Option<f64>,
    /// Until the procedures have ended.
    pub procedures: Option<f64>,
    /// The whole.
    pub total: Option<f64>,
}

/// The state of a group on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupNode {
    /// The node's name.
    pub node: String,
    /// The last state heard; null when never heard or too old.
    pub state: Option<GroupState>,
    /// The last priority heard.
    pub priority: Option<u8>,
    /// Could it take over now (or does it serve now)?
    pub ready: Option<bool>,
    /// How old this is, in milliseconds; 0 for this node, null when never heard.
    pub age_ms: Option<u64>,
}

/// One virtual router of one family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouterStatus {
    /// `GROUP/ROUTER/FAMILY`, such as `gateway/lan/ipv4`.
    pub id: String,
    /// The router's name in the configuration.
    pub name: String,
    /// The interface on this node.
    pub interface: String,
    /// The virtual MAC address, such as `00:00:5e:00:01:33`; null where the addresses have that of the
    /// interface.
    #[serde(default)]
    pub virtual_mac: Option<String>,
    /// The interface that has, or would have, the addresses: the router's own, or the one on it that has
    /// the virtual MAC address. Empty from a daemon that does not say so.
    #[serde(default)]
    pub address_interface: String,
    /// The address family.
    pub family: Family,
    /// The virtual router identifier, 1 to 255; null when it sends no adverts and follows its
    /// group.
    pub vrid: Option<u8>,
    /// The VRRP version on the wire, 2 or 3; null without `vrid`.
    pub version: Option<u8>,
    /// The state on the wire, in the words of the group's states.
    pub state: GroupState,
    /// The virtual addresses.
    pub addresses: Vec<AddressStatus>,
    /// Counters by name, such as `adverts_sent`, `adverts_received`, `dropped_checksum`.
    pub counters: BTreeMap<String, u64>,
}

/// One virtual address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address with its prefix length.
    pub address: String,
    /// Is it in the kernel now? Read, never believed; null when it could not be read.
    pub present: Option<bool>,
}

/// Another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerStatus {
    /// The node's name, or the address of a foreign router without a name.
    pub node: String,
    /// A router of another make.
    pub foreign: bool,
    /// What is known.
    pub state: PeerState,
    /// The same as yes or no; null when in doubt or unknown.
    pub alive: Option<bool>,
    /// How long ago it was last heard on any path, in milliseconds.
    pub age_ms: Option<u64>,
    /// The version it runs.
    pub version: Option<String>,
    /// Does it run the same configuration?
    pub config_matches: Option<bool>,
    /// The paths on which it can be heard.
    pub paths: Vec<PathStatus>,
}

/// One path to another node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PathStatus {
    /// `link:NAME` or `router:GROUP/ROUTER`.
    pub id: String,
    /// The kind of path.
    pub kind: PathKind,
    /// The interface on this node.
    pub interface: String,
    /// Does it live in both directions?
    pub alive: Option<bool>,
    /// How long ago the peer was last heard on it, in milliseconds.
    pub age_ms: Option<u64>,
    /// Round trip, in microseconds.
    pub rtt_us: Option<u64>,
}

/// Replication of connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationStatus {
    /// Connections that this node owns; null while nothing is replicated.
    pub flows_local: Option<u64>,
    /// Connections held for others.
    pub flows_replica: Option<u64>,
    /// The state of replication to each living peer of ours.
    pub peers: Vec<ReplicationPeer>,
    /// What was counted since the daemon started, by stable name, such as `told`, `retold`,
    /// `divergent`. A cause that never occurred may be absent.
    #[serde(default)]
    pub counters: BTreeMap<String, u64>,
}

/// Replication to and from one peer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicationPeer {
    /// The peer's name.
    pub node: String,
    /// Is what this node and the peer have of each other whole, in both directions, as far as is
    /// known?
    pub in_sync: Option<bool>,
    /// For how long it has lacked something of this node's, in milliseconds; 0 while it has confirmed all
    /// that was told.
    pub lag_ms: Option<u64>,
    /// Connections of this node that it has not confirmed yet.
    pub backlog_flows: Option<u64>,
    /// Connections found different and not repaired yet.
    pub divergent_flows: Option<u64>,
    /// When this node's copy of the peer's connections was last found equal.
    pub verified_at: Option<String>,
}
