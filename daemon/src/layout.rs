//! From the file to the machine: the configuration as one node lives it.
//!
//! The core knows indices and what it needs to decide; everything else that the file says about
//! interfaces, sources and announcements stays here, under the same indices.

use std::net::IpAddr;
use std::sync::Arc;

use evergate_api::config::model as file;
use evergate_core::config as core;
use evergate_core::ident::{Family, InterfaceId, Mac, NodeId, PathId, Priority, Vrid};
use evergate_core::wire::frame::virtual_mac;
use evergate_core::wire::names::{Names, hash};

use crate::kernel::virtual_links::VirtualLink;

/// One node's view of a configuration.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The file as it was read.
    pub file: Arc<file::Config>,
    /// What the core decides by.
    pub core: core::Config,
    /// Names to hashes and back.
    pub names: Names,
    /// The hash of the cluster's name.
    pub cluster: u32,
    /// What each path needs beside the core's knowledge, by [`PathId`].
    pub paths: Vec<PathLayout>,
    /// The same for each group and router.
    pub groups: Vec<GroupLayout>,
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
}

/// What a router needs on the wire.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouterLayout {
    /// The name in the file, without group and family.
    pub name: String,
    /// Where adverts come from, if the file says.
    pub source: Option<IpAddr>,
    /// How the addresses are announced.
    pub announce: file::Announce,
    /// The link with the virtual MAC address that has the addresses, if they have one.
    pub link: Option<Arc<VirtualLink>>,
    /// Whether multicast adverts come from that address too.
    pub adverts_from_link: bool,
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
    pub fn new(file: Arc<file::Config>, me: &str) -> Result<Layout, Mismatch> {
        let names: Vec<&String> = file.nodes.keys().collect();
        let Some(position) = names.iter().position(|name| *name == me) else {
            let known = names.into_iter().cloned().collect();
            return Err(Mismatch::UnknownNode(me.into(), known));
        };
        if file.nodes[me].foreign {
            return Err(Mismatch::Foreign(me.into()));
        }
        let mut build = Build { file: &file, me, interfaces: Vec::new() };
        let (paths, path_layouts) = build.paths();
        let groups: Vec<_> = file.groups.iter().map(|(n, g)| build.group(n, g, &paths)).collect();
        let (groups, group_layouts) = groups.into_iter().unzip();
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
            digest: file.digest.0,
        };
        let names = Names::of(&config).map_err(|c| Mismatch::Collision(c.one, c.other))?;
        let cluster = hash(&file.cluster.name);
        Ok(Layout {
            core: config,
            names,
            cluster,
            paths: path_layouts,
            groups: group_layouts,
            file,
        })
    }

    /// The name of this node.
    pub fn me(&self) -> &str {
        self.core.name(self.core.me)
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

struct Build<'a> {
    file: &'a file::Config,
    me: &'a str,
    interfaces: Vec<String>,
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

    fn group(
        &mut self,
        name: &str,
        group: &file::Group,
        paths: &[core::PathConfig],
    ) -> (core::GroupConfig, GroupLayout) {
        let mut routers = Vec::new();
        let mut layouts = Vec::new();
        let member = group.priorities.contains_key(self.me);
        for (router_name, router) in group.routers.iter().filter(|_| member) {
            let Some(interface) = router.interface.get(self.me) else { continue };
            let interface = self.interface(interface);
            let on_it = |path: &core::PathConfig| {
                path.kind == core::PathKind::Router && path.interface == interface
            };
            let path = paths.iter().position(on_it).map(PathId::at);
            for family in [Family::V4, Family::V6] {
                let wanted = |address: &&file::Address| Family::of(address.ip) == family;
                let addresses: Vec<_> =
                    router.addresses.iter().filter(wanted).map(|a| (a.ip, a.prefix)).collect();
                if addresses.is_empty() && (family == Family::V6 || !router.addresses.is_empty()) {
                    continue;
                }
                let (version, word) = match (family, group.vrrp.version) {
                    (Family::V4, file::VrrpVersion::V2) => (core::Version::V2, "ipv4"),
                    (Family::V4, file::VrrpVersion::V3) => (core::Version::V3, "ipv4"),
                    (Family::V6, _) => (core::Version::V3, "ipv6"),
                };
                let of_family = |address: &&IpAddr| Family::of(**address) == family;
                let source = router.source.as_ref().and_then(|source| source.get(self.me));
                routers.push(core::RouterConfig {
                    id: format!("{name}/{router_name}/{word}"),
                    interface,
                    path,
                    family,
                    vrid: router.vrid.and_then(Vrid::new),
                    version,
                    addresses,
                    unicast_peers: router.unicast_peers.iter().filter(of_family).copied().collect(),
                });
                let link = self.link(router, family);
                let adverts_from_link =
                    link.is_some() && router.adverts_from == file::AdvertsFrom::VirtualMac;
                layouts.push(RouterLayout {
                    name: router_name.clone(),
                    link,
                    adverts_from_link,
                    source: source.copied().filter(|address| Family::of(*address) == family),
                    announce: router.announce,
                });
            }
        }
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
            routers,
        };
        (core, GroupLayout { checksum: group.vrrp.checksum, routers: layouts })
    }
}

impl Build<'_> {
    /// The link that has the addresses of a router of one family, if they have a virtual MAC address.
    fn link(&self, router: &file::Router, family: Family) -> Option<Arc<VirtualLink>> {
        let is_ipv6 = family == Family::V6;
        let name = router.virtual_interface(is_ipv6)?;
        let parent = router.interface.get(self.me)?.clone();
        let Mac(mac) = virtual_mac(family, router.vrid.and_then(Vrid::new)?);
        Some(Arc::new(VirtualLink { name, parent, mac, is_ipv6 }))
    }
}

#[cfg(test)]
mod tests {
    use evergate_api::config::{Sources, parse};

    use super::*;

    fn layout(text: &str) -> Layout {
        let config = parse(Sources::from_text("edge.toml", text)).config.expect("a good file");
        Layout::new(Arc::new(config), "gw1").expect("names gw1")
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
        assert_eq!(layout.core.groups[0].routers[0].path, Some(PathId(0)));
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
