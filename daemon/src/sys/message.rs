//! Sending and receiving one datagram, with what the kernel knows about it beside.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsFd, AsRawFd};

use super::address::{ADDRESS_BYTES, RawAddress};
use super::clock::NS_PER_S;
use super::{checked, uninterrupted};

/// Space for ancillary data: hop limit, packet information and a stamp, with room to spare.
const CONTROL_BYTES: usize = 256;
/// A control message starts with its length (a word), level and type.
const CONTROL_HEADER: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();

#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

/// A datagram that was received, and what the kernel says about it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Datagram {
    /// How many bytes of the buffer were filled.
    pub length: usize,
    /// True if the datagram was longer than the buffer: what is there is not all of it.
    pub truncated: bool,
    /// Who sent it.
    pub source: RawAddress,
    /// The hop limit or TTL it arrived with, where the socket asks for it.
    pub hop_limit: Option<u8>,
    /// The address it was sent to, where the socket asks for it.
    pub destination: Option<IpAddr>,
    /// The interface it came in by, where the socket asks for it.
    pub ifindex: Option<u32>,
    /// When the kernel received it, in nanoseconds of wall time, where the socket asks for it.
    pub stamp_ns: Option<u64>,
}

/// Receives one datagram; `None` if none is waiting (or came before the socket's time limit).
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Datagram>> {
    let descriptor = socket.as_fd().as_raw_fd();
    let mut source = RawAddress::default();
    let mut control = Control([0; CONTROL_BYTES]);
    let capacity = buffer.len();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: capacity };
    // SAFETY: msghdr is plain data for which all zeros is a valid, empty value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_namelen = libc::socklen_t::try_from(ADDRESS_BYTES).unwrap_or(0);
    header.msg_name = source.space().as_mut_ptr().cast();
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES as _;
    let received = uninterrupted(|| {
        // SAFETY: every pointer in `header` is to a live buffer of the length beside it.
        checked(unsafe { libc::recvmsg(descriptor, &raw mut header, 0) } as libc::c_long)
    });
    let length = match received {
        Ok(length) => usize::try_from(length).unwrap_or(0).min(capacity),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
        Err(error) => return Err(error),
    };
    source.set_length(header.msg_namelen as usize);
    let truncated = header.msg_flags & libc::MSG_TRUNC != 0;
    let mut datagram = Datagram { length, truncated, source, ..Datagram::default() };
    let filled = (header.msg_controllen as usize).min(CONTROL_BYTES);
    read_control(&control.0[..filled], &mut datagram);
    Ok(Some(datagram))
}

/// Where a datagram comes from, in place of the kernel's choice.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// Its source address.
    pub source: IpAddr,
    /// The interface by which it leaves.
    pub ifindex: u32,
    /// Its hop limit, in place of that of the socket.
    pub hops: Option<u8>,
}

/// Sends one datagram: to `destination` or the bound peer, from `origin` or the kernel's choice. It is
/// sent whole or not at all.
pub fn send(
    socket: impl AsFd,
    payload: &[u8],
    destination: Option<&RawAddress>,
    origin: Option<Origin>,
    flags: i32,
) -> io::Result<()> {
    let descriptor = socket.as_fd().as_raw_fd();
    let mut control = Control([0; CONTROL_BYTES]);
    let control_length = origin.map_or(0, |origin| write_origin(&mut control.0, origin));
    let name = destination.map_or(&[][..], RawAddress::filled);
    // The kernel only reads through these pointers; C has no way to say so.
    let mut part =
        libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
    // SAFETY: msghdr is plain data for which all zeros is a valid, empty value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if !name.is_empty() {
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = libc::socklen_t::try_from(name.len()).unwrap_or(0);
    }
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if control_length > 0 {
        header.msg_control = control.0.as_mut_ptr().cast();
        header.msg_controllen = control_length as _;
    }
    let sent = uninterrupted(|| {
        // SAFETY: every pointer in `header` is to a live buffer of the length beside it.
        checked(unsafe { libc::sendmsg(descriptor, &raw const header, flags) } as libc::c_long)
    })?;
    if usize::try_from(sent) == Ok(payload.len()) {
        Ok(())
    } else {
        Err(io::Error::from(io::ErrorKind::WriteZero))
    }
}

/// Reads ancillary data: a row of (length, level, type, data), each padded to a word.
fn read_control(mut rest: &[u8], datagram: &mut Datagram) {
    while let Some((header, _)) = rest.split_at_checked(CONTROL_HEADER) {
        let word: [u8; WORD] = header[..WORD].try_into().unwrap_or_default();
        let length = usize::from_ne_bytes(word);
        let (Some(level), Some(kind)) = (int_at(header, WORD), int_at(header, WORD + 4)) else {
            return;
        };
        let Some(data) = rest.get(CONTROL_HEADER..length) else { return };
        read_control_item(level, kind, data, datagram);
        rest = rest.get(length.next_multiple_of(WORD)..).unwrap_or_default();
    }
}

