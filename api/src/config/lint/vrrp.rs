//! What VRRP can carry, and identifiers that must not meet.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Found, Lint};
use crate::config::duration::shown;
use crate::config::model::{Auth, Failback, Group, MULTICAST_MAX, VrrpVersion};
use crate::config::report::{Problem, Span};

/// The longest interval that version 3 carries: 12 bits of centiseconds (RFC 9568 section 5.2.7).
const V3_ADVERT_MAX: Duration = Duration::from_millis(40_950);
/// The unit of the interval in version 3.
const V3_ADVERT_UNIT: Duration = Duration::from_millis(10);
/// The longest interval that version 2 carries: 8 bits of seconds (RFC 3768 section 5.3.7).
const V2_ADVERT_MAX: Duration = Duration::from_secs(255);

impl Lint<'_> {
    pub(super) fn vrrp(&mut self) {
        self.identifiers();
        self.multicast();
        self.version_for_all();
        for (name, group) in &self.config.groups {
            self.interval(name, group);
            self.version(name, group);
            self.auth(name, group);
            self.speaks(name, group);
            self.owner(name, group);
            self.hops(name, group);
        }
    }

    /// One number, one interface, one family: one virtual router.
    fn identifiers(&mut self) {
        let own = self.own();
        let mut seen: BTreeMap<(bool, u8), Vec<Found<'_>>> = BTreeMap::new();
        for found in self.routers() {
            let Some(vrid) = found.router.vrid else { continue };
            let families =
                [found.router.ipv4().next().is_some(), found.router.ipv6().next().is_some()];
            let mut told = false;
            for is_ipv6 in [false, true].into_iter().filter(|v6| families[usize::from(*v6)]) {
                let others = seen.entry((is_ipv6, vrid)).or_default();
                let clash = others.iter().find(|other| !told && other.meets(found, &own)).copied();
                others.push(found);
                if let Some(other) = clash {
                    told = true;
                    let problem = self.same_vrid(vrid, found, other);
                    self.push(problem);
                }
            }
        }
    }

    fn same_vrid(&self, vrid: u8, found: Found<'_>, other: Found<'_>) -> Problem {
        let text = format!(
            "`{}/{}` and `{}/{}` have vrid {vrid} on the same interface",
            other.group_name, other.name, found.group_name, found.name
        );
        Problem::error("same-vrid", text)
            .at(self.place(&found.path("vrid")))
            .also(self.place(&other.path("vrid")), "the other")
            .help("give each router on an interface a vrid of its own, 1 to 255")
    }

    fn interval(&mut self, name: &str, group: &Group) {
        let advert = group.vrrp.advert;
        let routers = || group.routers.values().filter(|router| router.vrid.is_some());
        let ipv6 = routers().any(|router| router.ipv6().next().is_some());
        let v2 = group.vrrp.version == VrrpVersion::V2;
        let whole = |unit: Duration| advert.as_nanos().is_multiple_of(unit.as_nanos());
        let text = if v2 && (advert > V2_ADVERT_MAX || !whole(Duration::from_secs(1))) {
            "version 2 carries whole seconds, \"1s\" to \"255s\""
        } else if (!v2 || ipv6) && (advert > V3_ADVERT_MAX || !whole(V3_ADVERT_UNIT)) {
            "version 3 carries steps of 10 ms, \"10ms\" to \"40.95s\""
        } else {
            return;
        };
        let at = self.vrrp_place(name, "advert").unwrap_or_else(|| self.place(&["group", name]));
        // One `[vrrp]` for many groups is one mistake.
        let again = |problem: &Problem| problem.code == "bad-interval" && problem.at == Some(at);
        if self.problems.iter().any(again) {
            return;
        }
        let text = format!("`advert` of \"{}\" cannot be sent: {text}", shown(advert));
        let mut problem = Problem::error("bad-interval", text).at(at);
        if let Some(version) = self.vrrp_place(name, "version").filter(|_| v2) {
            problem = problem.also(version, "version 2 is chosen here");
        }
        self.push(problem);
    }

    fn version(&mut self, name: &str, group: &Group) {
        let written = self.tree.get(&["group", name, "vrrp", "version"]).map(|node| node.at);
        let (Some(at), VrrpVersion::V2) = (written, group.vrrp.version) else { return };
        if is_ipv6_only(group) {
            self.idle_version(at, &format!("group `{name}`"));
        }
    }

    /// The same where `[vrrp]` says it for all groups.
    fn version_for_all(&mut self) {
        let written = self.tree.get(&["vrrp", "version"]).map(|node| node.at);
        let mut groups = self.config.groups.values();
        let idle = |group: &Group| group.vrrp.version == VrrpVersion::V2 && is_ipv6_only(group);
        if let Some(at) = written.filter(|_| groups.len() > 0 && groups.all(idle)) {
            self.idle_version(at, "every router");
        }
    }

    fn idle_version(&mut self, at: Span, whose: &str) {
        let text = format!("{whose} has IPv6 only, which is always version 3");
        let help = "leave `version` out; it speaks of IPv4";
        self.push(Problem::warning("idle-version", text).at(at).help(help));
    }

    /// Passwords and headers are of version 2.
    fn auth(&mut self, name: &str, group: &Group) {
        if let Auth::None | Auth::Trailer(_) = group.vrrp.auth {
            return;
        }
        let word = group.vrrp.auth.word();
        let at = self.vrrp_place(name, "auth").unwrap_or_else(|| self.place(&["group", name]));
        let problem = if group.vrrp.version == VrrpVersion::V3 {
            let text = format!("version 3 has no authentication of type \"{word}\"");
            let help = "choose version = 2, or type = \"hmac\" where all neighbours know it";
            Problem::error("auth-version", text).help(help)
        } else if group.routers.values().any(|router| router.ipv6().next().is_some()) {
            let text = format!("\"{word}\" is of version 2; IPv6 routers of `{name}` go without");
            Problem::warning("auth-ipv4", text).help("type = \"hmac\" serves both")
        } else {
            return;
        };
        // One `[vrrp]` for many groups is one mistake of each kind.
        let again = |known: &Problem| known.code == problem.code && known.at == Some(at);
        if !self.problems.iter().any(again) {
            self.push(problem.at(at));
        }
    }

    /// The election is held by adverts: somebody has to send them.
    fn speaks(&mut self, name: &str, group: &Group) {
        let silent = group
            .routers
            .keys()
            .all(|router| self.tree.get(&["group", name, "router", router, "vrid"]).is_none());
        let start = ["group", name];
        // A misspelt `vrid` is told of already.
        let explained = self.tree.get(&start).is_some_and(|node| {
            let unknown = self.problems.iter().filter(|problem| problem.code == "unknown-key");
            unknown.filter_map(|problem| problem.at).any(|at| at >= node.at)
        });
        if silent && !explained && !group.routers.is_empty() {
            let text = format!("no router of group `{name}` has a `vrid`, so nobody hears it");
            let at = self.place(&start);
            let help = "give at least one of its routers a vrid, 1 to 255";
            self.push(Problem::error("no-vrid", text).at(at).help(help));
        }
    }

    /// A socket joins a limited number of multicast groups.
    fn multicast(&mut self) {
        let all = || self.config.groups.values().map(|group| &group.vrrp);
        let ipv4: BTreeSet<_> = all().filter_map(|vrrp| vrrp.multicast_v4).collect();
        let ipv6: BTreeSet<_> = all().filter_map(|vrrp| vrrp.multicast_v6).collect();
        let most = ipv4.len().max(ipv6.len());
        if most > MULTICAST_MAX {
            let text =
                format!("{most} multicast groups of one family; the most are {MULTICAST_MAX}");
            self.push(Problem::error("too-many", text).at(self.place(&["group"])));
        }
    }

    /// Hop limits are of adverts to single routers, and ours have to reach each other.
    fn hops(&mut self, name: &str, group: &Group) {
        let is_unicast = group.routers.values().any(|router| !router.unicast_peers.is_empty());
        for key in ["hop_limit", "min_hop_limit"] {
            if let Some(node) = self.tree.get(&["group", name, "vrrp", key]).filter(|_| !is_unicast)
            {
                let text =
                    format!("`{key}` is about adverts to `unicast_peers`, which `{name}` has not");
                let help = "leave it out; multicast adverts are sent and taken with 255 alone";
                self.push(Problem::warning("no-effect", text).at(node.at).help(help));
            }
        }
        let (sent, least) = (group.vrrp.hop_limit, group.vrrp.min_hop_limit.unwrap_or(0));
        let at = self.vrrp_place(name, "min_hop_limit");
        let Some(at) = at.filter(|_| is_unicast && sent < least) else { return };
        let again = |problem: &Problem| problem.code == "hop-limits" && problem.at == Some(at);
        if !self.problems.iter().any(again) {
            let text = format!("adverts are sent with hop limit {sent}, and refused below {least}");
            let help = "make `hop_limit` larger, or `min_hop_limit` smaller";
            self.push(Problem::warning("hop-limits", text).at(at).help(help));
        }
    }

    /// Between two nodes of which one is the owner, `failback` has nothing to say.
    fn owner(&mut self, name: &str, group: &Group) {
        let (Some(owner), Some(node)) = (&group.owner, self.tree.get(&["group", name, "failback"]))
        else {
            return;
        };
        if group.failback != Failback::Auto && group.priorities.len() <= 2 {
            let text =
                format!("`failback` changes nothing: {owner} owns the addresses of `{name}`");
            let help = "leave it out; the owner always takes the group";
            self.push(Problem::warning("no-effect", text).at(node.at).help(help));
        }
    }

    /// Where a key of VRRP is set for a group: its own table or the common one.
    fn vrrp_place(&self, group: &str, key: &str) -> Option<Span> {
        let own = self.tree.get(&["group", group, "vrrp", key]);
        own.or_else(|| self.tree.get(&["vrrp", key])).map(|node| node.at)
    }
}

/// Whether a group has routers, and addresses of IPv6 alone.
fn is_ipv6_only(group: &Group) -> bool {
    let mut routers = group.routers.values();
    routers.len() > 0
        && routers.all(|router| router.ipv4().next().is_none() && router.ipv6().next().is_some())
}
