//! Names for things: small indices into the configuration, and values that cannot be wrong.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        pub struct $name(pub u16);
        impl $name {
            /// The position in the list that this index belongs to.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
            /// The index for a position. Lists are bounded far below 65,536 entries.
            pub fn at(position: usize) -> Self {
                Self(u16::try_from(position).expect("configured lists are shorter than 65,536"))
            }
        }
    };
}

index! {
    /// A node of the cluster: its position in [`crate::config::Config::nodes`].
    NodeId
}
index! {
    /// A group: its position in [`crate::config::Config::groups`].
    GroupId
}
index! {
    /// A virtual router within its group: its position in [`crate::config::GroupConfig::routers`].
    RouterId
}
index! {
    /// A path between nodes: its position in [`crate::config::Config::paths`].
    PathId
}
index! {
    /// A check: its position in [`crate::config::Config::checks`].
    CheckId
}
index! {
    /// A network interface of this node: its position in [`crate::config::Config::interfaces`].
    InterfaceId
}

/// IP version 4 or 6.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Family {
    /// IP version 4.
    V4,
    /// IP version 6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Family {
        match address {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }
}

/// A virtual router identifier: 1 to 255 (RFC 9568 §5.2.3).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Vrid(u8);

impl Vrid {
    /// `None` for 0, which the protocol reserves.
    pub fn new(number: u8) -> Option<Vrid> {
        (number != 0).then_some(Vrid(number))
    }
    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// A configured priority: 1 to 255, where 255 belongs to the owner of the addresses
/// (RFC 9568 §5.2.4). Priority 0 exists on the wire only, as a resignation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Priority(u8);

impl Priority {
    /// The priority of the owner of the addresses.
    pub const OWNER: Priority = Priority(255);
    /// `None` for 0.
    pub fn new(number: u8) -> Option<Priority> {
        (number != 0).then_some(Priority(number))
    }
    /// The number on the wire.
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// The 128 random bits that a process draws when it starts. No two processes share them, so what
/// one has sent can never be taken for the word of another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub [u8; 16]);

impl fmt::Debug for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Incarnation({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

/// A set of paths, by [`PathId`]; the configuration refuses more than [`PathSet::CAPACITY`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct PathSet(pub u64);

impl PathSet {
    /// How many paths a node can have.
    pub const CAPACITY: usize = 64;
    /// Adds a path.
    pub fn insert(&mut self, path: PathId) {
        self.0 |= 1 << path.0;
    }
    /// Whether the path is in the set.
    pub fn contains(self, path: PathId) -> bool {
        self.0 >> path.0 & 1 == 1
    }
    /// The paths of the set, in order.
    pub fn iter(self) -> impl Iterator<Item = PathId> {
        (0..Self::CAPACITY).map(PathId::at).filter(move |path| self.contains(*path))
    }
    /// Whether there is no path in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}
