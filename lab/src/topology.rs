//! The wiring: a client, gateways and a server, and the switches between them.
//!
//! ```text
//!   client ──┐ lan ┌── gw1 ──┐ wan ┌── server
//!            └─────┤    │sync├─────┘
//!                  └── gw2 ──┘
//! ```

use std::fmt;

use crate::error::{LabError, Result};
use crate::netns::Namespace;

/// The most gateways that one lab may have.
pub const MAX_GATEWAYS: u8 = 4;
/// The client's address on `lan`.
pub const CLIENT: &str = "10.91.0.10";
/// A second address of the client: with the same ports as the first it makes a translator choose others.
pub const CLIENT_TWIN: &str = "10.91.0.11";
/// The client's IPv6 address on `lan`.
pub const CLIENT6: &str = "fd91::10";
/// A second IPv6 address of the client.
pub const CLIENT6_TWIN: &str = "fd91::11";
/// The server's address on `wan`.
pub const SERVER: &str = "10.92.0.10";
/// The server's IPv6 address on `wan`.
pub const SERVER6: &str = "fd92::10";
/// The virtual address on `lan`.
pub const VIRTUAL_LAN: &str = "10.91.0.1";
/// The virtual address on `wan`.
pub const VIRTUAL_WAN: &str = "10.92.0.1";
/// The virtual IPv6 address on `lan`.
pub const VIRTUAL_LAN6: &str = "fd91::1";
/// The virtual IPv6 address on `wan`.
pub const VIRTUAL_WAN6: &str = "fd92::1";

/// Is it one of the virtual addresses of IPv4?
pub fn is_virtual(address: &str) -> bool {
    [VIRTUAL_LAN, VIRTUAL_WAN].contains(&address)
}

/// A gateway, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gateway(u8);

/// The first gateway, preferred in the example configuration.
pub const GW1: Gateway = Gateway(1);
/// The second gateway.
pub const GW2: Gateway = Gateway(2);

impl Gateway {
    /// The gateway with this number, 1 to [`MAX_GATEWAYS`].
    pub fn new(number: u8) -> Option<Self> {
        (1..=MAX_GATEWAYS).contains(&number).then_some(Self(number))
    }

    /// The gateway with this name, such as `gw1`.
    pub fn named(name: &str) -> Option<Self> {
        Self::new(name.strip_prefix("gw")?.parse().ok()?)
    }

    /// Its number, from 1.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The other one of the first two.
    pub fn other(self) -> Self {
        if self == GW1 { GW2 } else { GW1 }
    }

    /// Its own IPv4 address on a segment.
    pub fn address(self, segment: Segment) -> String {
        let host = if segment == Segment::Sync { self.0 } else { self.0 + 1 };
        format!("{}.{host}", segment.net4())
    }

    /// Its own IPv6 address on a segment.
    pub fn address6(self, segment: Segment) -> String {
        let host = if segment == Segment::Sync { self.0 } else { self.0 + 1 };
        format!("{}::{host}", segment.net6())
    }
}

impl fmt::Display for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gw{}", self.0)
    }
}

/// A switch with its cables; interfaces inside the gateways bear its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// Where the client is.
    Lan,
    /// Where the server is.
    Wan,
    /// Between the gateways only.
    Sync,
}

impl Segment {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lan, Self::Wan, Self::Sync];

    /// Its name, also that of the interfaces on it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Wan => "wan",
            Self::Sync => "sync",
        }
    }

    fn net4(self) -> &'static str {
        match self {
            Self::Lan => "10.91.0",
            Self::Wan => "10.92.0",
            Self::Sync => "10.93.0",
        }
    }

    fn net6(self) -> &'static str {
        match self {
            Self::Lan => "fd91",
            Self::Wan => "fd92",
            Self::Sync => "fd93",
        }
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The switch-side end of a gateway's cable; all ports of a switch begin with its name.
pub fn port(gateway: Gateway, segment: Segment) -> String {
    format!("{segment}-{gateway}")
}

/// Lines of `ip` that set a gateway's own addresses.
fn own_addresses(gateway: Gateway, wan_apart: bool) -> String {
    let lines = Segment::ALL.iter().map(|s| {
        let apart = wan_apart && *s == Segment::Wan;
        let v4 = if apart { format!("10.92.1.{}", gateway.0 + 1) } else { gateway.address(*s) };
        let v6 = gateway.address6(*s);
        format!("address add {v4}/24 dev {s}\naddress add {v6}/64 dev {s} nodad\n")
    });
    lines.collect()
}

/// All namespaces of a lab, wired.
#[derive(Debug)]
pub struct Topology {
    /// Where the client's traffic starts.
    pub client: Namespace,
    /// Where it is answered.
    pub server: Namespace,
    /// Where the switches live.
    pub switch: Namespace,
    gateways: Vec<Namespace>,
    wan_apart: bool,
}

impl Topology {
    /// Makes and wires everything; every name begins with the prefix.
    pub fn build(prefix: &str, gateways: u8) -> Result<Self> {
        if !(1..=MAX_GATEWAYS).contains(&gateways) {
            return Err(LabError::Usage(format!("a lab has 1 to {MAX_GATEWAYS} gateways")));
        }
        let make = |name: &str| -> Result<Namespace> {
            let namespace = Namespace::create(&format!("{prefix}{name}"))?;
            // Addresses are usable at once, as on a host that has been up for a while.
            namespace.sysctl("ipv6/conf/default/accept_dad", "0")?;
            namespace.sysctl("ipv6/conf/all/accept_dad", "0")?;
            Ok(namespace)
        };
        let mut topology = Self {
            client: make("client")?,
            server: make("server")?,
            switch: make("switch")?,
            gateways: Vec::new(),
            wan_apart: false,
        };
        topology.add_switches()?;
        for number in 1..=gateways {
            topology.gateways.push(make(&format!("gw{number}"))?);
            topology.wire_gateway(Gateway(number))?;
        }
        let client = (Segment::Lan, CLIENT, CLIENT6, VIRTUAL_LAN, VIRTUAL_LAN6);
        let server = (Segment::Wan, SERVER, SERVER6, VIRTUAL_WAN, VIRTUAL_WAN6);
        topology.wire_end(&topology.client, "client", client)?;
        topology.wire_end(&topology.server, "server", server)?;
        Ok(topology)
    }

