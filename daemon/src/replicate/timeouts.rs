//! How long the kernel keeps a flow without packets: its own settings, read when we begin.

use std::collections::BTreeMap;

use evergate_core::flow::{Flow, State, protocol, status, tcp};

const DIRECTORY: &str = "/proc/sys/net/netfilter/nf_conntrack_";
/// Seconds where the kernel does not say: its own default for protocols that it does not know.
const UNKNOWN: u32 = 600;

/// The settings, by name.
#[derive(Clone, Debug, Default)]
pub struct Timeouts(BTreeMap<&'static str, u32>);

/// The settings that are read, with the kernel's defaults.
const SETTINGS: [(&str, u32); 13] = [
    ("tcp_timeout_established", 432_000),
    ("tcp_timeout_fin_wait", 120),
    ("tcp_timeout_close_wait", 60),
    ("tcp_timeout_last_ack", 30),
    ("udp_timeout", 30),
    ("udp_timeout_stream", 120),
    ("icmp_timeout", 30),
    ("icmpv6_timeout", 30),
    ("gre_timeout", 30),
    ("gre_timeout_stream", 180),
    ("sctp_timeout_established", 210),
    ("dccp_timeout_open", 43_200),
    ("generic_timeout", UNKNOWN),
];

impl Timeouts {
    /// Reads them; what cannot be read is the kernel's default.
    pub fn read() -> Timeouts {
        let read = |name: &str| {
            let text = std::fs::read_to_string(format!("{DIRECTORY}{name}")).ok()?;
            text.trim().parse().ok()
        };
        Timeouts(SETTINGS.map(|(name, usual)| (name, read(name).unwrap_or(usual))).into())
    }

    /// How many seconds a flow is given after a packet.
    pub fn of(&self, flow: &Flow) -> u32 {
        let both = flow.status & status::ASSURED != 0;
        let name = match (flow.key.original.protocol, flow.state) {
            (protocol::TCP, State::Tcp { state: tcp::FIN_WAIT, .. }) => "tcp_timeout_fin_wait",
            (protocol::TCP, State::Tcp { state: tcp::CLOSE_WAIT, .. }) => "tcp_timeout_close_wait",
            (protocol::TCP, State::Tcp { state: tcp::LAST_ACK, .. }) => "tcp_timeout_last_ack",
            (protocol::TCP, _) => "tcp_timeout_established",
            (protocol::UDP | protocol::UDPLITE, _) if both => "udp_timeout_stream",
            (protocol::UDP | protocol::UDPLITE, _) => "udp_timeout",
            (protocol::ICMP, _) => "icmp_timeout",
            (protocol::ICMPV6, _) => "icmpv6_timeout",
            (protocol::GRE, _) if both => "gre_timeout_stream",
            (protocol::GRE, _) => "gre_timeout",
            (protocol::SCTP, _) => "sctp_timeout_established",
            (protocol::DCCP, _) => "dccp_timeout_open",
            _ => "generic_timeout",
        };
        self.0.get(name).copied().unwrap_or(UNKNOWN)
    }
}