fn read_control_item(level: i32, kind: i32, data: &[u8], datagram: &mut Datagram) {
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
            datagram.hop_limit = int_at(data, 0).and_then(|value| u8::try_from(value).ok());
        }
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            // in_pktinfo: interface, local address, destination in the header.
            datagram.ifindex = int_at(data, 0).and_then(|value| u32::try_from(value).ok());
            datagram.destination =
                bytes_at::<4>(data, 8).map(|octets| Ipv4Addr::from(octets).into());
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            // in6_pktinfo: destination in the header, interface.
            datagram.destination =
                bytes_at::<16>(data, 0).map(|octets| Ipv6Addr::from(octets).into());
            datagram.ifindex = int_at(data, 16).and_then(|value| u32::try_from(value).ok());
        }
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
            let half = size_of::<libc::timespec>() / 2;
            let (Some(seconds), Some(nanoseconds)) = (long_at(data, 0), long_at(data, half)) else {
                return;
            };
            datagram.stamp_ns = Some(seconds.saturating_mul(NS_PER_S).saturating_add(nanoseconds));
        }
        _ => {}
    }
}

/// Writes the control messages that choose source address, interface and hop limit; returns their length.
fn write_origin(control: &mut [u8; CONTROL_BYTES], origin: Origin) -> usize {
    let ifindex = origin.ifindex.to_ne_bytes();
    let (level, hop_limit, length) = match origin.source {
        IpAddr::V4(address) => {
            let mut data = [0_u8; 12];
            data[..4].copy_from_slice(&ifindex);
            data[4..8].copy_from_slice(&address.octets());
            let level = libc::IPPROTO_IP;
            (level, libc::IP_TTL, write_item(control, (level, libc::IP_PKTINFO), &data))
        }
        IpAddr::V6(address) => {
            let mut data = [0_u8; 20];
            data[..16].copy_from_slice(&address.octets());
            data[16..].copy_from_slice(&ifindex);
            let level = libc::IPPROTO_IPV6;
            (level, libc::IPV6_HOPLIMIT, write_item(control, (level, libc::IPV6_PKTINFO), &data))
        }
    };
    let Some(hops) = origin.hops else { return length };
    let data = i32::from(hops).to_ne_bytes();
    length + write_item(&mut control[length..], (level, hop_limit), &data)
}

/// Writes one control message; returns its length with the padding behind it.
fn write_item(control: &mut [u8], (level, kind): (i32, i32), data: &[u8]) -> usize {
    let length = CONTROL_HEADER + data.len();
    control[..WORD].copy_from_slice(&length.to_ne_bytes());
    control[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
    control[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
    control[CONTROL_HEADER..length].copy_from_slice(data);
    length.next_multiple_of(WORD)
}

fn bytes_at<const N: usize>(data: &[u8], at: usize) -> Option<[u8; N]> {
    data.get(at..at + N)?.try_into().ok()
}

fn int_at(data: &[u8], at: usize) -> Option<i32> {
    bytes_at(data, at).map(i32::from_ne_bytes)
}

fn long_at(data: &[u8], at: usize) -> Option<u64> {
    let bytes = bytes_at::<{ size_of::<libc::c_long>() }>(data, at)?;
    u64::try_from(libc::c_long::from_ne_bytes(bytes)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_for_the_kernel_reads_back() {
        for hops in [None, Some(64)] {
            let mut control = [0; CONTROL_BYTES];
            let source = "2001:db8::1".parse().unwrap();
            let length = write_origin(&mut control, Origin { source, ifindex: 7, hops });
            let mut datagram = Datagram::default();
            read_control(&control[..length], &mut datagram);
            assert_eq!(datagram.destination, Some(source));
            assert_eq!((datagram.ifindex, datagram.hop_limit), (Some(7), hops));
        }
    }

    #[test]
    fn broken_control_data_ends_the_walk_without_a_panic() {
        let mut datagram = Datagram::default();
        for length in [0_usize, 1, 15, 17, 40, usize::MAX] {
            let mut control = [0xff_u8; 64];
            control[..WORD].copy_from_slice(&length.to_ne_bytes());
            for cut in 0..control.len() {
                read_control(&control[..cut], &mut datagram);
            }
        }
        assert_eq!(datagram.hop_limit, None);
    }
}
