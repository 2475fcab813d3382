//! What `flows` asks and answers: connections, and which of them a filter admits.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

/// Connections of this node's kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowsReply {
    /// How many the filter admits.
    pub total: u64,
    /// How many of them follow.
    pub shown: u64,
    /// The connections.
    pub flows: Vec<FlowView>,
}

/// One connection. Ends are written by [`end_text`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowView {
    /// The protocol, by name (`tcp`) or number (`250`).
    pub protocol: String,
    /// Where the first packet came from.
    pub source: String,
    /// Where the first packet went.
    pub target: String,
    /// Where answers come from: the target, unless it is translated.
    pub reply_source: String,
    /// Where answers go: the source, unless it is translated.
    pub reply_target: String,
    /// The state of the protocol in small letters, such as `established`; null where it has none.
    pub state: Option<String>,
    /// When the kernel forgets it unless a packet comes, in seconds.
    pub timeout_s: u32,
    /// Its packet mark.
    pub mark: u32,
    /// Its conntrack zone, that of the first packet's direction.
    pub zone: u16,
    /// The node whose kernel sees its packets; null when not known.
    pub owner: Option<String>,
    /// Would it outlive its owner: does every node that could take over have it?
    pub protected: bool,
    /// Why it is not protected, in a few words; null when it is.
    pub why: Option<String>,
}

/// One end of a connection: an address, and a port (for an echo its identifier) where there is one.
pub type End = (IpAddr, Option<u16>);

/// `10.91.0.100:443`, `[2001:db8::1]:443`; the address alone where there is no port.
pub fn end_text((address, port): End) -> String {
    port.map_or_else(|| address.to_string(), |port| SocketAddr::new(address, port).to_string())
}

/// Which connections are wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FlowFilter {
    /// Every one.
    All,
    /// Those with this address at one of their ends, translated or not.
    Address(IpAddr),
    /// Those with this port at one of their ends.
    Port(u16),
    /// Those with both at one of their ends.
    End(SocketAddr),
    /// Those whose line contains these letters, small or capital:
    /// `PROTOCOL SOURCE TARGET`, such as `tcp 10.91.0.100:40000 10.92.0.200:443`.
    Text(String),
}

impl FlowFilter {
    /// An address, a port, both, or any part of a line.
    pub fn new(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().trim();
        if text.is_empty() {
            return Self::All;
        }
        if let Ok(address) = text.parse() {
            return Self::Address(address);
        }
        if let Ok(end) = text.parse() {
            return Self::End(end);
        }
        match text.parse() {
            Ok(port) => Self::Port(port),
            Err(_) => Self::Text(text.to_lowercase()),
        }
    }

    /// Is a connection wanted? `ends` are the source and target of both directions.
    pub fn admits(&self, protocol: &str, ends: &[End; 4]) -> bool {
        match self {
            Self::All => true,
            Self::Address(wanted) => ends.iter().any(|(address, _)| address == wanted),
            Self::Port(wanted) => ends.iter().any(|(_, port)| *port == Some(*wanted)),
            Self::End(wanted) => ends.contains(&(wanted.ip(), Some(wanted.port()))),
            Self::Text(wanted) => {
                let [source, target, ..] = *ends;
                let line = format!("{protocol} {} {}", end_text(source), end_text(target));
                line.to_lowercase().contains(wanted)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(text: &str) -> End {
        let end: SocketAddr = text.parse().expect("an address and a port");
        (end.ip(), Some(end.port()))
    }

    /// A client behind a translation, with the port of its own that it got.
    fn ends() -> [End; 4] {
        ["10.91.0.100:40000", "10.92.0.200:443", "10.92.0.200:443", "10.92.0.1:1024"].map(end)
    }

    #[test]
    fn a_filter_is_an_address_a_port_both_or_a_part_of_the_line() {
        let admits = |text: &str| FlowFilter::new(Some(text)).admits("tcp", &ends());
        for wanted in [
            "",
            "  ",
            "10.91.0.100",
            "10.92.0.1",
            "443",
            "1024",
            "10.92.0.1:1024",
            "TCP",
            "tcp 10.91.",
            "92.0.200:44",
            "0.100:40000 10.92",
        ] {
            assert!(admits(wanted), "{wanted}");
        }
        for other in [
            "udp",
            "10.91.0.10",
            "44",
            "10.92.0.200:44",
            "10.91.0.100:443",
            "2001:db8::1",
            "tcp 10.92",
        ] {
            assert!(!admits(other), "{other}");
        }
        assert!(FlowFilter::new(None).admits("tcp", &ends()));
    }

    #[test]
    fn ends_are_written_as_they_are_typed() {
        let ipv6: IpAddr = "2001:db8::1".parse().expect("an address");
        assert_eq!(end_text((ipv6, Some(443))), "[2001:db8::1]:443");
        assert_eq!(end_text((ipv6, None)), "2001:db8::1");
        assert_eq!(end_text(end("10.92.0.200:443")), "10.92.0.200:443");
        let filter = FlowFilter::new(Some("[2001:db8::1]:443"));
        assert!(filter.admits("tcp", &[(ipv6, Some(443)); 4]));
        assert!(!filter.admits("gre", &[(ipv6, None); 4]));
    }
}
