//! The vocabulary: which keys exist where, what people may have meant, how a text is shown.

/// The longest name of a cluster, node, link, group or router, in bytes.
pub const NAME_MAX: usize = 63;
/// How much of a text of the user is repeated in a message, in characters.
const SHOWN_MAX: usize = 60;

/// A kind of table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Root,
    Cluster,
    Node,
    Link,
    Vrrp,
    Group,
    GroupVrrp,
    Router,
    Multicast,
    Check,
    Announce,
    Address,
    Route,
    Nexthop,
    Rule,
    Replicate,
    Conntrackd,
    Procedures,
    GroupNotify,
    Notify,
}

impl Place {
    /// Where a key without a place of its own may belong, the likeliest first.
    const ALL: [Self; 20] = [
        Self::Router,
        Self::Group,
        Self::GroupVrrp,
        Self::Cluster,
        Self::Node,
        Self::Link,
        Self::Vrrp,
        Self::Multicast,
        Self::Check,
        Self::Announce,
        Self::Address,
        Self::Route,
        Self::Nexthop,
        Self::Rule,
        Self::Replicate,
        Self::Root,
        Self::Conntrackd,
        Self::Procedures,
        Self::GroupNotify,
        Self::Notify,
    ];

    /// The keys that it may have.
    pub fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Root => {
                &["cluster", "node", "link", "vrrp", "group", "check", "notify", "replicate"]
            }
            Self::Cluster => &["name", "key_file", "heartbeat", "port"],
            Self::Node => &["priority", "foreign"],
            Self::Link => &["interface", "address"],
            Self::Vrrp | Self::GroupVrrp => &[
                "version",
                "advert",
                "auth",
                "checksum",
                "down_after",
                "answer_lower",
                "advert_before_yield",
                "start_delay",
                "hop_limit",
                "min_hop_limit",
                "multicast",
            ],
            Self::Multicast => &["ipv4", "ipv6"],
            Self::Group => &[
                "router",
                "priority",
                "owner",
                "nodes",
                "election",
                "failback",
                "vrrp",
                "track",
                "activate",
                "deactivate",
                "procedures",
                "notify",
                "notify_kind",
                "virtual_mac",
                "adverts_from",
                "heartbeat",
                "accept",
                "announce",
                "unicast_peers",
                "routes",
                "rules",
            ],
            Self::Router => &[
                "interface",
                "vrid",
                "addresses",
                "source",
                "virtual_mac",
                "adverts_from",
                "heartbeat",
                "accept",
                "announce",
                "unicast_peers",
            ],
            Self::Check => &[
                "test",
                "interval",
                "timeout",
                "rise",
                "fall",
                "first",
                "invert",
                "user",
                "user_group",
            ],
            Self::Announce => &[
                "repeat",
                "again_after",
                "refresh",
                "refresh_repeat",
                "lower_repeat",
                "lower_after",
                "interval",
            ],
            Self::Address => &[
                "address",
                "interface",
                "label",
                "scope",
                "peer",
                "broadcast",
                "advertise",
                "deprecated",
                "detect_duplicates",
                "prefix_route",
                "keep",
            ],
            Self::Route => &[
                "to",
                "via",
                "interface",
                "source",
                "metric",
                "table",
                "type",
                "scope",
                "mtu",
                "advmss",
                "hoplimit",
                "onlink",
                "nexthops",
                "keep",
            ],
            Self::Nexthop => &["via", "interface", "weight", "onlink"],
            Self::Rule => &[
                "from",
                "to",
                "in",
                "out",
                "mark",
                "tos",
                "not",
                "table",
                "type",
                "priority",
                "suppress_prefix",
                "keep",
            ],
            Self::Replicate => &[
                "links",
                "protocols",
                "ignore",
                "zones",
                "marks",
                "coalesce",
                "protect_after",
                "recovery",
                "defer",
                "conntrackd",
            ],
            Self::Procedures => &["timeout", "user", "user_group"],
            Self::GroupNotify => &[
                "any",
                "master",
                "backup",
                "fault",
                "stop",
                "lower_priority",
                "timeout",
                "user",
                "user_group",
            ],
            Self::Notify => &["fifo", "fifo_script", "user", "user_group"],
            Self::Conntrackd => &["peer", "link", "mode", "port", "address", "group"],
        }
    }

    /// Is a key more than recognised? One that is not built yet is never offered.
    pub fn is_built(key: &str) -> bool {
        let later = ["election", "defer"];
        !later.contains(&key)
    }

    /// Its header, with NAME where the user chooses.
    pub fn header(self) -> &'static str {
        match self {
            Self::Root => "the top of the file",
            Self::Cluster => "[cluster]",
            Self::Node => "[node.NAME]",
            Self::Link => "[link.NAME]",
            Self::Vrrp => "[vrrp]",
            Self::Group => "[group.NAME]",
            Self::GroupVrrp => "[group.NAME.vrrp]",
            Self::Router => "[group.NAME.router.NAME]",
            Self::Check => "[check.NAME]",
            Self::Multicast => "`multicast`",
            Self::Announce => "`announce`",
            Self::Address => "an entry of `addresses`",
            Self::Route => "an entry of `routes`",
            Self::Nexthop => "an entry of `nexthops`",
            Self::Rule => "an entry of `rules`",
            Self::Procedures => "`procedures`",
            Self::GroupNotify => "[group.NAME.notify]",
            Self::Notify => "[notify]",
            Self::Replicate => "[replicate]",
            Self::Conntrackd => "[replicate.conntrackd]",
        }
    }

    /// The kind of table that a key would be right in.
    pub fn home_of(key: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|place| place.keys().contains(&key))
    }
}

