//! The kernel's side of Evergate: addresses, links and the sockets of the protocols.
//!
//! Nothing here decides anything. Every call does one thing, reads every answer, and says in its
//! error what was attempted, on which interface, and whose fault it was.

pub mod accept_mode;
pub mod addresses;
pub mod conntrack;
pub mod error;
pub mod frame_counter;
pub mod frame_socket;
pub mod internet_socket;
pub mod links;
pub mod monitor;
mod netlink_socket;
mod nftables;
pub mod notrack;
pub mod probe_socket;
pub mod requests;
pub mod rtnetlink;
mod settings;
pub mod udp_socket;
pub mod virtual_links;
pub mod vrrp_socket;
pub mod ways;

/// A network interface: the index is how the kernel knows it, the name how people do.
///
/// An interface that is removed and made again has the same name and another index: sockets that
/// were opened on the old one stay silent for ever and must be opened anew.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Interface {
    /// The kernel's index, never 0.
    pub index: u32,
    /// The name, 1 to 15 bytes.
    pub name: String,
}
