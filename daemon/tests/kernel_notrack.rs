//! The exemption of our own port from connection tracking, against the real kernel.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::process::Command;

use evergate_daemon::kernel::error::NetlinkError;
use evergate_daemon::kernel::notrack::Notrack;
use namespace::{in_namespace, ip, ruleset, skipped};

const PORT: u16 = 8747;

/// How many connections the kernel tracks in this namespace.
fn tracked() -> u32 {
    let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count").unwrap();
    count.trim().parse().unwrap()
}

#[test]
fn our_port_is_not_tracked_and_another_is() {
    in_namespace(|| {
        ip("addr add 10.91.0.1/24 dev evk1");
        // Tracking starts in a namespace with the first rule that asks for it.
        let rules = "add table t; add chain t c { type filter hook output priority 0; }; \
                     add rule t c ct state new accept";
        match Command::new("nft").arg(rules).status() {
            Ok(status) => assert!(status.success()),
            Err(_) => {
                skipped("needs nft");
                return;
            }
        }
        let exemption = Notrack::install(PORT).unwrap();
        let send = |port| {
            // A plain socket: joining a group would send reports, which are tracked too.
            let socket = std::net::UdpSocket::bind(("10.91.0.1", port)).unwrap();
            socket.send_to(b"x", ("10.91.0.2", port)).unwrap();
        };
        send(PORT);
        assert_eq!(tracked(), 0);
        send(PORT + 1);
        assert_eq!(tracked(), 1);
        drop(exemption);
        send(PORT);
        assert_eq!(tracked(), 2);
    });
}

#[test]
fn the_table_reads_as_documented_and_goes_with_its_owner() {
    in_namespace(|| {
        let exemption = Notrack::install(PORT).unwrap();
        assert!(matches!(Notrack::install(PORT), Err(NetlinkError::NotPermitted)));
        let Some(rules) = ruleset() else {
            skipped("needs nft");
            return;
        };
        assert!(rules.contains("table inet evergate_8747"), "{rules}");
        assert_eq!(rules.matches("udp dport 8747 notrack").count(), 2, "{rules}");
        assert_eq!(rules.matches("priority raw").count(), 2, "{rules}");
        drop(exemption);
        assert_eq!(ruleset().unwrap(), "");
        Notrack::install(PORT).unwrap();
    });
}
