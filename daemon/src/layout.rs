//! From the file to the machine: the configuration as one node lives it.
//!
//! The core knows indices and what it needs to decide; everything else that the file says about
//! interfaces, sources and announcements stays here, under the same indices.

mod procedures;
mod routers;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::announce::Schedule;
use evergate_core::check::{CheckConfig, Source, Tracked};
use evergate_core::config as core;
use evergate_core::ident::{CheckId, GroupId, InterfaceId, NodeId, Priority};
use evergate_core::procedure::Plan;
use evergate_core::wire::names::{Names, hash};
use routers::Named;

use crate::kernel::addresses::Attributes;

use crate::checks::Order;

use crate::kernel::virtual_links::VirtualLink;
use crate::kernel_thread::WantedWay;
use crate::procedures::FifoPlan;
pub use ways::RouteLayout;

/// One node's view of a configuration.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The name of the cluster.
    pub cluster_name: String,
    /// The UDP port of our own protocol.
    pub port: u16,
    /// Which connections are replicated, if any are.
    pub replicate: Option<file::Replicate>,
    /// The FIFO, if there is one.
    pub fifo: Option<FifoPlan>,
    /// What the runner has to look at.
    pub orders: Vec<Order>,
    /// What the core decides by.
    pub core: core::Config,
    /// Names to hashes and back.
    pub names: Names,
    /// The hash of the cluster's name.
    pub cluster: u32,
    /// What each path needs beside the core's knowledge, by [`evergate_core::ident::PathId`].
    pub paths: Vec<PathLayout>,
    /// The same for each group and router.
    pub groups: Vec<GroupLayout>,
    /// What each group that runs here runs itself when its role changes, by the group's name.
    pub plans: BTreeMap<String, Arc<Plan>>,
}

/// A path's own addresses and those of the peers, where the file names them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PathLayout {
    /// Our address on it.
    pub source: Option<IpAddr>,
    /// Where heartbeats go instead of to the multicast group.
    pub peers: Vec<IpAddr>,
}

/// What a group needs on the wire.
#[derive(Clone, Debug)]
pub struct GroupLayout {
    /// The checksum of version 3 over IPv4.
    pub checksum: file::Checksum,
    /// By router.
    pub routers: Vec<RouterLayout>,
    /// Routes that come with the addresses.
    pub routes: Vec<RouteLayout>,
    /// Rules that come with the addresses.
    pub rules: Vec<WantedWay>,
}

/// What a router needs on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterLayout {
    /// The name in the file, without group and family.
    pub name: String,
    /// Where adverts come from, if the file says.
    pub source: Option<IpAddr>,
    /// How the addresses are announced, if they are.
    pub announce: Option<Schedule>,
    /// How each address is installed, in the order of the core's list.
    pub addresses: Vec<AddressLayout>,
    /// What its adverts list, in the order of the file: also addresses on other interfaces.
    pub advertised: Vec<IpAddr>,
    /// The link with the virtual MAC address that has the addresses, if they have one.
    pub link: Option<Arc<VirtualLink>>,
    /// Whether multicast adverts come from that address too.
    pub adverts_from_link: bool,
    /// Whether the node takes packets to the addresses for itself while it holds them.
    pub accept: bool,
    /// The group of multicast adverts.
    pub multicast: IpAddr,
    /// The hop limit of adverts to single routers.
    pub hop_limit: u8,
    /// The least hop limit that adverts may arrive with.
    pub hop_limit_min: u8,
}

/// How an address is installed and looked after.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddressLayout {
    /// What the kernel is told.
    pub attributes: Attributes,
    /// It is put back when somebody removes it.
    pub keep: bool,
}

/// Why a file that is right by itself does not work on this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mismatch {
    /// The file names no such node.
    UnknownNode(String, Vec<String>),
    /// The file says that this node is of another make.
    Foreign(String),
    /// Two names cannot be told apart on the wire.
    Collision(String, String),
}

impl std::fmt::Display for Mismatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Mismatch::UnknownNode(name, known) => write!(
                f,
                "the configuration has no [node.{name}]; it names {}: start with --node NAME",
                known.join(", ")
            ),
            Mismatch::Foreign(name) => {
                write!(f, "[node.{name}] is marked foreign, so this program cannot be it")
            }
            Mismatch::Collision(one, other) => {
                write!(f, "{one} and {other} cannot be told apart on the wire; rename one of them")
            }
        }
    }
}

impl std::error::Error for Mismatch {}