    /// The namespace of a gateway.
    ///
    /// # Panics
    /// If the lab has no such gateway: a test names only those it asked for.
    pub fn gateway(&self, gateway: Gateway) -> &Namespace {
        let namespace = self.gateways.get(usize::from(gateway.0) - 1);
        namespace.expect("a test names only gateways that its lab was built with")
    }

    /// The gateways of this lab in order.
    pub fn gateways(&self) -> Vec<Gateway> {
        (1..=self.gateways.len()).filter_map(|n| u8::try_from(n).ok()).map(Gateway).collect()
    }

    fn add_switches(&self) -> Result<()> {
        // A switch is no host: its own addresses would answer questions meant for neighbours.
        self.switch.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        self.switch.sysctl("ipv6/conf/all/disable_ipv6", "1")?;
        let lines: String = Segment::ALL
            .iter()
            .map(|s| {
                format!(
                    "link add {s} type bridge mcast_snooping 0 forward_delay 0\nlink set {s} up\n"
                )
            })
            .collect();
        self.switch.ip_batch(&lines)
    }

    fn wire_gateway(&self, gateway: Gateway) -> Result<()> {
        let namespace = self.gateway(gateway);
        for key in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            namespace.sysctl(key, "1")?;
        }
        for key in ["ipv4/conf/all/rp_filter", "ipv4/conf/default/rp_filter"] {
            namespace.sysctl(key, "0")?;
        }
        for segment in Segment::ALL {
            self.plug(namespace, segment, &port(gateway, segment))?;
        }
        namespace.ip_batch(&own_addresses(gateway, self.wan_apart))
    }

    /// Leaves a gateway with its own addresses only, as after a boot.
    pub fn reset_addresses(&self, gateway: Gateway) -> Result<()> {
        let namespace = self.gateway(gateway);
        let flush = |s: &Segment| format!("address flush dev {s} scope global\n");
        let lines: String = Segment::ALL.iter().map(flush).collect();
        namespace.ip_batch(&(lines + &own_addresses(gateway, self.wan_apart)))?;
        // Interfaces that a daemon of ours has made; the kernel says so if there are none.
        crate::shell::run_unchecked(
            "ip",
            &["-n", namespace.name(), "link", "delete", "group", "230"],
            "",
        )?;
        for (segment, key) in
            Segment::ALL.iter().flat_map(|s| [(s, "arp_ignore"), (s, "arp_announce")])
        {
            namespace.sysctl(&format!("ipv4/conf/{segment}/{key}"), "0")?;
        }
        Ok(())
    }

    /// Moves the gateways' own IPv4 addresses on `wan` to a subnet of their own, as where the provider gives
    /// one public address: `masquerade` takes the first address in the subnet of the next hop, which is then
    /// the virtual one.
    pub fn set_wan_apart(&mut self) -> Result<()> {
        self.wan_apart = true;
        self.gateways().into_iter().try_for_each(|gateway| self.reset_addresses(gateway))
    }

    /// Gives the client its second addresses.
    pub fn add_client_twin(&self) -> Result<()> {
        self.client.ip_batch(&format!(
            "address add {CLIENT_TWIN}/24 dev lan\naddress add {CLIENT6_TWIN}/64 dev lan nodad\n"
        ))
    }

    /// Takes the server's way to the client's net: it answers only what comes from `wan` itself.
    pub fn remove_way_back(&self) -> Result<()> {
        self.server.ip_batch(&format!(
            "route del default via {VIRTUAL_WAN}\nroute del default via {VIRTUAL_WAN6} dev wan\n"
        ))
    }

    fn wire_end(
        &self,
        namespace: &Namespace,
        name: &str,
        (segment, v4, v6, via4, via6): (Segment, &str, &str, &str, &str),
    ) -> Result<()> {
        self.plug(namespace, segment, &format!("{segment}-{name}"))?;
        namespace.ip_batch(&format!(
            "address add {v4}/24 dev {segment}\naddress add {v6}/64 dev {segment} nodad\n\
             route add default via {via4}\nroute add default via {via6} dev {segment}\n"
        ))
    }

    /// A node without addresses on every switch, to record and to replay frames. The switches learn nothing from what it sends.
    pub fn add_spy(&self) -> Result<Namespace> {
        let prefix = self.switch.name().trim_end_matches("switch");
        let spy = Namespace::create(&format!("{prefix}spy"))?;
        spy.sysctl("ipv6/conf/default/disable_ipv6", "1")?;
        for segment in Segment::ALL {
            let port = format!("{segment}-spy");
            self.plug(&spy, segment, &port)?;
            let switch = self.switch.name();
            let arguments = ["-n", switch, "link", "set", "dev", &port, "learning", "off"];
            crate::shell::run("bridge", &arguments)?;
        }
        Ok(spy)
    }

    /// A cable from an interface of a node to a port of a switch.
    fn plug(&self, namespace: &Namespace, segment: Segment, port: &str) -> Result<()> {
        let switch = self.switch.name();
        namespace.ip_batch(&format!(
            "link add {segment} type veth peer name {port} netns {switch}\nlink set {segment} up\n"
        ))?;
        self.switch.ip_batch(&format!("link set {port} master {segment} up\n"))
    }
}
