//! A reload gives groups and interfaces new numbers. What is kept under a number goes on under the
//! new one; names say which that is.

use std::collections::{BTreeMap, BTreeSet};

use evergate_core::ident::{GroupId, InterfaceId, NodeId};

/// Where the entries of a list have gone.
pub struct Moves(Vec<Option<usize>>);

impl Moves {
    /// Compares the names of two lists.
    pub fn of<'a>(
        old: impl Iterator<Item = &'a String>,
        new: impl Iterator<Item = &'a String>,
    ) -> Moves {
        let places: BTreeMap<&String, usize> =
            new.enumerate().map(|(at, name)| (name, at)).collect();
        Moves(old.map(|name| places.get(name).copied()).collect())
    }

    /// The new number of a group; `None` if it is gone.
    pub fn group(&self, id: GroupId) -> Option<GroupId> {
        self.place(id.index()).map(GroupId::at)
    }

    /// The new number of a node; `None` if it is gone.
    pub fn node(&self, id: NodeId) -> Option<NodeId> {
        self.place(id.index()).map(NodeId::at)
    }

    /// The new number of an interface; `None` if it is gone.
    pub fn interface(&self, id: InterfaceId) -> Option<InterfaceId> {
        self.place(id.index()).map(InterfaceId::at)
    }

    fn place(&self, position: usize) -> Option<usize> {
        self.0.get(position).copied().flatten()
    }
}

/// A map under new keys; what has none is dropped.
pub fn rekey<K: Ord, V>(map: &mut BTreeMap<K, V>, place: impl Fn(K) -> Option<K>) {
    let former = std::mem::take(map).into_iter();
    *map = former.filter_map(|(key, value)| Some((place(key)?, value))).collect();
}

/// A set under new keys; what has none is dropped.
pub fn renumber<K: Ord>(set: &mut BTreeSet<K>, place: impl Fn(K) -> Option<K>) {
    *set = std::mem::take(set).into_iter().filter_map(place).collect();
}