impl Layout {
    /// The configuration as the node called `me` lives it.
    pub fn new(file: &file::Config, me: &str) -> Result<Layout, Mismatch> {
        let names: Vec<&String> = file.nodes.keys().collect();
        let Some(position) = names.iter().position(|name| *name == me) else {
            let known = names.into_iter().cloned().collect();
            return Err(Mismatch::UnknownNode(me.into(), known));
        };
        if file.nodes[me].foreign {
            return Err(Mismatch::Foreign(me.into()));
        }
        let tracked = tracked(file, me);
        let mut build = Build { file, me, interfaces: Vec::new(), tracked };
        let (paths, path_layouts) = build.paths();
        let groups: Vec<_> = file.groups.iter().map(|(n, g)| build.group(n, g, &paths)).collect();
        let (groups, group_layouts) = groups.into_iter().unzip();
        let checks = build.checks();
        let node = |(name, node): (&String, &file::Node)| core::NodeConfig {
            name: name.clone(),
            foreign: node.foreign,
        };
        let config = core::Config {
            me: NodeId::at(position),
            nodes: file.nodes.iter().map(node).collect(),
            heartbeat: file.cluster.heartbeat,
            interfaces: build.interfaces,
            paths,
            groups,
            checks,
            digest: file.digest.0,
        };
        let names = Names::of(&config).map_err(|c| Mismatch::Collision(c.one, c.other))?;
        let cluster = hash(&file.cluster.name);
        Ok(Layout {
            cluster_name: file.cluster.name.clone(),
            port: file.cluster.port,
            replicate: file.replicate.clone(),
            fifo: procedures::fifo(file),
            orders: orders(file, &config.checks),
            plans: procedures::plans(file, me),
            core: config,
            names,
            cluster,
            paths: path_layouts,
            groups: group_layouts,
        })
    }

    /// The name of this node.
    pub fn me(&self) -> &str {
        self.core.name(self.core.me)
    }

    /// Whether an address of a group is not put back when somebody removes it.
    pub fn is_left_alone(&self, group: usize, interface: InterfaceId, address: IpAddr) -> bool {
        let routers = self.core.groups[group].routers.iter().zip(&self.groups[group].routers);
        let here = routers.filter(|(router, _)| router.interface == interface);
        here.flat_map(|(router, layout)| router.addresses.iter().zip(&layout.addresses))
            .any(|((known, _), layout)| *known == address && !layout.keep)
    }

    /// All links with virtual MAC addresses.
    pub fn links(&self) -> impl Iterator<Item = &Arc<VirtualLink>> {
        self.groups.iter().flat_map(|group| &group.routers).filter_map(|r| r.link.as_ref())
    }

    /// The name of an interface.
    pub fn interface(&self, id: InterfaceId) -> &str {
        &self.core.interfaces[id.index()]
    }
}

/// What the runner has to look at for these checks.
fn orders(file: &file::Config, checks: &[CheckConfig]) -> Vec<Order> {
    let order = |check: &CheckConfig| Order::of(&check.name, file.checks.get(&check.name)?);
    checks.iter().filter_map(order).collect()
}

struct Build<'a> {
    file: &'a file::Config,
    me: &'a str,
    interfaces: Vec<String>,
    /// The checks that count on this node, in the order of their names.
    tracked: Vec<&'a String>,
}

/// The checks that groups track that run on a node.
fn tracked<'f>(file: &'f file::Config, me: &str) -> Vec<&'f String> {
    let here = file.groups.values().filter(|group| group.priorities.contains_key(me));
    let tracked: BTreeSet<&String> = here.flat_map(|group| group.track.keys()).collect();
    tracked.into_iter().filter(|name| file.checks.contains_key(*name)).collect()
}