/// What other tools call a thing of ours.
pub(crate) fn foreign_word(key: &str) -> Option<&'static str> {
    Some(match key {
        "script" => "we call it `test = \"exec:/path argument\"`, under [check.NAME]",
        "weight" => "we say it where a group tracks the check: `track = { NAME = -60 }`",
        "init_fail" => "we call it `first = \"fail\"`, under [check.NAME]",
        "virtual_router_id" => "we call it `vrid`, under [group.NAME.router.NAME]",
        "virtual_ipaddress" | "vips" | "vip" | "address_list" => {
            "we call it `addresses`, under [group.NAME.router.NAME]"
        }
        "advert_int" | "advertisement_interval" | "interval" => {
            "we call it `advert`, under [vrrp] or [group.NAME.vrrp]"
        }
        "nopreempt" => "we call it `failback = \"manual\"`, under [group.NAME]",
        "preempt" | "preempt_delay" => {
            "we call it `failback`, \"auto\", \"manual\" or a delay, under [group.NAME]"
        }
        "vrrp_version" => "we call it `version`, under [vrrp] or [group.NAME.vrrp]",
        "down_timer_adverts" | "vrrp_down_timer_adverts" => {
            "we call it `down_after`, under [vrrp] or [group.NAME.vrrp]"
        }
        "lower_prio_no_advert" | "vrrp_lower_prio_no_advert" => {
            "we call it `answer_lower = false`, under [vrrp] or [group.NAME.vrrp]"
        }
        "higher_prio_send_advert" | "vrrp_higher_prio_send_advert" => {
            "we call it `advert_before_yield = true`, under [vrrp] or [group.NAME.vrrp]"
        }
        "unicast_ttl" => "we call it `hop_limit`, under [vrrp] or [group.NAME.vrrp]",
        "min_ttl" => "we call it `min_hop_limit`, under [vrrp] or [group.NAME.vrrp]",
        "mcast_dst_ip" | "vrrp_mcast_group4" | "vrrp_mcast_group6" => {
            "we call it `multicast = { ipv4 = \"…\" }`, under [vrrp] or [group.NAME.vrrp]"
        }
        "vrrp_startup_delay" | "startup_delay" => {
            "we call it `start_delay`, under [vrrp] or [group.NAME.vrrp]"
        }
        "vrrp_sync_group" => "we call it [group.NAME]",
        "vrrp_instance" => "we call it [group.NAME.router.NAME]",
        "virtual_ipaddress_excluded" => {
            "list them in `addresses` too, as { address = \"10.0.0.9/24\", advertise = false }"
        }
        "mcast_src_ip" | "unicast_src_ip" => {
            "we call it `source`, under [group.NAME.router.NAME], as a table by node"
        }
        "unicast_peer" => "we call it `unicast_peers`",
        "state" => "nobody starts as master here: the priority alone decides",
        "track_interface" => {
            "the interfaces of a group's routers always count; for another one write [check.NAME] \
             with `test = \"interface:eth0\"` and `track` in the group"
        }
        "auth_pass" | "auth_type" | "authentication" | "auth_hmac" => {
            "we call it `auth`, under [vrrp] or [group.NAME.vrrp], and the secret stands in a file"
        }
        "use_vmac" => "we call it `virtual_mac`, true or a name, under [group.NAME.router.NAME]",
        "vmac_xmit_base" => {
            "we call it `adverts_from = \"interface\"`, under [group.NAME.router.NAME]"
        }
        "track_script" | "track_process" | "track_file" => {
            "we call it `track`, under [group.NAME], with the name of a check"
        }
        "vrrp_script" | "vrrp_track_process" | "vrrp_track_file" => "we call it [check.NAME]",
        "track_bfd" => "BFD is not spoken: leave it out",
        "notify_master" | "notify_backup" | "notify_fault" | "notify_stop" => {
            "we call it `notify = { master = \"exec:/path argument\" }`, under [group.NAME]"
        }
        "notify_fifo" | "vrrp_notify_fifo" | "notify_fifo_script" => {
            "we call it `fifo` and `fifo_script`, under [notify]"
        }
        "notify_deleted" => "a group that a reload removes ends by `stop` of `notify`",
        "smtp_alert" => "no mail is sent: `notify` can run a program that does",
        "virtual_routes" => "we call it `routes`, under [group.NAME]",
        "virtual_rules" => "we call it `rules`, under [group.NAME]",
        "virtual_server" => "no counterpart here: Evergate balances no load, so leave it out",
        _ => return None,
    })
}

