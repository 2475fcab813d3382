//! What keepalived is told, with types, each with the statement that says it.

use std::net::IpAddr;

use super::tree::Statement;

/// A value and what says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Set<'t, T> {
    /// The value.
    pub value: T,
    /// The statement.
    pub by: &'t Statement,
    /// How many of its words say it.
    pub words: usize,
}

/// A value that may be left out.
pub type Maybe<'t, T> = Option<Set<'t, T>>;

/// A time in microseconds.
pub type Micros = u64;

/// A second.
pub const SECOND: Micros = 1_000_000;

/// A whole configuration, as far as VRRP is concerned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keepalived<'t> {
    /// `global_defs`
    pub globals: Globals<'t>,
    /// `vrrp_sync_group`
    pub groups: Vec<SyncGroup<'t>>,
    /// `vrrp_instance`
    pub instances: Vec<Instance<'t>>,
    /// `vrrp_script`, `track_file`, `vrrp_track_process`
    pub trackers: Vec<Tracker<'t>>,
}

/// `global_defs`, as far as something follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Globals<'t> {
    /// `router_id`
    pub router_id: Maybe<'t, String>,
    /// `vrrp_version`
    pub version: Maybe<'t, u8>,
    /// `vrrp_mcast_group4`
    pub multicast4: Maybe<'t, IpAddr>,
    /// `vrrp_mcast_group6`
    pub multicast6: Maybe<'t, IpAddr>,
    /// `vrrp_garp_*`
    pub garp: Garp<'t>,
    /// `vrrp_min_garp`
    pub min_garp: Maybe<'t, bool>,
    /// `vrrp_garp_interval`
    pub garp_interval: Maybe<'t, Micros>,
    /// `vrrp_gna_interval`
    pub gna_interval: Maybe<'t, Micros>,
    /// What an instance may say too.
    pub common: Common<'t>,
    /// `vrrp_startup_delay`
    pub startup_delay: Maybe<'t, Micros>,
    /// `vmac_prefix`
    pub vmac_prefix: Maybe<'t, String>,
    /// `notify_fifo` or `vrrp_notify_fifo`
    pub fifo: Maybe<'t, (String, Owner)>,
    /// `notify_fifo_script` or `vrrp_notify_fifo_script`
    pub fifo_script: Maybe<'t, Script>,
    /// `script_user`
    pub script_user: Maybe<'t, Owner>,
}

/// What both `global_defs` (behind `vrrp_`) and an instance may say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Common<'t> {
    /// `down_timer_adverts`
    pub down_timer: Maybe<'t, u8>,
    /// `lower_prio_no_advert`
    pub lower_no_advert: Maybe<'t, bool>,
    /// `higher_prio_send_advert`
    pub higher_send_advert: Maybe<'t, bool>,
    /// `check_unicast_src`
    pub check_unicast: Maybe<'t, bool>,
    /// `strict` or `strict_mode`
    pub strict: Maybe<'t, bool>,
    /// `v3_checksum_as_v2`
    pub plain_checksum: Maybe<'t, bool>,
}

/// When addresses are announced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Garp<'t> {
    /// `garp_master_delay`, in seconds
    pub delay: Maybe<'t, u32>,
    /// `garp_master_repeat`
    pub repeat: Maybe<'t, u32>,
    /// `garp_master_refresh`, in seconds
    pub refresh: Maybe<'t, u32>,
    /// `garp_master_refresh_repeat`
    pub refresh_repeat: Maybe<'t, u32>,
    /// `garp_lower_prio_delay`, in seconds
    pub lower_delay: Maybe<'t, u32>,
    /// `garp_lower_prio_repeat`
    pub lower_repeat: Maybe<'t, u32>,
}

/// A user and a group; empty where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: String,
    /// The group.
    pub group: String,
}

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// As it was written.
    pub line: String,
    /// Its words.
    pub words: Vec<String>,
    /// Who runs it.
    pub owner: Owner,
}

/// `vrrp_sync_group`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncGroup<'t> {
    /// The block.
    pub by: &'t Statement,
    /// The name.
    pub name: String,
    /// The members, each with its statement and the position of the word.
    pub members: Vec<(&'t Statement, usize)>,
    /// What is tracked.
    pub tracks: Vec<Track<'t>>,
    /// The scripts.
    pub notify: Notify<'t>,
    /// `sync_group_tracking_weight`
    pub weights: Maybe<'t, bool>,
}

/// The scripts of transitions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notify<'t> {
    /// The key of ours and the script, in the order of the file.
    pub scripts: Vec<(&'static str, Set<'t, Script>)>,
}