impl Build<'_> {
    fn interface(&mut self, name: &str) -> InterfaceId {
        let known = self.interfaces.iter().position(|known| known == name);
        InterfaceId::at(known.unwrap_or_else(|| {
            self.interfaces.push(name.into());
            self.interfaces.len() - 1
        }))
    }

    /// The paths in the file's order, so that links come first and keep the full rate.
    fn paths(&mut self) -> (Vec<core::PathConfig>, Vec<PathLayout>) {
        let mut paths = Vec::new();
        let mut layouts = Vec::new();
        for path in self.file.paths() {
            let Some(interface) = path.interface.get(self.me) else { continue };
            let kind = if self.has_router(interface) {
                core::PathKind::Router
            } else {
                core::PathKind::Link
            };
            let interface = self.interface(interface);
            let full_rate = paths.len() < core::FULL_RATE_PATHS_MAX;
            layouts.push(self.path_layout(&path.name));
            paths.push(core::PathConfig { name: path.name, kind, interface, full_rate });
        }
        (paths, layouts)
    }

    /// Whether a router of a group that runs here is on the interface, so that others than the nodes
    /// use it too. A link may run there as well.
    fn has_router(&self, interface: &str) -> bool {
        let here = |group: &&file::Group| group.priorities.contains_key(self.me);
        let mut routers = self.file.groups.values().filter(here).flat_map(|g| g.routers.values());
        routers.any(|router| router.interface.get(self.me).is_some_and(|name| name == interface))
    }

    fn path_layout(&self, name: &str) -> PathLayout {
        let link = name.strip_prefix("link:").and_then(|name| self.file.links.get(name));
        let Some(addresses) = link.and_then(|link| link.address.as_ref()) else {
            return PathLayout::default();
        };
        let source = addresses.get(self.me).copied();
        let others = addresses.iter().filter(|(node, _)| *node != self.me);
        PathLayout { source, peers: others.map(|(_, address)| *address).collect() }
    }

    fn checks(&mut self) -> Vec<CheckConfig> {
        let tracked = self.tracked.clone();
        tracked.into_iter().map(|name| self.check(name, &self.file.checks[name])).collect()
    }

    fn check(&mut self, name: &str, check: &file::Check) -> CheckConfig {
        let group = |name: &String| {
            let position = self.file.groups.keys().position(|known| known == name);
            GroupId::at(position.expect("a check of a group that is not there was refused"))
        };
        let source = match &check.test {
            file::Test::Group { name, is: file::GroupIs::Active } => Source::Active(group(name)),
            file::Test::Group { name, is: file::GroupIs::Fit } => Source::Fit(group(name)),
            file::Test::Carrier(interface) => Source::Carrier(self.interface(interface)),
            file::Test::Interface(interface) => Source::Running(self.interface(interface)),
            _ => Source::Told,
        };
        CheckConfig {
            name: name.to_owned(),
            test: check.test.to_string(),
            source,
            rise: check.rise,
            fall: check.fall,
            fails_first: check.fails_first,
            invert: check.invert,
        }
    }

    /// What a group tracks, by the numbers of the checks.
    fn track(&self, group: &file::Group) -> Vec<Tracked> {
        let tracked = self.tracked.iter().enumerate().filter_map(|(position, name)| {
            let weight = match group.track.get(*name)? {
                file::Track::Fault => None,
                file::Track::Weight(weight) => Some(*weight),
            };
            Some(Tracked { check: CheckId::at(position), weight })
        });
        tracked.collect()
    }

    fn group(
        &mut self,
        name: &str,
        group: &file::Group,
        paths: &[core::PathConfig],
    ) -> (core::GroupConfig, GroupLayout) {
        let mut routers = Vec::new();
        let mut layouts = Vec::new();
        let owns = group.owner.as_deref() == Some(self.me);
        let member = group.priorities.contains_key(self.me);
        for (router_name, router) in group.routers.iter().filter(|_| member) {
            let vrrp = &group.vrrp;
            let views =
                self.router(Named { group: name, name: router_name, vrrp, owns, router }, paths);
            for (config, layout) in views {
                routers.push(config);
                layouts.push(layout);
            }
        }
        // A vector has room for four at once, and most groups have one.
        routers.shrink_to_fit();
        layouts.shrink_to_fit();
        let priority = |node: &String| group.priorities.get(node).copied().and_then(Priority::new);
        let core = core::GroupConfig {
            name: name.into(),
            priorities: self.file.nodes.keys().map(priority).collect(),
            failback: match group.failback {
                file::Failback::Auto => core::Failback::After(std::time::Duration::ZERO),
                file::Failback::Manual => core::Failback::Manual,
                file::Failback::After(delay) => core::Failback::After(delay),
            },
            advert: group.vrrp.advert,
            conduct: core::Conduct {
                down_after: group.vrrp.down_after.into(),
                answer_lower: group.vrrp.answer_lower,
                advert_before_yield: group.vrrp.advert_before_yield,
                start_delay: group.vrrp.start_delay,
            },
            track: if member { self.track(group) } else { Vec::new() },
            routers,
        };
        let routes =
            group.routes.iter().filter(|_| member).map(|route| self.route(route)).collect();
        let rules = group.rules.iter().filter(|_| member).map(ways::rule).collect();
        (core, GroupLayout { checksum: group.vrrp.checksum, routers: layouts, routes, rules })
    }
}

#[cfg(test)]
mod tests {
    use evergate_api::config::{Sources, parse};

    use super::*;

    fn layout(text: &str) -> Layout {
        let config = parse(Sources::from_text("edge.toml", text)).config.expect("a good file");
        Layout::new(&config, "gw1").expect("names gw1")
    }

