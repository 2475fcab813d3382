//! A resignation on a real segment, with real addresses: said to the neighbour, answered by it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod namespace;

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use evergate_daemon::estate::{Estate, HeldAddress, Holding, Transport, Will};
use evergate_daemon::guardian::{Farewell, SUCCESSOR_WAIT_NS, resign};
use evergate_daemon::kernel::addresses::AddressSpec;
use evergate_daemon::kernel::requests::Kernel;
use evergate_daemon::sys::clock::boottime_now;
use evergate_daemon::sys::message::receive;
use evergate_daemon::sys::option::set_int;
use namespace::{eventually, in_namespace, interface, ip};
use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};

const VRID: u8 = 51;

/// An advert of VRRP version 3 for one address, without its checksum: nobody here reads it.
fn advert(ifindex: u32, from: IpAddr, priority: u8) -> Will {
    let (transport, group): (_, IpAddr) = match from {
        IpAddr::V4(_) => (Transport::VrrpV4, Ipv4Addr::new(224, 0, 0, 18).into()),
        IpAddr::V6(_) => (Transport::VrrpV6, "ff02::12".parse().unwrap()),
    };
    let bytes = vec![0x31, VRID, priority, 1, 0, 100, 0, 0, 10, 9, 0, 100];
    Will {
        transport,
        group: Some(0),
        ifindex,
        source: from,
        destination: group,
        hops: 255,
        port: 0,
        bytes,
    }
}

/// A neighbour in a namespace of its own at the other end of the cable: tells what it hears, and
/// answers with an advert if `answers`. The cable lasts as long as the sender that is returned.
fn neighbour(from: IpAddr, answers: bool) -> (Receiver<Vec<u8>>, Sender<()>) {
    let (say_ready, ready) = channel();
    let (say_heard, heard) = channel();
    let (say_moved, moved) = channel::<()>();
    thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        say_ready.send(fs::read_link("/proc/thread-self").unwrap()).unwrap();
        moved.recv().unwrap();
        let length = if from.is_ipv4() { "24" } else { "64 nodad" };
        ip(&format!("addr add {from}/{length} dev evk2"));
        ip("link set evk2 up");
        // IPv6 begins with the carrier, which a busy machine notices late.
        assert!(eventually(10_000, || ip("link show dev evk2").contains("state UP")));
        let ifindex = interface("evk2").index;
        let socket = ear(from, ifindex);
        say_ready.send("up".into()).unwrap();
        let mut buffer = [0; 100];
        let datagram = receive(&socket, &mut buffer).unwrap().unwrap();
        assert_eq!(datagram.hop_limit, Some(255));
        let bytes = buffer[..datagram.length].to_vec();
        if answers {
            let (farewell, _) = Farewell::open();
            assert_eq!(farewell.send(&[advert(ifindex, from, 100)]), 0);
        }
        say_heard.send(bytes).unwrap();
        // The cable would go with this namespace.
        let _ = moved.recv();
    });
    let task = ready.recv().unwrap();
    ip(&format!("link set evk2 netns /proc/{}/ns/net", task.display()));
    say_moved.send(()).unwrap();
    ready.recv().unwrap();
    assert!(eventually(2000, || ip("link show dev evk1").contains("state UP")));
    (heard, say_moved)
}

/// A socket that hears VRRP on one interface.
fn ear(from: IpAddr, ifindex: u32) -> Socket {
    let protocol = Some(Protocol::from(112));
    let socket = match from {
        IpAddr::V4(_) => {
            let socket = Socket::new(Domain::IPV4, Type::RAW, protocol).unwrap();
            let interface = InterfaceIndexOrAddress::Index(ifindex);
            socket.join_multicast_v4_n(&Ipv4Addr::new(224, 0, 0, 18), &interface).unwrap();
            set_int(&socket, libc::IPPROTO_IP, libc::IP_RECVTTL, 1).unwrap();
            socket
        }
        IpAddr::V6(_) => {
            let socket = Socket::new(Domain::IPV6, Type::RAW, protocol).unwrap();
            let group: Ipv6Addr = "ff02::12".parse().unwrap();
            socket.join_multicast_v6(&group, ifindex).unwrap();
            set_int(&socket, libc::IPPROTO_IPV6, libc::IPV6_RECVHOPLIMIT, 1).unwrap();
            socket
        }
    };
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket
}

/// Resigns for a core that held an address beside `own`; how long that took, and what the
/// neighbour heard.
fn resign_before(own: IpAddr, other: IpAddr, answers: bool) -> (Duration, usize, Vec<u8>) {
    let (heard, _cable) = neighbour(other, answers);
    let length = if own.is_ipv4() { "24" } else { "64 nodad" };
    ip(&format!("addr add {own}/{length} dev evk1"));
    let ifindex = interface("evk1").index;
    let address = IpAddr::from([10, 9, 0, 100]);
    let spec = AddressSpec { ifindex, address, prefix_length: 24 };
    let mut kernel = Kernel::open().unwrap();
    kernel.hold(&[spec], 60).unwrap();
    assert!(ip("addr show dev evk1").contains("10.9.0.100"));
    let held = HeldAddress { ifindex, address, prefix_length: 24 };
    let estate = Estate {
        groups: vec![Holding { group: "gateway".into(), addresses: vec![held], ways: Vec::new() }],
        wills: vec![advert(ifindex, own, 0)],
    };
    let (mut farewell, errors) = Farewell::open();
    assert!(errors.is_empty(), "{errors:?}");
    farewell.prepare(&estate);
    // The guardian is another process than the core: it finds the address by its tag.
    let mut kernel = Kernel::open().unwrap();
    let before = boottime_now();
    let result = resign(&estate, &farewell, &mut kernel);
    let took = Duration::from_nanos(boottime_now() - before);
    assert_eq!((result.refused, result.released), (0, 1), "{result:?}");
    assert!(!ip("addr show dev evk1").contains("10.9.0.100"), "it is gone");
    assert!(ip("addr show dev evk1").contains(&own.to_string()), "the host's own stays");
    (took, result.succeeded, heard.recv_timeout(Duration::from_secs(5)).unwrap())
}

#[test]
fn the_neighbour_hears_the_resignation_and_the_address_goes_after_the_wait() {
    in_namespace(|| {
        let own = IpAddr::from([10, 9, 0, 1]);
        let (took, succeeded, heard) = resign_before(own, [10, 9, 0, 2].into(), false);
        assert!(took >= Duration::from_nanos(SUCCESSOR_WAIT_NS), "took {took:?}");
        assert_eq!(succeeded, 0);
        assert_eq!(heard[12..16], [10, 9, 0, 1], "from the core's own address");
        assert_eq!(heard[20..23], [0x31, VRID, 0], "priority zero");
    });
}

#[test]
fn the_address_goes_as_soon_as_the_successor_is_heard() {
    in_namespace(|| {
        let own = IpAddr::from([10, 9, 0, 1]);
        let (took, succeeded, _) = resign_before(own, [10, 9, 0, 2].into(), true);
        assert_eq!(succeeded, 1, "took {took:?}");
    });
}

#[test]
fn over_ipv6_it_is_the_same() {
    in_namespace(|| {
        let (own, other): (IpAddr, IpAddr) =
            ("fe80::a1".parse().unwrap(), "fe80::a2".parse().unwrap());
        let (_, succeeded, heard) = resign_before(own, other, true);
        assert_eq!((succeeded, &heard[..3]), (1, &[0x31, VRID, 0][..]));
    });
}
