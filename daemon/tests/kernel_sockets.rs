//! The protocol sockets over a real cable, in a namespace of their own.
#![allow(clippy::unwrap_used)]

mod namespace;

use std::net::{IpAddr, Ipv6Addr};

use evergate_core::ident::Family;
use evergate_daemon::kernel::error::SocketFault;
use evergate_daemon::kernel::frame_counter::FrameCounter;
use evergate_daemon::kernel::frame_socket::FrameSocket;
use evergate_daemon::kernel::probe_socket::{ArpAnswers, NdpAnswers};
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::kernel::udp_socket::{self, Hears, UdpSocket};
use evergate_daemon::kernel::vrrp_socket::{self, Received, VrrpSocket};
use evergate_daemon::kernel::{Interface, rtnetlink::LinkRecord};
use evergate_daemon::sys::clock::boottime_now;
use namespace::{eventually, in_namespace, interface, ip};

const PORT: u16 = 8747;

/// Both ends of the cable, with addresses. They are in one namespace, so that the kernel has to be
/// told that a packet may come in from an address of its own.
fn set_up() -> [Interface; 2] {
    for (name, number) in [("evk1", 1), ("evk2", 2)] {
        for setting in ["accept_local=1", "rp_filter=0"] {
            let (key, value) = setting.split_once('=').unwrap();
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/{key}"), value).unwrap();
        }
        ip(&format!("addr add 10.91.0.{number}/24 dev {name}"));
        ip(&format!("addr add fe80::{number}/64 dev {name} nodad"));
    }
    let ends = [interface("evk1"), interface("evk2")];
    // IPv6 begins with the carrier, which a busy machine notices late.
    let running = |end: &Interface| link(&end.name).running;
    assert!(eventually(10_000, || ends.iter().all(running)), "no carrier");
    ends
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn next(mut receive: impl FnMut() -> Option<Received>) -> Option<Received> {
    let mut found = None;
    eventually(1000, || {
        found = receive();
        found.is_some()
    });
    found
}

const GROUP: IpAddr = IpAddr::V4(vrrp_socket::GROUP_V4);

fn vrrp(interface: &Interface, groups: &[IpAddr]) -> VrrpSocket {
    VrrpSocket::open(interface, Family::of(groups[0]), groups).unwrap()
}

fn link(name: &str) -> LinkRecord {
    Kernel::open().unwrap().link(interface(name).index).unwrap()
}

#[test]
fn an_advert_arrives_with_source_group_hop_limit_and_without_its_ip_header() {
    in_namespace(|| {
        let [one, two] = set_up();
        let cases = [
            ("10.91.0.1", IpAddr::V4(vrrp_socket::GROUP_V4)),
            ("10.91.0.1", address("224.0.0.19")),
            ("fe80::1", IpAddr::V6(vrrp_socket::GROUP_V6)),
            ("fe80::1", address("ff02::77")),
        ];
        for (source, group) in cases {
            let (sender, receiver) = (vrrp(&one, &[group]), vrrp(&two, &[group]));
            let before = boottime_now();
            sender.send(b"advert", address(source), group).unwrap();
            let mut buffer = [0; vrrp_socket::PACKET_MAX];
            let received = next(|| receiver.receive(&mut buffer).unwrap()).unwrap();
            assert_eq!(&buffer[..received.length], b"advert");
            assert_eq!((received.source, received.destination), (address(source), group));
            assert_eq!((received.hop_limit, received.truncated), (255, false));
            assert!((before..=boottime_now()).contains(&received.received_ns));
            assert_eq!(sender.receive(&mut buffer).unwrap(), None, "we hear ourselves");
        }
    });
}

#[test]
fn a_socket_hears_the_groups_that_it_has_joined_and_no_other() {
    in_namespace(|| {
        let [one, two] = set_up();
        let (joined, other) = (address("224.0.0.19"), address("224.0.0.20"));
        let (sender, receiver) = (vrrp(&one, &[GROUP]), vrrp(&two, &[GROUP, joined]));
        let mut buffer = [0; 64];
        for group in [other, joined, GROUP] {
            sender.send(b"advert", address("10.91.0.1"), group).unwrap();
        }
        for group in [joined, GROUP] {
            let received = next(|| receiver.receive(&mut buffer).unwrap()).unwrap();
            assert_eq!((received.destination, received.hop_limit), (group, 255));
        }
        assert_eq!(receiver.receive(&mut buffer).unwrap(), None);
    });
}

#[test]
fn what_goes_to_one_router_has_the_hop_limit_that_it_is_given() {
    in_namespace(|| {
        let [one, two] = set_up();
        let group_v6 = IpAddr::V6(vrrp_socket::GROUP_V6);
        for (source, peer, group) in
            [("10.91.0.1", "10.91.0.2", GROUP), ("fe80::1", "fe80::2", group_v6)]
        {
            let (sender, receiver) = (vrrp(&one, &[group]), vrrp(&two, &[group]));
            let mut buffer = [0; 64];
            for hops in [64, 1, 255] {
                sender.send_within(b"advert", (address(source), address(peer)), hops).unwrap();
                let received = next(|| receiver.receive(&mut buffer).unwrap()).unwrap();
                assert_eq!((received.destination, received.hop_limit), (address(peer), hops));
            }
        }
    });
}

#[test]
fn an_advert_goes_out_where_no_route_leads() {
    in_namespace(|| {
        let [one, two] = set_up();
        ip("route flush dev evk1");
        ip("-6 route flush dev evk1");
        let (sender, receiver) = (vrrp(&one, &[GROUP]), vrrp(&two, &[GROUP]));
        sender.send(b"advert", address("10.91.0.1"), vrrp_socket::GROUP_V4.into()).unwrap();
        let mut buffer = [0; 64];
        assert!(next(|| receiver.receive(&mut buffer).unwrap()).is_some());
    });
}

#[test]
fn heartbeats_pass_by_group_and_to_one_peer() {
    in_namespace(|| {
        let [one, two] = set_up();
        let cases = [
            (
                UdpSocket::open_v4 as fn(&_, _, _) -> _,
                "10.91.0.1",
                IpAddr::V4(udp_socket::GROUP_V4),
            ),
            (UdpSocket::open_v6, "fe80::1", IpAddr::V6(udp_socket::GROUP_V6)),
            (UdpSocket::open_v6, "fe80::1", address("fe80::2")),
        ];
        for (open, source, destination) in cases {
            let sender = open(&one, PORT, Hears::All).unwrap();
            let receiver = open(&two, PORT, Hears::All).unwrap();
            sender.send(b"beat", Some(address(source)), destination).unwrap();
            let mut buffer = [0; 1500];
            let received = next(|| receiver.receive(&mut buffer).unwrap()).unwrap();
            assert_eq!(&buffer[..received.length], b"beat");
            assert_eq!((received.source, received.source_port), (address(source), PORT));
            assert_eq!((received.destination, received.hop_limit), (destination, 255));
            assert_eq!(sender.receive(&mut buffer).unwrap(), None, "we hear ourselves");
        }
    });
}

#[test]
fn replication_to_the_group_is_heard_by_its_own_socket_alone() {
    in_namespace(|| {
        let [one, two] = set_up();
        let open = [UdpSocket::open_v4 as fn(&_, _, _) -> _, UdpSocket::open_v6];
        let groups = [IpAddr::V4(udp_socket::GROUP_V4), IpAddr::V6(udp_socket::GROUP_V6)];
        let ends = [["10.91.0.1", "10.91.0.2"], ["fe80::1", "fe80::2"]];
        for ((open, group), [source, peer]) in open.into_iter().zip(groups).zip(ends) {
            let sender = open(&one, PORT, Hears::All).unwrap();
            let rest = open(&two, PORT, Hears::NoReplication).unwrap();
            let replication = open(&two, PORT, Hears::Replication).unwrap();
            let (beat, flows) = (b"EG\x01\x01 beat", b"EG\x01\x03 flows");
            for (payload, to) in [(beat.as_slice(), group), (flows, group), (flows, address(peer))]
            {
                sender.send(payload, Some(address(source)), to).unwrap();
            }
            sender.send(beat, Some(address(source)), address(peer)).unwrap();
            let mut buffer = [0; 1500];
            let mut heard = |socket: &UdpSocket| {
                let got = next(|| socket.receive(&mut buffer).unwrap());
                got.map(|got| (buffer[..got.length].to_vec(), got.destination))
            };
            let told = |payload: &[u8], to| Some((payload.to_vec(), to));
            assert_eq!(heard(&rest), told(beat, group));
            assert_eq!(heard(&rest), told(flows, address(peer)), "to one peer");
            assert_eq!(heard(&rest), told(beat, address(peer)));
            assert_eq!(heard(&replication), told(flows, group));
            assert_eq!(replication.receive(&mut [0; 64]).unwrap(), None);
            assert_eq!(rest.receive(&mut [0; 64]).unwrap(), None);
        }
    });
}

#[test]
fn a_datagram_longer_than_the_buffer_is_marked() {
    in_namespace(|| {
        let [one, two] = set_up();
        let sender = UdpSocket::open_v4(&one, PORT, Hears::All).unwrap();
        let receiver = UdpSocket::open_v4(&two, PORT, Hears::All).unwrap();
        sender.send(&[7; 100], None, udp_socket::GROUP_V4.into()).unwrap();
        let mut buffer = [0; 10];
        let received = next(|| receiver.receive(&mut buffer).unwrap()).unwrap();
        assert_eq!((received.length, received.truncated), (10, true));
    });
}

#[test]
fn errors_name_the_attempt_the_interface_and_the_fault() {
    in_namespace(|| {
        let [one, _] = set_up();
        let missing = Interface { index: 4_000, name: "evk9".into() };
        let error = VrrpSocket::open(&missing, Family::V4, &[GROUP]).unwrap_err();
        assert_eq!((error.interface.as_str(), error.cause), ("evk9", SocketFault::InterfaceGone));
        let sender = vrrp(&one, &[GROUP]);
        let group = vrrp_socket::GROUP_V4.into();
        assert!(sender.send(b"advert", address("10.99.0.1"), group).is_err());
        assert_eq!(
            sender.send(&[0; 70_000], address("10.91.0.1"), group).unwrap_err().cause,
            SocketFault::TooLarge
        );
    });
}

#[test]
fn an_arp_probe_is_answered_and_requests_are_filtered_out() {
    in_namespace(|| {
        let [one, _] = set_up();
        let (sender, answers) = (FrameSocket::open(&one).unwrap(), ArpAnswers::open(&one).unwrap());
        let mut frame = vec![0xff; 6];
        frame.extend(link("evk1").mac.unwrap());
        frame.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend(link("evk1").mac.unwrap());
        frame.extend([0; 10]);
        frame.extend([10, 91, 0, 2]);
        sender.send(&frame).unwrap();
        let (mut buffer, mut length) = ([0; 128], None);
        assert!(eventually(1000, || {
            length = answers.receive(&mut buffer).unwrap();
            length.is_some()
        }));
        assert!(length >= Some(42));
        assert_eq!((buffer[21], &buffer[22..28]), (2, &link("evk2").mac.unwrap()[..]));
        assert_eq!(buffer[28..32], [10, 91, 0, 2]);
    });
}

#[test]
fn a_neighbour_solicitation_is_answered() {
    in_namespace(|| {
        let [one, _] = set_up();
        let (sender, answers) = (FrameSocket::open(&one).unwrap(), NdpAnswers::open(&one).unwrap());
        let target: Ipv6Addr = "fe80::2".parse().unwrap();
        let group: Ipv6Addr = "ff02::1:ff00:2".parse().unwrap();
        let mut message = vec![135, 0, 0, 0, 0, 0, 0, 0];
        message.extend(target.octets());
        let sum = checksum(Ipv6Addr::UNSPECIFIED, group, &message);
        message[2..4].copy_from_slice(&sum.to_be_bytes());
        let mac = link("evk1").mac.unwrap();
        sender.send_icmpv6(mac, Ipv6Addr::UNSPECIFIED, group, &message).unwrap();
        let (mut buffer, mut answer) = ([0; 128], None);
        assert!(eventually(1000, || {
            answer = answers.receive(&mut buffer).unwrap();
            answer.is_some()
        }));
        let answer = answer.unwrap();
        assert_eq!((answer.source, answer.hop_limit, buffer[0]), (target, 255, 136));
        assert_eq!(buffer[8..24], target.octets());
        assert!(answer.length >= 24);
    });
}

#[test]
fn received_frames_are_counted_per_interface() {
    in_namespace(|| {
        let [one, two] = set_up();
        let mut counter = FrameCounter::open().unwrap();
        let before = counter.received(&two).unwrap();
        let sender = UdpSocket::open_v4(&one, PORT, Hears::All).unwrap();
        for _ in 0..10 {
            sender.send(b"x", None, udp_socket::GROUP_V4.into()).unwrap();
        }
        assert!(eventually(1000, || counter.received(&two).unwrap() >= before + 10));
        let missing = Interface { index: 4_000, name: "evk9".into() };
        assert_eq!(counter.received(&missing).unwrap_err().cause, SocketFault::InterfaceGone);
    });
}

#[test]
fn a_neighbour_that_has_answered_is_known() {
    in_namespace(|| {
        let [one, _] = set_up();
        ip("neigh add 10.91.0.77 dev evk1 lladdr 02:00:00:00:00:77 nud reachable");
        ip("neigh add fe80::77 dev evk1 lladdr 02:00:00:00:00:77 nud stale");
        ip("neigh add 10.91.0.78 dev evk2 lladdr 02:00:00:00:00:78 nud reachable");
        let known = Kernel::open().unwrap().known_neighbours(one.index).unwrap();
        let addresses: Vec<IpAddr> = known.iter().map(|neighbour| neighbour.address).collect();
        assert_eq!(addresses, [address("10.91.0.77"), address("fe80::77")]);
        assert_eq!(known[0].mac, Some([2, 0, 0, 0, 0, 0x77]));
    });
}

fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let mut bytes = [source.octets(), destination.octets()].concat();
    bytes.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    bytes.extend([0, 0, 0, 58]);
    bytes.extend(message);
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1])).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap()
}