    #[test]
    fn a_link_on_the_interface_of_a_router_keeps_the_test_of_its_segment() {
        let layout = layout(
            r#"
            [cluster]
            name = "edge"
            key_file = "cluster.key"
            [node.gw1]
            [node.gw2]
            [link.lan]
            interface = "lan"
            [link.sync]
            interface = "sync"
            [group.g]
            priority = { gw1 = 200, gw2 = 100 }
            [group.g.router.lan]
            interface = "lan"
            vrid = 51
            addresses = ["10.91.0.1/24"]
            "#,
        );
        let kinds: Vec<_> = layout.core.paths.iter().map(|p| (p.name.as_str(), p.kind)).collect();
        let expected = [("link:lan", core::PathKind::Router), ("link:sync", core::PathKind::Link)];
        assert_eq!(kinds, expected);
        assert_eq!(layout.core.groups[0].routers[0].path, Some(evergate_core::ident::PathId(0)));
    }

    #[test]
    fn the_owner_accepts_whatever_the_file_says_and_others_do_as_it_says() {
        let file = |group: &str, router: &str| {
            layout(&format!(
                "[cluster]\nname = \"edge\"\n[node.gw1]\n[node.old]\nforeign = true\n\
                 [group.g]\n{group}\n[group.g.router.lan]\ninterface = \"lan\"\nvrid = 51\n{router}\n\
                 addresses = [\"10.91.0.1/24\", {{ address = \"10.92.0.1/24\", interface = \"wan\" }}]"
            ))
        };
        for (group, router, accepts, priority) in [
            ("", "", true, 100),
            ("accept = false", "", false, 100),
            ("accept = false", "accept = true", true, 100),
            ("", "accept = false", false, 100),
            ("owner = \"gw1\"", "accept = false", true, 255),
            ("owner = \"old\"", "accept = false", false, 100),
        ] {
            let layout = file(group, router);
            let all: Vec<bool> = layout.groups[0].routers.iter().map(|it| it.accept).collect();
            assert_eq!(all, [accepts; 2], "{group} {router}");
            assert_eq!(layout.core.groups[0].priorities[0].map(Priority::get), Some(priority));
        }
    }

    #[test]
    fn addresses_on_another_interface_are_a_router_beside_that_is_advertised_by_the_first() {
        let layout = layout(
            r#"
            [cluster]
            name = "edge"
            [node.gw1]
            [group.g.router.lan]
            interface = "lan"
            vrid = 51
            addresses = [
              "10.91.0.1/24",
              { address = "10.92.0.1/24", interface = { gw1 = "wan" }, label = "wan:vip" },
              { address = "10.91.0.2/24", advertise = false, keep = false },
              { address = "10.93.0.1/24", interface = "lan" },
            ]
            "#,
        );
        let [lan, wan] = &layout.core.groups[0].routers[..] else { panic!("{layout:?}") };
        assert_eq!((lan.id.as_str(), lan.vrid.is_some()), ("g/lan/ipv4", true));
        assert_eq!((wan.id.as_str(), wan.vrid.is_some()), ("g/lan/ipv4/wan", false));
        assert_eq!(layout.interface(wan.interface), "wan");
        assert_eq!((lan.addresses.len(), wan.addresses.len()), (3, 1));
        let [main, beside] = &layout.groups[0].routers[..] else { panic!("two views of each") };
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let expected = ["10.91.0.1", "10.92.0.1", "10.93.0.1"].map(ip);
        assert_eq!(main.advertised, expected);
        assert!(beside.advertised.is_empty());
        assert_eq!(beside.addresses[0].attributes.label.as_deref(), Some("wan:vip"));
        let left_alone = |text: &str| layout.is_left_alone(0, lan.interface, ip(text));
        assert!(left_alone("10.91.0.2") && !left_alone("10.91.0.1"));
    }

    #[test]
    fn each_family_of_a_router_has_a_link_with_its_own_virtual_mac_address() {
        let layout = layout(
            r#"
            [cluster]
            name = "edge"
            [node.gw1]
            [group.g]
            virtual_mac = true
            [group.g.router.lan]
            interface = "lan"
            vrid = 51
            addresses = ["10.91.0.1/24", "fe80::1/64"]
            [group.g.router.named]
            interface = "lan"
            vrid = 52
            addresses = ["10.91.0.2/24"]
            virtual_mac = "vv.52"
            [group.g.router.wan]
            interface = "wan"
            vrid = 53
            addresses = ["10.92.0.1/24"]
            virtual_mac = false
            "#,
        );
        let links: Vec<_> =
            layout.links().map(|l| (l.name.as_str(), l.mac[4..].to_vec())).collect();
        let expected =
            [("vrrp.51", vec![1, 51]), ("vrrp6.51", vec![2, 51]), ("vv.52", vec![1, 52])];
        assert_eq!(links, expected);
        assert!(layout.links().all(|link| link.parent == "lan"));
    }
}
