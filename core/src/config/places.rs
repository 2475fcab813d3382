//! Where the things of one configuration stand in another.

use super::Config;
use crate::ident::{CheckId, GroupId, NodeId, PathId};

/// The numbers of one configuration in another; nodes, paths, groups and checks are matched by name.
#[derive(Clone, Debug)]
pub(crate) struct Places {
    nodes: Vec<Option<usize>>,
    paths: Vec<Option<usize>>,
    groups: Vec<Option<usize>>,
    checks: Vec<Option<usize>>,
}

impl Places {
    /// Where everything of `old` is in `new`.
    pub fn new(old: &Config, new: &Config) -> Places {
        Places {
            nodes: places(&old.nodes, &new.nodes, |node| &node.name),
            paths: places(&old.paths, &new.paths, |path| &path.name),
            groups: places(&old.groups, &new.groups, |group| &group.name),
            checks: places(&old.checks, &new.checks, |check| &check.name),
        }
    }

    /// Where a node is now.
    pub fn node(&self, node: NodeId) -> Option<NodeId> {
        self.nodes.get(node.index()).copied().flatten().map(NodeId::at)
    }

    /// Where a path is now.
    pub fn path(&self, path: PathId) -> Option<PathId> {
        self.paths.get(path.index()).copied().flatten().map(PathId::at)
    }

    /// Where a group is now.
    pub fn group(&self, group: GroupId) -> Option<GroupId> {
        self.groups.get(group.index()).copied().flatten().map(GroupId::at)
    }

    /// Where a check is now.
    pub fn check(&self, check: CheckId) -> Option<CheckId> {
        self.checks.get(check.index()).copied().flatten().map(CheckId::at)
    }
}

fn places<T>(old: &[T], new: &[T], name: impl Fn(&T) -> &String) -> Vec<Option<usize>> {
    let place = |former: &T| new.iter().position(|thing| name(thing) == name(former));
    old.iter().map(place).collect()
}