/// `vrrp_instance`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance<'t> {
    /// The block.
    pub by: &'t Statement,
    /// The name.
    pub name: String,
    /// `version`
    pub version: Maybe<'t, u8>,
    /// `native_ipv6`
    pub native_ipv6: Maybe<'t, bool>,
    /// `state`: is it MASTER?
    pub master: Maybe<'t, bool>,
    /// `interface`
    pub interface: Maybe<'t, String>,
    /// `virtual_router_id`
    pub vrid: Maybe<'t, u8>,
    /// `priority`
    pub priority: Maybe<'t, u8>,
    /// `advert_int`
    pub advert: Maybe<'t, Micros>,
    /// `unicast_src_ip`, `mcast_src_ip`
    pub source: Maybe<'t, IpAddr>,
    /// `unicast_peer`
    pub peers: Maybe<'t, Vec<Peer<'t>>>,
    /// `unicast_fault_no_peer`
    pub fault_no_peer: Maybe<'t, bool>,
    /// `unicast_ttl`
    pub unicast_ttl: Maybe<'t, u8>,
    /// `mcast_dst_ip`
    pub multicast: Maybe<'t, IpAddr>,
    /// `use_vmac`, with its name
    pub vmac: Maybe<'t, Option<String>>,
    /// `vmac_xmit_base`
    pub xmit_base: Maybe<'t, bool>,
    /// `accept`, `no_accept`
    pub accept: Maybe<'t, bool>,
    /// `preempt`, `nopreempt`
    pub preempt: Maybe<'t, bool>,
    /// `preempt_delay`
    pub preempt_delay: Maybe<'t, Micros>,
    /// `garp_*`
    pub garp: Garp<'t>,
    /// What `global_defs` may say too.
    pub common: Common<'t>,
    /// `authentication`
    pub auth: Maybe<'t, Auth<'t>>,
    /// `auth_hmac`
    pub hmac: Maybe<'t, Hmac<'t>>,
    /// `virtual_ipaddress`
    pub addresses: Vec<Address<'t>>,
    /// `virtual_ipaddress_excluded`
    pub excluded: Vec<Address<'t>>,
    /// `no_virtual_ipaddress`
    pub no_addresses: Maybe<'t, bool>,
    /// `virtual_routes`
    pub routes: Vec<&'t Statement>,
    /// `virtual_rules`
    pub rules: Vec<&'t Statement>,
    /// What is tracked.
    pub tracks: Vec<Track<'t>>,
    /// `dont_track_primary`
    pub dont_track_primary: Maybe<'t, bool>,
    /// The scripts.
    pub notify: Notify<'t>,
    /// The blocks whose lines are above.
    pub blocks: Vec<&'t Statement>,
}

/// A peer of `unicast_peer`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer<'t> {
    /// The statement.
    pub by: &'t Statement,
    /// The address.
    pub address: IpAddr,
    /// `min_ttl`, with the position of its word
    pub min_ttl: Option<(u8, usize)>,
}

/// How adverts of version 2 are authenticated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Auth<'t> {
    /// `auth_type`: is it AH?
    pub is_ah: Maybe<'t, bool>,
    /// `auth_pass`
    pub password: Maybe<'t, String>,
}

/// How adverts are authenticated by keepalived 2.4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hmac<'t> {
    /// `key`: its number and its value as it was written
    pub keys: Vec<Set<'t, (u8, String)>>,
    /// `active_key`
    pub active: Maybe<'t, u8>,
    /// `anti_replay`
    pub replay: Maybe<'t, String>,
    /// `time_window`, in seconds
    pub window: Maybe<'t, u32>,
    /// `mode`
    pub mode: Maybe<'t, String>,
}

/// A line of `virtual_ipaddress`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'t> {
    /// The statement.
    pub by: &'t Statement,
    /// The address.
    pub address: IpAddr,
    /// The length of the prefix.
    pub length: u8,
    /// `dev`
    pub interface: Option<String>,
    /// `scope`
    pub scope: Option<String>,
    /// `label`
    pub label: Option<String>,
    /// `peer`
    pub peer: Option<String>,
    /// `brd`, as our key has it
    pub broadcast: Option<String>,
    /// `-nodad`
    pub detect_duplicates: bool,
    /// `noprefixroute`
    pub no_prefix_route: bool,
    /// `no_track`
    pub no_track: bool,
    /// `preferred_lft`: is it 0?
    pub deprecated: Option<bool>,
    /// The words that were understood.
    pub understood: Vec<usize>,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `track_interface`
    Interface,
    /// `track_script`
    Script,
    /// `track_file`
    File,
    /// `track_process`
    Process,
    /// `track_bfd`
    Bfd,
}

/// A line of `track_*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track<'t> {
    /// The statement.
    pub by: &'t Statement,
    /// What it is of.
    pub kind: Kind,
    /// `weight`
    pub weight: Option<i64>,
    /// `reverse`, `no_reverse`
    pub reverse: Option<bool>,
}

/// `vrrp_script`, `track_file`, `vrrp_track_process`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracker<'t> {
    /// The block.
    pub by: &'t Statement,
    /// What it is.
    pub kind: Kind,
    /// The name.
    pub name: String,
    /// `script`
    pub script: Maybe<'t, Script>,
    /// `file` or `process`
    pub target: Maybe<'t, String>,
    /// `interval`
    pub interval: Maybe<'t, Micros>,
    /// `timeout`
    pub timeout: Maybe<'t, Micros>,
    /// `rise`
    pub rise: Maybe<'t, u32>,
    /// `fall`
    pub fall: Maybe<'t, u32>,
    /// `weight`, and `reverse`
    pub weight: Maybe<'t, (i64, bool)>,
    /// `user`
    pub user: Maybe<'t, Owner>,
    /// `init_fail`
    pub init_fail: Maybe<'t, bool>,
    /// Why it cannot be had here; the statement that says so is told of.
    pub gap: Option<&'static str>,
}
