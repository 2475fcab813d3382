//! Accept mode off, against the real kernel and a host at the other end of the cable.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod namespace;

use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};

use evergate_daemon::kernel::accept_mode::{AcceptOff, Unaccepted};
use namespace::{in_namespace, ip, ruleset, skipped};
use nix::sched::{CloneFlags, unshare};

/// Virtual addresses, and one of the router's own in each family.
const VIRTUAL: [&str; 3] = ["10.91.0.1", "fd91::1", "fe80::51:1"];
const OWN: [&str; 3] = ["10.91.0.11", "fd91::11", "fe80::11"];

/// A host in a namespace of its own, with `evk2`; it lives until this is dropped.
struct Host {
    network: String,
    _end: Sender<()>,
}

impl Host {
    fn plug_in() -> Host {
        let (end, ended): (Sender<()>, Receiver<()>) = channel();
        let (tell, told) = channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            tell.send(nix::unistd::gettid()).unwrap();
            let _ = ended.recv();
        });
        let thread = told.recv().unwrap();
        ip(&format!("link set evk2 netns {thread}"));
        let network = format!("--net=/proc/{}/task/{thread}/ns/net", std::process::id());
        let host = Host { network, _end: end };
        for line in [
            "link set evk2 up",
            "addr add 10.91.0.2/24 dev evk2",
            "addr add fd91::2/64 dev evk2 nodad",
        ] {
            host.run(&[&["ip"][..], &line.split(' ').collect::<Vec<_>>()].concat());
        }
        host.run(&["ip", "addr", "add", "fe80::2/64", "dev", "evk2", "nodad"]);
        host
    }

    /// Runs a program there; whether it ended well, and what it said.
    fn run(&self, words: &[&str]) -> (bool, String) {
        let mut command = Command::new("nsenter");
        let output = command.arg(&self.network).args(words).stdin(Stdio::null()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    }

    fn pings(&self, address: &str) -> bool {
        let zone = if address.starts_with("fe80") { "%evk2" } else { "" };
        self.run(&["ping", "-n", "-c", "1", "-W", "1", &format!("{address}{zone}")]).0
    }

    fn resolves(&self, address: &str) -> bool {
        self.run(&["ip", "neighbour", "show", address, "dev", "evk2"]).1.contains("lladdr")
    }

    fn forgets(&self) {
        self.run(&["ip", "neighbour", "flush", "dev", "evk2"]);
    }
}

/// A router with the addresses on `evk1`, and the host.
fn segment() -> Host {
    for address in VIRTUAL.iter().chain(&OWN) {
        let (prefix, nodad) = if address.contains(':') { ("64", " nodad") } else { ("24", "") };
        ip(&format!("addr add {address}/{prefix} dev evk1{nodad}"));
    }
    ip("link set lo up");
    let host = Host::plug_in();
    assert!(namespace::eventually(3000, || host.pings(OWN[1]) && host.pings(OWN[2])));
    host
}

fn off(interface: &str) -> AcceptOff {
    let addresses = VIRTUAL.map(|address| Unaccepted {
        address: address.parse().unwrap(),
        interface: interface.into(),
    });
    AcceptOff::install("evergate_accept_test".into(), &addresses).unwrap()
}

#[test]
fn packets_to_the_addresses_are_dropped_and_neighbour_discovery_passes() {
    in_namespace(|| {
        let host = segment();
        for address in VIRTUAL {
            assert!(host.pings(address), "{address} before");
        }
        let rules = off("evk1");
        host.forgets();
        for (address, own) in VIRTUAL.into_iter().zip(OWN) {
            assert!(!host.pings(address), "{address}");
            assert!(host.resolves(address), "{address}");
            assert!(host.pings(own), "{own}");
        }
        for address in [VIRTUAL[0], VIRTUAL[1]] {
            assert!(pings_itself(address), "{address}: the machine to itself");
        }
        drop(rules);
        for address in VIRTUAL {
            assert!(host.pings(address), "{address} after");
        }
    });
}

fn pings_itself(address: &str) -> bool {
    let mut ping = Command::new("ping");
    ping.args(["-n", "-c", "1", "-W", "1", address]).stdout(Stdio::null());
    ping.status().unwrap().success()
}

#[test]
fn a_link_local_address_means_nothing_without_its_interface() {
    in_namespace(|| {
        let host = segment();
        let _rules = off("evk9");
        assert!(host.pings("fe80::51:1"));
        assert!(!host.pings("fd91::1"), "another one does");
    });
}

#[test]
fn the_table_reads_as_documented_and_goes_with_its_owner() {
    in_namespace(|| {
        // More than go into one batch.
        let many = (0..2500_u16).map(|number| {
            let [high, low] = number.to_be_bytes();
            Unaccepted { address: [10, 0, high, low].into(), interface: "evk1".into() }
        });
        let many: Vec<Unaccepted> = many.collect();
        let rules = AcceptOff::install("evergate_accept_7_1".into(), &many).unwrap();
        let Some(text) = ruleset() else {
            skipped("needs nft");
            return;
        };
        assert!(text.contains("table inet evergate_accept_7_1"), "{text}");
        assert!(text.contains("10.0.9.195"), "the last one");
        for rule in [
            "type filter hook input priority filter - 1; policy accept;",
            "ip daddr @ipv4 drop",
            "ip6 daddr @ipv6 drop",
            "iifname . ip6 daddr @link_local drop",
        ] {
            assert!(text.contains(rule), "{rule} is not in\n{text}");
        }
        drop(rules);
        assert_eq!(ruleset().unwrap(), "");
    });
}
