//! What of the kernel's news concerns others at all.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use evergate_core::flow::{Flow, Tuple};

/// What the configuration says about which connections are replicated.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Policy {
    /// IP protocol numbers; all where there is none.
    pub protocols: Vec<u8>,
    /// Networks whose connections stay here: address and prefix length.
    pub ignore: Vec<(IpAddr, u8)>,
    /// Zones; all where there is none.
    pub zones: Vec<u16>,
    /// Values of the mark, each with the bits that count; all where there is none.
    pub marks: Vec<(u32, u32)>,
    /// Sequence numbers of copies are checked from the first packet on.
    pub strict: bool,
    /// How long changes of a connection are collected.
    pub coalesce: Duration,
    /// Connections younger than this are not replicated.
    pub protect_after: Duration,
}

impl Policy {
    /// Whether a connection is replicated as long as it has its mark.
    pub fn admits_mark(&self, flow: &Flow) -> bool {
        let fits = |(value, mask): &(u32, u32)| flow.mark & mask == *value;
        self.marks.is_empty() || self.marks.iter().any(fits)
    }

    /// Whether a connection is replicated, whatever its mark, which may change. `own`: addresses of this node that are not virtual.
    pub fn admits(&self, flow: &Flow, own: &BTreeSet<IpAddr>) -> bool {
        let original = &flow.key.original;
        let protocol = self.protocols.is_empty() || self.protocols.contains(&original.protocol);
        let zone = self.zones.is_empty() || self.zones.contains(&flow.key.zones.original);
        protocol && zone && !is_local(original, own) && !self.is_ignored(original)
    }

    fn is_ignored(&self, tuple: &Tuple) -> bool {
        let inside = |address: IpAddr| {
            self.ignore.iter().any(|(network, length)| contains(*network, *length, address))
        };
        inside(tuple.source) || inside(tuple.target)
    }
}

/// A connection that cannot outlive this node: of its own, or bound to a segment.
fn is_local(tuple: &Tuple, own: &BTreeSet<IpAddr>) -> bool {
    let bound = |address: IpAddr| match address {
        IpAddr::V4(v4) => {
            v4.is_loopback() || v4.is_multicast() || v4.is_broadcast() || v4.is_link_local()
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_multicast() || v6.is_unicast_link_local(),
    };
    bound(tuple.source)
        || bound(tuple.target)
        || own.contains(&tuple.source)
        || own.contains(&tuple.target)
}

fn contains(network: IpAddr, length: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(length.min(32))).unwrap_or(0);
            u32::from(network) & mask == u32::from(address) & mask
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(length.min(128))).unwrap_or(0);
            u128::from(network) & mask == u128::from(address) & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use evergate_core::flow::{FlowKey, Part, State, Zones, protocol};

    use super::*;

    fn flow(source: &str, target: &str) -> Flow {
        let part = Part::Ports { source: 1, target: 2 };
        let (source, target) = (source.parse().unwrap(), target.parse().unwrap());
        let original = Tuple { source, target, protocol: protocol::UDP, part };
        let key = FlowKey { original, zones: Zones::default() };
        let (reply, state) = (original.inverse(), State::None);
        Flow { key, reply, status: 0, timeout: 1, mark: 0, state, extra: None }
    }

    #[test]
    fn what_passes_through_is_replicated_and_what_is_ours_is_not() {
        let own = BTreeSet::from(["10.92.0.2".parse().unwrap()]);
        let policy =
            Policy { ignore: vec![("10.93.0.0".parse().unwrap(), 24)], ..Policy::default() };
        assert!(policy.admits(&flow("10.91.0.100", "10.92.0.200"), &own));
        assert!(policy.admits(&flow("10.91.0.100", "10.92.0.1"), &own), "a virtual address");
        for (source, target) in [
            ("10.92.0.2", "192.0.2.1"),
            ("192.0.2.1", "10.92.0.2"),
            ("10.93.0.7", "10.92.0.200"),
            ("127.0.0.1", "127.0.0.1"),
            ("10.91.0.100", "224.0.0.251"),
            ("fe80::1", "fe80::2"),
        ] {
            assert!(!policy.admits(&flow(source, target), &own), "{source} to {target}");
        }
        let only_tcp = Policy { protocols: vec![protocol::TCP], ..Policy::default() };
        assert!(!only_tcp.admits(&flow("10.91.0.100", "10.92.0.200"), &own));
        let marked = Policy { marks: vec![(1, 0xff), (0x200, 0x200)], ..Policy::default() };
        let fits = |mark| marked.admits_mark(&Flow { mark, ..flow("10.91.0.100", "10.92.0.200") });
        assert_eq!([1, 0x501, 0x2ff, 0, 2].map(fits), [true, true, true, false, false]);
        assert!(contains("0.0.0.0".parse().unwrap(), 0, "9.9.9.9".parse().unwrap()));
        assert!(!contains("::".parse().unwrap(), 0, "9.9.9.9".parse().unwrap()));
    }
}
