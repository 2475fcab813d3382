//! What we send, read by somebody else: a thousand adverts of every kind, as tcpdump decodes them.
#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};
use std::time::Duration;

use evergate_core::config::Version;
use evergate_core::ident::Vrid;
use evergate_core::vrrp::guard::{Guard, Method};
use evergate_core::wire::ah;
use evergate_core::wire::trailer::Stamp;
use evergate_core::wire::vrrp::{Advert, Auth, Dialect, Password};

/// Adverts that are compared.
const ADVERTS: usize = 1_000;
/// Link type of packets that begin with their IP header.
const LINKTYPE_RAW: u32 = 101;
const SECRET: &[u8; 8] = b"secret12";

/// Numbers by chance, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn byte(&mut self) -> u8 {
        u8::try_from(self.below(256)).unwrap()
    }

    fn address(&mut self, is_ipv6: bool) -> IpAddr {
        if is_ipv6 {
            let low = u16::try_from(self.below(0xffff)).unwrap() + 1;
            return Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 1, 2, 3, low).into();
        }
        Ipv4Addr::new(10, self.byte(), self.byte(), self.byte()).into()
    }
}

/// An advert as we send it, and what tcpdump has to say of it.
struct Sample {
    packet: Vec<u8>,
    /// Where the advert begins in it.
    begins: usize,
    expected: String,
}

/// The sum of RFC 1071 over a header.
fn sum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap()
}

fn behind_ip(source: IpAddr, destination: IpAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).unwrap();
    let mut packet = Vec::new();
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            packet.extend([0x45, 0xc0]);
            packet.extend((length + 20).to_be_bytes());
            packet.extend([0, 1, 0, 0, 255, 112, 0, 0]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
            let sum = sum(&packet).to_be_bytes();
            packet[10..12].copy_from_slice(&sum);
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            packet.extend([0x6c, 0, 0, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend([112, 255]);
            packet.extend(source.octets());
            packet.extend(destination.octets());
        }
        _ => panic!("one family"),
    }
    packet.extend(payload);
    packet
}

fn sample(dice: &mut Dice) -> Sample {
    let kind = dice.below(5);
    let is_ipv6 = kind == 4;
    let version = if kind < 3 { Version::V2 } else { Version::V3 };
    let method = match kind {
        1 => Method::Password(Password(*SECRET)),
        2 => Method::Header(Password(*SECRET)),
        _ => Method::None,
    };
    let count = 1 + usize::try_from(dice.below(if is_ipv6 { 20 } else { 60 })).unwrap();
    let units = 1 + dice.below(if version == Version::V2 { 255 } else { 4095 });
    let unit = if version == Version::V2 { 1_000 } else { 10 };
    let advert = Advert {
        version,
        vrid: Vrid::new(1 + u8::try_from(dice.below(255)).unwrap()).unwrap(),
        priority: dice.byte(),
        interval: Duration::from_millis(units * unit),
        addresses: (0..count).map(|_| dice.address(is_ipv6)).collect(),
        auth: Auth::None,
    };
    let (source, destination): (IpAddr, IpAddr) = if is_ipv6 {
        (
            Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 7).into(),
            Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12).into(),
        )
    } else {
        (Ipv4Addr::new(192, 0, 2, 7).into(), Ipv4Addr::new(224, 0, 0, 18).into())
    };
    let is_header = matches!(method, Method::Header(_));
    let mut guard = Guard::new(method, Stamp(1));
    let mut sealed = Vec::new();
    let ends = (source, destination);
    guard.seal(&advert, ends, Dialect::Pseudo, Stamp(1), &mut sealed).unwrap();
    let begins = match (is_header, is_ipv6) {
        (true, _) => ah::OUTER_LEN + ah::LEN,
        (false, true) => 40,
        (false, false) => 20,
    };
    let packet = if is_header { sealed } else { behind_ip(source, destination, &sealed) };
    Sample { packet, begins, expected: told(&advert, kind) }
}

/// What tcpdump 4.99 says of an advert, without the length.
fn told(advert: &Advert, kind: u64) -> String {
    let (number, unit, in_units) = match advert.version {
        Version::V2 => (2, "s", advert.interval.as_secs()),
        Version::V3 => (3, "cs", u64::try_from(advert.interval.as_millis() / 10).unwrap()),
    };
    let auth = match kind {
        0 => "authtype none, ",
        1 => "authtype simple, ",
        2 => "authtype ah, ",
        _ => "",
    };
    let list: Vec<String> = advert.addresses.iter().map(IpAddr::to_string).collect();
    let count = if list.len() > 1 { format!("({})", list.len()) } else { String::new() };
    let password = if kind == 1 { " auth \"secret12\"" } else { "" };
    format!(
        "VRRPv{number}, Advertisement, vrid {}, prio {}, {auth}intvl {in_units}{unit}, addrs{count}: {}{password}",
        advert.vrid.get(),
        advert.priority,
        list.join(",")
    )
}

/// The packets as a file of libpcap.
fn file(samples: &[Sample]) -> Vec<u8> {
    let mut file = Vec::new();
    for word in [0xa1b2_c3d4, 2 | 4 << 16, 0, 0, 65_535, LINKTYPE_RAW] {
        file.extend(u32::to_le_bytes(word));
    }
    for sample in samples {
        let length = u32::try_from(sample.packet.len()).unwrap();
        for word in [0, 0, length, length] {
            file.extend(u32::to_le_bytes(word));
        }
        file.extend(&sample.packet);
    }
    file
}

/// What tcpdump says; `None` where there is none.
fn decoded(file: Vec<u8>) -> Option<String> {
    let mut command = Command::new("tcpdump");
    command.args(["-r", "-", "-n", "-t", "-vvv"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut input = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&file).unwrap());
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn tcpdump_reads_in_every_advert_what_we_meant() {
    let mut dice = Dice(9568);
    let samples: Vec<Sample> = (0..ADVERTS).map(|_| sample(&mut dice)).collect();
    let Some(text) = decoded(file(&samples)) else {
        println!("skipped: needs tcpdump (make setup installs it)");
        return;
    };
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("VRRPv")).collect();
    assert_eq!(lines.len(), ADVERTS, "{text}");
    for (line, sample) in lines.iter().zip(&samples) {
        assert!(!line.contains("bad"), "{line}");
        let said = &line[line.find("VRRPv").unwrap()..];
        // The length alone is its own; everything else is compared as it stands.
        let (front, rest) = said.split_once(", length ").unwrap();
        let behind = rest.find(", addrs").map(|at| &rest[at..]).unwrap();
        assert_eq!(format!("{front}{behind}"), sample.expected, "{line}");
    }
}

#[test]
fn a_wrong_byte_is_not_read_as_right() {
    let mut dice = Dice(1);
    let mut samples: Vec<Sample> = (0..50).map(|_| sample(&mut dice)).collect();
    for sample in &mut samples {
        let priority = &mut sample.packet[sample.begins + 2];
        *priority = priority.wrapping_add(1);
    }
    let Some(text) = decoded(file(&samples)) else { return };
    let lines: Vec<&str> = text.lines().filter(|line| line.contains("VRRPv")).collect();
    for (line, sample) in lines.iter().zip(&samples) {
        let said = &line[line.find("VRRPv").unwrap()..];
        let front = said.split_once(", length ").unwrap().0;
        assert!(!sample.expected.starts_with(front), "{line}");
    }
}