/// The candidate that is most like a misspelt word, if any is like it.
pub(crate) fn nearest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    if word.len() > NAME_MAX {
        return None;
    }
    let limit = (word.chars().count() / 3).clamp(1, 3);
    let scored = candidates.into_iter().map(|candidate| (distance(word, candidate), candidate));
    scored.filter(|(score, _)| *score <= limit).min().map(|(_, candidate)| candidate)
}

/// The number of letters to insert, delete, replace or swap with the next to get from a to b.
fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let mut rows = vec![vec![0_usize; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    rows[0] = (0..=b.len()).collect();
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let change = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

/// A text of the user, safe to print: control characters escaped, cut when long.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(SHOWN_MAX).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_MAX).is_some() {
        out.push('…');
    }
    out
}

/// May this be the name of a cluster, node, link, group or router?
pub(crate) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !text.is_empty() && text.len() <= NAME_MAX && text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_finds_its_word_and_a_stranger_finds_none() {
        let words = Place::Node.keys().iter().copied();
        assert_eq!(nearest("priorty", words.clone()), Some("priority"));
        assert_eq!(nearest("foriegn", words.clone()), Some("foreign"));
        assert_eq!(nearest("weather", words), None);
    }

    #[test]
    fn control_characters_are_never_shown_as_they_are() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert!(shown(&"x".repeat(1000)).chars().count() <= SHOWN_MAX + 1);
    }
}
