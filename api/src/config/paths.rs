//! The paths between nodes that a configuration describes.

use super::model::{Config, PATHS_MAX, PerNode};

/// One way on which two nodes of ours can hear each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path<'c> {
    /// The name that every node gives to it: `link:NAME` or `router:GROUP/ROUTER`.
    pub name: String,
    /// A `[link.NAME]`, or the interface of a router.
    pub is_link: bool,
    /// The interface it runs on.
    pub interface: &'c PerNode<String>,
}

impl Config {
    /// The paths that carry heartbeats: links first, then the interfaces of routers, each once.
    /// Every node that has the same file counts the same paths in the same order.
    pub fn paths(&self) -> Vec<Path<'_>> {
        let mut paths = self.all_paths();
        paths.truncate(PATHS_MAX);
        paths
    }

    pub(crate) fn all_paths(&self) -> Vec<Path<'_>> {
        let mut paths: Vec<Path<'_>> = Vec::new();
        for (name, link) in &self.links {
            let name = format!("link:{name}");
            paths.push(Path { name, is_link: true, interface: &link.interface });
        }
        for (group_name, group) in &self.groups {
            for (name, router) in group.routers.iter().filter(|(_, router)| router.heartbeat) {
                let interface = &router.interface;
                if !paths.iter().any(|path| self.same_everywhere(path.interface, interface)) {
                    let name = format!("router:{group_name}/{name}");
                    paths.push(Path { name, is_link: false, interface });
                }
            }
        }
        paths
    }

    fn same_everywhere(&self, a: &PerNode<String>, b: &PerNode<String>) -> bool {
        let mut own = self.nodes.iter().filter(|(_, node)| !node.foreign);
        own.all(|(name, _)| a.get(name) == b.get(name))
    }
}
