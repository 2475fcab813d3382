//! Names on the wire: nodes, groups and paths travel as 32-bit hashes of their names, because the
//! order of a configuration may differ between nodes while a reload is under way.

use crate::config::Config;
use crate::ident::{GroupId, NodeId, PathId};

/// The 32-bit FNV-1a hash of a name.
pub const fn hash(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5_u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

/// Two names of one kind that cannot be told apart on the wire: an error of the configuration. One
/// of them has to be changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Collision {
    /// One of the names.
    pub one: String,
    /// The other.
    pub other: String,
}

/// Indices of a configuration to hashes and back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Names {
    nodes: Table,
    groups: Table,
    paths: Table,
}

impl Names {
    /// The names of a configuration.
    pub fn of(config: &Config) -> Result<Names, Collision> {
        Names::new(
            config.nodes.iter().map(|node| node.name.as_str()),
            config.groups.iter().map(|group| group.name.as_str()),
            config.paths.iter().map(|path| path.name.as_str()),
        )
    }

    /// The names in the order of their indices.
    pub fn new<'a>(
        nodes: impl Iterator<Item = &'a str>,
        groups: impl Iterator<Item = &'a str>,
        paths: impl Iterator<Item = &'a str>,
    ) -> Result<Names, Collision> {
        Ok(Names {
            nodes: Table::new(nodes)?,
            groups: Table::new(groups)?,
            paths: Table::new(paths)?,
        })
    }

    /// The hash of a node's name.
    pub fn node_hash(&self, node: NodeId) -> Option<u32> {
        self.nodes.hash(node.index())
    }
    /// The node with that hash.
    pub fn node(&self, hash: u32) -> Option<NodeId> {
        self.nodes.position(hash).map(NodeId::at)
    }
    /// The hash of a group's name.
    pub fn group_hash(&self, group: GroupId) -> Option<u32> {
        self.groups.hash(group.index())
    }
    /// The group with that hash.
    pub fn group(&self, hash: u32) -> Option<GroupId> {
        self.groups.position(hash).map(GroupId::at)
    }
    /// The hash of a path's name.
    pub fn path_hash(&self, path: PathId) -> Option<u32> {
        self.paths.hash(path.index())
    }
    /// The path with that hash.
    pub fn path(&self, hash: u32) -> Option<PathId> {
        self.paths.position(hash).map(PathId::at)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Table {
    by_position: Vec<u32>,
    // Sorted by hash, for the search.
    by_hash: Vec<(u32, usize)>,
}

impl Table {
    fn new<'a>(names: impl Iterator<Item = &'a str>) -> Result<Table, Collision> {
        let names: Vec<&str> = names.collect();
        let by_position: Vec<u32> = names.iter().map(|name| hash(name)).collect();
        let positions = by_position.iter().enumerate();
        let mut by_hash: Vec<(u32, usize)> = positions.map(|(at, hash)| (*hash, at)).collect();
        by_hash.sort_unstable();
        for pair in by_hash.windows(2) {
            if pair[0].0 == pair[1].0 {
                let [one, other] = [pair[0].1, pair[1].1].map(|at| names[at].to_string());
                return Err(Collision { one, other });
            }
        }
        Ok(Table { by_position, by_hash })
    }

    fn hash(&self, position: usize) -> Option<u32> {
        self.by_position.get(position).copied()
    }

    fn position(&self, hash: u32) -> Option<usize> {
        let at = self.by_hash.binary_search_by_key(&hash, |(hash, _)| *hash).ok()?;
        Some(self.by_hash[at].1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::fixtures::vectors;

    #[test]
    fn hashes_are_those_of_fnv_1a() {
        assert_eq!(hash(""), 0x811c_9dc5);
        assert_eq!(hash("a"), 0xe40c_292c);
        assert_eq!(hash("foobar"), 0xbf9c_f968);
        for vector in vectors("names.txt") {
            let [name, digits] = vector.as_slice() else { panic!("two fields: {vector:?}") };
            assert_eq!(format!("{:08x}", hash(name)), *digits, "{name}");
        }
    }

    #[test]
    fn every_index_comes_back_and_unknown_ones_are_none() {
        let names = ["gw1", "gw2", "gw3"].into_iter();
        let names = Names::new(names, ["g"].into_iter(), [].into_iter()).unwrap();
        for node in (0..3).map(NodeId) {
            assert_eq!(names.node(names.node_hash(node).unwrap()), Some(node));
        }
        assert_eq!(names.group(hash("g")), Some(GroupId(0)));
        assert_eq!(names.group(hash("h")), None);
        assert_eq!(names.node_hash(NodeId(3)), None);
        assert_eq!(names.path(0), None);
    }

    #[test]
    fn names_that_collide_are_named() {
        // A known pair of FNV-1a.
        assert_eq!(hash("costarring"), hash("liquid"));
        let nodes = ["costarring", "gw1", "liquid"].into_iter();
        let collision = Names::new(nodes, [].into_iter(), [].into_iter()).unwrap_err();
        assert_eq!((&*collision.one, &*collision.other), ("costarring", "liquid"));
    }
}
