//! A new configuration while the machine lives: nodes get other numbers, come or go.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Replicator;
use super::index::{Entry, Stream};
use super::stream_of;
use crate::ident::NodeId;
use crate::time::Instant;
use crate::wire::names::Names;

/// What a new configuration says.
#[derive(Clone, PartialEq, Debug)]
pub struct Reconfigured {
    /// The new number of this node.
    pub me: NodeId,
    /// The new names of nodes.
    pub names: Names,
    /// The new number of each node that has one, this one too, by its former number.
    pub moved: BTreeMap<NodeId, NodeId>,
    /// See [`super::Settings::coalesce`].
    pub coalesce: Duration,
    /// See [`super::Settings::protect_after`].
    pub protect_after: Duration,
}

impl Replicator {
    /// What was known goes on under the new numbers. Copies of a node that is gone are forgotten: their
    /// lease ends them. The table is read, because other flows may be admitted now.
    pub(super) fn reconfigure(&mut self, now: Instant, new: Reconfigured) {
        let Reconfigured { me, names, moved, coalesce, protect_after } = new;
        let streams: BTreeMap<Stream, Stream> =
            moved.iter().map(|(from, to)| (stream_of(*from), stream_of(*to))).collect();
        self.index.walk(|_, entry| {
            let stream = *streams.get(&entry.stream)?;
            Some(Entry { stream, ..entry })
        });
        let place = |node: NodeId| moved.get(&node).copied();
        rekey(&mut self.readers, place);
        rekey(&mut self.incoming, place);
        self.outbox.renumber(place);
        self.pass.renumber(|stream| streams.get(&stream).copied());
        self.ended.renumber(|stream| streams.get(&stream).copied());
        self.successor = self.successor.and_then(|(node, at)| Some((place(node)?, at)));
        self.sights.retain_mut(|sight| match place(sight.node) {
            Some(node) => {
                sight.node = node;
                true
            }
            None => false,
        });
        let settings = &mut self.settings;
        (settings.me, settings.names) = (me, names);
        (settings.coalesce, settings.protect_after) = (coalesce, protect_after);
        self.pass.want_soon(now);
    }
}

/// A map under new keys; what has none is dropped.
pub(super) fn rekey<K: Ord, V>(map: &mut BTreeMap<K, V>, place: impl Fn(K) -> Option<K>) {
    let former = std::mem::take(map).into_iter();
    *map = former.filter_map(|(key, value)| Some((place(key)?, value))).collect();
}
